// Runs a crash case: the workload's processes under a schedule, the accidents, the openers after them, and the
// comparison with the oracle at the end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/crash/crash_case.hpp"
#include "support/crash/history.hpp"
#include "support/crash/program.hpp"
#include "support/sim/sim_disk.hpp"

namespace mentedb::test {

struct Workload {
  std::string name;
  Options options;
  std::size_t tear_bytes = 0;
  bool direct_log = true;         ///< false: a file system without O_DIRECT
  Program setup;                  ///< by one process, without accidents. Empty: the store is not even created
  bool create = false;            ///< setup is left out altogether
  std::vector<Program> programs;  ///< one a process
  std::size_t filler_stride = 1;
};

/// A machine and what may be on its disk.
struct Machine {
  std::unique_ptr<SimDisk> disk;
  History history;
};

/// What `workload.setup` leaves; its process is killed or closes the store.
Machine set_up(const Workload& workload, bool closed);

struct SessionRun {
  std::uint64_t steps = 0;
  std::uint64_t changes = 0;         ///< weights of all steps, for probes
  std::vector<std::uint64_t> syncs;  ///< steps that sync a file
  std::uint64_t kills = 0;
  std::uint64_t failed_syncs = 0;
  std::vector<std::string> violations;
};

/// Told before every step, and once more at the end. `weight`: how much a power cut here is worth; 0 when nothing
/// happened since the step before, most before a sync.
using Probe = std::function<void(std::uint64_t step, unsigned weight)>;

/// Runs the processes of `session` to their ends. Kills and failing syncs happen; cuts and kills of everybody are left
/// to the probe, which can copy the machine.
SessionRun run_session(Machine& machine, const Workload& workload, std::size_t number, const Session& session,
                       const Probe& probe = {});

/// What is left when `accident` (a cut or a kill of everybody) happens now. History as it is.
std::unique_ptr<SimDisk> disk_after(const SimDisk& disk, const Accident& accident);

/// Opens the store as a new process would and compares: explained by the history, LSN not lower, verify clean, a second
/// recovery changes nothing, the store goes on, backups are refused or clean. An empty answer is a pass.
std::string check_store(Machine& machine, const Workload& workload);

/// Runs one case from the beginning to the comparison. An empty answer is a pass.
std::vector<std::string> replay(const Workload& workload, const CrashCase& crash);

}  // namespace mentedb::test

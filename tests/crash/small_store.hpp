// A store of small pages and a small log on the simulated disk, so that everything that grows grows soon.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include "engine/engine_impl.hpp"
#include "format/log_format.hpp"
#include "support/crash/script.hpp"
#include "support/results.hpp"
#include "support/sim/sim_disk.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::test {

inline Options small_options(std::chrono::milliseconds lock_timeout = std::chrono::seconds(2)) {
  Options options;
  options.page_size_bytes = 512;
  options.wal_limit_bytes = 64 * 1024;
  options.lock_timeout = lock_timeout;
  return options;
}

inline StorageEngine open_store(SimVfs& vfs, const Options& options = small_options()) {
  return must(EngineAccess::open(vfs, kStorePath, options));
}

inline bool is_in(const Step& step, std::string_view file, StepKind kind) {
  return step.file == file && step.kind == kind;
}

/// Runs `call`, and kills `process` at the first step for which `when` is true. False when there was none.
template <class When, class Call>
bool kill_at(SimDisk& disk, const SimVfs& process, When when, Call call) {
  bool killed = false;
  disk.set_hook([&](const Step& step) {
    if (killed || step.process != process.process() || !when(step)) return StepAction::proceed();
    killed = true;
    return StepAction::kill();
  });
  try {
    static_cast<void>(call());
  } catch (const ProcessKilled&) {
  }
  disk.set_hook({});
  return killed;
}

/// True from the step after the log was synced: the batch is durable, nothing is visible.
inline auto after_log_sync() {
  return [synced = false](const Step& step) mutable {
    if (synced) return true;
    synced = is_in(step, "wal.log", StepKind::sync);
    return false;
  };
}

/// True at the sync that would make a new header slot of the log durable.
inline auto at_slot_sync() {
  return [written = false](const Step& step) mutable {
    if (is_in(step, "wal.log", StepKind::write) && step.offset < format::kLogStart) written = true;
    return written && is_in(step, "wal.log", StepKind::sync);
  };
}

/// Power is cut; of the unsynced sectors those survive for which `keep` is true.
template <class Keep>
std::unique_ptr<SimDisk> cut(const SimDisk& disk, Keep keep) {
  const Pending pending = disk.pending();
  Fate fate = Fate::everything_kept(pending);
  for (std::size_t i = 0; i < pending.sectors.size(); ++i) fate.sectors[i] = keep(pending.sectors[i]);
  return disk.after_power_cut(fate);
}

}  // namespace mentedb::test

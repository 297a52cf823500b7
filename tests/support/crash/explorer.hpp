// Explores what accidents leave of a script: power cuts with every fate, kills between any two steps with a live peer,
// and system calls that fail, all of one process's script. Every violation is one line that names scenario, step and
// fate. Several processes, sampled: campaign.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/crash/script.hpp"
#include "support/sim/sim_scheduler.hpp"

namespace mentedb::test {

struct Scenario {
  std::string name;
  Options options;
  Script setup;   ///< before the accident can happen
  Script script;  ///< during which it happens
};

struct ExploreLimits {
  std::size_t fates_per_kind = 128;
  std::size_t max_states = ~std::size_t{0};  ///< stop after so many
  std::size_t nested_every = 97;             ///< every n-th image is crashed again during its recovery
  int depth = 2;                             ///< crashes in a row: 1 none nested
  std::uint64_t seed = 1;
};

struct ExploreResult {
  std::uint64_t states = 0;  ///< crash images recovered and compared
  std::uint64_t nested = 0;  ///< of those, after a crash during recovery
  std::uint64_t steps = 0;   ///< seam calls of the script
  std::vector<std::string> violations;
};

/// Power is cut before every step that changes anything, and at the end; every fate of the unsynced sectors.
ExploreResult explore_power_cuts(const Scenario& scenario, const ExploreLimits& limits = {});

/// The process is killed before every step (stores to shared memory included; writes also in the middle), while a
/// peer has the store open. The peer reads at once, without the lock, and then writes.
ExploreResult explore_kills(const Scenario& scenario, const ExploreLimits& limits = {});

/// Every seam call fails once with `os_error`; the script goes on (reopening after an error), then the power is cut.
ExploreResult explore_failures(const Scenario& scenario, int os_error, bool from_then_on = false,
                               const ExploreLimits& limits = {});

}  // namespace mentedb::test

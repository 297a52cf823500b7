// Several simulated processes that write plain memories at the same time, so that most writes go through the commit
// queue. Leaders and owners are killed or stopped at chosen steps.
//
// Each process has memories of its own, whose versions rise, and knows what each write may have left: a success must be
// there, a `busy` must never be there, anything else may be there or not. So a write that is lost, applied twice,
// applied late or answered wrongly shows (R13, R14). All processes race to store one more memory of each round "if
// absent": one of them may win.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "support/sim/sim_step.hpp"

namespace mentedb::test {

struct CombinedWritesOptions {
  std::uint64_t seed = 1;
  std::size_t processes = 4;
  std::size_t rounds = 8;
  double switch_probability = 0.3;
  std::chrono::milliseconds lock_timeout = std::chrono::milliseconds::max();
  std::uint64_t wal_limit_bytes = 64 * 1024;
  /// The steps before which a process may die, and with which probability. No function: every step.
  std::function<bool(const Step&)> kill_at{};
  double kill_probability = 0.3;
  std::size_t kills = 0;
  /// The steps before which a process may be stopped: one for good, or each for so many steps.
  std::function<bool(const Step&)> stop_at{};
  double stop_probability = 0.3;
  std::uint64_t resume_after = 0;
};

struct CombinedWritesResult {
  std::uint64_t writes = 0;
  std::uint64_t marks = 0;  ///< stores to marks: one by the owner of a request, one by its leader
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t timeouts = 0;
  /// Simulated time for each step. It jumps when all processes wait.
  double microseconds_a_step = 0;
  std::vector<std::string> violations;
};

CombinedWritesResult run_combined_writes(const CombinedWritesOptions& options);

/// Steps on the queue's file, of this kind.
bool on_queue(const Step& step, StepKind kind);

}  // namespace mentedb::test

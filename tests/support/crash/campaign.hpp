// Explores crashes of workloads until a budget of crash states is used up, evenly over workloads, schedules and steps.
//
// A crash state is a disk after an accident that was recovered and compared with the oracle. The work is cut into
// tasks, each one schedule of one workload with its share of the budget:
//   - the schedule without kills; power cuts and kills of everybody at its steps;
//   - the schedule again and again, each time with a process killed at another step (one in five: a failing sync), its
//     peers going on; afterwards cuts at later steps, and the end;
//   - a part of what these leave is recovered by one opener, or by two that race, with kills and cuts in the recovery,
//     up to three accidents in a row.
// Same workloads, budget and seed: same states, whatever the number of threads.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "support/crash/crash_session.hpp"

namespace mentedb::test {

inline constexpr std::size_t kMaxDepth = 3;  ///< accidents in a row

struct CampaignOptions {
  std::uint64_t seed = 1;
  std::uint64_t states = 0;      ///< the budget; 0: until the time is up
  std::chrono::seconds time{0};  ///< only without `states`
  std::size_t threads = 1;
};

struct Tally {
  std::uint64_t states = 0;
  std::array<std::uint64_t, kMaxDepth> by_depth{};  ///< states after 1, 2, 3 accidents in a row
  std::uint64_t cuts = 0;                           ///< states that a power cut left
  std::uint64_t races = 0;                          ///< recoveries by two openers at once
  std::uint64_t kills = 0;                          ///< of one process, others going on
  std::uint64_t failed_syncs = 0;
  std::uint64_t sessions = 0;  ///< runs of workloads and recoveries
  std::uint64_t steps = 0;
  std::vector<std::string> violations;  ///< "what | replay line"

  Tally& operator+=(const Tally& other);
};

/// One result a workload.
std::vector<Tally> run_campaign(const std::vector<Workload>& workloads, const CampaignOptions& options);

}  // namespace mentedb::test

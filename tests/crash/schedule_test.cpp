// Several processes under seeded schedules, with kills, torn writes and stopped writers (I1 to I6).

#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "support/crash/schedules.hpp"

namespace mentedb::test {
namespace {

void run_many(const char* what, ScheduleOptions options, std::uint64_t seeds) {
  // MENTEDB_SCHEDULES=n runs n times as many, beginning behind the usual seeds.
  const char* factor = std::getenv("MENTEDB_SCHEDULES");
  const std::uint64_t first = factor == nullptr ? 1 : seeds + 1;
  if (factor != nullptr) seeds *= std::strtoull(factor, nullptr, 10);
  ScheduleResult sum;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    options.seed = seed;
    const ScheduleResult result = run_schedule(options);
    sum.steps += result.steps;
    sum.operations += result.operations;
    sum.reads += result.reads;
    sum.kills += result.kills;
    for (const std::string& violation : result.violations) ADD_FAILURE() << what << ": " << violation;
    if (!result.violations.empty()) break;
  }
  std::printf("%s: %llu schedules, %llu steps, %llu operations, %llu reads, %llu kills\n", what,
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(sum.steps),
              static_cast<unsigned long long>(sum.operations), static_cast<unsigned long long>(sum.reads),
              static_cast<unsigned long long>(sum.kills));
  EXPECT_GT(sum.operations, seeds);
}

TEST(Schedules, Kills) { run_many("kills", {}, 150); }

TEST(Schedules, KillsAndTornCopies) {
  ScheduleOptions options;
  options.tear_bytes = 256;
  run_many("kills and torn copies", options, 100);
}

TEST(Schedules, NoKills) {
  ScheduleOptions options;
  options.kill_probability = 0;
  options.writers = 3;
  options.spares = 0;
  options.readers = 2;
  run_many("no kills", options, 80);
}

TEST(Schedules, AStoppedWriterHoldsUpNoReader) {
  ScheduleOptions options;
  options.kill_probability = 0;
  options.stop_probability = 0.001;
  options.readers = 2;
  run_many("stopped writer", options, 80);
}

}  // namespace
}  // namespace mentedb::test

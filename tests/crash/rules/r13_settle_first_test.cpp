// R13: a lock holder settles the commit queue before it plans. Leaders die at the steps that decide.
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "format/log_format.hpp"
#include "format/queue_format.hpp"
#include "support/crash/combined_writes.hpp"

namespace mentedb::test {
namespace {

void run_many(CombinedWritesOptions options, std::uint64_t seeds) {
  // MENTEDB_SCHEDULES=n runs n times as many, beginning behind the usual seeds.
  const char* factor = std::getenv("MENTEDB_SCHEDULES");
  const std::uint64_t first = factor == nullptr ? 1 : seeds + 1;
  if (factor != nullptr) seeds *= std::strtoull(factor, nullptr, 10);
  CombinedWritesResult sum;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    options.seed = seed;
    const CombinedWritesResult result = run_combined_writes(options);
    sum.writes += result.writes;
    sum.marks += result.marks;
    sum.kills += result.kills;
    sum.stops += result.stops;
    sum.timeouts += result.timeouts;
    for (const std::string& violation : result.violations) ADD_FAILURE() << violation;
    // No wake-up is lost: time never jumps to the end of a wait.
    if (options.kills == 0 && !options.stop_at) {
      EXPECT_LT(result.microseconds_a_step, 1.5) << "seed " << seed;
    }
    if (!result.violations.empty()) break;
  }
  std::printf("%llu runs: %llu writes, %llu marks, %llu kills, %llu stops, %llu timeouts\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(sum.writes),
              static_cast<unsigned long long>(sum.marks), static_cast<unsigned long long>(sum.kills),
              static_cast<unsigned long long>(sum.stops), static_cast<unsigned long long>(sum.timeouts));
  EXPECT_GT(sum.marks, sum.writes / 10) << "hardly a write went through the queue";
  if (options.kills > 0) {
    EXPECT_GT(sum.kills, seeds / 4);
  }
  if (options.stop_at) {
    EXPECT_GT(sum.stops, seeds / 4);
  }
}

// A leader's steps: it has taken requests.
bool is_mark(const Step& step) {
  return on_queue(step, StepKind::store) && step.offset % format::kQueueRecordBytes == format::kQueueMarkWord;
}
bool is_change(const Step& step) { return on_queue(step, StepKind::compare_exchange); }
bool is_answer(const Step& step) {
  return on_queue(step, StepKind::write_mapped) && step.offset < format::kQueueBodiesOffset;
}
bool is_append(const Step& step) {
  return step.kind == StepKind::write && step.file == "wal.log" && step.offset >= format::kLogStart;
}
bool is_sync_of_log(const Step& step) { return step.kind == StepKind::sync && step.file == "wal.log"; }
bool is_of_pages(const Step& step) {
  return step.file == "pages.db" && (step.kind == StepKind::write || step.kind == StepKind::store);
}

TEST(R13, NoKills) { run_many({}, 150); }

TEST(R13, ALeaderDiesBeforeAMark) { run_many({.kill_at = is_mark, .kills = 2}, 150); }

TEST(R13, ALeaderDiesBeforeTheAppend) { run_many({.kill_at = is_append, .kill_probability = 0.1, .kills = 2}, 150); }

TEST(R13, ALeaderDiesInTheSync) { run_many({.kill_at = is_sync_of_log, .kill_probability = 0.1, .kills = 2}, 150); }

TEST(R13, ALeaderDiesOnTheWayToThePages) {
  run_many({.kill_at = is_of_pages, .kill_probability = 0.02, .kills = 2}, 150);
}

TEST(R13, ALeaderDiesBeforeItHasAnswered) { run_many({.kill_at = is_answer, .kills = 2}, 150); }

TEST(R13, AnyoneDiesBeforeAnyChangeOfASlot) {
  run_many({.kill_at = is_change, .kill_probability = 0.1, .kills = 3}, 200);
}

TEST(R13, AnyoneDiesAnywhere) { run_many({.kill_probability = 0.004, .kills = 3}, 300); }

TEST(R13, ALeaderDiesWhileTheLogIsReset) {
  run_many({.rounds = 20, .wal_limit_bytes = 64 * 1024, .kill_at = is_sync_of_log, .kill_probability = 0.1, .kills = 2},
           60);
}

// R14. Owners take their requests back while a leader takes them.
TEST(R14, TimeoutsRaceWithLeaders) {
  run_many({.processes = 5,
            .lock_timeout = std::chrono::milliseconds(1),
            .stop_at = is_append,
            .stop_probability = 0.3,
            .resume_after = 40},
           200);
}

TEST(R14, TimeoutsRaceWithSettling) {
  run_many({.processes = 5,
            .lock_timeout = std::chrono::milliseconds(1),
            .kill_at = is_append,
            .kill_probability = 0.1,
            .kills = 2,
            .stop_at = is_change,
            .stop_probability = 0.1,
            .resume_after = 40},
           200);
}

TEST(R14, OwnersDieWithRequestsInTheirSlots) {
  const auto with_a_request = [](const Step& step) {
    return on_queue(step, StepKind::wait) || (step.kind == StepKind::try_lock && step.file == "wal.log");
  };
  run_many({.kill_at = with_a_request, .kill_probability = 0.05, .kills = 3}, 200);
}

TEST(R14, ALeaderIsStoppedForGood) {
  run_many({.lock_timeout = std::chrono::milliseconds(50), .stop_at = is_append, .stop_probability = 0.2}, 100);
}

}  // namespace
}  // namespace mentedb::test

// Several simulated processes on one machine, one at a time.
#include "support/sim/sim_scheduler.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/results.hpp"

namespace mentedb::test {
namespace {

using vfs::OpenMode;

std::unique_ptr<vfs::File> open(SimVfs& process, const char* name = "f") {
  return must(must(process.open_directory("/", false))->open(name, OpenMode::create, false));
}

/// A disk with /f: two pages of zeros.
class SimSchedulerTest : public ::testing::Test {
 protected:
  SimSchedulerTest() : disk({.tracing = true}) { disk.install("/f", std::vector<std::byte>(8192)); }
  SimDisk disk;
};

/// Adds 1 to the word `times` times, with or without the lock.
auto counter(int times, bool locked) {
  return [=](SimVfs& process) {
    const auto file = open(process);
    const auto mapped = must(file->map(0, 4096, true));
    for (int i = 0; i < times; ++i) {
      if (locked) {
        ASSERT_TRUE(file->lock());
      }
      mapped->store(0, mapped->load(0) + 1);
      if (locked) file->unlock();
    }
  };
}

std::uint64_t word(const SimDisk& disk) { return static_cast<std::uint64_t>(disk.content("/f").at(0)); }

TEST_F(SimSchedulerTest, LockExcludesAndWithoutItUpdatesAreLost) {
  for (const bool locked : {true, false}) {
    std::size_t lost = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      const auto machine = disk.clone();
      SimScheduler scheduler(*machine, {.seed = seed, .switch_probability = 0.5});
      for (int i = 0; i < 3; ++i) scheduler.add(counter(20, locked));
      scheduler.run();
      for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(scheduler.outcome(i), Outcome::finished);
      if (word(*machine) != 60) ++lost;
    }
    EXPECT_EQ(lost, locked ? 0U : 10U);
  }
}

TEST_F(SimSchedulerTest, TheSeedDecidesTheRun) {
  const auto trace = [&](SimSchedulerOptions options) {
    const auto machine = disk.clone();
    machine->set_tracing(true);
    SimScheduler scheduler(*machine, std::move(options));
    for (int i = 0; i < 3; ++i) scheduler.add(counter(5, true));
    scheduler.run();
    return machine->trace_text();
  };
  EXPECT_EQ(trace({.seed = 7}), trace({.seed = 7}));
  EXPECT_NE(trace({.seed = 7}), trace({.seed = 8}));
  const SimSchedulerOptions in_turn{.policy = SchedulePolicy::round_robin};
  EXPECT_EQ(trace(in_turn), trace(in_turn));
  EXPECT_EQ(trace(in_turn).find("0 p0 open_directory /\n1 p1 open_directory /\n2 p2 open_directory /\n3 p0 open f\n"),
            0U)
      << trace(in_turn);
}

TEST_F(SimSchedulerTest, SwitchPointsAreExact) {
  // Process 0: steps 0 and 1 open, 2 map, 3 load, then process 1 runs to its end, then 0 stores what it knew.
  SimScheduler scheduler(disk, {.policy = SchedulePolicy::explicit_list, .switches = {{4, 1}}});
  scheduler.add(counter(1, false));
  scheduler.add(counter(1, false));
  scheduler.run();
  EXPECT_EQ(word(disk), 1U) << "the lost update";
  EXPECT_NE(disk.trace_text().find("3 p0 load f 0+8\n4 p1 open_directory"), std::string::npos) << disk.trace_text();
  EXPECT_NE(disk.trace_text().find("8 p1 store f 0+8\n9 p0 store f 0+8\n"), std::string::npos) << disk.trace_text();
}

TEST_F(SimSchedulerTest, WakeAndTimeoutEndAWait) {
  SimScheduler scheduler(disk);
  scheduler.add([](SimVfs& process) {
    const auto mapped = must(open(process)->map(0, 4096, true));
    const auto start = process.now();
    while (mapped->load(0) == 0) mapped->wait(0, 0, std::chrono::hours(1));
    EXPECT_LT(process.now() - start, std::chrono::minutes(1)) << "woken, not timed out";
    mapped->wait(0, 1, std::chrono::hours(2));
    EXPECT_GE(process.now() - start, std::chrono::hours(2)) << "nobody else can run: time jumps";
  });
  scheduler.add([](SimVfs& process) {
    const auto mapped = must(open(process)->map(0, 4096, true));
    mapped->wait(8, 0, std::chrono::seconds(1));
    mapped->store(0, 1);
    mapped->wake(0);
  });
  scheduler.run();
  EXPECT_EQ(scheduler.outcome(0), Outcome::finished);
  EXPECT_EQ(scheduler.outcome(1), Outcome::finished);
}

TEST_F(SimSchedulerTest, DeadlockIsDetected) {
  const auto locks = [](const char* first, const char* second) {
    return [=](SimVfs& process) {
      const auto one = open(process, first);
      const auto two = open(process, second);
      ASSERT_TRUE(one->lock());
      ASSERT_TRUE(two->lock());
    };
  };
  SimScheduler scheduler(disk, {.policy = SchedulePolicy::round_robin});
  scheduler.add(locks("a", "b"));
  scheduler.add(locks("b", "a"));
  scheduler.add(counter(3, true));
  scheduler.run();
  EXPECT_EQ(scheduler.outcome(0), Outcome::deadlocked);
  EXPECT_EQ(scheduler.outcome(1), Outcome::deadlocked);
  EXPECT_EQ(scheduler.outcome(2), Outcome::finished);
}

TEST_F(SimSchedulerTest, AKilledHolderLetsTheWaiterIn) {
  SimScheduler scheduler(disk, {.policy = SchedulePolicy::explicit_list, .switches = {{4, 1}}});
  disk.set_hook([](const Step& step) {
    return step.process == 0 && step.kind == StepKind::write ? StepAction::kill(512) : StepAction::proceed();
  });
  scheduler.add([](SimVfs& process) {
    const auto file = open(process);
    ASSERT_TRUE(file->lock());
    ASSERT_TRUE(file->size_bytes());
    ASSERT_TRUE(file->write_at(0, std::vector<std::byte>(1024, std::byte{1})));
    ADD_FAILURE() << "it died";
  });
  scheduler.add([](SimVfs& process) {
    const auto file = open(process);
    ASSERT_TRUE(file->lock());
    std::vector<std::byte> bytes(1024);
    ASSERT_TRUE(file->read_at(0, bytes));
    EXPECT_EQ(bytes[511], std::byte{1});
    EXPECT_EQ(bytes[512], std::byte{0});
  });
  scheduler.run();
  EXPECT_EQ(scheduler.outcome(0), Outcome::killed);
  EXPECT_EQ(scheduler.outcome(1), Outcome::finished);
}

TEST_F(SimSchedulerTest, AStoppedProcessKeepsItsLockUntilContinued) {
  for (const bool resumed : {true, false}) {
    const auto machine = disk.clone();
    SimScheduler scheduler(*machine, {.policy = SchedulePolicy::explicit_list});
    bool stopped_once = false;
    machine->set_hook([&](const Step& step) {
      if (step.kind == StepKind::store && !std::exchange(stopped_once, true)) return StepAction::stop();
      return StepAction::proceed();
    });
    scheduler.add(counter(1, true));
    scheduler.add([&](SimVfs& process) {
      const auto file = open(process);
      const auto start = process.now();
      bool taken = false;
      while (!taken && process.now() - start < std::chrono::seconds(30)) taken = must(file->try_lock());
      EXPECT_FALSE(taken) << "the holder is stopped, not dead";
      EXPECT_EQ(file->lock_holder(), "pid 1 (sim)");
      EXPECT_TRUE(scheduler.is_stopped(0));
      if (!resumed) return;
      scheduler.resume(0);
      EXPECT_TRUE(file->lock());
      EXPECT_EQ(must(open(process)->map(0, 4096, false))->load(0), 1U);
    });
    scheduler.run();
    EXPECT_EQ(scheduler.outcome(0), resumed ? Outcome::finished : Outcome::stopped);
    EXPECT_EQ(scheduler.outcome(1), Outcome::finished);
    EXPECT_EQ(word(*machine), resumed ? 1U : 0U);
  }
}

TEST_F(SimSchedulerTest, TwoPollersOfAStoppedHolderTimeOutSoon) {
  SimScheduler scheduler(disk, {.policy = SchedulePolicy::round_robin});
  disk.set_hook([](const Step& step) {
    return step.process == 0 && step.kind == StepKind::store ? StepAction::stop() : StepAction::proceed();
  });
  scheduler.add(counter(1, true));
  for (int i = 0; i < 2; ++i) {
    scheduler.add([](SimVfs& process) {
      const auto file = open(process);
      for (int step = 0; step < 10; ++step) ASSERT_TRUE(file->size_bytes());
      const auto start = process.now();
      while (process.now() - start < std::chrono::seconds(30)) ASSERT_FALSE(must(file->try_lock()));
    });
  }
  scheduler.run();
  EXPECT_EQ(scheduler.outcome(0), Outcome::stopped);
  EXPECT_EQ(scheduler.outcome(2), Outcome::finished);
  EXPECT_LT(disk.step_count(), 20'000U);
}

TEST_F(SimSchedulerTest, PowerCutEndsTheWaitingToo) {
  SimScheduler scheduler(disk, {.policy = SchedulePolicy::explicit_list});
  scheduler.add([](SimVfs& process) { must(open(process)->map(0, 4096, true))->wait(0, 0, std::chrono::hours(1)); });
  scheduler.add([](SimVfs& process) { static_cast<void>(open(process)->sync()); });
  disk.set_hook(
      [](const Step& step) { return step.kind == StepKind::sync ? StepAction::power_cut() : StepAction::proceed(); });
  scheduler.run();
  EXPECT_EQ(scheduler.outcome(0), Outcome::power_cut);
  EXPECT_EQ(scheduler.outcome(1), Outcome::power_cut);
}

TEST_F(SimSchedulerTest, ALivelockEndsAtTheStepLimit) {
  SimScheduler scheduler(disk, {.max_steps = 1000});
  scheduler.add([](SimVfs& process) {
    const auto mapped = must(open(process)->map(0, 4096, false));
    while (mapped->load(0) == 0) {
    }
  });
  scheduler.run();
  EXPECT_EQ(scheduler.outcome(0), Outcome::step_limit);
}

TEST_F(SimSchedulerTest, AnExceptionOfABodyComesOutOfRun) {
  SimScheduler scheduler(disk);
  scheduler.add([](SimVfs&) { throw std::runtime_error("mine"); });
  scheduler.add(counter(3, true));
  EXPECT_THROW(scheduler.run(), std::runtime_error);
  EXPECT_EQ(scheduler.outcome(1), Outcome::finished);
}

}  // namespace
}  // namespace mentedb::test

// A device that is full or whose sync failed, and a commit that woke no waiter.

#include <cerrno>

#include <gtest/gtest.h>

#include "engine/engine_impl.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"
#include "support/sim/sim_scheduler.hpp"

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// H20. The space of a batch is on the disk before the batch is in the log: redo on a disk that filled up meanwhile.
TEST(Device, GrowthIsDurableBeforeTheBatchThatNeedsIt) {
  SimDisk disk;
  {
    Process process(disk);
    std::uint64_t before = must(process->stats()).pages_file_bytes;
    for (std::uint64_t i = 0; must(process->stats()).pages_file_bytes == before && i < 100; ++i) {
      before = must(process->stats()).pages_file_bytes;
      must(process->store_memory(make_memory(i, 1, 20'000)));
    }
    process.kill();
  }
  const auto found = power_cut(disk);
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 30;
  found->set_capacity(kLarge);
  found->set_capacity(kLarge - found->free_bytes() + 64 * 1024);  // room for a new id index and nothing else
  EXPECT_TRUE(ok(Process::idle(*found).try_open()));
}

// H25. After a failed sync of the log every engine that was open says so, and a new one has everything acknowledged.
TEST(Device, APoisonedStoreIsReadAgainFromTheDevice) {
  SimDisk disk;
  auto [first, second] = open_processes<2>(disk);
  must(first->store_memory(make_memory(1, 1)));
  {
    Trace trace(disk);
    trace.fail(Who::anyone(), sync_of(kWalLog), EIO, Effect::partial);
    EXPECT_FALSE(first->store_memory(make_memory(2, 1, 3'000)));
  }
  EXPECT_TRUE(is_error(second->store_memory(make_memory(3, 1)), ErrorCode::poisoned));
  Process opener(disk);
  EXPECT_EQ(version_of(opener, 1), 1U);
  EXPECT_TRUE(ok(opener->store_memory(make_memory(4, 1))));
}

// H26. The writer is killed between the store of the commit word and the wake: a waiter notices all the same.
TEST(Device, AWaiterNoticesACommitThatWokeNoProcess) {
  SimDisk disk;
  {
    Process process(disk);
    must(process->store_memory(make_memory(1, 1)));
  }
  SimScheduler scheduler(disk, {.policy = SchedulePolicy::explicit_list});
  Lsn before;
  Lsn noticed;
  const std::size_t waiter = scheduler.add([&](SimVfs& vfs) {
    auto engine = must(EngineAccess::open(vfs, kStorePath, small_options()));
    before = engine.committed_lsn();
    const auto begin = vfs.now();
    noticed = must(engine.wait_for_change(before, seconds(10)));
    EXPECT_LT(vfs.now() - begin, seconds(1));
  });
  const std::size_t writer = scheduler.add([&](SimVfs& vfs) {
    auto engine = must(EngineAccess::open(vfs, kStorePath, small_options()));
    vfs.sleep(milliseconds(1));  // an open wakes as well; the waiter is to sleep again
    static_cast<void>(engine.store_memory(make_memory(2, 1)));
  });
  Trace trace(disk);
  const Event killed = trace.kill(scheduler.vfs(writer), step(StepKind::wake, kPagesDb).after(append_to_log()));
  scheduler.run();
  trace.calm();
  EXPECT_TRUE(killed.came());
  EXPECT_EQ(scheduler.outcome(waiter), Outcome::finished);
  EXPECT_GT(noticed.value, before.value);
}

}  // namespace
}  // namespace mentedb::test

// R1. Before a process's first append in an epoch that it has not itself seen synced, it writes the newest header copy
// again and syncs it.

#include <cerrno>

#include <gtest/gtest.h>

#include "format/log_format.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R1, H4. A checkpointer is killed before it has synced the new slot; the next writer appends over the first batch of
// the old epoch. When the power fails in that append, the old slot is the newest, its chain is broken at its first
// batch and complete batches follow: LSNs would begin again, or the store would be called damaged.
TEST(R1, TheNewEpochsHeaderIsDurableBeforeItsFirstAppend) {
  SimDisk disk;
  auto [checkpointer, next] = open_processes<2>(disk);
  store_memories(*checkpointer, 0, 4);
  const Lsn committed = checkpointer->committed_lsn();
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(checkpointer, sync_of_new_header(), [&] { return checkpointer->checkpoint(); }));

  const Event cut = trace.before_each(next, sync_of(kWalLog).after(append_to_log()), [&] {
    const auto found = power_cut(disk, all_but(in(kWalLog).below(format::kLogStart)));
    Process rebooted = Process::idle(*found);
    const auto opened = rebooted.try_open();
    EXPECT_TRUE(ok(opened));
    if (!opened) return;
    EXPECT_GE(rebooted->committed_lsn().value, committed.value) << "LSNs begin again (I8)";
    for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
  });
  must(next->store_memory(make_memory(9, 1)));
  EXPECT_EQ(cut.times(), 1U);
}

// R1 is once an epoch, not once a process: the peer had seen the slot of the epoch before synced.
TEST(R1, EachEpochsHeaderIsMadeDurable) {
  SimDisk disk;
  auto [checkpointer, peer] = open_processes<2>(disk);
  must(checkpointer->store_memory(make_memory(1, 1)));
  must(peer->store_memory(make_memory(2, 1)));
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(checkpointer, sync_of_new_header(), [&] { return checkpointer->checkpoint(); }));

  const Event synced = trace.watch(peer, sync_of(kWalLog));
  const Event appended = trace.watch(peer, append_to_log());
  must(peer->store_memory(make_memory(3, 1)));
  EXPECT_TRUE(appended.came());
  EXPECT_TRUE(synced.came_before(appended)) << "a batch of an epoch whose header is not durable";
}

// R1, I11. The new epoch's slot was written and its sync failed: no process can tell which epoch the device has.
TEST(R1, AnEngineWhoseHeaderFailedIsPoisoned) {
  SimDisk disk;
  Process process(disk);
  must(process->store_memory(make_memory(1, 1)));
  {
    Trace trace(disk);
    trace.keep_failing(process, sync_of_new_header(), EIO);
    EXPECT_FALSE(process->checkpoint());
  }
  EXPECT_TRUE(is_error(process->store_memory(make_memory(2, 1)), ErrorCode::poisoned));
  EXPECT_EQ(version_of(process, 1), 1U);

  process.open();
  must(process->store_memory(make_memory(2, 1)));
  const auto found = power_cut(disk);
  Process after(*found);
  EXPECT_EQ(version_of(after, 1), 1U);
  EXPECT_EQ(version_of(after, 2), 1U);
}

}  // namespace
}  // namespace mentedb::test

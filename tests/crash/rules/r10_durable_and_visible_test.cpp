// R10. Success only when the data is durable and visible. A page write that fails after the log is durable is tried
// once more; then the cached tail does not move, and the next holder redoes it.

#include <cerrno>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R10. One write to the pages fails when the log is durable: the caller need not know.
TEST(R10, APageWriteThatFailsOnceIsTriedAgain) {
  SimDisk disk;
  Process process(disk);
  {
    Trace trace(disk);
    const Event failed = trace.fail(process, write_of(kPagesDb).after(sync_of(kWalLog)), EIO);
    EXPECT_TRUE(ok(process->store_memory(make_memory(1, 1))));
    EXPECT_TRUE(failed.came());
  }
  EXPECT_EQ(version_of(process, 1), 1U);
  expect_sound(disk);
}

// R10, H14. While the page file takes no writes, the durable batch is acknowledged by no process, hidden behind no
// cached tail and dropped by no checkpoint; afterwards the next holder completes it.
TEST(R10, TheCachedTailDoesNotMovePastWhatIsNotVisible) {
  SimDisk disk;
  auto [first, second] = open_processes<2>(disk);
  must(first->store_memory(make_memory(1, 1)));
  {
    Trace trace(disk);
    trace.keep_failing(Who::anyone(), write_of(kPagesDb).after(sync_of(kWalLog)), EIO);
    EXPECT_FALSE(first->store_memory(make_memory(2, 1)));
    EXPECT_FALSE(second->store_memory(make_memory(3, 1)));
    EXPECT_FALSE(second->checkpoint());
  }
  const Lsn before = second->committed_lsn();
  must(second->store_memory(make_memory(4, 1)));
  EXPECT_GE(second->committed_lsn().value, before.value + 2) << "the batch before has its LSN";
  EXPECT_EQ(version_of(first, 2), 1U) << "durable, and completed by the next holder";
  const auto found = power_cut(disk);
  Process rebooted(*found);
  for (const std::uint64_t number : {1U, 2U, 4U}) EXPECT_EQ(version_of(rebooted, number), 1U) << number;
}

}  // namespace
}  // namespace mentedb::test

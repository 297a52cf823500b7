// R11. After each acquisition, and again before acknowledging, device and inode of `wal.log` and `pages.db` are
// compared with their paths.

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R11, H18. A file is replaced after the lock was taken, at any step of the commit: what went into a file that no path
// leads to is not acknowledged.
TEST(R11, NothingIsAcknowledgedIntoAReplacedFile) {
  for (const std::string_view name : {"/store/wal.log", "/store/pages.db"}) {
    bool replaced = true;
    for (std::uint64_t number = 1; replaced; number += 5) {
      SimDisk disk;
      Process process(disk);
      must(process->store_memory(make_memory(1, 1)));
      Trace trace(disk);
      const Moment while_locked = any_step().before(step(StepKind::unlock));
      const Event replacement =
          trace.before(process, while_locked.nth(number), [&] { disk.install(name, disk.content(name)); });
      const auto stored = process->store_memory(make_memory(2, 1));
      trace.calm();
      replaced = replacement.came();
      if (!replaced || !stored) continue;
      // Acknowledged: then a process that opens the store by its paths finds it.
      Process other = Process::idle(disk);
      ASSERT_TRUE(ok(other.try_open())) << name << " at " << number;
      EXPECT_EQ(version_of(other, 2), 1U) << name << " replaced at step " << number;
    }
  }
}

}  // namespace
}  // namespace mentedb::test

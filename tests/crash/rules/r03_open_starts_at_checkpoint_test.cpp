// R3. `open` redoes the log from the checkpoint, whatever the cached tail says, unless the shared state has the mark of
// a recovery through this mount in this boot.

#include <cerrno>
#include <string>

#include <gtest/gtest.h>

#include "engine/engine_impl.hpp"
#include "format/geometry.hpp"
#include "format/log_format.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R3, H3. The cached tail reaches the disk, the pages do not. An engine that opened at the tail would have nothing to
// redo. Its checkpoint would throw away the log, which has the only copy. (A read alone would not show that: a reader
// that finds a damaged page has the log redone.)
TEST(R3, OpenStartsAtTheCheckpointWhateverTheCachedTailSays) {
  SimDisk disk;
  {
    Process writer(disk);
    must(writer->checkpoint());
    store_memories(*writer, 0, 3);
    writer.kill();
  }
  constexpr std::uint64_t kBehindTheSharedState = format::kFirstRegionOffset;
  const Leaves leaves = all_but(in(kPagesDb).from(kBehindTheSharedState));
  for (const bool same_boot : {false, true}) {
    const auto found = power_cut(disk, same_boot ? leaves.in_the_same_boot() : leaves);
    Process rebooted(*found);
    must(rebooted->checkpoint());
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
    expect_sound(*found);
  }
}

// R3. Within one mount of one boot everything acknowledged is in the page cache. So an opener waits for no writer, and
// a command beside busy writers answers at once. (It took the lock to redo a log that had nothing to redo: 332 ms.)
TEST(R3, AnOpenOfARecoveredStoreTakesNoLock) {
  SimDisk disk;
  Process holder(disk);
  store_memories(*holder, 0, 3);
  Process opener = Process::idle(disk);
  Process reader = Process::idle(disk);
  must(holder->transact([&](Transaction& transaction) -> Result<void> {
    EXPECT_TRUE(ok(transaction.store(make_memory(4, 1))));
    Trace trace(disk);
    const Event locks = trace.watch(opener, step(StepKind::try_lock));
    const Event reads_log = trace.watch(opener, read_of(kWalLog));
    opener.open();
    EXPECT_FALSE(locks.came());
    EXPECT_FALSE(reads_log.came());
    reader.open(read_only_options());
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(opener, i), 1U) << i;
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(reader, i), 1U) << i;
    return {};
  }));
  EXPECT_EQ(version_of(opener, 4), 1U);
  must(opener->store_memory(make_memory(5, 1)));
  EXPECT_EQ(version_of(reader, 5), 1U);
}

// R3. A writer died in the middle. Who opens repairs when the lock is free, and goes on without when it is not.
TEST(R3, AnOpenBesideADeadWriterRepairsWhenItCan) {
  SimDisk disk;
  Process writer(disk);
  Process holder(disk);
  store_memories(*holder, 0, 3);
  ASSERT_TRUE(Trace(disk).kill(writer, batch_durable(), [&] { return writer->store_memory(make_memory(4, 1)); }));
  Process read_only = Process::idle(disk);
  read_only.open(read_only_options());
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(read_only, i), 1U) << i;
  EXPECT_EQ(version_of(read_only, 4), 0U) << "it was not acknowledged";
  const Process opener(disk);
  EXPECT_EQ(version_of(opener, 4), 1U);
  EXPECT_EQ(version_of(read_only, 4), 1U);
}

// R3. The opener saw a commit under way, and the writer has finished when the opener gets the lock. (It redid the whole
// log: one open in a hundred beside a busy writer took 15 to 20 ms.)
TEST(R3, AnOpenRedoesNoLogWhoseWriterHasFinished) {
  SimDisk disk;
  Process writer(disk);
  Process other(disk);
  store_memories(*other, 0, 3);
  ASSERT_TRUE(Trace(disk).kill(writer, batch_durable(), [&] { return writer->store_memory(make_memory(4, 1)); }));
  Process opener = Process::idle(disk);
  Trace trace(disk);
  const Event in_doubt = trace.before(opener, step(StepKind::try_lock), [&other] {
    must(other->store_memory(make_memory(5, 1)));  // repairs, and finishes
  });
  const Event redo = trace.watch(opener, read_of(kWalLog).from_byte(format::kLogStart));
  opener.open();
  EXPECT_TRUE(in_doubt.came());
  EXPECT_FALSE(redo.came());
  trace.calm();
  for (std::uint64_t i = 0; i < 6; ++i) EXPECT_EQ(version_of(opener, i), 1U) << i;
  must(other->store_memory(make_memory(6, 1)));  // the opener has not kept the lock
}

// R3. After a failed write of the log the page cache may say more than the device. The next open reads the log.
TEST(R3, AFailedWriteOfTheLogSendsTheNextOpenToTheLog) {
  SimDisk disk;
  Process writer(disk);
  store_memories(*writer, 0, 3);
  Trace trace(disk);
  trace.fail(writer, sync_of(kWalLog), EIO);
  EXPECT_TRUE(is_error(writer->store_memory(make_memory(4, 1)), ErrorCode::io_error));
  // Also one that may not repair: the mark is gone, and so it asks the log.
  Process read_only = Process::idle(disk);
  const Event asked = trace.watch(read_only, read_of(kWalLog).from_byte(format::kLogStart));
  static_cast<void>(read_only.try_open(read_only_options()));
  EXPECT_TRUE(asked.came());
  Process next = Process::idle(disk);
  const Event read = trace.watch(next, read_of(kWalLog).from_byte(format::kLogStart));
  next.open();
  EXPECT_TRUE(read.came());
  must(next->store_memory(make_memory(5, 1)));
}

// R3. A store that lies in another directory, or whose log is another file, is another store.
TEST(R3, TheMarkOfARecoveryIsNotCopied) {
  SimDisk disk;
  Process writer(disk);
  store_memories(*writer, 0, 3);
  for (const char* name : {"pages.db", "wal.log"}) {
    disk.install(std::string("/copy/") + name, disk.content(std::string("/store/") + name));
  }
  Process opener = Process::idle(disk);
  Trace trace(disk);
  const Event read = trace.watch(opener, read_of(kWalLog).from_byte(format::kLogStart));
  const auto copy = must(EngineAccess::open(opener.vfs(), "/copy", small_options()));
  EXPECT_TRUE(read.came());
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(copy, i), 1U) << i;
}

}  // namespace
}  // namespace mentedb::test

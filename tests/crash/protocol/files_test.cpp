// A store's files as they come and go: a lost log, a creation and a backup that failed, a backup among commits.

#include <cerrno>

#include <gtest/gtest.h>

#include "engine/engine_impl.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// H13. A log that is gone is damage; a fresh one would begin at LSN 1 below pages with higher ones (I8).
TEST(Files, ALogThatIsGoneIsNeverMadeAnew) {
  SimDisk disk;
  {
    Process process(disk);
    must(process->store_memory(make_memory(1, 1)));
  }
  for (const bool empty : {false, true}) {
    disk.erase("/store/wal.log");
    if (empty) disk.install("/store/wal.log", {});
    EXPECT_TRUE(is_error(Process::idle(disk).try_open(), ErrorCode::corruption));
  }
}

// The sync of the superblock "created" fails, or its process is killed before it. The page cache shows "created", so
// the next opener uses the store; after a power cut the disk said "creating", and everything acknowledged was thrown
// away.
TEST(Files, ACreationWhoseLastSyncFailedIsNotStartedOver) {
  for (const bool killed : {false, true}) {
    SimDisk disk;
    Process creator = Process::idle(disk);
    {
      Trace trace(disk);
      const Moment last_sync = sync_of(kPagesDb).nth(2);
      const Event accident = killed ? trace.kill(creator, last_sync) : trace.fail(creator, last_sync, EIO);
      dies([&] { EXPECT_FALSE(creator.try_open()); });
      ASSERT_TRUE(accident.came());
    }
    {
      Process next(disk);
      must(next->store_memory(make_memory(1, 1)));
      must(next->checkpoint());
      must(next->store_memory(make_memory(2, 1)));
    }
    const auto found = power_cut(disk);
    Process rebooted(*found);
    EXPECT_EQ(version_of(rebooted, 1), 1U);
    EXPECT_EQ(version_of(rebooted, 2), 1U);
    expect_sound(*found);
  }
}

// The same for a backup, which said that it failed: what the page cache shows as a store is none after a power cut.
TEST(Files, ABackupWhoseLastSyncFailedIsRefusedAtOnce) {
  SimDisk disk;
  Process process(disk);
  must(process->store_memory(make_memory(1, 1)));
  Trace trace(disk);
  const Event syncs = trace.watch(process, sync_of(kPagesDb));
  must(process->backup("/counted"));
  const std::size_t last = syncs.times();
  trace.calm();
  trace.fail(process, sync_of(kPagesDb).nth(last), EIO);
  trace.keep_failing(process, step(StepKind::remove), EIO);  // nor can it be taken away again
  EXPECT_FALSE(process->backup("/failed"));
  trace.calm();
  SimVfs other(disk);
  EXPECT_FALSE(EngineAccess::open(other, "/failed", small_options()));
}

// H17. Whatever a writer and a checkpoint do at whatever step of a backup, the copy is of one moment.
TEST(Files, ABackupIsOfOneMomentAcrossACheckpoint) {
  bool changed = true;
  for (std::uint64_t at = 10; changed; at += 37) {
    SimDisk disk;
    auto [source, writer] = open_processes<2>(disk);
    const auto raise_both = [&](std::uint64_t version) {
      must(writer->transact([&](Transaction& tx) -> Result<void> {
        for (const std::uint64_t number : {1U, 2U}) {
          if (auto r = tx.store(make_memory(number, version, 300 * version)); !r) return std::unexpected(r.error());
        }
        return {};
      }));
    };
    raise_both(1);
    Trace trace(disk);
    const Event change = trace.before(source, any_step().before(step(StepKind::try_lock)).nth(at), [&] {
      raise_both(2);
      must(writer->checkpoint());
      raise_both(3);
    });
    must(source->backup("/copy"));
    trace.calm();
    changed = change.came();
    SimVfs other(disk);
    const StorageEngine copy = must(EngineAccess::open(other, "/copy", small_options()));
    EXPECT_EQ(version_of(copy, 1), changed ? 3U : 1U) << "changed at step " << at;
    EXPECT_EQ(version_of(copy, 1), version_of(copy, 2)) << "changed at step " << at;
    expect_sound(disk, "/copy");
  }
}

}  // namespace
}  // namespace mentedb::test

// The rules of the protocol one by one: each test replays the trace that the model or the review found without the
// rule, with kills, power cuts and switches at the very steps (docs/invariants.md; H numbers are those of the review).
// Each was seen to fail with its rule taken out of src/; docs/prove/crash.md says how.

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "crash/small_store.hpp"
#include "offline/verify.hpp"
#include "format/log_format.hpp"
#include "support/sim/sim_scheduler.hpp"

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Options small() { return small_options(milliseconds(50)); }
StorageEngine open(SimVfs& vfs) { return open_store(vfs, small()); }

std::uint32_t version_of(const StorageEngine& engine, std::uint64_t number) {
  const auto loaded = engine.load_memory(memory_id(number));
  if (!loaded) return 0;
  EXPECT_EQ(*loaded, make_memory(number, loaded->access_count, loaded->content.size()));
  return loaded->access_count;
}

void expect_sound(SimDisk& disk) {
  SimVfs vfs(disk);
  const auto report = offline::verify_directory(vfs, kStorePath, seconds(1));
  ASSERT_TRUE(report) << report.error().message;
  for (const Problem& problem : report->problems) ADD_FAILURE() << problem.file << ": " << problem.message;
}

/// Ids in page order, as a scan lists them.
std::vector<std::pair<MemoryId, PageId>> list(const StorageEngine& engine) {
  auto all = engine.scan_all_memories();
  EXPECT_TRUE(all);
  return all ? *all : std::vector<std::pair<MemoryId, PageId>>();
}

/// Stores memories until one lies on `page`.
bool reuse(StorageEngine& engine, PageId page, std::uint64_t first_number) {
  for (std::uint64_t i = 0; i < 400; ++i) {
    const auto stored = engine.store_memory(make_memory(first_number + i, 1));
    if (!stored) return false;
    if (*stored == page) return true;
  }
  return false;
}

// R1, H4. A checkpointer is killed before it has synced the new slot; the next writer appends over the first batch of
// the old epoch. When the power fails in that append, the old slot is the newest, its chain is broken at its first
// batch and complete batches follow: LSNs would begin again, or the store would be called damaged.
TEST(Rules, R1TheNewEpochsSlotIsDurableBeforeItsFirstAppend) {
  SimDisk disk;
  SimVfs killed_vfs(disk);
  SimVfs next_vfs(disk);
  auto killed = open(killed_vfs);
  auto next = open(next_vfs);
  for (std::uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(killed.store_memory(make_memory(i, 1)));
  const Lsn committed = killed.committed_lsn();
  ASSERT_TRUE(kill_at(disk, killed_vfs, at_slot_sync(), [&] { return killed.checkpoint(); }));
  std::size_t cuts = 0;
  bool appended = false;
  disk.set_hook([&](const Step& step) {
    if (appended && is_in(step, "wal.log", StepKind::sync)) {
      const auto found = cut(disk, [](const PendingSector& sector) {
        return sector.file != "wal.log" || sector.sector * 512 >= format::kLogStart;
      });
      SimVfs rebooted(*found);
      const auto engine = EngineAccess::open(rebooted, kStorePath, small());
      EXPECT_TRUE(engine) << engine.error().message;
      if (engine) {
        EXPECT_GE(engine->committed_lsn().value, committed.value) << "LSNs begin again (I8)";
        for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(version_of(*engine, i), 1U) << i;
      }
      ++cuts;
    }
    if (is_in(step, "wal.log", StepKind::write) && step.offset >= format::kLogStart) appended = true;
    return StepAction::proceed();
  });
  ASSERT_TRUE(next.store_memory(make_memory(9, 1)));
  disk.set_hook({});
  EXPECT_EQ(cuts, 1U);
}

// R1 is once an epoch, not once a process: the peer had seen the slot of the epoch before synced.
TEST(Rules, R1EachEpochsSlotIsMadeDurable) {
  SimDisk disk;
  SimVfs killed_vfs(disk);
  SimVfs peer_vfs(disk);
  auto killed = open(killed_vfs);
  auto peer = open(peer_vfs);
  ASSERT_TRUE(killed.store_memory(make_memory(1, 1)));
  ASSERT_TRUE(peer.store_memory(make_memory(2, 1)));
  ASSERT_TRUE(kill_at(disk, killed_vfs, at_slot_sync(), [&] { return killed.checkpoint(); }));
  bool synced = false;
  bool appended_first = false;
  disk.set_hook([&](const Step& step) {
    if (step.file != "wal.log") return StepAction::proceed();
    synced |= step.kind == StepKind::sync;
    appended_first |= !synced && step.kind == StepKind::write && step.offset >= format::kLogStart;
    return StepAction::proceed();
  });
  ASSERT_TRUE(peer.store_memory(make_memory(3, 1)));
  disk.set_hook({});
  EXPECT_FALSE(appended_first) << "a batch of an epoch whose slot is not durable";
}

// R1, I11. The new epoch's slot was written and its sync failed: nobody can tell which epoch the device has.
TEST(Rules, R1AnEngineWhoseSlotFailedIsPoisoned) {
  SimDisk disk;
  SimVfs vfs(disk);
  auto engine = open(vfs);
  ASSERT_TRUE(engine.store_memory(make_memory(1, 1)));
  disk.set_hook([failing = at_slot_sync()](const Step& step) mutable {
    return failing(step) ? StepAction::fail(EIO) : StepAction::proceed();
  });
  EXPECT_FALSE(engine.checkpoint());
  disk.set_hook({});
  const auto stored = engine.store_memory(make_memory(2, 1));
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::poisoned);
  EXPECT_EQ(version_of(engine, 1), 1U);
  auto reopened = open(vfs);
  ASSERT_TRUE(reopened.store_memory(make_memory(2, 1)));
  const auto found = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*found);
  auto after = open(rebooted);
  EXPECT_EQ(version_of(after, 1), 1U);
  EXPECT_EQ(version_of(after, 2), 1U);
}

// R2, H7. The log's sync fails and its writer dies before it could tell anybody. In the page cache the batch is
// complete and clean; another sync succeeds and makes nothing durable. (Buffered log: a direct one reads from the
// device.)
TEST(Rules, R2ABatchWhoseSyncFailedIsWrittenAgain) {
  SimDisk disk;
  SimVfs writer_vfs(disk, {.support_direct = false});
  SimVfs peer_vfs(disk, {.support_direct = false});
  auto writer = open(writer_vfs);
  auto peer = open(peer_vfs);
  ASSERT_TRUE(peer.store_memory(make_memory(1, 1)));
  ASSERT_TRUE(writer.store_memory(make_memory(2, 1)));
  bool failed = false;
  disk.set_hook([&](const Step& step) {
    if (step.process != writer_vfs.process()) return StepAction::proceed();
    if (failed) return StepAction::kill();
    if (!is_in(step, "wal.log", StepKind::sync)) return StepAction::proceed();
    failed = true;
    return StepAction::fail(EIO);
  });
  EXPECT_THROW(static_cast<void>(writer.store_memory(make_memory(3, 1))), ProcessKilled);
  disk.set_hook({});
  ASSERT_TRUE(peer.store_memory(make_memory(4, 1)));
  const std::uint32_t shown = version_of(peer, 3);
  const auto found = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*found);
  const auto engine = EngineAccess::open(rebooted, kStorePath, small());
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_EQ(version_of(*engine, 4), 1U) << "it was acknowledged (I1)";
  EXPECT_EQ(version_of(*engine, 3), shown) << "it was shown (I3)";
}

// R3, H3. The hint reaches the disk, the pages below it do not.
TEST(Rules, R3OpenStartsAtTheCheckpointWhateverTheHintSays) {
  SimDisk disk;
  {
    SimVfs vfs(disk);
    auto engine = open(vfs);
    ASSERT_TRUE(engine.checkpoint());
    for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(engine.store_memory(make_memory(i, 1)));
    vfs.kill();
  }
  for (const bool same_boot : {false, true}) {
    const Pending pending = disk.pending();
    Fate fate = Fate::everything_kept(pending);
    fate.keep_boot_id = same_boot;
    for (std::size_t i = 0; i < pending.sectors.size(); ++i)
      fate.sectors[i] = pending.sectors[i].file != "pages.db" || pending.sectors[i].sector < 16;
    const auto found = disk.after_power_cut(fate);
    SimVfs rebooted(*found);
    auto engine = open(rebooted);
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(engine, i), 1U) << i;
    expect_sound(*found);
  }
}

// R4, H1. The log has a memory that was deleted and whose page lies inside a run that is live now. Redo of the whole
// log must not write the old one over the run, at no moment: the opener may be killed there, and the log be reset.
TEST(Rules, R4RedoWritesNothingOverALiveRun) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs opener_vfs(disk);
  auto writer = open(writer_vfs);
  std::vector<PageId> pages;
  for (std::uint64_t i = 0; i < 3; ++i) pages.push_back(must(writer.store_memory(make_memory(i, 1))));
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(writer.delete_memory(memory_id(i)));
  std::uint64_t live = 0;  // a run over the three pages
  for (std::uint64_t i = 10; live == 0 && i < 200; ++i) {
    const auto page = writer.store_memory(make_memory(i, 1, 1'200));
    ASSERT_TRUE(page);
    if (page->value <= pages[1].value && pages[1].value < page->value + 3 && page->value != pages[1].value) live = i;
    if (live == 0) {
      ASSERT_TRUE(writer.delete_memory(memory_id(i)));
    }
  }
  ASSERT_NE(live, 0U);
  std::size_t looks = 0;
  disk.set_hook([&](const Step& step) {
    if (step.process != opener_vfs.process()) return StepAction::proceed();
    EXPECT_EQ(version_of(writer, live), 1U) << "step " << step.index << " of the opener";
    ++looks;
    return StepAction::proceed();
  });
  {
    auto opener = open(opener_vfs);
  }
  disk.set_hook({});
  EXPECT_GT(looks, 50U);
  ASSERT_TRUE(writer.checkpoint());
  EXPECT_EQ(version_of(writer, live), 1U);
}

// R4, H2. A writer dies in the middle of overwriting a page; redo must not show the versions before on its way.
TEST(Rules, R4NoOldVersionComesBackDuringRedo) {
  SimDisk disk({.tear_bytes = 512});
  SimVfs writer_vfs(disk);
  SimVfs opener_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  auto reader = open(reader_vfs);
  const PageId page = must(writer.allocate_page(1'200));
  const auto data = [](int version) { return Bytes(1'200, std::byte(version)); };
  for (const int version : {1, 2, 3}) ASSERT_TRUE(writer.write_page(page, data(version)));
  ASSERT_EQ(must(reader.read_page(page)).data, data(3));
  ASSERT_TRUE(kill_at(
      disk, writer_vfs, [](const Step& step) { return is_in(step, "pages.db", StepKind::write_slice); },
      [&] { return writer.write_page(page, data(4)); }));
  bool inside = false;
  std::size_t shown = 0;
  disk.set_hook([&](const Step& step) {
    if (inside || step.process != opener_vfs.process() || step.kind == StepKind::copy_slice)
      return StepAction::proceed();
    inside = true;
    const auto copy = reader.read_page(page);
    inside = false;
    if (!copy) {  // the exception of I5: half overwritten, and the opener has the lock
      EXPECT_EQ(copy.error().code, ErrorCode::busy) << copy.error().message;
    } else {
      EXPECT_EQ(copy->data, data(4)) << "step " << step.index << " (I3)";
      ++shown;
    }
    return StepAction::proceed();
  });
  {
    auto opener = open(opener_vfs);
  }
  disk.set_hook({});
  EXPECT_GT(shown, 0U);
}

// R4 in a commit: of a memory that a batch changes twice only the last version is ever written, or a reader would be
// shown one that nobody committed.
TEST(Rules, R4ABatchShowsOnlyItsLastVersions) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  auto reader = open(reader_vfs);
  ASSERT_TRUE(writer.store_memory(make_memory(1, 1)));
  std::set<std::uint32_t> shown;
  std::size_t reads = 0;
  bool inside = false;
  disk.set_hook([&](const Step& step) {
    if (inside || step.process != writer_vfs.process()) return StepAction::proceed();
    inside = true;
    shown.insert(version_of(reader, 1));
    EXPECT_EQ(version_of(reader, 2), 0U) << "stored and deleted in one batch";
    ++reads;
    inside = false;
    return StepAction::proceed();
  });
  ASSERT_TRUE(writer.transact([](Transaction& transaction) -> Result<void> {
    if (auto done = transaction.update(make_memory(1, 2)); !done) return done;
    if (auto done = transaction.store(make_memory(2, 1)); !done) return std::unexpected(done.error());
    if (auto done = transaction.update(make_memory(1, 3)); !done) return done;
    return transaction.erase(memory_id(2));
  }));
  shown.insert(version_of(reader, 1));
  disk.set_hook({});
  EXPECT_GT(reads, 20U);
  EXPECT_EQ(shown, (std::set<std::uint32_t>{1, 3}));
}

// R5, H8. A writer dies between log and pages. A checkpointer that has the store open resets nothing before it has
// brought the batch into the pages.
TEST(Rules, R5ACheckpointLooksBehindTheTailFirst) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs peer_vfs(disk);
  auto writer = open(writer_vfs);
  auto peer = open(peer_vfs);
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(peer.store_memory(make_memory(i, 1)));
  std::vector<MemoryNode> batch;
  for (std::uint64_t i = 0; i < 3; ++i) batch.push_back(make_memory(i, 2));
  ASSERT_TRUE(kill_at(disk, writer_vfs, after_log_sync(), [&] { return writer.store_memories(batch); }));
  ASSERT_TRUE(peer.checkpoint());
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(version_of(peer, i), 2U) << i;
  const auto found = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*found);
  auto engine = open(rebooted);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(version_of(engine, i), 2U) << i;
}

// R5 for a backup: it is a holder of the lock like any other.
TEST(Rules, R5ABackupLooksBehindTheTailFirst) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs peer_vfs(disk);
  auto writer = open(writer_vfs);
  auto peer = open(peer_vfs);
  ASSERT_TRUE(peer.store_memory(make_memory(1, 1)));
  ASSERT_TRUE(kill_at(disk, writer_vfs, after_log_sync(), [&] { return writer.store_memory(make_memory(2, 1)); }));
  ASSERT_TRUE(peer.backup("/copy"));
  EXPECT_EQ(version_of(peer, 2), 1U);
  const auto copy = EngineAccess::open(peer_vfs, "/copy", small());
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(version_of(*copy, 2), 1U) << "the backup lacks what its source has";
}

// R6, H19. A writer dies after any one of: run, entries, index slot, freed entries, freed header. Each is judged on its
// own by the next holder: the memory is found by id, by page and by scan, once, and verify finds nothing.
TEST(Rules, R6EachPartOfAPageIsRedoneOnItsOwn) {
  for (std::uint64_t kill_after = 0;; ++kill_after) {
    SimDisk disk;
    SimVfs writer_vfs(disk);
    SimVfs peer_vfs(disk);
    auto writer = open(writer_vfs);
    auto peer = open(peer_vfs);
    ASSERT_TRUE(writer.store_memory(make_memory(1, 1)));
    ASSERT_TRUE(peer.store_memory(make_memory(2, 1)));
    std::uint64_t parts = 0;
    bool synced = false;
    const bool killed = kill_at(
        disk, writer_vfs,
        [&](const Step& step) {
          synced |= is_in(step, "wal.log", StepKind::sync);
          const bool part = is_in(step, "pages.db", StepKind::write) ||
                            (step.file.starts_with("ids") && step.kind == StepKind::store);
          return synced && part && parts++ == kill_after;
        },
        [&] { return writer.update_memory(make_memory(1, 2, 1'500)); });
    if (!killed) {
      EXPECT_GE(kill_after, 5U);
      break;
    }
    ASSERT_TRUE(peer.store_memory(make_memory(3, 1)));
    EXPECT_EQ(version_of(peer, 1), 2U);
    const auto page = peer.find(memory_id(1));
    ASSERT_TRUE(page);
    EXPECT_EQ(must(peer.load_memory(*page)).access_count, 2U);
    std::multiset<MemoryId> listed;
    for (const auto& [id, at] : list(peer)) listed.insert(id);
    EXPECT_EQ(listed, (std::multiset<MemoryId>{memory_id(1), memory_id(2), memory_id(3)})) << kill_after;
    expect_sound(disk);
  }
}

// R5. Whoever redoes may die of it, half way through the pages: a hint from before must not speak for them.
TEST(Rules, R5AKilledRecoveryLeavesNoHint) {
  SimDisk disk;
  SimVfs killed_vfs(disk);
  SimVfs next_vfs(disk);
  auto killed = open(killed_vfs);
  auto next = open(next_vfs);
  ASSERT_TRUE(next.store_memory(make_memory(1, 1)));
  std::size_t stores = 0;
  ASSERT_TRUE(kill_at(
      disk, killed_vfs, [&](const Step& step) { return is_in(step, "pages.db", StepKind::store) && ++stores == 2; },
      [&] { return killed.recover(); }));
  bool looked = false;
  disk.set_hook([&](const Step& step) {
    looked |= is_in(step, "wal.log", StepKind::read) && step.offset >= format::kLogStart;
    return StepAction::proceed();
  });
  ASSERT_TRUE(next.store_memory(make_memory(2, 1)));
  disk.set_hook({});
  EXPECT_TRUE(looked);
}

// R6. A writer dies between the two halves of a run: its data are whole, and behind them lies what was there before.
TEST(Rules, R6RedoLooksBehindTheDataOfARun) {
  SimDisk disk({.tear_bytes = 512});
  SimVfs writer_vfs(disk);
  Options options = small();
  options.page_size_bytes = 4'096;
  auto writer = open_store(writer_vfs, options);
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1, 3'000)));
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(writer.delete_memory(memory_id(i)));
  std::size_t slices = 0;
  ASSERT_TRUE(kill_at(
      disk, writer_vfs,
      [&](const Step& step) { return is_in(step, "pages.db", StepKind::write_slice) && ++slices == 2; },
      [&] { return writer.store_memory(make_memory(30, 1)); }));
  {
    SimVfs opener_vfs(disk);
    auto opener = open_store(opener_vfs, options);
    EXPECT_EQ(version_of(opener, 30), 1U);
  }
  expect_sound(disk);
}

// R7, H6. The sync of pages.db fails and the checkpointer dies with the news. Whoever comes next has a descriptor that
// reports nothing, and must not trust it.
TEST(Rules, R7AFailedSyncOutlivesTheProcessThatWasTold) {
  for (const bool fresh : {false, true}) {
    SimDisk disk;
    SimVfs told_vfs(disk);
    SimVfs next_vfs(disk);
    auto told = open(told_vfs);
    std::optional<StorageEngine> next;
    if (!fresh) next.emplace(open(next_vfs));
    for (std::uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(told.store_memory(make_memory(i, 1)));
    bool failed = false;
    disk.set_hook([&](const Step& step) {
      if (step.process != told_vfs.process()) return StepAction::proceed();
      if (failed) return StepAction::kill();
      if (!is_in(step, "pages.db", StepKind::sync)) return StepAction::proceed();
      failed = true;
      return StepAction::fail(EIO);
    });
    try {
      EXPECT_FALSE(told.checkpoint());
    } catch (const ProcessKilled&) {
    }
    disk.set_hook({});
    EXPECT_FALSE(told_vfs.is_alive());
    if (fresh) next.emplace(open(next_vfs));
    ASSERT_TRUE(next->checkpoint());
    const auto found = disk.after_power_cut(Fate::nothing_kept());
    SimVfs rebooted(*found);
    auto engine = open(rebooted);
    for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(version_of(engine, i), 1U) << i;
  }
}

// R7. A sync failed: the pages look clean, the device does not have them, and the kernel may drop them at any moment.
// Who opens the store makes them dirty again at once, and does not leave that to the next checkpoint.
TEST(Rules, R7WhoOpensUnderTheMarkWritesThePagesAgain) {
  SimDisk disk;
  const auto dirty_pages = [&disk] {
    const auto sectors = disk.pending().sectors;
    return std::ranges::count_if(sectors, [](const PendingSector& sector) {
      return sector.file == "pages.db" && sector.sector * 512 >= format::kSharedStateOffset + base::kBlockBytes;
    });
  };
  {
    SimVfs vfs(disk);
    auto engine = open(vfs);
    for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(engine.store_memory(make_memory(i, 1)));
    disk.set_hook([](const Step& step) {
      return is_in(step, "pages.db", StepKind::sync) ? StepAction::fail(EIO) : StepAction::proceed();
    });
    EXPECT_FALSE(engine.checkpoint());
    disk.set_hook({});
    vfs.kill();
  }
  ASSERT_EQ(dirty_pages(), 0);
  SimVfs vfs(disk);
  const auto engine = open(vfs);
  EXPECT_GE(dirty_pages(), 3);
}

// R8, H31. A reader has loaded the slot and stalls. The memory moves away and, in a second update, back to that page;
// that writer is killed before it swaps the slot. What lies on the page is newer than what everybody else is shown.
TEST(Rules, R8AStalledReaderDoesNotRunAheadOfTheIndex) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs killed_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  auto killed = open(killed_vfs);
  auto reader = open(reader_vfs);
  const PageId first = must(writer.store_memory(make_memory(1, 1)));
  ASSERT_EQ(version_of(reader, 1), 1U);
  const std::uint64_t first_offset = 2 * 4096 + 65'536 * 32 + (first.value - 1) * 512;
  std::uint32_t version = 1;
  bool stalled = false;
  bool on_first = false;
  disk.set_hook([&](const Step& step) {
    if (step.process == killed_vfs.process()) {
      on_first |= is_in(step, "pages.db", StepKind::write) && step.offset == first_offset;
      const bool swap = step.file.starts_with("ids") && step.kind == StepKind::store;
      return on_first && swap ? StepAction::kill() : StepAction::proceed();
    }
    if (stalled || step.process != reader_vfs.process() || step.kind != StepKind::copy) return StepAction::proceed();
    stalled = true;
    try {
      for (; version < 400; ++version) {
        on_first = false;
        EXPECT_TRUE(killed.update_memory(make_memory(1, version + 1)));
      }
    } catch (const ProcessKilled&) {
    }
    return StepAction::proceed();
  });
  const std::uint32_t shown = version_of(reader, 1);
  disk.set_hook({});
  ASSERT_FALSE(killed_vfs.is_alive()) << "the memory never came back to its first page";
  EXPECT_EQ(shown, version) << "the slot still leads to the version before";
  EXPECT_GE(version_of(reader, 1), shown) << "the next read went back (I3)";
}

// R9, H32. The holder is killed between any two stores of the shared words: no LSN is used twice, nothing is lost.
TEST(Rules, R9AKillBetweenTheWordsOfTheHintReusesNoLsn) {
  for (std::uint64_t kill_after = 0;; ++kill_after) {
    SimDisk disk;
    SimVfs killed_vfs(disk);
    SimVfs peer_vfs(disk);
    auto killed = open(killed_vfs);
    auto peer = open(peer_vfs);
    ASSERT_TRUE(peer.store_memory(make_memory(1, 1)));
    ASSERT_TRUE(killed.store_memory(make_memory(2, 1)));
    std::uint64_t stores = 0;
    const bool was_killed = kill_at(
        disk, killed_vfs,
        [&](const Step& step) {
          const bool word = is_in(step, "pages.db", StepKind::store) && step.offset < 4096 + 80;
          return word && stores++ == kill_after;
        },
        [&] { return killed.store_memory(make_memory(3, 1)); });
    if (!was_killed) {
      EXPECT_GE(kill_after, 10U);
      break;
    }
    ASSERT_TRUE(peer.store_memory(make_memory(4, 1)));
    std::set<std::uint64_t> lsns;
    for (std::uint64_t number = 1; number <= 4; ++number) {
      const auto page = peer.find(memory_id(number));
      if (!page && number == 3) continue;  // never logged
      ASSERT_TRUE(page) << number;
      EXPECT_TRUE(lsns.insert(must(peer.read_page(*page)).header.lsn.value).second) << "LSN used twice (I8)";
    }
    SimVfs opener_vfs(disk);
    auto opener = open(opener_vfs);
    for (const std::uint64_t number : {1U, 2U, 4U}) EXPECT_EQ(version_of(opener, number), 1U) << number;
  }
}

// R10. One write to the pages fails when the log is durable: the caller need not know.
TEST(Rules, R10APageWriteThatFailsOnceIsTriedAgain) {
  SimDisk disk;
  SimVfs vfs(disk);
  auto engine = open(vfs);
  bool failed = false;
  disk.set_hook([&, is_durable = after_log_sync()](const Step& step) mutable {
    if (!is_durable(step) || failed || !is_in(step, "pages.db", StepKind::write)) return StepAction::proceed();
    failed = true;
    return StepAction::fail(EIO);
  });
  EXPECT_TRUE(engine.store_memory(make_memory(1, 1)));
  disk.set_hook({});
  EXPECT_TRUE(failed);
  EXPECT_EQ(version_of(engine, 1), 1U);
  expect_sound(disk);
}

// R10, H14. While the page file takes no writes, the durable batch is acknowledged by nobody, hidden behind no hint and
// dropped by no checkpoint; afterwards the next holder completes it.
TEST(Rules, R10TheHintDoesNotMovePastWhatIsNotVisible) {
  SimDisk disk;
  SimVfs first_vfs(disk);
  SimVfs second_vfs(disk);
  auto first = open(first_vfs);
  auto second = open(second_vfs);
  ASSERT_TRUE(first.store_memory(make_memory(1, 1)));
  bool logged = false;
  disk.set_hook([&](const Step& step) {
    logged |= is_in(step, "wal.log", StepKind::sync);
    return logged && is_in(step, "pages.db", StepKind::write) ? StepAction::fail(EIO) : StepAction::proceed();
  });
  EXPECT_FALSE(first.store_memory(make_memory(2, 1)));
  EXPECT_FALSE(second.store_memory(make_memory(3, 1)));
  EXPECT_FALSE(second.checkpoint());
  disk.set_hook({});
  const Lsn before = second.committed_lsn();
  ASSERT_TRUE(second.store_memory(make_memory(4, 1)));
  EXPECT_GE(second.committed_lsn().value, before.value + 2) << "the batch before has its LSN";
  EXPECT_EQ(version_of(first, 2), 1U) << "durable, and completed by the next holder";
  const auto found = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*found);
  auto engine = open(rebooted);
  for (const std::uint64_t number : {1U, 2U, 4U}) EXPECT_EQ(version_of(engine, number), 1U) << number;
}

// R11, H18. A file is replaced after the lock was taken, at any step of the commit: what went into a file that no path
// leads to is not acknowledged.
TEST(Rules, R11NothingIsAcknowledgedIntoAReplacedFile) {
  for (const std::string_view name : {"/store/wal.log", "/store/pages.db"}) {
    bool done = false;
    for (std::uint64_t replace_at = 0; !done; replace_at += 5) {
      SimDisk disk;
      SimVfs vfs(disk);
      auto engine = open(vfs);
      ASSERT_TRUE(engine.store_memory(make_memory(1, 1)));
      std::uint64_t steps = 0;
      bool replaced = false;
      bool unlocked = false;
      disk.set_hook([&](const Step& step) {
        unlocked |= step.kind == StepKind::unlock;
        if (steps++ == replace_at && !unlocked && !replaced) {
          replaced = true;
          disk.install(name, disk.content(name));
        }
        return StepAction::proceed();
      });
      const auto stored = engine.store_memory(make_memory(2, 1));
      disk.set_hook({});
      done = !replaced;
      if (!replaced || !stored) continue;
      // Acknowledged: then whoever opens the store by its paths finds it.
      SimVfs other_vfs(disk);
      const auto other = EngineAccess::open(other_vfs, kStorePath, small());
      ASSERT_TRUE(other) << name << " at " << replace_at << ": " << other.error().message;
      EXPECT_EQ(version_of(*other, 2), 1U) << name << " replaced at step " << replace_at;
    }
  }
}

// H9. The scan's cursor has passed the low pages when a memory moves there from a high one.
TEST(Rules, AScanMissesNoMemoryThatMovesBehindIt) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  auto reader = open(reader_vfs);
  for (std::uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
  std::map<std::uint64_t, std::uint64_t> at;
  for (const auto& [id, page] : list(writer)) at[page.value] = id.bytes[15];
  for (std::uint64_t page = 1; page <= 40; ++page) ASSERT_TRUE(writer.delete_memory(memory_id(at[page])));
  std::size_t copies = 0;
  std::size_t moved_back = 0;
  disk.set_hook([&](const Step& step) {
    if (step.process != reader_vfs.process() || step.kind != StepKind::copy || ++copies != 2)
      return StepAction::proceed();
    for (std::uint64_t page = 130; page < 190; ++page) {
      const auto now = writer.update_memory(make_memory(at[page], 2));
      EXPECT_TRUE(now);
      if (now && now->value <= 64) ++moved_back;
    }
    return StepAction::proceed();
  });
  const auto all = reader.scan_all_memories();
  disk.set_hook({});
  ASSERT_TRUE(all);
  EXPECT_GT(moved_back, 0U);
  std::set<MemoryId> listed;
  for (const auto& [id, page] : *all) EXPECT_TRUE(listed.insert(id).second) << "listed twice";
  EXPECT_EQ(listed.size(), 160U);
}

// I4. A scan during which somebody commits in every pass ends all the same: after some passes it takes the lock.
void expect_it_takes_the_lock(bool read_only, const std::function<void(const StorageEngine&)>& scan) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  Options options = small();
  options.read_only = read_only;
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
  const auto reader = open_store(reader_vfs, options);
  std::uint32_t commits = 0;
  bool locked = false;
  disk.set_hook([&](const Step& step) {
    if (step.process != reader_vfs.process()) return StepAction::proceed();
    locked |= step.kind == StepKind::try_lock;
    if (!locked && step.kind == StepKind::copy) {
      EXPECT_TRUE(writer.update_memory(make_memory(1, ++commits + 1)));
    }
    return StepAction::proceed();
  });
  scan(reader);
  disk.set_hook({});
  EXPECT_TRUE(locked);
  EXPECT_GE(commits, 8U);
}

TEST(Rules, AScanThatNeverFindsAQuietMomentTakesTheLock) {
  for (const bool read_only : {false, true}) {
    expect_it_takes_the_lock(read_only, [](const StorageEngine& reader) { EXPECT_EQ(list(reader).size(), 20U); });
    expect_it_takes_the_lock(read_only, [](const StorageEngine& reader) {
      const auto changes = reader.changes_since(Lsn{0});
      ASSERT_TRUE(changes);
      EXPECT_EQ(changes->changes.size(), 20U);
      EXPECT_EQ(changes->cursor, reader.committed_lsn());
    });
  }
}

// H10. At every step of every commit somebody asks what changed; put together, the answers (or a resync) tell the whole
// truth: deletions whose page was used again, batches of which one part is published before the other, moves.
TEST(Rules, ChangesSinceTellsEverythingWheneverItIsAsked) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  auto reader = open(reader_vfs);
  for (std::uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
  std::set<MemoryId> copy;
  Lsn cursor;
  bool inside = false;
  std::size_t resyncs = 0;
  std::size_t answers = 0;
  const auto ask = [&] {
    const Lsn before = reader.committed_lsn();
    const auto changes = reader.changes_since(cursor);
    if (!changes) {
      ASSERT_EQ(changes.error().code, ErrorCode::resync_required) << changes.error().message;
      ++resyncs;
      cursor = before;
      copy.clear();
      for (const auto& [id, page] : list(reader)) copy.insert(id);
      return;
    }
    ++answers;
    for (const Change& change : changes->changes) {
      if (change.kind == ChangeKind::deleted) {
        copy.erase(change.id);
      } else {
        copy.insert(change.id);
      }
    }
    cursor = changes->cursor;
  };
  // Every fifth step, so that cursors of all ages meet all steps.
  disk.set_hook([&](const Step& step) {
    if (inside || step.process != writer_vfs.process() || step.index % 5 != 0) return StepAction::proceed();
    inside = true;
    ask();
    inside = false;
    return StepAction::proceed();
  });
  std::set<MemoryId> expected;
  for (std::uint64_t i = 0; i < 6; ++i) expected.insert(memory_id(i));
  for (std::uint64_t round = 0; round < 12; ++round) {
    const std::uint64_t fresh = 100 + 2 * round;
    ASSERT_TRUE(writer.delete_memory(memory_id(round % 6)));
    ASSERT_TRUE(writer.store_memories(std::vector{make_memory(fresh, 1), make_memory(fresh + 1, 1, 900)}));
    ASSERT_TRUE(writer.store_memory(make_memory(round % 6, 2 + round)));
    ASSERT_TRUE(writer.update_memory(make_memory(fresh, 2)));
    ASSERT_TRUE(writer.delete_memory(memory_id(fresh + 1)));
    expected.insert(memory_id(fresh));
    inside = true;
    ask();
    EXPECT_EQ(copy, expected) << "round " << round;
    inside = false;
  }
  disk.set_hook({});
  EXPECT_GT(answers, 50U);
}

// H10 (b). A change that is committed behind the scan is told all the same, and the cursor covers it.
TEST(Rules, WhatChangesDuringAScanIsTold) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  auto reader = open(reader_vfs);
  for (std::uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
  const MemoryId first = list(writer).front().first;
  std::size_t copies = 0;
  disk.set_hook([&](const Step& step) {
    if (step.process == reader_vfs.process() && step.kind == StepKind::copy && ++copies == 2) {
      EXPECT_TRUE(writer.delete_memory(first));
    }
    return StepAction::proceed();
  });
  const auto changes = reader.changes_since(Lsn{1});
  disk.set_hook({});
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->cursor, writer.committed_lsn());
  EXPECT_EQ(changes->changes.back().id, first);
  EXPECT_EQ(changes->changes.back().kind, ChangeKind::deleted);
  EXPECT_EQ(changes->changes.back().lsn, changes->cursor);
}

// H10 (c). A change that was acknowledged is told even when the memory moves away under the scan, to a page that it has
// passed. A follower missed it until its next call (tools/prove crash found that).
TEST(Rules, WhatWasAcknowledgedIsToldAlthoughItMovesDuringTheScan) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  auto reader = open(reader_vfs);
  for (std::uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
  std::map<std::uint64_t, std::uint64_t> at;
  for (const auto& [id, page] : list(writer)) at[page.value] = id.bytes[15];
  for (std::uint64_t page = 1; page <= 40; ++page) ASSERT_TRUE(writer.update_memory(make_memory(at[page], 2)));
  const Lsn since = writer.committed_lsn();
  const std::uint64_t moved = at.rbegin()->second;
  PageId place;
  while (place.value <= 64) place = must(writer.update_memory(make_memory(moved, 2)));
  std::size_t copies = 0;
  disk.set_hook([&](const Step& step) {
    if (step.process != reader_vfs.process() || step.kind != StepKind::copy || ++copies != 2)
      return StepAction::proceed();
    for (std::uint32_t version = 3; place.value > 64 && version < 500; ++version)
      place = must(writer.update_memory(make_memory(moved, version)));
    return StepAction::proceed();
  });
  const auto changes = reader.changes_since(since);
  disk.set_hook({});
  ASSERT_LE(place.value, 64U);
  ASSERT_TRUE(changes);
  EXPECT_EQ(std::ranges::count(changes->changes, memory_id(moved), &Change::id), 1);
}

// H10 (d). A commit under way overwrites the record of the change before it, which was acknowledged: at every step of
// it the memory is told, with the one LSN or the other. A memory that only this commit changes is not told as deleted.
TEST(Rules, WhatACommitUnderWayOverwritesIsTold) {
  for (const bool deletes : {false, true}) {
    SimDisk disk;
    SimVfs writer_vfs(disk);
    SimVfs reader_vfs(disk);
    auto writer = open(writer_vfs);
    auto reader = open(reader_vfs);
    for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
    const Lsn since = writer.committed_lsn();
    ASSERT_TRUE(writer.update_memory(make_memory(1, 2)));
    const Lsn acknowledged = must(reader.changes_since(since)).changes.front().lsn;
    std::size_t above_the_cursor = 0;
    bool inside = false;
    disk.set_hook([&](const Step& step) {
      if (inside || step.process != writer_vfs.process()) return StepAction::proceed();
      inside = true;
      const auto changes = reader.changes_since(since);
      inside = false;
      EXPECT_TRUE(changes);
      if (!changes) return StepAction::proceed();
      EXPECT_EQ(std::ranges::count(changes->changes, memory_id(1), &Change::id), 1) << "step " << step.index;
      for (const Change& change : changes->changes) {
        if (change.lsn > changes->cursor) ++above_the_cursor;
        EXPECT_GT(change.lsn, since);
        EXPECT_TRUE(change.id != memory_id(1) || change.lsn >= acknowledged);
        EXPECT_TRUE(change.kind != ChangeKind::deleted || (deletes && change.id == memory_id(1)));
      }
      return StepAction::proceed();
    });
    if (deletes) {
      ASSERT_TRUE(writer.delete_memory(memory_id(1)));
    } else {
      ASSERT_TRUE(writer.store_memories(std::vector{make_memory(8, 1), make_memory(9, 1)}));
      ASSERT_TRUE(writer.update_memory(make_memory(1, 3)));
      ASSERT_TRUE(writer.update_memory(make_memory(2, 2)));
    }
    disk.set_hook({});
    EXPECT_GT(above_the_cursor, 0U);
  }
}

// H10 (e). The same for a memory of which the scan has seen an older change already: an acknowledged one comes behind
// it, and is overwritten by a writer that dies on the way.
TEST(Rules, WhatADeadWriterOverwroteDuringAScanIsTold) {
  bool killed = true;
  for (std::uint64_t kill_after = 0; killed; ++kill_after) {
    SimDisk disk;
    SimVfs writer_vfs(disk);
    SimVfs killed_vfs(disk);
    SimVfs reader_vfs(disk);
    auto writer = open(writer_vfs);
    for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
    auto dies = open(killed_vfs);
    auto reader = open(reader_vfs);
    const std::uint64_t number = list(writer).front().first.bytes[15];
    std::size_t copies = 0;
    std::uint64_t steps = 0;
    killed = false;
    Lsn before;
    disk.set_hook([&](const Step& step) {
      if (step.process == killed_vfs.process() && !killed && steps++ == kill_after) {
        killed = true;
        return StepAction::kill();
      }
      if (step.process != reader_vfs.process() || step.kind != StepKind::copy || ++copies != 2)
        return StepAction::proceed();
      before = writer.committed_lsn();
      EXPECT_TRUE(writer.update_memory(make_memory(number, 2)));
      try {
        EXPECT_TRUE(dies.update_memory(make_memory(number, 3)) || killed);
      } catch (const ProcessKilled&) {
      }
      return StepAction::proceed();
    });
    const auto changes = reader.changes_since(Lsn{0});
    disk.set_hook({});
    ASSERT_TRUE(changes);
    ASSERT_GT(copies, 2U);
    const auto change = std::ranges::find(changes->changes, memory_id(number), &Change::id);
    ASSERT_NE(change, changes->changes.end());
    EXPECT_GT(change->lsn, before) << "killed after " << kill_after << " steps";
  }
}

// H10 (f). A dead writer's record is seen, redo publishes its commit, and only then the memory is deleted: the deletion
// does not get an LSN that the cursor covers.
TEST(Rules, ADeletionBehindTheCursorIsNotToldBeforeIt) {
  bool killed = true;
  for (std::uint64_t kill_after = 0; killed; ++kill_after) {
    SimDisk disk;
    SimVfs writer_vfs(disk);
    SimVfs killed_vfs(disk);
    SimVfs reader_vfs(disk);
    auto writer = open(writer_vfs);
    for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(writer.store_memory(make_memory(i, 1)));
    auto dies = open(killed_vfs);
    auto reader = open(reader_vfs);
    const std::uint64_t number = list(writer).back().first.bytes[15];
    std::size_t copies = 0;
    std::uint64_t steps = 0;
    bool deleted = false;
    killed = false;
    disk.set_hook([&](const Step& step) {
      if (step.process == killed_vfs.process() && !killed && steps++ == kill_after) {
        killed = true;
        return StepAction::kill();
      }
      if (step.process != reader_vfs.process()) return StepAction::proceed();
      if (step.kind == StepKind::copy && ++copies == 1) {
        try {
          EXPECT_TRUE(dies.update_memory(make_memory(number, 2)) || killed);
        } catch (const ProcessKilled&) {
        }
      } else if (step.kind == StepKind::copy && copies == 3) {
        EXPECT_TRUE(writer.store_memory(make_memory(200, 1)));
      } else if (step.kind == StepKind::load && step.file.starts_with("ids") && !deleted) {
        deleted = true;
        EXPECT_TRUE(writer.delete_memory(memory_id(number)));
      }
      return StepAction::proceed();
    });
    const auto changes = reader.changes_since(Lsn{0});
    disk.set_hook({});
    ASSERT_TRUE(changes);
    for (const Change& change : changes->changes) {
      EXPECT_TRUE(change.kind != ChangeKind::deleted || change.lsn > changes->cursor) << kill_after << " steps";
    }
  }
}

// I3, I4. An engine that may not write finds a batch in the log that is not in the pages yet: it answers `busy`, and
// goes on with what it can read. It took the batch's LSN for committed, and its follower never heard of the batch.
TEST(Rules, AReadOnlyEngineBelievesNothingThatIsNotInThePages) {
  SimDisk disk;
  SimVfs writer_vfs(disk);
  SimVfs reader_vfs(disk);
  auto writer = open(writer_vfs);
  ASSERT_TRUE(writer.store_memory(make_memory(1, 1)));
  Options options = small();
  options.read_only = true;
  auto reader = open_store(reader_vfs, options);
  const Lsn cursor = reader.committed_lsn();
  ASSERT_TRUE(kill_at(disk, writer_vfs, after_log_sync(), [&] { return writer.store_memory(make_memory(2, 1)); }));
  const auto stats = reader.stats();
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code, ErrorCode::busy);
  EXPECT_EQ(reader.committed_lsn(), cursor);
  EXPECT_EQ(must(reader.changes_since(cursor)).cursor, cursor);
  SimVfs next_vfs(disk);
  auto next = open(next_vfs);
  const auto changes = reader.changes_since(cursor);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->changes.size(), 1U);
  EXPECT_EQ(changes->changes.front().id, memory_id(2));
}

// I3. What an engine that may not write lists can be read by id: wherever the writer died, also before the id index.
TEST(Rules, AReadOnlyEngineListsWhatItCanRead) {
  bool killed = true;
  std::size_t opened = 0;
  for (std::uint64_t kill_after = 0; killed; ++kill_after) {
    SimDisk disk;
    SimVfs writer_vfs(disk);
    SimVfs reader_vfs(disk);
    auto writer = open(writer_vfs);
    ASSERT_TRUE(writer.store_memory(make_memory(1, 1)));
    std::uint64_t steps = 0;
    killed = kill_at(
        disk, writer_vfs, [&](const Step&) { return steps++ == kill_after; },
        [&] { return writer.store_memory(make_memory(2, 1)); });
    Options options = small();
    options.read_only = true;
    const auto reader = EngineAccess::open(reader_vfs, "/store", options);
    if (!reader) {
      EXPECT_EQ(reader.error().code, ErrorCode::busy);
      continue;
    }
    ++opened;
    for (const auto& [id, page] : list(*reader)) EXPECT_TRUE(reader->load_memory(id)) << kill_after << " steps";
  }
  EXPECT_GT(opened, 1U);
}

// H10 (a). A deletion whose record is gone is not passed over in silence.
TEST(Rules, ADeletionWhosePageIsUsedAgainIsToldOrAsksForAResync) {
  SimDisk disk;
  SimVfs vfs(disk);
  auto engine = open(vfs);
  const PageId page = must(engine.store_memory(make_memory(1, 1)));
  ASSERT_TRUE(engine.store_memory(make_memory(2, 1)));
  const Lsn cursor = engine.committed_lsn();
  ASSERT_TRUE(engine.delete_memory(memory_id(1)));
  ASSERT_TRUE(reuse(engine, page, 10));
  const auto changes = engine.changes_since(cursor);
  ASSERT_FALSE(changes);
  EXPECT_EQ(changes.error().code, ErrorCode::resync_required);
}

// H11. The id index grows into a new file; its writer is killed at every step of that. Peers that have the old one
// mapped and new openers find every id, all the time.
TEST(Rules, TheIdIndexMayBeKilledAnywhereInItsGrowth) {
  constexpr std::uint64_t kIds = 768;  // three quarters of the smallest table: one more and it grows
  SimDisk base;
  {
    SimVfs vfs(base);
    auto engine = open(vfs);
    std::vector<MemoryNode> nodes;
    for (std::uint64_t i = 0; i < kIds; ++i) nodes.push_back(make_memory(i, 1, 4));
    for (std::size_t i = 0; i < kIds; i += 96) ASSERT_TRUE(engine.store_memories(std::span(nodes).subspan(i, 96)));
    ASSERT_EQ(must(engine.stats()).index_buckets, 1'024U);
  }
  for (std::uint64_t kill_after = 0;; ++kill_after) {
    const auto disk = base.clone();
    SimVfs killed_vfs(*disk);
    SimVfs peer_vfs(*disk);
    auto killed = open(killed_vfs);
    auto peer = open(peer_vfs);
    ASSERT_EQ(version_of(peer, 5), 1U);
    std::uint64_t steps = 0;
    bool growing = false;
    const bool was_killed = kill_at(
        *disk, killed_vfs,
        [&](const Step& step) {
          growing |= step.file.starts_with("ids") && step.kind == StepKind::open;
          const bool told = step.kind != StepKind::load && step.kind != StepKind::copy;
          return growing && told && steps++ == kill_after;
        },
        [&] { return killed.store_memory(make_memory(9'000, 1)); });
    ASSERT_TRUE(growing);
    for (std::uint64_t i = kill_after % 7; i < kIds; i += 7) ASSERT_EQ(version_of(peer, i), 1U) << i;
    ASSERT_TRUE(peer.store_memory(make_memory(9'001, 1)));
    EXPECT_EQ(must(peer.stats()).index_buckets, 2'048U);
    SimVfs opener_vfs(*disk);
    auto opener = open(opener_vfs);
    for (std::uint64_t i = kill_after % 5; i < kIds; i += 5) ASSERT_EQ(version_of(opener, i), 1U) << i;
    EXPECT_EQ(version_of(opener, 9'001), 1U);
    if (!was_killed) {
      EXPECT_EQ(version_of(opener, 9'000), 1U);
      EXPECT_GT(kill_after, 20U);
      break;
    }
  }
}

// H11. A memory moved, its old page was used again, and then the page cache was lost without a reboot: the index came
// back with the slot from before. Redo gave the memory a second slot and left the first for ever, as damage.
TEST(Rules, ASlotFromBeforeAMoveDoesNotOutliveRedo) {
  SimDisk disk;
  {
    SimVfs vfs(disk);
    auto engine = open(vfs);
    const PageId old_page = must(engine.store_memory(make_memory(1, 1)));
    ASSERT_TRUE(engine.store_memory(make_memory(2, 1)));
    ASSERT_TRUE(engine.checkpoint());
    ASSERT_TRUE(engine.update_memory(make_memory(1, 2)));
    ASSERT_TRUE(reuse(engine, old_page, 10));
    vfs.kill();
  }
  const Pending pending = disk.pending();
  Fate fate = Fate::everything_kept(pending);
  fate.keep_boot_id = true;
  for (std::size_t i = 0; i < pending.sectors.size(); ++i)
    fate.sectors[i] = !pending.sectors[i].file.starts_with("ids");
  const auto found = disk.after_power_cut(fate);
  SimVfs vfs(*found);
  auto engine = open(vfs);
  EXPECT_EQ(version_of(engine, 1), 2U);
  expect_sound(*found);
}

// H11. The same, when what was lost is the word that counts the slots: a table that counts too few fills up.
TEST(Rules, SlotsWhoseCountWasLostAreCountedByRedo) {
  SimDisk disk;
  {
    SimVfs vfs(disk);
    auto engine = open(vfs);
    ASSERT_TRUE(engine.store_memory(make_memory(0, 1)));
    ASSERT_TRUE(engine.checkpoint());
    for (std::uint64_t i = 1; i < 20; ++i) ASSERT_TRUE(engine.store_memory(make_memory(i, 1)));
    vfs.kill();
  }
  const Pending pending = disk.pending();
  Fate fate = Fate::everything_kept(pending);
  fate.keep_boot_id = true;
  std::size_t lost = 0;
  for (std::size_t i = 0; i < pending.sectors.size(); ++i) {
    const PendingSector& sector = pending.sectors[i];
    if (!sector.file.starts_with("ids") || sector.sector != format::kIndexUsedOffset / 512) continue;
    fate.sectors[i] = false;
    ++lost;
  }
  ASSERT_EQ(lost, 1U);
  const auto found = disk.after_power_cut(fate);
  SimVfs vfs(*found);
  const auto engine = open(vfs);
  EXPECT_EQ(must(engine.stats()).index_buckets_used, 20U);
}

// H13. A log that is gone is damage; a fresh one would begin at LSN 1 below pages with higher ones (I8).
TEST(Rules, ALogThatIsGoneIsNeverMadeAnew) {
  SimDisk disk;
  {
    SimVfs vfs(disk);
    auto engine = open(vfs);
    ASSERT_TRUE(engine.store_memory(make_memory(1, 1)));
  }
  for (const bool empty : {false, true}) {
    disk.erase("/store/wal.log");
    if (empty) disk.install("/store/wal.log", {});
    SimVfs vfs(disk);
    const auto engine = EngineAccess::open(vfs, kStorePath, small());
    ASSERT_FALSE(engine);
    EXPECT_EQ(engine.error().code, ErrorCode::corruption) << engine.error().message;
  }
}

// The sync of the superblock "created" fails, or its process is killed before it. The page cache shows "created", so
// the next opener uses the store; after a power cut the disk said "creating", and everything acknowledged was thrown
// away.
TEST(Rules, ACreationWhoseLastSyncFailedIsNotStartedOver) {
  for (const bool killed : {false, true}) {
    SimDisk disk;
    SimVfs creator_vfs(disk);
    SimVfs next_vfs(disk);
    std::uint64_t syncs = 0;
    disk.set_hook([&](const Step& step) {
      if (step.process != creator_vfs.process() || !is_in(step, "pages.db", StepKind::sync) || ++syncs != 2)
        return StepAction::proceed();
      return killed ? StepAction::kill() : StepAction::fail(EIO);
    });
    try {
      EXPECT_FALSE(EngineAccess::open(creator_vfs, kStorePath, small()));
    } catch (const ProcessKilled&) {
    }
    disk.set_hook({});
    ASSERT_GE(syncs, 2U);
    {
      auto next = open(next_vfs);
      ASSERT_TRUE(next.store_memory(make_memory(1, 1)));
      ASSERT_TRUE(next.checkpoint());
      ASSERT_TRUE(next.store_memory(make_memory(2, 1)));
    }
    const auto found = disk.after_power_cut(Fate::nothing_kept());
    SimVfs rebooted(*found);
    auto engine = open(rebooted);
    EXPECT_EQ(version_of(engine, 1), 1U);
    EXPECT_EQ(version_of(engine, 2), 1U);
    expect_sound(*found);
  }
}

// The same for a backup, which said that it failed: what the page cache shows as a store is none after a power cut.
TEST(Rules, ABackupWhoseLastSyncFailedIsRefusedAtOnce) {
  SimDisk disk;
  SimVfs vfs(disk);
  auto engine = open(vfs);
  ASSERT_TRUE(engine.store_memory(make_memory(1, 1)));
  std::uint64_t syncs = 0;
  std::uint64_t last = 0;
  for (const bool counting : {true, false}) {
    syncs = 0;
    disk.set_hook([&](const Step& step) {
      if (!counting && step.kind == StepKind::remove) return StepAction::fail(EIO);  // nor can it be taken away again
      if (!is_in(step, "pages.db", StepKind::sync)) return StepAction::proceed();
      ++syncs;
      return !counting && syncs == last ? StepAction::fail(EIO) : StepAction::proceed();
    });
    EXPECT_EQ(engine.backup(counting ? "/counted" : "/failed").has_value(), counting);
    disk.set_hook({});
    last = syncs;
  }
  SimVfs other_vfs(disk);
  EXPECT_FALSE(EngineAccess::open(other_vfs, "/failed", small()));
}

// H15. What the log still has is never reported as damage by a read of that page.
TEST(Rules, AReadByPageHealsWhatTheLogStillHas) {
  SimDisk disk;
  SimVfs vfs(disk);
  auto engine = open(vfs);
  const PageId page = must(engine.store_memory(make_memory(1, 1)));
  ASSERT_TRUE(engine.store_memory(make_memory(2, 1)));
  const std::array<std::byte, 4> noise{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  disk.damage("/store/pages.db", 2 * 4096 + 65'536 * 32 + (page.value - 1) * 512 + 60, noise);
  const auto loaded = engine.load_memory(page);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(*loaded, make_memory(1, 1));
}

// H16. A page inside a run that was a memory once is nobody's memory, also when the run's data never covered it.
TEST(Rules, AnInteriorPageIsNoMemoryOfBefore) {
  SimDisk disk;
  SimVfs vfs(disk);
  auto engine = open(vfs);
  std::vector<PageId> pages;
  for (std::uint64_t i = 0; i < 4; ++i) pages.push_back(must(engine.store_memory(make_memory(i, 1))));
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(engine.delete_memory(memory_id(i)));
  for (int i = 0; i < 200; ++i) {
    const PageId run = must(engine.allocate_page(1'400));
    if (run.value < pages[3].value && run.value + 2 >= pages[1].value) break;
    ASSERT_LT(i, 199);
  }
  SimVfs opener_vfs(disk);
  auto opener = open(opener_vfs);
  for (const PageId page : pages) EXPECT_FALSE(opener.load_memory(page)) << page.value;
  EXPECT_TRUE(list(opener).empty());
}

// H17. Whatever a writer and a checkpoint do at whatever step of a backup, the copy is of one moment.
TEST(Rules, ABackupIsOfOneMomentAcrossACheckpoint) {
  for (std::uint64_t at = 10;; at += 37) {
    SimDisk disk;
    SimVfs source_vfs(disk);
    SimVfs writer_vfs(disk);
    auto source = open(source_vfs);
    auto writer = open(writer_vfs);
    const auto raise = [&](std::uint64_t version) {
      return writer.transact([&](Transaction& tx) -> Result<void> {
        for (const std::uint64_t number : {1U, 2U}) {
          if (auto r = tx.store(make_memory(number, version, 300 * version)); !r) return std::unexpected(r.error());
        }
        return {};
      });
    };
    ASSERT_TRUE(raise(1));
    std::uint64_t steps = 0;
    bool locked = false;
    bool changed = false;
    disk.set_hook([&](const Step& step) {
      if (step.process != source_vfs.process()) return StepAction::proceed();
      locked |= step.kind == StepKind::try_lock;
      if (++steps != at || locked) return StepAction::proceed();
      changed = true;
      EXPECT_TRUE(raise(2));
      EXPECT_TRUE(writer.checkpoint());
      EXPECT_TRUE(raise(3));
      return StepAction::proceed();
    });
    ASSERT_TRUE(source.backup("/copy"));
    disk.set_hook({});
    SimVfs other_vfs(disk);
    const auto copy = EngineAccess::open(other_vfs, "/copy", small());
    ASSERT_TRUE(copy) << copy.error().message;
    EXPECT_EQ(version_of(*copy, 1), changed ? 3U : 1U) << "changed at step " << at;
    EXPECT_EQ(version_of(*copy, 1), version_of(*copy, 2)) << "changed at step " << at;
    const auto report = offline::verify_directory(other_vfs, "/copy", seconds(1));
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->problems.empty());
    if (!changed) break;
  }
}

// H20. The space of a batch is on the disk before the batch is in the log: redo on a disk that filled up meanwhile.
TEST(Rules, GrowthIsDurableBeforeTheBatchThatNeedsIt) {
  SimDisk disk;
  SimVfs vfs(disk);
  {
    auto engine = open(vfs);
    std::uint64_t before = must(engine.stats()).pages_file_bytes;
    for (std::uint64_t i = 0; must(engine.stats()).pages_file_bytes == before && i < 100; ++i) {
      before = must(engine.stats()).pages_file_bytes;
      ASSERT_TRUE(engine.store_memory(make_memory(i, 1, 20'000)));
    }
    vfs.kill();
  }
  const auto found = disk.after_power_cut(Fate::nothing_kept());
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 30;
  found->set_capacity(kLarge);
  found->set_capacity(kLarge - found->free_bytes() + 64 * 1024);  // room for a new id index and nothing else
  SimVfs rebooted(*found);
  const auto engine = EngineAccess::open(rebooted, kStorePath, small());
  EXPECT_TRUE(engine) << engine.error().message;
}

// H25. After a failed sync of the log every engine that was open says so, and a new one has everything acknowledged.
TEST(Rules, APoisonedStoreIsReadAgainFromTheDevice) {
  SimDisk disk;
  SimVfs first_vfs(disk);
  SimVfs second_vfs(disk);
  auto first = open(first_vfs);
  auto second = open(second_vfs);
  ASSERT_TRUE(first.store_memory(make_memory(1, 1)));
  bool failed = false;
  disk.set_hook([&](const Step& step) {
    if (failed || !is_in(step, "wal.log", StepKind::sync)) return StepAction::proceed();
    failed = true;
    return StepAction::fail(EIO, Effect::partial);
  });
  EXPECT_FALSE(first.store_memory(make_memory(2, 1, 3'000)));
  disk.set_hook({});
  const auto other = second.store_memory(make_memory(3, 1));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::poisoned);
  SimVfs opener_vfs(disk);
  auto opener = open(opener_vfs);
  EXPECT_EQ(version_of(opener, 1), 1U);
  EXPECT_TRUE(opener.store_memory(make_memory(4, 1)));
}

// H26. The writer is killed between the store of the commit word and the wake: a waiter notices all the same.
TEST(Rules, AWaiterNoticesACommitThatWokeNobody) {
  SimDisk disk;
  {
    SimVfs vfs(disk);
    auto engine = open(vfs);
    ASSERT_TRUE(engine.store_memory(make_memory(1, 1)));
  }
  SimScheduler scheduler(disk, {.policy = SchedulePolicy::explicit_list});
  Lsn before;
  Lsn noticed;
  const std::size_t waiter = scheduler.add([&](SimVfs& vfs) {
    auto engine = open(vfs);
    before = engine.committed_lsn();
    const auto begin = vfs.now();
    noticed = must(engine.wait_for_change(before, seconds(10)));
    EXPECT_LT(vfs.now() - begin, seconds(1));
  });
  const std::size_t writer = scheduler.add([&](SimVfs& vfs) {
    auto engine = open(vfs);
    vfs.sleep(milliseconds(1));  // an open wakes as well; the waiter is to sleep again
    static_cast<void>(engine.store_memory(make_memory(2, 1)));
  });
  bool appended = false;
  bool killed = false;
  disk.set_hook([&](const Step& step) {
    if (step.process != scheduler.vfs(writer).process()) return StepAction::proceed();
    appended |= is_in(step, "wal.log", StepKind::write) && step.offset >= format::kLogStart;
    const bool wake = appended && is_in(step, "pages.db", StepKind::wake);
    killed |= wake;
    return wake ? StepAction::kill() : StepAction::proceed();
  });
  scheduler.run();
  disk.set_hook({});
  EXPECT_TRUE(killed);
  EXPECT_EQ(scheduler.outcome(waiter), Outcome::finished);
  EXPECT_GT(noticed.value, before.value);
}

}  // namespace
}  // namespace mentedb::test

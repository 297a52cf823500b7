// R5, the short way: a lock holder died, and the next one completes what was in doubt (ADR 16). Whatever says that more
// may be missing sends it to the checkpoint.

#include <cerrno>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "engine/engine_impl.hpp"
#include "format/geometry.hpp"
#include "format/log_format.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// A walk from the checkpoint reads the first batch of the log.
Moment walk_from_the_checkpoint() { return read_of(kWalLog).at_byte(format::kLogStart); }

/// Changes bytes of a file within one mount. (SimDisk::damage is a new mount.)
void change(Process& process, std::string_view name, std::uint64_t at, std::span<const std::byte> bytes) {
  const auto directory = must(process.vfs().open_directory(kStorePath, false));
  must(must(directory->open(name, vfs::OpenMode::read_write, false))->write_at(at, bytes));
}
void flip(SimDisk& disk, Process& process, std::string_view name, std::uint64_t at) {
  const std::byte flipped = disk.content("/store/" + std::string(name)).at(at) ^ std::byte{1};
  change(process, name, at, {&flipped, 1});
}
/// Puts bytes of an earlier moment back, as when the kernel could not write a page, dropped it and read it again.
void lose_shared_state(Process& process, std::span<const std::byte> earlier) {
  change(process, kPagesDb, format::kSharedStateOffset, earlier.subspan(format::kSharedStateOffset, base::kBlockBytes));
}
void lose_pages(Process& process, std::span<const std::byte> earlier) {
  change(process, kPagesDb, format::kFirstRegionOffset, earlier.subspan(format::kFirstRegionOffset));
}

void expect_memories(const StorageEngine& engine, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t i = first; i <= last; ++i) EXPECT_EQ(version_of(engine, i), 1U) << i;
}

// Each writer that came after a dead one read the whole log: 25 ms.
TEST(R5, AHolderAfterADeadOneReadsOnlyWhatIsInDoubt) {
  for (const bool next_is_fresh : {false, true}) {
    for (const bool logged : {false, true}) {
      SimDisk disk;
      auto [writer, peer] = open_processes<2>(disk);
      store_memories(*peer, 0, 4);
      Process next = Process::idle(disk);
      Trace trace(disk);
      ASSERT_TRUE(trace.kill(writer, logged ? batch_durable() : write_of(kWalLog),
                             [&] { return writer->store_memory(make_memory(5, 1)); }));
      const Event walked = trace.watch(Who::anyone(), walk_from_the_checkpoint());
      if (next_is_fresh) next.open();
      must((next_is_fresh ? next : peer)->store_memory(make_memory(6, 1)));
      EXPECT_FALSE(walked.came());
      trace.calm();
      EXPECT_EQ(version_of(peer, 5), logged ? 1U : 0U);
      expect_sound(disk);
      const auto found = power_cut(disk);
      const Process rebooted(*found);
      EXPECT_EQ(version_of(rebooted, 5), logged ? 1U : 0U);
      expect_memories(rebooted, 0, 4);
      expect_memories(rebooted, 6, 6);
    }
  }
}

// The one who takes over dies, too, at each of its steps. The tail is still in doubt, and the next one begins again.
TEST(R5, AKilledTakeOverIsDoneAgain) {
  std::uint64_t walks = 0;
  for (std::uint64_t step = 1;; ++step) {
    SimDisk disk({.tear_bytes = 64});
    auto [writer, taker, next] = open_processes<3>(disk);
    store_memories(*next, 0, 4);
    std::vector<MemoryNode> batch;
    for (std::uint64_t i = 3; i < 6; ++i) batch.push_back(make_memory(i, 2, 900));
    Trace trace(disk);
    ASSERT_TRUE(trace.kill(writer, batch_durable(), [&] { return writer->store_memories(batch); }));
    const bool died = trace.kill(taker, any_step().nth(step), [&] { return taker->store_memory(make_memory(7, 1)); });
    const Event walked = trace.watch(next, walk_from_the_checkpoint());
    must(next->store_memory(make_memory(8, 1)));
    walks += walked.times();
    trace.calm();
    for (std::uint64_t i = 3; i < 6; ++i) EXPECT_EQ(version_of(next, i), 2U) << i << " at step " << step;
    expect_sound(disk);
    if (step % 8 == 0) {
      const auto found = power_cut(disk);
      const Process rebooted(*found);
      for (std::uint64_t i = 3; i < 6; ++i) EXPECT_EQ(version_of(rebooted, i), 2U) << i << " at step " << step;
      expect_memories(rebooted, 0, 2);
      expect_memories(rebooted, 8, 8);
    }
    if (!died) break;
  }
  // A kill between two words of a cached tail leaves none (R9): of that of the taking over, and of that of its store.
  constexpr std::uint64_t kWords = 9;
  EXPECT_LT(walks, 2 * kWords);
}

// A recovery from the checkpoint writes runs of batches that were acknowledged long ago. It dies in the middle of one:
// then what is broken is not behind the tail.
TEST(R5, AKilledRecoveryFromTheCheckpointLeavesNothingToTakeOver) {
  SimDisk disk({.tear_bytes = 64});
  auto [recovering, next] = open_processes<2>(disk);
  for (std::uint64_t i = 1; i < 4; ++i) must(next->store_memory(make_memory(i, 1, 900)));
  const PageId first = must(next->find(memory_id(1)));
  const std::uint64_t at = format::Geometry(512).page_offset(first.value);
  flip(disk, next, kPagesDb, at + 100);
  Trace trace(disk);
  ASSERT_TRUE(
      trace.kill(recovering, middle_of_write_of(kPagesDb).at_byte(at + 64), [&] { return recovering->recover(); }));

  const Event walked = trace.watch(next, walk_from_the_checkpoint());
  must(next->store_memory(make_memory(5, 1)));
  EXPECT_TRUE(walked.came());
  expect_sound(disk);
}

// A sync of pages.db failed or was cut short: the pages of the whole log are in doubt (R7).
TEST(R5, NothingIsTakenOverWhileASyncIsPending) {
  SimDisk disk;
  auto [writer, next] = open_processes<2>(disk);
  store_memories(*next, 0, 4);
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(writer, sync_of(kPagesDb), [&] { return writer->checkpoint(); }));
  const Event walked = trace.watch(next, walk_from_the_checkpoint());
  must(next->store_memory(make_memory(5, 1)));
  EXPECT_TRUE(walked.came());
}

// The mark of a recovery says that the page cache is the one that the dead holder wrote to.
TEST(R5, NothingIsTakenOverWithoutTheMarkOfARecovery) {
  SimDisk disk;
  auto [writer, next] = open_processes<2>(disk);
  store_memories(*next, 0, 4);
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(writer, batch_durable(), [&] { return writer->store_memory(make_memory(5, 1)); }));
  disk.remount();
  const Event walked = trace.watch(next, walk_from_the_checkpoint());
  must(next->store_memory(make_memory(6, 1)));
  EXPECT_TRUE(walked.came());
  trace.calm();
  expect_memories(next, 0, 6);
}

// The sync of a batch fails, and the writer dies before any engine is poisoned: the marks are gone already. The device
// may have lost pages, too.
TEST(R5, NothingIsTakenOverFromAWriterThatDiedWhileItPoisoned) {
  SimDisk disk;
  auto [writer, next] = open_processes<2>(disk);
  store_memories(*next, 0, 4);
  Trace trace(disk);
  trace.fail(writer, sync_of(kWalLog).after(append_to_log()), EIO, Effect::complete);
  constexpr std::uint64_t kMarks = 16;
  ASSERT_TRUE(trace.kill(writer, store_to(kPagesDb).after(sync_of(kWalLog).after(append_to_log())).nth(kMarks + 1),
                         [&] { return writer->store_memory(make_memory(5, 1)); }));
  const Event walked = trace.watch(next, walk_from_the_checkpoint());
  must(next->store_memory(make_memory(6, 1)));
  EXPECT_TRUE(walked.came());
}

// The dead one had begun another epoch.
TEST(R5, NothingIsTakenOverFromACheckpointThatDied) {
  SimDisk disk;
  auto [writer, next] = open_processes<2>(disk);
  store_memories(*next, 0, 4);
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(writer, any_step().after(sync_of_new_header()), [&] { return writer->checkpoint(); }));
  must(next->store_memory(make_memory(5, 1)));
  must(next->store_memory(make_memory(6, 1)));
  trace.calm();
  expect_memories(next, 0, 6);
  const auto found = power_cut(disk);
  const Process rebooted(*found);
  expect_memories(rebooted, 0, 6);
}

// The kernel lost pages, among them the shared state's, whose bytes on the device were from the middle of an earlier
// commit. More than one batch stands behind that tail, or an engine has seen a later one: the tail is an old one, and
// pages of any batch may be as old.
TEST(R5, AnOldTailInDoubtIsNotTakenOver) {
  for (const bool knows_better : {false, true}) {
    SimDisk disk;
    auto [writer, peer] = open_processes<2>(disk);
    must(writer->store_memory(make_memory(1, 1)));
    const auto old_pages = disk.content("/store/pages.db");
    must(writer->store_memory(make_memory(2, 1)));
    std::vector<std::byte> in_doubt;
    {
      Trace trace(disk);
      trace.before(writer, batch_durable(), [&] { in_doubt = disk.content("/store/pages.db"); });
      must(writer->store_memory(make_memory(3, 1)));
    }
    ASSERT_FALSE(in_doubt.empty());
    if (!knows_better) must(writer->store_memory(make_memory(4, 1)));
    must(writer->transact([](Transaction&) -> Result<void> { return {}; }));  // it looks at the tail
    Process& next = knows_better ? writer : peer;
    lose_pages(next, old_pages);
    lose_shared_state(next, in_doubt);

    must(next->store_memory(make_memory(5, 1)));
    must(next->checkpoint());
    expect_memories(next, 1, knows_better ? 3 : 5);
    expect_memories(next, 5, 5);
    expect_sound(disk);
  }
}

// The same, and the log is damaged right behind that tail: a short look behind the damage proves it.
TEST(R5, ATakeOverDoesNotCutADamagedLog) {
  SimDisk disk;
  auto [writer, peer] = open_processes<2>(disk);
  store_memories(*writer, 1, 2);
  std::vector<std::byte> in_doubt;
  const std::uint64_t damaged_at = must(writer->stats()).log_used_bytes + format::kLogStart;
  {
    Trace trace(disk);
    trace.before(writer, batch_durable(), [&] { in_doubt = disk.content("/store/pages.db"); });
    must(writer->store_memory(make_memory(3, 1)));
  }
  must(writer->store_memory(make_memory(4, 1)));
  flip(disk, peer, kWalLog, damaged_at + 20);
  lose_shared_state(peer, in_doubt);
  EXPECT_TRUE(is_error(peer->store_memory(make_memory(5, 1)), ErrorCode::corruption, "synced bytes were changed"));
}

// A log that ends before a tail in doubt was damaged: a holder publishes a tail only when the log is durable up to it.
TEST(R5, ALogThatEndsBeforeATailInDoubtIsDamaged) {
  SimDisk disk;
  {
    Process writer(disk);
    store_memories(*writer, 1, 3);
    ASSERT_TRUE(Trace(disk).kill(writer, write_of(kWalLog), [&] { return writer->store_memory(make_memory(4, 1)); }));
  }
  // The last batch, so that no batch behind it proves anything.
  const auto found = power_cut(disk, everything());
  const std::byte flipped =
      found->content("/store/wal.log").at(format::kLogStart + 2 * base::kBlockBytes) ^ std::byte{1};
  found->damage("/store/wal.log", format::kLogStart + 2 * base::kBlockBytes, {&flipped, 1});
  Process rebooted = Process::idle(*found);
  EXPECT_TRUE(is_error(rebooted.try_open(), ErrorCode::corruption, "were committed"));
}

}  // namespace
}  // namespace mentedb::test

// Findings of a review of R12, of the region word, and of the id index with two buckets for each page. Each test failed
// when it was written.

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "pages/allocator.hpp"
#include "support/crash/process.hpp"
#include "support/pages_fixture.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

bool has_secret(const SimDisk& disk, const std::string& name) {
  const auto bytes = disk.content("/store/" + name);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.find("walrus") != std::string::npos;
}

void store_and_delete_secret(StorageEngine& engine) {
  MemoryNode secret = make_memory(1, 1);
  secret.content.clear();
  for (int i = 0; i < 3'000; ++i) secret.content += "walrus ";
  must(engine.store_memory(secret));
  must(engine.store_memory(make_memory(2, 1)));
  must(engine.delete_memory(secret.id));
}

// The entries say "lacks space" and are durable, the process dies before the punch. erase_deleted passes such pages by.
TEST(SpaceReview, EraseAfterAKillBetweenMarkAndPunch) {
  SimDisk disk;
  auto [process, other] = open_processes<2>(disk);
  store_and_delete_secret(*process);
  Trace trace(disk);
  ASSERT_TRUE(
      trace.kill(process, step(StepKind::give_back).nth(2), [&process = process] { return process->checkpoint(); }));
  trace.calm();
  must(other->erase_deleted());
  EXPECT_FALSE(has_secret(disk, "wal.log"));
  EXPECT_FALSE(has_secret(disk, "pages.db"));
}

// The same without a crash: the punch found no space (or the file system has no such call: give_back is false).
TEST(SpaceReview, EraseAfterAPunchThatWasRefused) {
  SimDisk disk;
  Process process(disk);
  store_and_delete_secret(*process);
  Trace trace(disk);
  const Event refused = trace.fail(process, step(StepKind::give_back).nth(2), ENOSPC);
  must(process->checkpoint());
  ASSERT_TRUE(refused.came());
  trace.calm();
  must(process->erase_deleted());
  EXPECT_FALSE(has_secret(disk, "pages.db"));
}

// ... and the space never comes back.
TEST(SpaceReview, SpaceAfterAPunchThatWasRefused) {
  SimDisk disk;
  Process process(disk);
  store_and_delete_secret(*process);
  const std::uint64_t before = must(process->stats()).pages_allocated_bytes;
  Trace trace(disk);
  trace.fail(process, step(StepKind::give_back).nth(2), ENOSPC);
  must(process->checkpoint());
  trace.calm();
  must(process->checkpoint());
  must(process->erase_deleted());
  EXPECT_LE(must(process->stats()).pages_allocated_bytes, before - 16'384);
}

/// A store whose table is shorter than two buckets a page: pages.db grew while no descriptor was left for a longer one.
void make_short_table(SimDisk& disk, Process& process) {
  std::uint64_t i = 100;
  must(process->store_memory(make_memory(i++, 1, 3'000)));
  const std::uint64_t pages = must(process->stats()).page_count;
  while (must(process->stats()).used_pages + 14 < pages) must(process->store_memory(make_memory(i++, 1, 3'000)));
  ASSERT_EQ(must(process->stats()).page_count, pages);
  ASSERT_EQ(must(process->stats()).index_buckets, 1024U);
  must(process->checkpoint());
  Trace trace(disk);
  trace.keep_failing(process, opening_of(kIdIndex), EMFILE);
  for (int n = 0; n < 20 && must(process->stats()).page_count == pages; ++n) {
    must(process->store_memory(make_memory(i++, 1, 3'000)));
  }
  trace.calm();
  ASSERT_GT(must(process->stats()).page_count, pages);
  ASSERT_EQ(must(process->stats()).index_buckets, 1024U);
  leave_room(disk, 0);
}

// A disk without space for the longer table is full: a page without a bucket would be of no use.
TEST(SpaceReview, PagesThatFindNoBucketAreNotAdded) {
  SimDisk disk;
  Process process(disk);
  std::uint64_t i = 100;
  must(process->store_memory(make_memory(i++, 1, 3'000)));
  const std::uint64_t pages = must(process->stats()).page_count;
  while (must(process->stats()).used_pages + 14 < pages) must(process->store_memory(make_memory(i++, 1, 3'000)));
  must(process->checkpoint());
  leave_room(disk, 16'384);
  Result<PageId> stored = PageId{1};
  for (int n = 0; n < 20 && stored; ++n) stored = process->store_memory(make_memory(i++, 1, 3'000));
  EXPECT_TRUE(is_error(stored, ErrorCode::no_space));
  EXPECT_EQ(must(process->stats()).page_count, pages);
  EXPECT_TRUE(ok(process->delete_memory(memory_id(100))));
  EXPECT_TRUE(ok(process->store_memory(make_memory(i, 1, 3'000))));
}

TEST(SpaceReview, AFullDiskAndAShortTableAfterAReboot) {
  SimDisk disk;
  Process process(disk);
  make_short_table(disk, process);
  must(process->close());
  const auto found = power_cut(disk, everything());
  leave_room(*found, 0);
  Process rebooted = Process::idle(*found);
  ASSERT_TRUE(ok(rebooted.try_open()));
  EXPECT_TRUE(ok(rebooted->delete_memory(memory_id(100))));
}

// The table has room for every id of the write, but no longer one can be built: a bad sector of the directory.
TEST(SpaceReview, AShortTableWithRoomThatCannotBeRebuilt) {
  SimDisk disk;
  Process process(disk);
  make_short_table(disk, process);
  leave_room(disk, 1 << 24);
  Trace trace(disk);
  // Any error but no_space: no memory, no descriptor, EIO.
  trace.keep_failing(process, opening_of(kIdIndex), EMFILE);
  EXPECT_TRUE(ok(process->delete_memory(memory_id(100))));
}

// Each write on a full disk builds a longer table anew, and writes it until the disk is full.
TEST(SpaceReview, AFullDiskAndAShortTableCostNoRebuildForEachWrite) {
  SimDisk disk;
  Process process(disk);
  make_short_table(disk, process);
  Trace trace(disk);
  const Event tables = trace.watch(process, opening_of(kIdIndex));
  for (std::uint64_t i = 100; i < 120; ++i) must(process->delete_memory(memory_id(i)));
  EXPECT_LE(tables.times(), 2U);
}

// A directory entry of the freed run is damaged: its page is passed by, and erase_deleted says nothing.
TEST(SpaceReview, ErasePassesADamagedEntryInSilence) {
  SimDisk disk;
  Process process(disk);
  store_and_delete_secret(*process);
  must(process->recover());
  const format::Geometry geometry(512);
  const auto bytes = disk.content("/store/pages.db");
  for (const std::uint64_t page : {5U, 6U}) {
    const std::byte flipped = bytes.at(geometry.entry_offset(page)) ^ std::byte{1};
    disk.damage("/store/pages.db", geometry.entry_offset(page), {&flipped, 1});
  }
  const auto erased = process->erase_deleted();
  EXPECT_TRUE(!erased || !has_secret(disk, "pages.db")) << "success, and the text is there";
}

// open looks at the poison generation, then waits for nothing; another engine is poisoned and a third repairs.
TEST(SpaceReview, AnOpenedEngineIsNotPoisoned) {
  SimDisk disk;
  auto [dead, poisoner] = open_processes<2>(disk);
  Process repairer = Process::idle(disk);
  Process opener = Process::idle(disk);
  store_memories(*dead, 0, 4);
  ASSERT_TRUE(
      Trace(disk).kill(dead, batch_durable(), [&dead = dead] { return dead->store_memory(make_memory(7, 1)); }));
  Trace trace(disk);
  trace.before(opener, step(StepKind::try_lock), [&, &poisoner = poisoner] {
    must(poisoner->checkpoint());
    trace.keep_failing(poisoner, sync_of(kWalLog), EIO);
    EXPECT_FALSE(poisoner->store_memory(make_memory(8, 1)));
    repairer.open();
    must(repairer->checkpoint());
  });
  opener.open();
  EXPECT_TRUE(ok(opener->store_memory(make_memory(9, 1))));
}

class SpaceReviewPages : public PagesFixture {};

// R7 and the region word. A failed sync loses the 0; redo writes the records again, and not the word.
TEST_F(SpaceReviewPages, ARegionWordThatAFailedSyncLostIsWrittenAgain) {
  grow(format::kPagesPerRegion);
  must(pages.write_region_word(0, format::region_word(3)));
  must(pages.sync());
  free(100, 50, 7);
  disk.set_hook(
      [](const Step& step) { return step.kind == StepKind::sync ? StepAction::fail(EIO) : StepAction::proceed(); });
  EXPECT_FALSE(pages.sync());
  disk.set_hook({});
  pages::StretchChanges redo;
  redo.add(100, 50, 7, true);
  must(redo.write(pool, pages, pages::StretchChanges::RegionWords::all));
  must(pages.sync_after_rewrite());
  const auto found = power_cut(disk);
  const auto bytes = found->content(kPath);
  const auto word = base::read_struct<std::uint64_t>(std::span<const std::byte>(bytes), geometry.region_word_offset(0));
  EXPECT_EQ(word, 0U);
}

}  // namespace
}  // namespace mentedb::test

#include "pages/allocator.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "support/pages_fixture.hpp"

namespace mentedb::pages {
namespace {

using format::Counters;
using format::EntryType;
using test::is_error;
using test::must;

class AllocatorTest : public test::PagesFixture {
 protected:
  explicit AllocatorTest(const mentedb::test::SimDiskOptions& options = {}) : PagesFixture(options) {}

  /// Publishes growth at once, as a commit does.
  std::uint64_t allocate(std::uint64_t count) {
    const std::uint64_t page = must(allocator.allocate(count, 0, counters, taken));
    must(pages.fill(taken.new_pages()));
    words.publish_page_count(counters.page_count);
    return page;
  }

  /// `count` pages that were used once and are free again, with nothing above them.
  void freed_pages(std::uint64_t count) {
    grow(count);
    counters.page_count = counters.high_water = count;
  }

  Reclaimer reclaimer{pool, pages};
  Allocator allocator{pool, pages, reclaimer};
  Counters counters;
  TakenRuns taken;
};

TEST(TakenRuns, FindsEveryOverlap) {
  TakenRuns taken;
  taken.add(10, 5);
  taken.add(20, 1);
  EXPECT_EQ(taken.overlap(1, 9), std::nullopt);
  EXPECT_EQ(taken.overlap(1, 10), 15U);
  EXPECT_EQ(taken.overlap(14, 1), 15U);
  EXPECT_EQ(taken.overlap(15, 5), std::nullopt);
  EXPECT_EQ(taken.overlap(15, 6), 21U);
  EXPECT_EQ(taken.overlap(1, 100), 21U);
  EXPECT_EQ(taken.overlap(12, 1), 15U);
  taken.remove(10);
  EXPECT_EQ(taken.overlap(1, 15), std::nullopt);
}

TEST_F(AllocatorTest, BeginsAtPageOneAndGoesUp) {
  EXPECT_EQ(allocate(1), 1U);
  EXPECT_EQ(allocate(3), 2U);
  EXPECT_EQ(allocate(1), 5U);
  EXPECT_EQ(counters.high_water, 5U);
  EXPECT_EQ(counters.used_pages, 5U);
  EXPECT_EQ(counters.reuse_horizon, 0U);
}

TEST_F(AllocatorTest, GrowsByWhatALargeBatchNeeds) {
  EXPECT_EQ(must(allocator.allocate(2, 4'998, counters, taken)), 1U);
  EXPECT_EQ(counters.page_count, 5'000U);
  for (std::uint64_t left = 4'998; left > 0; left -= 2) must(allocator.allocate(2, left - 2, counters, taken));
  EXPECT_EQ(counters.page_count, 5'000U);
  EXPECT_EQ(taken.new_pages().first, 1U);
  EXPECT_EQ(taken.new_pages().last, 5'000U);
}

TEST_F(AllocatorTest, GrowsInLargeStepsAndDurably) {
  allocate(1);
  EXPECT_EQ(counters.page_count, 256U * 1024 / kPageBytes);
  const std::uint64_t first_step = counters.page_count;
  while (counters.high_water < first_step) allocate(1);
  EXPECT_EQ(counters.page_count, first_step);
  allocate(1);
  EXPECT_EQ(counters.page_count, 2 * first_step);
  // A run longer than a step gets all it needs.
  allocate(5000);
  EXPECT_GE(counters.page_count, counters.high_water);
  // From 8,192 pages on a step is a sixteenth of the store.
  allocate(5000);
  while (counters.page_count - counters.used_pages > 0) allocate(1);
  const std::uint64_t before = counters.page_count;
  ASSERT_GE(before, 8'192U);
  allocate(1);
  EXPECT_EQ(counters.page_count, before + before / 16);
  // Every new page has space and a valid free entry also after a power cut: nothing is left for redo to allocate.
  must(pages.sync());
  const auto after = disk.after_power_cut(mentedb::test::Fate::nothing_kept());
  const auto content = after->content(kPath);
  ASSERT_GE(content.size(), geometry.file_bytes(counters.page_count));
  for (std::uint64_t page = 1; page <= counters.page_count; ++page) {
    const std::span<const std::byte, format::kEntryBytes> bytes(content.data() + geometry.entry_offset(page),
                                                                format::kEntryBytes);
    ASSERT_EQ(format::decode_entry(bytes, page, kSeed), format::Entry{}) << page;
  }
}

TEST_F(AllocatorTest, ReusesFreedRunsBeforeItTakesNewPages) {
  freed_pages(100);
  use(1, 50, 1);
  use(61, 40, 1);
  counters.used_pages = 90;
  EXPECT_EQ(allocate(10), 51U);
  EXPECT_EQ(counters.high_water, 100U);
  EXPECT_EQ(counters.used_pages, 100U);
  EXPECT_EQ(allocate(1), 101U);
}

TEST_F(AllocatorTest, FreedNeighboursMakeOneRun) {
  freed_pages(30);
  use(1, 10, 1);
  use(26, 5, 2);
  free(11, 5, 7);  // three runs of different ages, one hole
  free(16, 4, 9, EntryType::moved);
  free(20, 6, 8);
  counters.used_pages = 15;
  EXPECT_EQ(allocate(15), 11U);
}

TEST_F(AllocatorTest, AHoleThatIsTooSmallIsPassedOver) {
  freed_pages(40);
  for (std::uint64_t page = 1; page <= 40; page += 5) use(page, 2, 1);  // holes of three
  counters.used_pages = 16;
  EXPECT_EQ(allocate(4), 38U);  // with a page behind the last one: the file ends with a hole that grows
  EXPECT_EQ(allocate(3), 3U);
}

TEST_F(AllocatorTest, ReuseHorizonIsTheHighestDeletionThatIsOverwritten) {
  freed_pages(20);
  free(1, 4, 70);
  free(5, 4, 90, EntryType::moved);  // not a deletion: the memory lives on elsewhere
  free(9, 4, 80);
  free(13, 4, 99, EntryType::free);
  EXPECT_EQ(allocate(4), 1U);
  EXPECT_EQ(counters.reuse_horizon, 70U);
  EXPECT_EQ(allocate(4), 5U);
  EXPECT_EQ(counters.reuse_horizon, 70U);
  EXPECT_EQ(allocate(8), 9U);
  EXPECT_EQ(counters.reuse_horizon, 80U);
}

TEST_F(AllocatorTest, ARunThatWasPassedOverDoesNotRaiseTheHorizon) {
  freed_pages(20);
  free(1, 2, 500);
  use(3, 1, 501);
  free(4, 4, 60);
  counters.used_pages = 1;
  EXPECT_EQ(allocate(4), 4U);
  EXPECT_EQ(counters.reuse_horizon, 60U);
}

TEST_F(AllocatorTest, NothingIsTakenTwiceInOneBatch) {
  // The directory shows the runs of an open batch as free until it is committed.
  freed_pages(100);
  std::set<std::uint64_t> pages_seen;
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t first = allocate(5);
    EXPECT_LE(first + 4, 100U);
    for (std::uint64_t page = first; page < first + 5; ++page) EXPECT_TRUE(pages_seen.insert(page).second) << page;
  }
  EXPECT_EQ(pages_seen.size(), 100U);
  EXPECT_EQ(allocate(1), 101U);
}

// The searches of a batch go on where those of the one before ended, as long as nothing else was committed. What it
// freed is found again, also by runs that begin before it.
TEST_F(AllocatorTest, ABatchGoesOnSearchingWhereTheOneBeforeEnded) {
  freed_pages(100);
  use(1, 40, 1);
  use(43, 20, 1);
  counters.used_pages = 60;
  EXPECT_EQ(allocate(3), 63U);
  EXPECT_EQ(allocate(1), 41U);
  use(63, 3, 2);
  use(41, 1, 3);
  allocator.end_batch(taken, 0, 4);
  free(1, 40, 3);  // not seen: nothing says that it was committed
  taken = {};
  allocator.begin_batch(taken, 4);
  EXPECT_EQ(allocate(1), 42U);
  EXPECT_EQ(allocate(3), 66U);
  taken = {};
  allocator.begin_batch(taken, 5);  // another engine has committed
  EXPECT_EQ(allocate(3), 1U);
  taken = {};
  use(1, 44, 4);
  use(45, 1, 4);
  allocator.begin_batch(taken, 5);
  EXPECT_EQ(allocate(2), 66U);
  use(66, 2, 5);
  free(46, 1, 6);
  free(45, 1, 6);
  allocator.end_batch(taken, 45, 7);
  taken = {};
  allocator.begin_batch(taken, 7);
  EXPECT_EQ(allocate(2), 45U);
}

TEST_F(AllocatorTest, DamagedEntriesAreNeverGivenAway) {
  // What lies behind a damaged entry may be somebody's memory.
  freed_pages(20);
  flip(geometry.entry_offset(10) + 3);
  for (int i = 0; i < 30; ++i) {
    const std::uint64_t page = allocate(1);
    ASSERT_NE(page, 10U);
  }
  EXPECT_EQ(counters.high_water, 31U);
}

// A directory that the disk cannot read is asked once for each stretch, and not once for each page: each question may
// take the kernel long. Nothing is learned of the stretch, so it is found again when the disk is well.
TEST_F(AllocatorTest, WhatTheDiskCannotReadIsPassedOver) {
  constexpr std::uint64_t kPages = 9 * format::kPagesPerStretch;  // 256 KiB of entries are brought in together
  freed_pages(kPages);
  disk.set_bad(kPath, geometry.entry_offset(1), 512);
  disk.set_tracing(true);
  EXPECT_EQ(allocate(4), 8'193U);
  std::size_t questions = 0;
  for (const auto& step : disk.trace()) questions += step.kind == mentedb::test::StepKind::populate ? 1U : 0U;
  EXPECT_LE(questions, 12U);
  disk.set_tracing(false);
  EXPECT_EQ(must(pool.read_stretch(0)).free_space, 0U) << "unknown";
}

TEST_F(AllocatorTest, ARunNeverCrossesARegionWhenItIsNew) {
  grow(65'536);
  use(1, 65'530, 1);
  counters = {.page_count = 65'536, .high_water = 65'530, .used_pages = 65'530, .memory_count = 0, .reuse_horizon = 0};
  EXPECT_EQ(allocate(7), 65'537U);
  EXPECT_EQ(counters.high_water, 65'543U);
  EXPECT_GE(counters.page_count, 65'543U);
  // The pages that were passed over are not lost.
  EXPECT_EQ(allocate(6), 65'531U);
}

TEST_F(AllocatorTest, ARunNeverCrossesARegionWhenItIsReused) {
  grow(70'000);
  counters = {.page_count = 70'000, .high_water = 70'000, .used_pages = 60'000, .memory_count = 0, .reuse_horizon = 0};
  use(1, 65'533, 1);  // three free pages here, thousands behind the border
  EXPECT_EQ(allocate(4), 65'537U);
  EXPECT_EQ(allocate(3), 65'534U);
}

TEST_F(AllocatorTest, AWholeRegionIsOneRun) {
  EXPECT_EQ(allocate(1), 1U);
  EXPECT_EQ(allocate(format::kPagesPerRegion), 65'537U);
  EXPECT_EQ(counters.high_water, 131'072U);
}

TEST_F(AllocatorTest, TheLastPageNumberIsALimit) {
  counters = {.page_count = format::kMaxPageCount,
              .high_water = format::kMaxPageCount,
              .used_pages = format::kMaxPageCount,
              .memory_count = 0,
              .reuse_horizon = 0};
  EXPECT_TRUE(is_error(allocator.allocate(1, 0, counters, taken), ErrorCode::capacity_exceeded, "4294967295"));
  EXPECT_EQ(counters.page_count, format::kMaxPageCount);
}

// Nothing verifies the records. One that claims too much costs a look into the directory, and is corrected.
TEST_F(AllocatorTest, NoRecordIsBelievedThatClaimsRoom) {
  constexpr std::uint64_t kPages = 4 * format::kPagesPerStretch;
  freed_pages(kPages);
  use(1, 3'000, 1);
  use(3'006, 1'091, 1);
  counters.used_pages = kPages - 6;  // the counters claim one page more than there is
  for (std::uint64_t stretch = 0; stretch < 4; ++stretch) {
    must(pages.write_stretch(stretch, {.lsn = 1, .free_space = UINT64_MAX}));
  }
  EXPECT_EQ(allocate(6), kPages + 1);
  const auto room = [&](std::uint64_t stretch) {
    return format::FreeSpace::from_word(must(pool.read_stretch(stretch)).free_space);
  };
  EXPECT_EQ(room(0), format::FreeSpace{});
  EXPECT_EQ(room(1), format::FreeSpace{});
  EXPECT_EQ(room(2), (format::FreeSpace{.at_begin = 0, .at_end = 0, .longest = 5}));
  EXPECT_EQ(room(3), format::FreeSpace{});
  EXPECT_EQ(allocate(5), 3'001U);
}

// A record that says "full" is believed: without that a search would read the whole directory. The first deletion in
// the stretch makes it unknown again.
TEST_F(AllocatorTest, AStretchWithoutRoomIsNotRead) {
  constexpr std::uint64_t kPages = 3 * format::kPagesPerStretch;
  freed_pages(kPages);
  for (std::uint64_t page = 1; page <= kPages; page += 8) use(page, 8, 1);
  counters.used_pages = kPages - 1;
  EXPECT_EQ(allocate(1), kPages + 1);
  disk.set_tracing(true);
  taken = {};
  allocate(1);
  std::uint64_t entry_copies = 0;
  for (const auto& step : disk.trace()) {
    if (step.kind == mentedb::test::StepKind::copy && step.offset < geometry.entry_offset(kPages)) ++entry_copies;
  }
  disk.set_tracing(false);
  EXPECT_EQ(entry_copies, 0U);
  free(1'025, 8, 2);
  taken = {};
  EXPECT_EQ(allocate(8), 1'025U);
}

// Holes that end one stretch and begin the next are one hole, also when a whole stretch lies between.
TEST_F(AllocatorTest, AHoleReachesOverStretches) {
  constexpr std::uint64_t kPages = 6 * format::kPagesPerStretch;
  freed_pages(kPages);
  use(1, 1'000, 1);
  use(1'001, 500, 1);  // into the second stretch
  use(4'000, 2'145, 1);
  counters.used_pages = 1'500 + kPages - 3'999;
  EXPECT_EQ(allocate(2'500), kPages + 1);  // and so every stretch is known
  taken = {};
  EXPECT_EQ(allocate(2'499), 1'501U);
}

// What a search leaves in the records does not depend on the batch that searched: a batch that is given up gives its
// pages back without a word.
TEST_F(AllocatorTest, PagesOfABatchThatWasGivenUpAreFoundAgain) {
  freed_pages(2 * format::kPagesPerStretch);
  use(1, 1'020, 1);
  use(1'025, 1'024, 1);
  counters.used_pages = 2'044;
  const Counters before = counters;
  EXPECT_EQ(allocate(4), 1'021U);
  EXPECT_GT(allocate(4), 2'048U);
  taken = {};
  counters = before;
  EXPECT_EQ(allocate(4), 1'021U);
}

TEST_F(AllocatorTest, AFullDiskIsNoSpaceAndChangesNothing) {
  allocate(1);
  constexpr std::uint64_t kPlenty = std::uint64_t{1} << 30;
  disk.set_capacity(kPlenty);
  disk.set_capacity(kPlenty - disk.free_bytes() + 64 * 1024);
  Counters before;
  Result<std::uint64_t> result;
  do {
    before = counters;
    result = allocator.allocate(1, 0, counters, taken);
  } while (result && counters.high_water < 5000);
  EXPECT_TRUE(is_error(result, ErrorCode::no_space));
  EXPECT_EQ(counters, before);
}

TEST_F(AllocatorTest, GrowthIsNotPublishedAndNotSweptBeforeTheCommit) {
  const std::uint64_t first = must(allocator.allocate(10, 0, counters, taken));
  EXPECT_EQ(words.page_count(), 0U);
  counters.used_pages -= 10;  // the batch frees what it has just stored, and the pages stay taken
  EXPECT_EQ(must(allocator.allocate(5, 0, counters, taken)), first + 10);
  EXPECT_EQ(words.page_count(), 0U);
}

// The cost of a search does not grow with the file: one word tells that 65,536 pages have no room.
TEST_F(AllocatorTest, ASearchPassesRegionsWithoutRoom) {
  constexpr std::uint64_t kRegion = format::kPagesPerRegion;
  freed_pages(2 * kRegion);
  for (std::uint64_t page = 1; page <= kRegion; page += 2'048) {
    use(page, 2'046, 5);  // holes of two pages
    counters.used_pages += 2'046;
  }
  const auto loads_of = [&](std::uint64_t count) {
    taken = {};
    std::uint64_t loads = 0;
    disk.set_hook([&](const mentedb::test::Step& step) {
      loads += step.kind == mentedb::test::StepKind::load ? 1 : 0;
      return mentedb::test::StepAction::proceed();
    });
    const std::uint64_t page = allocate(count);
    disk.set_hook({});
    EXPECT_EQ(page, kRegion + 1);
    counters.used_pages -= count;
    return loads;
  };
  loads_of(3);  // corrects the records
  EXPECT_GT(loads_of(3), 100U) << "sums them up";
  EXPECT_LT(loads_of(3), 30U);
  EXPECT_LT(loads_of(4), 30U);
  EXPECT_EQ(allocate(2), 2'047U) << "a shorter run is found";
  counters.used_pages -= 2;

  free(2'049, 2'046, 7);
  counters.used_pages -= 2'046;
  taken = {};
  EXPECT_EQ(allocate(10), 2'047U) << "a deletion opens the region again";
}

// Pages that the batch has taken are in use for this search. When the batch fails, they are free.
TEST_F(AllocatorTest, ASearchThatReadPagesDoesNotSumUp) {
  freed_pages(format::kPagesPerRegion + 1'024);
  use(1, 500, 5);
  use(531, 479, 5);      // 501 to 530 are free
  use(1'045, 9'000, 5);  // 1,010 to 1,044 are free, across the end of the stretch
  use(10'045, format::kPagesPerRegion - 10'044, 5);
  counters.used_pages = format::kPagesPerRegion - 65;
  EXPECT_EQ(allocate(36), format::kPagesPerRegion + 1) << "corrects the records";
  must(pages.write_region_word(0, 0));
  taken = {};
  taken.add(501, 30);
  taken.add(1'020, 5);
  EXPECT_EQ(allocate(30), format::kPagesPerRegion + 1);
  taken = {};
  EXPECT_EQ(allocate(33), 1'010U);
}

// The word is a hint, whatever the disk says.
TEST_F(AllocatorTest, AWrongRegionWordLeadsNowhereElse) {
  freed_pages(format::kPagesPerRegion + 4'096);
  for (const std::uint64_t word : {~std::uint64_t{0}, std::uint64_t{7}}) {
    must(pages.write_region_word(0, word));
    taken = {};
    EXPECT_EQ(allocate(20), 1U) << word;
  }
  must(pages.write_region_word(0, format::region_word(1)));
  taken = {};
  EXPECT_EQ(allocate(20), format::kPagesPerRegion + 1) << "a claim that is too small costs the space of the region";
  must(pages.reset_stretches(format::kPagesPerRegion + 4'096, 9));
  taken = {};
  EXPECT_EQ(allocate(20), 1U) << "until recover";
}

TEST_F(AllocatorTest, FragmentedSpaceIsFoundAgain) {
  // Random sizes come and go at a constant volume: the store settles instead of growing for ever.
  std::mt19937_64 random(3);
  std::vector<std::pair<std::uint64_t, std::uint32_t>> live;
  std::uint64_t lsn = 1;
  std::uint64_t settled = 0;
  for (int round = 0; round < 6000; ++round) {
    const auto count = static_cast<std::uint32_t>(1 + random() % (round % 10 == 0 ? 60 : 6));
    taken = {};
    const std::uint64_t page = allocate(count);
    for (std::uint64_t at = page; at < page + count; ++at) {
      ASSERT_TRUE(format::is_free(must(pool.read_entry(at))->type)) << "page " << at << " is in use";
    }
    use(page, count, lsn++);
    live.emplace_back(page, count);
    if (live.size() > 200) {
      const std::size_t victim = random() % live.size();
      free(live[victim].first, live[victim].second, lsn++);
      counters.used_pages -= live[victim].second;
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(victim));
    }
    if (round == 1000) settled = counters.high_water;
  }
  EXPECT_LT(counters.high_water, settled * 5 / 4);
}

}  // namespace
}  // namespace mentedb::pages

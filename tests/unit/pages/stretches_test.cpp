#include "pages/stretches.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "store/directory_pass.hpp"
#include "support/pages_fixture.hpp"

namespace mentedb::pages {
namespace {

using format::FreeSpace;
using test::must;

class StretchesTest : public test::PagesFixture {
 protected:
  void change(std::uint64_t first, std::uint64_t count, std::uint64_t lsn, bool frees) {
    StretchChanges changes;
    changes.add(first, count, lsn, frees);
    must(changes.write(pool, pages, StretchChanges::RegionWords::known));
  }
};

TEST_F(StretchesTest, LsnsOnlyRiseAndAFreedStretchIsUnknown) {
  grow(4'000);
  const std::uint64_t full = FreeSpace{}.word();
  for (std::uint64_t stretch = 0; stretch < 3; ++stretch) must(pages.write_stretch(stretch, {1, full}));
  change(1'000, 100, 10, false);  // pages of the first two stretches
  EXPECT_EQ(pool.stretch_lsn(0), 10U);
  EXPECT_EQ(pool.stretch_lsn(1), 10U);
  EXPECT_EQ(pool.stretch_lsn(2), 1U);
  EXPECT_EQ(must(pool.read_stretch(1)).free_space, full) << "a write frees nothing";
  change(1'025, 1, 5, true);  // an older operation, in a second redo
  EXPECT_EQ(pool.stretch_lsn(1), 10U);
  EXPECT_EQ(must(pool.read_stretch(1)).free_space, 0U);
  EXPECT_EQ(must(pool.read_stretch(0)).free_space, full);
}

TEST_F(StretchesTest, OneBatchWritesEachRecordOnce) {
  grow(2'048);
  StretchChanges changes;
  for (std::uint64_t page = 1; page <= 100; ++page) changes.add(page, 1, page, page == 50);
  disk.set_tracing(true);
  must(changes.write(pool, pages, StretchChanges::RegionWords::known));
  EXPECT_EQ(std::ranges::count(disk.trace(), mentedb::test::StepKind::write, &mentedb::test::TraceEntry::kind), 1);
  disk.set_tracing(false);
  EXPECT_EQ(pool.stretch_lsn(0), 100U);
}

// An engine that may not write knows more than the records do.
TEST_F(StretchesTest, AMinimumHoldsForEveryStretch) {
  grow(2'048);
  words.advance_minimum(50, 2'048, 0);
  EXPECT_EQ(pool.stretch_lsn(1), 50U);
}

// `changes_since` passes what did not change: a region with one copy of its records.
class DirectoryPassTest : public StretchesTest {
 protected:
  static constexpr std::uint64_t kSecondRegion = format::kPagesPerRegion + 1;
  void store(std::uint64_t page, std::uint64_t lsn) {
    change(page, 1, lsn, false);
    use(page, 1, lsn);
  }
  std::vector<std::uint64_t> newer_than(std::uint64_t lsn) {
    std::vector<std::uint64_t> found;
    must(store::pass_over_directory(
        pool, lsn, false, [&](std::uint64_t page, const format::Entry&) { found.push_back(page); },
        [](std::uint64_t page) { ADD_FAILURE() << "damaged: " << page; }));
    return found;
  }
};

TEST_F(DirectoryPassTest, FindsWhatChangedInEachRegion) {
  grow(kSecondRegion + 3'000);
  store(1, 10);
  store(1'500, 11);
  store(format::kPagesPerRegion, 12);
  store(kSecondRegion, 13);
  store(kSecondRegion + 2'100, 14);
  using Pages = std::vector<std::uint64_t>;
  EXPECT_EQ(newer_than(9), (Pages{1, 1'500, format::kPagesPerRegion, kSecondRegion, kSecondRegion + 2'100}));
  EXPECT_EQ(newer_than(11), (Pages{format::kPagesPerRegion, kSecondRegion, kSecondRegion + 2'100}));
  EXPECT_EQ(newer_than(12), (Pages{kSecondRegion, kSecondRegion + 2'100}));
  EXPECT_EQ(newer_than(13), (Pages{kSecondRegion + 2'100}));
  EXPECT_EQ(newer_than(14), Pages{});
  for (std::uint64_t stretch = 0; stretch < 67; ++stretch) {
    EXPECT_EQ(pool.stretch_lsns(stretch / 64)[stretch % 64], must(pool.read_stretch(stretch)).lsn) << stretch;
  }
}

TEST_F(DirectoryPassTest, ReadsNoEntryOfARegionThatDidNotChange) {
  grow(kSecondRegion + 100);
  store(1, 10);
  store(kSecondRegion, 11);
  EXPECT_EQ(newer_than(10).size(), 1U);  // everything is warm now
  disk.set_tracing(true);
  EXPECT_EQ(newer_than(10).size(), 1U);
  for (const auto& entry : disk.trace()) {
    if (entry.kind != mentedb::test::StepKind::copy) continue;
    const bool in_first_directory = entry.offset >= geometry.entry_offset(1) && entry.offset < geometry.page_offset(1);
    EXPECT_FALSE(in_first_directory) << entry.offset;
  }
}

}  // namespace
}  // namespace mentedb::pages

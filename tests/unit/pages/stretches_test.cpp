#include "pages/stretches.hpp"

#include <algorithm>

#include <gtest/gtest.h>

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
    must(changes.write(pool, pages));
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
  must(changes.write(pool, pages));
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

}  // namespace
}  // namespace mentedb::pages

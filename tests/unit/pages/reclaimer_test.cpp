#include "pages/reclaimer.hpp"

#include <cerrno>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "support/pages_fixture.hpp"

namespace mentedb::pages {
namespace {

using format::EntryType;
using test::is_error;
using test::must;

class ReclaimerTest : public test::PagesFixture {
 protected:
  static Reclaimer::Slice slice(std::uint64_t before_lsn = 1'000) {
    return {
        .page_count = kPages, .before_lsn = before_lsn, .least_bytes = base::kBlockBytes, .stretches = 9, .runs = 99};
  }

  ReclaimerTest() { grow(kPages); }

  bool lacks_space(std::uint64_t page) { return format::lacks_space(must(pool.read_entry(page)).value()); }
  std::uint64_t lacking() {
    std::uint64_t count = 0;
    for (std::uint64_t page = 1; page <= kPages; ++page) count += lacks_space(page) ? 1U : 0U;
    return count;
  }
  std::uint64_t allocated() { return must(file->allocated_bytes()); }

  static constexpr std::uint64_t kPages = 2'048;
  static constexpr std::uint64_t kPagesPerBlock = base::kBlockBytes / kPageBytes;
  Reclaimer reclaimer{pool, pages};
};

TEST_F(ReclaimerTest, GivesBackWholeBlocksOfFreePages) {
  use(1, 3, 5);
  free(4, 20, 6);  // pages 4 to 23: the block of pages 9 to 16 is free as a whole
  use(24, 1, 7);
  const std::uint64_t before = allocated();
  EXPECT_EQ(must(reclaimer.give_back(0, slice())), std::nullopt);
  EXPECT_EQ(allocated(), before - base::kBlockBytes);
  for (std::uint64_t page = 1; page <= 24; ++page) {
    EXPECT_EQ(lacks_space(page), page >= 9 && page <= 16) << page;
  }
  EXPECT_EQ(lacking(), kPagesPerBlock) << "pages that were never used keep their space";
}

TEST_F(ReclaimerTest, AnEntryKeepsWhatItRemembers) {
  free(1, 16, 6, EntryType::deleted);
  must(reclaimer.give_back(0, slice()));
  const auto entry = must(pool.read_entry(1)).value();
  EXPECT_EQ(entry.type, EntryType::deleted);
  EXPECT_EQ(entry.lsn, 6U);
  EXPECT_EQ(entry.id, id(1));
  must(reclaimer.take_back(1, 1));
  EXPECT_EQ(must(pool.read_entry(1)).value(),
            (format::Entry{.id = id(1), .lsn = 6, .run_pages = 0, .type = EntryType::deleted}));
  base::AlignedBuffer buffer;
  const auto run = must(pool.read_run(1, buffer));
  ASSERT_TRUE(run) << "the page says again that it is free";
  EXPECT_EQ(run->header.type, format::RunType::free);
  EXPECT_EQ(run->header.lsn, 6U);
}

TEST_F(ReclaimerTest, LeavesPagesThatTheLogSpeaksOf) {
  free(1, 16, 6);
  free(17, 16, 7);
  must(reclaimer.give_back(0, slice(7)));
  EXPECT_TRUE(lacks_space(16));
  EXPECT_FALSE(lacks_space(17));
}

TEST_F(ReclaimerTest, LeavesShortRuns) {
  free(1, 16, 6);
  use(17, 1, 7);
  free(18, 64, 8);
  auto some = slice();
  some.least_bytes = 4 * base::kBlockBytes;
  must(reclaimer.give_back(0, some));
  EXPECT_FALSE(lacks_space(1));
  EXPECT_TRUE(lacks_space(25));
}

TEST_F(ReclaimerTest, ASliceSaysWhereToGoOn) {
  free(1, 16, 6);
  free(1'025, 16, 6);
  auto one = slice();
  one.stretches = 1;
  EXPECT_EQ(must(reclaimer.give_back(0, one)), 1U);
  EXPECT_EQ(lacking(), 16U);
  EXPECT_EQ(must(reclaimer.give_back(1, one)), std::nullopt);
  EXPECT_EQ(lacking(), 32U);
  EXPECT_EQ(must(reclaimer.give_back(0, one)), 1U) << "nothing is left, and there is more to look at";
  auto few = slice();
  few.runs = 1;
  free(40, 16, 6);
  EXPECT_EQ(must(reclaimer.give_back(0, few)), 1U);
}

// The file system took the first run, perhaps a part of the second one, and nothing of the third.
TEST_F(ReclaimerTest, WhatIsNotTakenKeepsItsSpace) {
  for (const std::uint64_t first : {1U, 33U, 65U}) {
    free(first, 16, 6);
    use(first + 16, 16, 7);
  }
  int calls = 0;
  disk.set_hook([&](const mentedb::test::Step& step) {
    const bool third_call = step.kind == mentedb::test::StepKind::give_back && ++calls == 3;  // the first one asks
    return third_call ? mentedb::test::StepAction::fail(ENOSPC) : mentedb::test::StepAction::proceed();
  });
  EXPECT_TRUE(is_error(reclaimer.give_back(0, slice()), ErrorCode::no_space));
  disk.set_hook({});
  EXPECT_TRUE(lacks_space(1));
  EXPECT_TRUE(lacks_space(33));
  EXPECT_FALSE(lacks_space(65));
  EXPECT_EQ(must(pool.read_entry(65)).value().type, EntryType::deleted);
  auto again = slice();
  again.again = true;
  const std::uint64_t before = allocated();
  must(reclaimer.give_back(0, again));
  EXPECT_EQ(allocated(), before - 4 * base::kBlockBytes);
}

TEST_F(ReclaimerTest, TakesBackWholeBlocksAndSomeMore) {
  free(1, 2'048, 6);
  must(reclaimer.give_back(0, slice()));
  ASSERT_EQ(lacking(), kPages);
  const std::uint64_t before = allocated();
  must(reclaimer.take_back(20, 3));
  EXPECT_TRUE(lacks_space(16));
  for (std::uint64_t page = 17; page <= 24; ++page) EXPECT_FALSE(lacks_space(page)) << page;
  const std::uint64_t more = 256 * 1024;
  EXPECT_EQ(allocated(), before + base::kBlockBytes + more);
  EXPECT_EQ(lacking(), kPages - kPagesPerBlock - more / kPageBytes);
}

TEST_F(ReclaimerTest, TakesBackNoMoreThanTheDiskHas) {
  free(1, 2'048, 6);
  must(reclaimer.give_back(0, slice()));
  disk.set_capacity(std::uint64_t{1} << 30);
  disk.set_capacity((std::uint64_t{1} << 30) - disk.free_bytes() + base::kBlockBytes);
  EXPECT_TRUE(is_error(reclaimer.take_back(16, 2), ErrorCode::no_space)) << "two blocks";
  EXPECT_EQ(lacking(), kPages);
  must(reclaimer.take_back(20, 3));
  EXPECT_EQ(lacking(), kPages - kPagesPerBlock);
  EXPECT_EQ(disk.free_bytes(), 0U);
}

TEST_F(ReclaimerTest, TakesNothingWhereNothingIsMissing) {
  free(1, 16, 6);
  disk.set_hook([](const mentedb::test::Step& step) {
    EXPECT_FALSE(mentedb::test::changes_something(step.kind)) << to_string(step.kind);
    return mentedb::test::StepAction::proceed();
  });
  must(reclaimer.take_back(1, 16));
  disk.set_hook({});
}

TEST_F(ReclaimerTest, ErasesFreePagesAndNothingElse) {
  must(file->write_at(geometry.page_offset(1), filled(32 * kPageBytes, 7)));
  use(1, 3, 5);
  free(4, 20, 6);
  use(24, 9, 7);
  std::uint64_t unjudged = 0;
  must(reclaimer.erase(0, slice(), unjudged));
  EXPECT_EQ(unjudged, 0U);
  const auto bytes = disk.content(kPath);
  const auto page_has = [&](std::uint64_t page, int value) {
    const auto* const begin = bytes.data() + geometry.page_offset(page);
    return std::any_of(begin + sizeof(format::RunHeader), begin + kPageBytes,
                       [&](std::byte b) { return b == static_cast<std::byte>(value); });
  };
  for (std::uint64_t page = 1; page <= 32; ++page) {
    EXPECT_EQ(page_has(page, 7), page < 4 || page > 23) << page;
    EXPECT_EQ(page_has(page, 0), page >= 4 && page <= 23) << page;
  }
}

// A block of the directory that the disk cannot read stops neither the pass nor the write that made it.
TEST_F(ReclaimerTest, PassesAnUnreadableDirectory) {
  constexpr std::uint64_t kFar = 8'193;  // entries are brought into memory by 8,192
  grow(kFar + 1'023);
  free(1, 16, 6);
  free(kFar, 16, 6);
  disk.set_bad(kPath, geometry.entry_offset(1), base::kBlockBytes);
  BufferPool fresh{*file, words, geometry, kSeed};
  Reclaimer again{fresh, pages};
  auto all = slice();
  all.page_count = kFar + 1'023;
  must(again.give_back(0, all));
  EXPECT_TRUE(format::lacks_space(must(fresh.read_entry(kFar)).value()));
}

}  // namespace
}  // namespace mentedb::pages

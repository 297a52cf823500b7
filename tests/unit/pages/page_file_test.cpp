#include "pages/page_file.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "support/pages_fixture.hpp"

namespace mentedb::pages {
namespace {

using mentedb::test::Effect;
using mentedb::test::Step;
using mentedb::test::StepAction;
using mentedb::test::StepKind;
using test::is_error;
using test::must;

class PageFileTest : public test::PagesFixture {
 protected:
  PageFileTest() { grow(1000); }

  void fail_next_sync() {
    disk.set_hook([](const Step& step) {
      return step.kind == StepKind::sync ? StepAction::fail(EIO, Effect::none) : StepAction::proceed();
    });
  }

  base::AlignedBuffer buffer;
};

TEST_F(PageFileTest, ARunIsWrittenWholeWithZerosBehindItsData) {
  disk.damage(kPath, geometry.page_offset(3), filled(3 * kPageBytes, 0xEE));  // of a deleted memory
  must(pages.write_run(header(3, 1, 3, 600), filled(600, 1)));
  const auto content = disk.content(kPath);
  const std::uint64_t begin = geometry.page_offset(3) + sizeof(format::RunHeader) + 600;
  for (std::uint64_t at = begin; at < geometry.page_offset(6); ++at) ASSERT_EQ(content[at], std::byte{0}) << at - begin;
  EXPECT_TRUE(must(pool.read_run(3, buffer)));
}

TEST_F(PageFileTest, AFreedPageSaysSoItself) {
  must(pages.write_run(header(3, 1, 1, 100), filled(100, 1)));
  must(pages.write_free_header(3, 8));
  const auto run = must(pool.read_run(3, buffer));
  ASSERT_TRUE(run);
  EXPECT_EQ(run->header.type, format::RunType::free);
  EXPECT_EQ(run->header.lsn, 8U);
}

TEST_F(PageFileTest, EntriesOfARunLeadToItsHead) {
  use(10, 5, 7, id(3));
  for (std::uint64_t i = 1; i < 5; ++i) {
    const auto entry = must(pool.read_entry(10 + i));
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->type, format::EntryType::interior);
    EXPECT_EQ(entry->run_pages, i);
    EXPECT_EQ(entry->lsn, 7U);
  }
  free(10, 5, 9);
  EXPECT_EQ(must(pool.read_entry(10))->type, format::EntryType::deleted);
  for (std::uint64_t i = 1; i < 5; ++i) {
    EXPECT_EQ(must(pool.read_entry(10 + i)),
              (format::Entry{.id = {}, .lsn = 9, .run_pages = 0, .type = format::EntryType::free}));
  }
}

// A block that is only reserved reads as zeros again after a mount when its first write-back failed (write_zeros).
TEST_F(PageFileTest, GrowthWritesEveryBlockOfTheNewPages) {
  std::vector<bool> written(500);
  disk.set_hook([&](const Step& step) {
    if (step.kind != StepKind::write) return StepAction::proceed();
    for (std::uint64_t i = 0; i < written.size(); ++i) {
      const std::uint64_t at = geometry.page_offset(1001 + i);
      if (step.offset <= at && at + kPageBytes <= step.offset + step.length) written[i] = true;
    }
    return StepAction::proceed();
  });
  grow(1500);
  disk.set_hook({});
  EXPECT_EQ(std::ranges::count(written, false), 0);
}

TEST_F(PageFileTest, AFailedSyncLeavesSyncPending) {
  // R7: the error is reported once, perhaps to somebody who died. The mark tells the others.
  must(pages.sync());
  EXPECT_FALSE(words.sync_pending());
  fail_next_sync();
  EXPECT_TRUE(is_error(pages.sync(), ErrorCode::io_error));
  disk.set_hook({});
  EXPECT_TRUE(words.sync_pending());
  must(pages.sync());
  EXPECT_TRUE(words.sync_pending()) << "a later sync says nothing about what the failed one lost";
  must(pages.sync_after_rewrite());
  EXPECT_FALSE(words.sync_pending());
}

TEST_F(PageFileTest, SyncPendingIsSetAndTheCachedTailIsGoneWhileTheSyncRuns) {
  const wal::Tail tail{.epoch = 1, .offset = 8'192, .next_lsn = 5, .previous_checksum = 7, .counters = {}};
  words.publish_cached_tail(tail);
  bool marked = false;
  disk.set_hook([&](const Step& step) {
    if (step.kind == StepKind::sync) marked = words.sync_pending() && !words.cached_tail();
    return StepAction::proceed();
  });
  must(pages.sync());
  disk.set_hook({});
  EXPECT_TRUE(marked);
  EXPECT_EQ(words.cached_tail(), tail);
}

TEST_F(PageFileTest, GrowthThatFailsLeavesTheOldPages) {
  use(1, 1, 1);
  disk.set_hook([](const Step& step) {
    return step.kind == StepKind::allocate ? StepAction::fail(ENOSPC) : StepAction::proceed();
  });
  NewPages new_pages;
  EXPECT_TRUE(is_error(pages.grow(1000, 2000, new_pages), ErrorCode::no_space));
  EXPECT_FALSE(new_pages.any());
  disk.set_hook({});
  EXPECT_EQ(must(pool.read_entry(1))->lsn, 1U);
  must(pages.grow(1000, 2000, new_pages));
}

// R15: runs take the place of zeros, in whatever order they come, and no zeros go over a run.
TEST_F(PageFileTest, NewPagesAreWrittenBeforeTheLogSpeaksOfThem) {
  std::vector<int> written(500);
  disk.set_hook([&](const Step& step) {
    if (step.kind != StepKind::write) return StepAction::proceed();
    for (std::uint64_t i = 0; i < written.size(); ++i) {
      const std::uint64_t at = geometry.page_offset(1001 + i);
      if (step.offset <= at && at + kPageBytes <= step.offset + step.length) ++written[i];
    }
    return StepAction::proceed();
  });
  NewPages new_pages;
  must(pages.grow(1000, 1300, new_pages));
  must(pages.grow(1300, 1500, new_pages));
  std::vector<PageFile::Run> runs;
  std::vector<std::vector<std::byte>> payloads;
  for (const std::uint64_t page : {1001U, 1003U, 1300U, 1302U, 1499U, 900U, 1200U}) {
    payloads.push_back(filled(700, static_cast<int>(page % 251)));
    runs.push_back({.header = header(page, 7, 2, 700),
                    .payload = {},
                    .entry = {.id = id(page), .lsn = 7, .run_pages = 2, .type = format::EntryType::memory_stored}});
  }
  for (std::size_t i = 0; i < runs.size(); ++i) runs[i].payload = payloads[i];
  must(pages.write_runs(runs, new_pages));
  must(pages.fill(new_pages));
  must(pages.write_entries_of(runs));
  disk.set_hook({});
  EXPECT_EQ(std::ranges::count(written, 0), 0);
  EXPECT_EQ(std::ranges::count(written, 1), 498) << "only page 1200 was filled before its run came";
  words.publish_page_count(1500);

  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::uint64_t page = runs[i].header.page;
    const auto run = must(pool.read_run(page, buffer));
    ASSERT_TRUE(run) << page;
    EXPECT_EQ(run->header.checksum, runs[i].header.checksum);
    EXPECT_TRUE(std::ranges::equal(run->payload, payloads[i])) << page;
    EXPECT_EQ(must(pool.read_entry(page))->run_pages, 2U);
  }
}

}  // namespace
}  // namespace mentedb::pages

#include "pages/buffer_pool.hpp"

#include <gtest/gtest.h>

#include <set>

#include "support/pages_fixture.hpp"

namespace mentedb::pages {
namespace {

using mentedb::test::Step;
using mentedb::test::StepAction;
using mentedb::test::StepKind;
using test::is_error;
using test::must;

class BufferPoolTest : public test::PagesFixture {
 protected:
  explicit BufferPoolTest(const mentedb::test::SimDiskOptions& options = {}) : PagesFixture(options) { grow(1000); }

  std::optional<RunCopy> read(std::uint64_t page) { return must(pool.read_run(page, buffer)); }
  void write(std::uint64_t page, std::uint64_t lsn, std::uint32_t run_pages, std::size_t payload_bytes, int value) {
    must(pages.write_run(header(page, lsn, run_pages, payload_bytes), filled(payload_bytes, value)));
  }

  base::AlignedBuffer buffer;
};

class TearingBufferPoolTest : public BufferPoolTest {
 protected:
  TearingBufferPoolTest() : BufferPoolTest({.seed = 1, .capacity_bytes = 0, .tear_bytes = 512}) {}
};

TEST_F(BufferPoolTest, ReadsRunsOfOneAndOfManyPages) {
  write(5, 9, 1, 100, 1);
  write(6, 10, 20, 10'000, 2);
  const auto small = read(5);
  ASSERT_TRUE(small);
  EXPECT_EQ(small->header.lsn, 9U);
  EXPECT_TRUE(std::ranges::equal(small->payload, filled(100, 1)));
  const auto large = read(6);
  ASSERT_TRUE(large);
  EXPECT_EQ(large->header.run_pages, 20U);
  EXPECT_TRUE(std::ranges::equal(large->payload, filled(10'000, 2)));
  EXPECT_EQ(must(pool.read_header(6))->lsn, 10U);
}

// A read guesses the length of the run from those before. Whatever it guesses, it gets the whole run and no more.
TEST_F(BufferPoolTest, AnyLengthMayFollowAnyOther) {
  const std::vector<std::size_t> sizes{0, 1, 400, 472, 473, 1'000, 2'008, 2'009, 3'000, 8'000, 9'000, 20'000};
  const auto page_of = [](std::size_t i) { return 64 * (i + 1); };  // pages that a read may learn from
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto run_pages = static_cast<std::uint32_t>(format::pages_for_payload(sizes[i], kPageBytes));
    write(page_of(i), i + 1, run_pages, sizes[i], static_cast<int>(i));
  }
  for (std::size_t first = 0; first < sizes.size(); ++first) {
    for (std::size_t second = 0; second < sizes.size(); ++second) {
      for (const std::size_t i : {first, second}) {
        const auto run = read(page_of(i));
        ASSERT_TRUE(run) << sizes[first] << ' ' << sizes[second];
        ASSERT_TRUE(std::ranges::equal(run->payload, filled(sizes[i], static_cast<int>(i))));
      }
    }
  }
}

// I10: at the end of the file a guess from longer runs would touch what is not there.
TEST_F(BufferPoolTest, AGuessEndsWithTheFile) {
  write(64, 1, 17, 8'000, 1);
  write(1'000, 2, 1, 400, 2);
  ASSERT_TRUE(read(64));
  const std::uint64_t end = geometry.file_bytes(1'000);
  disk.set_tracing(true);
  ASSERT_TRUE(read(1'000));
  pool.prefetch_run(1'000);
  pool.prefetch_entries(1'000, 64);
  pool.prefetch_entries(1'001, 64);
  std::size_t copies = 0;
  for (const auto& entry : disk.trace()) {
    if (entry.kind != StepKind::copy) continue;
    ++copies;
    EXPECT_LE(entry.offset + entry.length, end);
  }
  EXPECT_GT(copies, 0U);
}

TEST_F(BufferPoolTest, WhatWasNeverWrittenIsNoRun) {
  EXPECT_FALSE(read(7));
  write(6, 10, 20, 10'000, 2);
  EXPECT_FALSE(read(7));  // inside a run
  EXPECT_FALSE(must(pool.read_header(7)));
}

// A page count in the shared state that no writer wrote, in a store that is opened to be read only, ended the process
// in an assertion, or touched the mapping beyond the file (I10).
TEST_F(BufferPoolTest, ReadsNothingBeyondTheFileWhateverTheSharedStateSays) {
  write(999, 9, 2, 600, 1);
  for (const std::uint64_t lie : {std::uint64_t{1001}, std::uint64_t{65'537}, std::uint64_t{1} << 32, UINT64_MAX}) {
    words.publish_page_count(lie);
    BufferPool fresh(*file, words, geometry, kSeed);
    EXPECT_EQ(fresh.page_count(), 1000U);
    EXPECT_TRUE(must(fresh.read_run(999, buffer)));
    EXPECT_FALSE(fresh.contains(1001));
    EXPECT_TRUE(is_error(fresh.read_entry(1001), ErrorCode::corruption, "fewer pages"));
    EXPECT_TRUE(is_error(fresh.read_run(lie, buffer), ErrorCode::corruption, "fewer pages"));
    EXPECT_EQ(fresh.residency().mapped_bytes, geometry.file_bytes(1000) - format::kFirstRegionOffset);
  }
  words.publish_page_count(0);
  EXPECT_TRUE(is_error(pool.read_entry(1), ErrorCode::corruption, "fewer pages"));
}

TEST_F(BufferPoolTest, KnowsWhichPagesThereAre) {
  EXPECT_FALSE(pool.contains(0));
  EXPECT_TRUE(pool.contains(1));
  EXPECT_TRUE(pool.contains(1000));
  EXPECT_FALSE(pool.contains(1001));
  EXPECT_FALSE(pool.contains(UINT64_MAX));
}

TEST_F(BufferPoolTest, MixedImagesAreRefused) {
  // Half of a new image over an old one, as a reader beside a writer may copy it, at every sector.
  write(10, 1, 8, 4000, 1);
  const auto old_bytes = disk.content(kPath);
  write(10, 2, 8, 4000, 2);
  const auto new_bytes = disk.content(kPath);
  const std::uint64_t at = geometry.page_offset(10);
  for (std::size_t cut = 512; cut < 8 * 512; cut += 512) {
    disk.damage(kPath, at, std::span(new_bytes).subspan(at, cut));
    disk.damage(kPath, at + cut, std::span(old_bytes).subspan(at + cut, 8 * 512 - cut));
    EXPECT_FALSE(read(10)) << cut;
    disk.damage(kPath, at, std::span(old_bytes).subspan(at, cut));
    disk.damage(kPath, at + cut, std::span(new_bytes).subspan(at + cut, 8 * 512 - cut));
    EXPECT_FALSE(read(10)) << cut;
  }
}

TEST_F(TearingBufferPoolTest, ACopyThatAWriterOvertakesIsOldOrNewOrRefused) {
  write(10, 1, 8, 4000, 1);
  const auto old_bytes = disk.content(kPath);
  write(10, 2, 3, 1000, 2);  // also shorter: a believed old length meets new bytes
  const auto new_bytes = disk.content(kPath);
  const std::uint64_t at = geometry.page_offset(10);
  const auto put = [&](const std::vector<std::byte>& content) {
    disk.damage(kPath, at, std::span(content).subspan(at, 8 * 512));
  };
  int refused = 0;
  for (int when = 0; when < 12; ++when) {
    put(old_bytes);
    int slices = 0;
    disk.set_hook([&](const Step& step) {
      const bool slice = step.kind == StepKind::copy || step.kind == StepKind::copy_slice;
      if (slice && slices++ == when) put(new_bytes);
      return StepAction::proceed();
    });
    const auto run = pool.read_run(10, buffer);
    disk.set_hook({});
    ASSERT_TRUE(run);
    if (!*run) {
      ++refused;
      continue;
    }
    const bool whole_old = (*run)->header.lsn == 1 && std::ranges::equal((*run)->payload, filled(4000, 1));
    const bool whole_new = (*run)->header.lsn == 2 && std::ranges::equal((*run)->payload, filled(1000, 2));
    EXPECT_TRUE(whole_old || whole_new) << when;
  }
  EXPECT_GT(refused, 0);
}

TEST_F(BufferPoolTest, AHeaderThatReachesBeyondTheStoreIsNotBelieved) {
  // I10: valid bytes (another page count, an old backup) that would lead beyond the file.
  auto h = header(999, 1, 5, 2000);
  const auto payload = filled(2000, 1);
  format::seal_run_header(h, payload, kSeed);
  std::vector<std::byte> image(1024);
  base::write_struct(std::span(image), 0, h);
  disk.damage(kPath, geometry.page_offset(999), image);
  EXPECT_FALSE(read(999));
}

TEST_F(BufferPoolTest, AnUnreadableSectorIsAnErrorAndNoSignal) {
  write(10, 1, 8, 4000, 1);
  disk.set_bad(kPath, geometry.page_offset(12), 512);
  EXPECT_TRUE(is_error(pool.read_run(10, buffer), ErrorCode::io_error, "pages.db"));
  EXPECT_TRUE(must(pool.read_entry(1)));  // the directory is another stretch
}

TEST_F(BufferPoolTest, AnUnreadableDirectoryIsAnErrorToo) {
  disk.set_bad(kPath, geometry.entry_offset(17), 512);
  EXPECT_TRUE(is_error(pool.read_entry(17), ErrorCode::io_error, "pages.db"));
}

TEST_F(BufferPoolTest, AWarmReadMakesNoSystemCall) {
  write(10, 1, 8, 4000, 1);
  ASSERT_TRUE(read(10));
  static_cast<void>(must(pool.read_entry(10)));
  disk.set_tracing(true);
  ASSERT_TRUE(read(10));
  static_cast<void>(must(pool.read_entry(10)));
  for (const auto& entry : disk.trace()) {
    EXPECT_TRUE(entry.kind == StepKind::copy || entry.kind == StepKind::load) << to_string(entry.kind);
  }
  EXPECT_FALSE(disk.trace().empty());
}

TEST_F(BufferPoolTest, GrowthIsSeenWithoutANewMapping) {
  ASSERT_TRUE(must(pool.read_entry(1000)));
  grow(3000);
  write(2900, 1, 1, 10, 1);
  EXPECT_TRUE(read(2900));
  EXPECT_TRUE(must(pool.read_entry(3000)));
}

TEST_F(BufferPoolTest, ReadsAcrossRegions) {
  grow(65'536 + 20);
  write(65'536, 1, 1, 10, 1);
  write(65'537, 2, 4, 1500, 2);
  EXPECT_EQ(read(65'536)->header.lsn, 1U);
  EXPECT_EQ(read(65'537)->header.lsn, 2U);
  EXPECT_TRUE(must(pool.read_entry(65'536)));
  EXPECT_TRUE(must(pool.read_entry(65'537)));
  const auto residency = pool.residency();
  EXPECT_GE(residency.mapped_bytes, 65'556U * kPageBytes);
}

TEST_F(BufferPoolTest, EntriesOfFreeAndUsedPages) {
  use(3, 2, 5);
  EXPECT_EQ(must(pool.read_entry(3))->type, format::EntryType::memory_stored);
  EXPECT_EQ(must(pool.read_entry(4))->type, format::EntryType::interior);
  EXPECT_EQ(must(pool.read_entry(4))->run_pages, 1U);
  EXPECT_EQ(must(pool.read_entry(5)), format::Entry{});
  flip(geometry.entry_offset(4) + 20);
  EXPECT_EQ(must(pool.read_entry(4)), std::nullopt);
}

}  // namespace
}  // namespace mentedb::pages

// verify names every damage, with file and place, and writes nothing (I12).
#include <gtest/gtest.h>

#include "format/index_format.hpp"
#include "support/store_fixture.hpp"

namespace mentedb {
namespace {

using format::EntryType;
using test::memory;
using test::memory_id;
using test::must;

class VerifyTest : public test::StoreFixture {
 protected:
  VerifyTest() {
    auto engine = open();
    for (std::uint64_t i = 1; i <= 20; ++i) must(engine.store_memory(memory(i, std::string(300 * (i % 7), 'x'))));
    raw = must(engine.allocate_page(100));
    must(engine.write_page(raw, std::vector<std::byte>(100, std::byte{5})));
    must(engine.checkpoint());  // from here on the log cannot explain or heal what happens to the pages above
    must(engine.update_memory(memory(1, "updated")));
    must(engine.delete_memory(memory_id(2)));
    must(engine.checkpoint());
    // Too large for the holes, so that the records of the update and the deletion stay.
    for (std::uint64_t i = 21; i <= 23; ++i) must(engine.store_memory(memory(i, std::string(3000, 'y'))));
    index = "ids-" + std::to_string(must(engine.stats()).index_number) + ".idx";
    large = must(engine.find(memory_id(6)));
    page = must(engine.find(memory_id(3)));
    page_count = must(engine.stats()).page_count;
  }

  /// The first page whose directory entry has this type.
  PageId page_with(EntryType type) const {
    for (std::uint64_t number = 1; number <= page_count; ++number) {
      if (entry(PageId{number})->type == type) return PageId{number};
    }
    ADD_FAILURE() << "no entry of type " << static_cast<int>(type);
    return PageId{1};
  }

  struct Place {
    std::string file;
    std::uint64_t offset;
    std::uint64_t page;
  };
  /// A problem is reported there; verifying changed nothing.
  void expect_named(const Place& place) {
    const auto before_pages = disk.content(kPages);
    const auto before_log = disk.content(kLog);
    const auto found = problems();
    EXPECT_TRUE(disk.content(kPages) == before_pages);
    EXPECT_TRUE(disk.content(kLog) == before_log);
    const bool named = std::ranges::any_of(found, [&](const Problem& problem) {
      return problem.file == place.file && problem.offset == place.offset && problem.page == PageId{place.page} &&
             !problem.message.empty();
    });
    EXPECT_TRUE(named) << "wanted " << place.file << "@" << place.offset << " page " << place.page << ", found:\n"
                       << text(found);
  }
  void expect_flip_named(const char* path, std::uint64_t offset, const Place& place) {
    for (const int mask : {1, 0x80}) {
      flip(path, offset, mask);
      expect_named(place);
      flip(path, offset, mask);
    }
    expect_clean();
  }
  std::uint64_t run_at(PageId where) const { return geometry().page_offset(where.value); }
  std::uint64_t entry_at(PageId where) const { return geometry().entry_offset(where.value); }

  PageId raw, large, page;
  std::uint64_t page_count = 0;
  std::string index;
};

TEST_F(VerifyTest, AWholeStoreHasNoProblems) {
  const auto report = must(offline::verify_directory(vfs, kDirectory, std::chrono::seconds(1)));
  EXPECT_TRUE(report.problems.empty()) << text(report.problems);
  EXPECT_TRUE(report.notes.empty());
  EXPECT_EQ(report.memories_checked, 22U);
  EXPECT_EQ(report.pages_checked, page_count);
  EXPECT_EQ(report.log_batches_checked, 3U);
}

TEST_F(VerifyTest, TheSuperblock) {
  // Magic and version once made it "another program's file": the log beside it knows better.
  for (const std::uint64_t at : {0U, 7U, 8U, 15U, 16U, 19U, 20U, 24U, 28U, 32U, 50U, 64U, 71U}) {
    flip(kPages, at);
    expect_named({"pages.db", 0, 0});
    EXPECT_TRUE(test::is_error(try_open(), ErrorCode::corruption, "superblock"));
    flip(kPages, at);
  }
}

TEST_F(VerifyTest, EachHeaderCopyOfTheLog) {
  for (const std::uint64_t slot : {0U, 1U}) {
    for (const std::uint64_t at : {0U, 8U, 24U, 32U, 40U, 60U, 80U, 119U}) {
      expect_flip_named(kLog, slot * 4096 + at, {"wal.log", slot * 4096, 0});
    }
  }
}

TEST_F(VerifyTest, TheNewestHeaderGoneWithoutATrace) {
  // Epoch 3 lies in slot 1. Zeros look like a slot that was never written; the cached tail knows better.
  overwrite(kLog, 4096, 4096, 0);
  const auto found = problems();
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].file, "wal.log");
}

TEST_F(VerifyTest, ABatchInTheLogsMiddle) {
  for (const std::uint64_t at : {0U, 8U, 16U, 40U, 85U, 150U})
    expect_flip_named(kLog, 8192 + 4096 + at, {"wal.log", 8192 + 4096, 0});
}

TEST_F(VerifyTest, TheLogsLastBatch) {
  expect_flip_named(kLog, 8192 + 2 * 4096 + 100, {"wal.log", 8192 + 2 * 4096, 0});
}

TEST_F(VerifyTest, EveryByteOfARunAndItsSlack) {
  const std::uint64_t payload_end =
      run_at(page) + sizeof(format::RunHeader) +
      base::read_struct<format::RunHeader>(disk.content(kPages), run_at(page)).payload_bytes;
  const std::uint64_t run_end = run_at(page) + entry(page)->run_pages * 1024;
  for (std::uint64_t at = run_at(page); at < run_end; at += at < payload_end - 8 ? 23 : 3) {
    flip(kPages, at);
    expect_named({"pages.db", at < payload_end ? run_at(page) : payload_end, page.value});
    flip(kPages, at);
    if (at > payload_end + 12) break;
  }
  expect_flip_named(kPages, run_end - 1, {"pages.db", payload_end, page.value});
}

TEST_F(VerifyTest, ARawRun) { expect_flip_named(kPages, run_at(raw) + 60, {"pages.db", run_at(raw), raw.value}); }

TEST_F(VerifyTest, TheLastPageOfALongRun) {
  ASSERT_GT(entry(large)->run_pages, 1U);
  expect_flip_named(kPages, run_at(large) + (entry(large)->run_pages - 1) * 1024,
                    {"pages.db", run_at(large), large.value});
}

TEST_F(VerifyTest, DirectoryEntriesOfEveryType) {
  for (int type = 1; type <= 7; ++type) {
    const PageId where = page_with(static_cast<EntryType>(type));
    for (const std::uint64_t byte : {0U, 15U, 16U, 24U, 27U, 28U, 31U}) {
      flip(kPages, entry_at(where) + byte);
      expect_named({"pages.db", entry_at(where), where.value});
      flip(kPages, entry_at(where) + byte);
    }
  }
  expect_clean();
}

// A free page holds any bytes, but no run that could come back.
TEST_F(VerifyTest, ARunOnAFreedPage) {
  for (const EntryType type : {EntryType::deleted, EntryType::moved}) {
    const PageId where = page_with(type);
    for (const bool early : {false, true}) {
      std::vector<std::byte> image(512);
      format::RunHeader header{.checksum = 0,
                               .page = where.value,
                               .lsn = 1'000,
                               .payload_bytes = 0,
                               .run_pages = 1,
                               .type = format::RunType::memory,
                               .early = static_cast<std::uint8_t>(early ? 1 : 0),
                               .reserved = {}};
      format::seal_run_header(header, {}, superblock().seed);
      base::write_struct(std::span(image), 0, header);
      const auto before = disk.content(kPages);
      disk.damage(kPages, run_at(where), image);
      if (early) {
        EXPECT_TRUE(problems().empty());
      } else {
        expect_named({"pages.db", entry_at(where), where.value});
      }
      disk.damage(kPages, run_at(where), std::span(before).subspan(run_at(where), image.size()));
    }
  }
}

TEST_F(VerifyTest, SwappedPages) {
  const PageId other = must(open().find(memory_id(4)));
  const auto content = disk.content(kPages);
  disk.damage(kPages, run_at(page), std::span(content).subspan(run_at(other), 1024));
  disk.damage(kPages, run_at(other), std::span(content).subspan(run_at(page), 1024));
  expect_named({"pages.db", run_at(page), page.value});
  expect_named({"pages.db", run_at(other), other.value});
}

TEST_F(VerifyTest, SwappedDirectoryEntries) {
  const PageId other = must(open().find(memory_id(4)));
  const auto content = disk.content(kPages);
  disk.damage(kPages, entry_at(page), std::span(content).subspan(entry_at(other), 32));
  disk.damage(kPages, entry_at(other), std::span(content).subspan(entry_at(page), 32));
  expect_named({"pages.db", entry_at(page), page.value});
  expect_named({"pages.db", entry_at(other), other.value});
}

TEST_F(VerifyTest, AStaleImageOfAPage) {
  // Every byte of it verifies, but it is not what was written last.
  const auto old = disk.content(kPages);
  {
    auto engine = open();
    must(engine.write_page(raw, std::vector<std::byte>(100, std::byte{6})));
    must(engine.checkpoint());
  }
  expect_clean();
  disk.damage(kPages, run_at(raw), std::span(old).subspan(run_at(raw), 1024));
  expect_named({"pages.db", run_at(raw), raw.value});
}

TEST_F(VerifyTest, AMemoryThatIsThereTwice) {
  const auto old = disk.content(kPages);
  const PageId before = page;
  {
    auto engine = open();
    must(engine.update_memory(memory(3, "newer")));
    must(engine.checkpoint());
  }
  disk.damage(kPages, run_at(before), std::span(old).subspan(run_at(before), 1024));
  disk.damage(kPages, entry_at(before), std::span(old).subspan(entry_at(before), 32));
  EXPECT_FALSE(problems().empty());
}

TEST_F(VerifyTest, AMemoryThatVanishedWithItsEntry) {
  // The entry is set to "never used", with a valid check: the run on the page tells.
  std::array<std::byte, format::kEntryBytes> bytes;
  const PageId where = must(open().find(memory_id(7)));
  ASSERT_EQ(entry(where)->run_pages, 1U);
  format::encode_entry({}, where.value, superblock().seed, bytes);
  disk.damage(kPages, entry_at(where), bytes);
  expect_named({"pages.db", entry_at(where), where.value});
}

TEST_F(VerifyTest, TruncatedPages) {
  const std::size_t size = disk.content(kPages).size();
  for (const std::size_t left : {size - 1, size - 1024, geometry().page_offset(5), std::size_t{8192}}) {
    truncate(kPages, left);
    expect_named({"pages.db", left, 0});
  }
}

TEST_F(VerifyTest, AMissingIndex) {
  disk.erase("/db/" + index);
  expect_named({index, 0, 0});
}

TEST_F(VerifyTest, TheIndexHeaderAndSize) {
  const std::string path = "/db/" + index;
  for (const std::uint64_t at : {0U, 8U, 16U, 24U, 40U, 60U, 72U, 80U, 95U})
    expect_flip_named(path.c_str(), at, {index, 0, 0});
  truncate(path.c_str(), disk.content(path).size() - 8);
  expect_named({index, 0, 0});
}

TEST_F(VerifyTest, IndexBuckets) {
  const std::string path = "/db/" + index;
  const auto content = disk.content(path);
  int checked = 0;
  for (std::uint64_t at = format::kIndexBucketsOffset; at < content.size(); at += 8) {
    const auto slot = base::read_struct<std::uint64_t>(content, at);
    if (format::bucket_page(slot) == 0 || checked == 5) continue;
    ++checked;
    for (const std::uint64_t byte : {0U, 3U, 4U, 7U}) {
      flip(path.c_str(), at + byte);
      const auto found = problems();
      ASSERT_FALSE(found.empty()) << "slot at " << at;
      EXPECT_EQ(found[0].file, index);
      flip(path.c_str(), at + byte);
    }
  }
  EXPECT_EQ(checked, 5);
  // A slot for nobody.
  const std::uint64_t free_slot = format::make_bucket(0x1234'5678, page.value);
  for (std::uint64_t at = format::kIndexBucketsOffset; at < content.size(); at += 8) {
    if (base::read_struct<std::uint64_t>(content, at) != format::kEmptyBucket) continue;
    disk.damage(path, at, base::bytes_of(free_slot));
    break;
  }
  const auto found = problems();
  ASSERT_EQ(found.size(), 2U) << text(found);  // the slot, and the count of slots in use
  EXPECT_EQ(found[0].file, index);
  EXPECT_GE(found[0].offset, format::kIndexBucketsOffset);
  EXPECT_EQ(found[1].offset, format::kIndexUsedOffset);
}

TEST_F(VerifyTest, AnUnreadableSector) {
  disk.set_bad(kPages, run_at(page), 512);
  expect_named({"pages.db", run_at(page), page.value});
}

TEST_F(VerifyTest, EveryProblemNamesARemedy) {
  flip(kPages, run_at(page) + 50);
  flip(kPages, entry_at(large) + 3);
  flip(kLog, 20);
  for (const Problem& problem : problems()) {
    EXPECT_TRUE(problem.message.find("run ") != std::string::npos ||
                problem.message.find("restore") != std::string::npos)
        << problem.message;
  }
}

TEST_F(VerifyTest, WorksOnAStoreThatNoEngineCanOpen) {
  flip(kLog, 8192 + 4096 + 50);
  EXPECT_FALSE(try_open());
  EXPECT_FALSE(problems().empty());
}

TEST_F(VerifyTest, NeedsAStore) {
  EXPECT_TRUE(
      test::is_error(offline::verify_directory(vfs, "/none", std::chrono::seconds(1)), ErrorCode::not_found, "/none"));
  must(vfs.open_directory("/empty", true));
  EXPECT_TRUE(test::is_error(offline::verify_directory(vfs, "/empty", std::chrono::seconds(1)), ErrorCode::not_found,
                             "/empty"));
}

}  // namespace
}  // namespace mentedb

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <span>

#include "rs_store/store.hpp"
#include "rs_store_builder.hpp"
#include "support/results.hpp"
#include "support/run_command.hpp"
#include "support/temp_directory.hpp"
#include "support/test_data.hpp"

namespace mentedb::rs_store {
namespace {

using test::must;
using test::rs_memory;
using test::RsStoreBuilder;
using test::TempDirectory;

constexpr const char* kA = "aaaaaaaa-0000-4000-8000-000000000001";
constexpr const char* kB = "bbbbbbbb-0000-4000-8000-000000000002";
constexpr const char* kC = "cccccccc-0000-4000-8000-000000000003";

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// content by id, as an import would see it
std::map<std::string, std::string> read(const RsStoreBuilder& builder, Contents* contents = nullptr) {
  TempDirectory directory;
  builder.write(directory.path());
  const auto store = Store::open(directory.path());
  EXPECT_TRUE(store) << store.error().message;
  const auto scanned = store->scan();
  EXPECT_TRUE(scanned);
  std::map<std::string, std::string> found;
  for (const Entry& entry : scanned->memories) {
    const auto node = store->load(entry.page);
    EXPECT_TRUE(node);
    EXPECT_EQ(node->id, entry.id);
    found[node->id.to_string()] = node->content;
  }
  EXPECT_EQ(found.size(), scanned->memories.size());
  EXPECT_FALSE(store->changed());
  if (contents != nullptr) *contents = *scanned;
  return found;
}

using Found = std::map<std::string, std::string>;

TEST(RsStore, ReadsPagesAndPassesOverFreeAndEmptyOnes) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  builder.add_free_page(0);
  builder.add_empty_page();
  builder.add_page(rs_memory(kB, "two"));
  Contents contents;
  EXPECT_EQ(read(builder, &contents), (Found{{kA, "one"}, {kB, "two"}}));
  EXPECT_TRUE(contents.damage.empty());
  EXPECT_TRUE(contents.notes.empty());
}

TEST(RsStore, ReplaysTheLog) {
  RsStoreBuilder builder;
  const auto one = builder.add_page(rs_memory(kA, "old"));
  const auto two = builder.add_page(rs_memory(kB, "freed in the log"));
  const auto three = builder.add_empty_page();
  builder.log_write(one, rs_memory(kA, "new")).log_commit().log_free(two).log_write(three, rs_memory(kC, "three"));
  Contents contents;
  EXPECT_EQ(read(builder, &contents), (Found{{kA, "new"}, {kC, "three"}}));
  for (const Entry& entry : contents.memories) EXPECT_TRUE(entry.from_log);
}

TEST(RsStore, TheLastEntryAboutAPageCounts) {
  RsStoreBuilder builder;
  const auto page = builder.add_page(rs_memory(kA, "0"));
  builder.log_write(page, rs_memory(kA, "1")).log_free(page).log_write(page, rs_memory(kB, "2"));
  EXPECT_EQ(read(builder), (Found{{kB, "2"}}));
}

// The engine died after it had logged a new page and before the file was extended or its header written.
TEST(RsStore, ReadsPagesThatOnlyTheLogKnows) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  builder.log_write(2, rs_memory(kB, "two")).log_write(1'000'000'000'000, rs_memory(kC, "far away"));
  EXPECT_EQ(read(builder), (Found{{kA, "one"}, {kB, "two"}, {kC, "far away"}}));
}

// Old versions did not log frees: replaying what lies before a checkpoint would bring the memory back.
TEST(RsStore, WhatACheckpointCoversIsNotReplayed) {
  RsStoreBuilder builder;
  builder.add_free_page(0);
  builder.add_page(rs_memory(kB, "two"));
  builder.log_write(1, rs_memory(kA, "deleted since")).log_checkpoint().log_write(2, rs_memory(kB, "newer"));
  EXPECT_EQ(read(builder), (Found{{kB, "newer"}}));
}

// Each checkpoint entry visited every page written before it: minutes for a log of a few megabytes (I10).
TEST(RsStore, ManyCheckpointsTakeNoLongerThanManyWrites) {
  RsStoreBuilder builder;
  for (std::uint64_t i = 1; i <= 40'000; ++i) builder.log_entry(1, i, "");
  for (std::uint64_t i = 1; i <= 40'000; ++i) builder.log_checkpoint();
  builder.log_entry(1, 7, "");
  const auto begin = std::chrono::steady_clock::now();
  const Log log = parse_log(std::as_bytes(std::span(builder.log())));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_EQ(log.entries, 80'001U);
  EXPECT_FALSE(log.newest.at(6).after_checkpoint);
  EXPECT_TRUE(log.newest.at(7).after_checkpoint);
}

TEST(RsStore, WhatACheckpointCoversHealsADamagedPage) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  builder.log_write(1, rs_memory(kA, "one")).log_checkpoint();
  builder.pages()[500] ^= 1;
  Contents contents;
  EXPECT_EQ(read(builder, &contents), (Found{{kA, "one"}}));
  EXPECT_TRUE(contents.damage.empty());
}

TEST(RsStore, DamagedPagesAreNamedAndTheOthersRead) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  builder.add_page("{\"id\":5}");
  builder.add_page(rs_memory(kB, "two"));
  builder.pages()[100] ^= 1;
  Contents contents;
  EXPECT_EQ(read(builder, &contents), (Found{{kB, "two"}}));
  ASSERT_EQ(contents.damage.size(), 2U);
  EXPECT_EQ(contents.damage[0].page, 1U);
  EXPECT_NE(contents.damage[0].message.find("checksum"), std::string::npos);
  EXPECT_EQ(contents.damage[1].page, 2U);
  EXPECT_NE(contents.damage[1].message.find("id: expected a string"), std::string::npos);
}

// Every byte of a page that the original's checksum covers is checked, and the seven that it does not cover are not.
TEST(RsStore, TheChecksumCoversWhatTheOriginalCovers) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  std::string page = builder.pages();
  ASSERT_EQ(parse_page(bytes_of(page), 1)->kind, PageKind::memory);
  constexpr std::size_t kCovered[] = {0, 7, 8, 15, 16, 19, 20, 21, 22, 23, 24, 32, 35, 36, 300, 40'000, 65'535};
  for (std::size_t at : kCovered) {
    page[at] ^= 1;
    EXPECT_FALSE(parse_page(bytes_of(page), 1)) << at;
    page[at] ^= 1;
  }
  for (std::size_t at = 25; at < 32; ++at) {
    page[at] ^= 1;
    EXPECT_TRUE(parse_page(bytes_of(page), 1)) << at;
    page[at] ^= 1;
  }
  EXPECT_FALSE(parse_page(bytes_of(page), 2)) << "a page in the wrong place";
  for (std::size_t i = 16; i < 20; ++i) page[i] = 0;  // no checksum: not checked
  page[40] ^= 1;
  EXPECT_TRUE(parse_page(bytes_of(page), 1));
}

TEST(RsStore, AnIdInTwoPagesIsToldAndTheLaterPageCounts) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "early"));
  builder.add_page(rs_memory(kA, "late"));
  Contents contents;
  EXPECT_EQ(read(builder, &contents), (Found{{kA, "late"}}));
  ASSERT_EQ(contents.notes.size(), 1U);
  EXPECT_NE(contents.notes[0].find("page 1 and in page 2"), std::string::npos) << contents.notes[0];
}

TEST(RsStore, ATornLogCountsAsFarAsItIsValid) {
  RsStoreBuilder builder;
  builder.add_empty_page();
  builder.add_empty_page();
  builder.log_write(1, rs_memory(kA, "one"));
  const std::size_t first = builder.log().size();
  builder.log_write(2, rs_memory(kB, "two"));
  const std::string whole = builder.log();
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const Log log = parse_log(bytes_of(whole.substr(0, length)));
    EXPECT_EQ(log.entries, length < first ? 0U : length < whole.size() ? 1U : 2U) << length;
    EXPECT_EQ(log.valid_bytes, length < first ? 0U : length < whole.size() ? first : length);
    EXPECT_EQ(log.end.empty(), length == 0 || length == first || length == whole.size());
  }
  builder.log() = whole.substr(0, whole.size() - 1);
  Contents contents;
  EXPECT_EQ(read(builder, &contents), (Found{{kA, "one"}}));
  ASSERT_EQ(contents.notes.size(), 1U);
  EXPECT_NE(contents.notes[0].find("cut short"), std::string::npos);
}

TEST(RsStore, EveryFlippedBitOfTheLogIsNoticed) {
  RsStoreBuilder builder;
  builder.log_write(1, rs_memory(kA, "one"));
  std::string log = builder.log();
  for (std::size_t i = 0; i < log.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      log[i] = static_cast<char>(log[i] ^ (1 << bit));
      EXPECT_EQ(parse_log(bytes_of(log)).entries, 0U) << i;
      log[i] = static_cast<char>(log[i] ^ (1 << bit));
    }
  }
}

TEST(RsStore, HostileLogEntriesAllocateNothingLarge) {
  RsStoreBuilder builder;
  builder.log_entry(1, 1, std::string(65'504, 'x'));
  EXPECT_EQ(parse_log(bytes_of(builder.log())).entries, 1U);
  builder.log().clear();
  builder.log_entry(1, 1, std::string(65'505, 'x'));  // no page holds that much
  EXPECT_EQ(parse_log(bytes_of(builder.log())).entries, 0U);
  builder.log().clear();
  builder.log_entry(9, 1, "x");
  EXPECT_NE(parse_log(bytes_of(builder.log())).end.find("unknown type 9"), std::string::npos);
}

TEST(RsStore, RandomBytesNeverCrash) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes(random() % 400, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % (i % 2 == 0 ? 256 : 30));
    (void)parse_log(bytes_of(bytes));
    (void)parse_file_header(bytes_of(bytes));
    (void)parse_page(bytes_of(bytes), 1);
    (void)parse_page_data(bytes_of(bytes));
  }
  std::string page(65'536, '\0');
  for (int i = 0; i < 200; ++i) {
    for (std::size_t k = 0; k < 48; ++k) page[k] = static_cast<char>(random());
    for (std::size_t k = 16; k < 20; ++k) page[k] = 0;
    page[24] = 1;
    const auto content = parse_page(bytes_of(page), 1);
    if (content && content->kind == PageKind::memory) {
      EXPECT_LE(content->json.size(), 65'500U);
    }
  }
}

TEST(RsStore, RefusesWhatIsNoStoreOfTheOriginal) {
  TempDirectory directory;
  EXPECT_EQ(Store::open(directory.path()).error().code, ErrorCode::not_found);
  EXPECT_EQ(Store::open(directory / "missing").error().code, ErrorCode::not_found);
  const auto write = [&](const std::string& text) { std::ofstream(directory / "pages.db") << text; };
  write("");
  EXPECT_EQ(Store::open(directory.path()).error().code, ErrorCode::corruption);
  write("SQLite format 3 and then some more bytes");
  EXPECT_EQ(Store::open(directory.path()).error().code, ErrorCode::incompatible);
  std::string pages = RsStoreBuilder().pages_file();
  pages[8] = 2;
  write(pages);
  EXPECT_NE(Store::open(directory.path()).error().message.find("version is 2"), std::string::npos);
  std::filesystem::remove(directory / "pages.db");
  std::filesystem::create_directory(directory / "pages.db");
  EXPECT_EQ(Store::open(directory.path()).error().code, ErrorCode::incompatible);
}

TEST(RsStore, AHeaderThatLiesIsToldAndDoesNoHarm) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  builder.add_page(rs_memory(kB, "two"));
  TempDirectory directory;
  const auto scan = [&](std::uint64_t count) {
    builder.write(directory.path(), count);
    return must(Store::open(directory.path())->scan());
  };
  EXPECT_EQ(scan(3).memories.size(), 2U);
  Contents more = scan(~std::uint64_t{0});
  EXPECT_EQ(more.memories.size(), 2U);
  EXPECT_EQ(more.notes.size(), 1U);
  Contents fewer = scan(2);
  EXPECT_EQ(fewer.memories.size(), 1U);
  EXPECT_EQ(fewer.notes.size(), 1U);
  EXPECT_EQ(scan(0).memories.size(), 0U);
  // cut inside the last page
  builder.write(directory.path());
  std::filesystem::resize_file(directory / "pages.db", 2 * 65'536 + 1000);
  const Contents cut = must(Store::open(directory.path())->scan());
  EXPECT_EQ(cut.memories.size(), 1U);
  ASSERT_EQ(cut.damage.size(), 1U);
  EXPECT_EQ(cut.damage[0].page, 2U);
}

TEST(RsStore, AMissingLogIsAnEmptyOne) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  TempDirectory directory;
  builder.write(directory.path());
  std::filesystem::remove(directory / "wal.log");
  EXPECT_EQ(Store::open(directory.path())->scan()->memories.size(), 1U);
}

TEST(RsStore, NoticesThatSomebodyWritesMeanwhile) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory(kA, "one"));
  TempDirectory directory;
  builder.write(directory.path());
  const auto store = Store::open(directory.path());
  EXPECT_FALSE(store->changed());
  std::ofstream(directory / "wal.log", std::ios::app) << "more";
  EXPECT_TRUE(store->changed());
}

// Written by the real engine; see the data's README for what is special about each.
TEST(RsStore, ReadsTheRealSamples) {
  const auto archive = test::test_data("mentedb-rs/stores.tar.xz");
  if (!archive) GTEST_SKIP() << "MENTEDB_TEST_DATA is not set or has no mentedb-rs/stores.tar.xz";
  TempDirectory directory;
  const auto unpacked = test::run_command({"tar", "-xJf", archive->string(), "-C", directory.path().string()});
  if (unpacked.status != 0) GTEST_SKIP() << "tar and xz are needed: " << unpacked.err;
  for (const char* name : {"checkpointed", "log-to-replay", "release-0.11.3"}) {
    std::set<std::string> expected;
    std::ifstream ids(directory / (std::string(name) + ".ids"));
    for (std::string line; std::getline(ids, line);) expected.insert(line);
    ASSERT_FALSE(expected.empty()) << name;
    const auto store = Store::open(directory / name);
    ASSERT_TRUE(store) << store.error().message;
    const auto contents = store->scan();
    ASSERT_TRUE(contents);
    EXPECT_TRUE(contents->damage.empty());
    EXPECT_TRUE(contents->notes.empty());
    std::set<std::string> found;
    for (const Entry& entry : contents->memories) {
      found.insert(entry.id.to_string());
      EXPECT_TRUE(store->load(entry.page));
    }
    EXPECT_EQ(found, expected) << name;
  }
}

}  // namespace
}  // namespace mentedb::rs_store

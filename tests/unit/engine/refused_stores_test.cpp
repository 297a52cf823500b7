// Directories that are no store of ours, or no longer a whole one: a clear error with a remedy, and nothing is changed.
#include <gtest/gtest.h>

#include <fstream>

#include <sys/stat.h>

#include "format/geometry.hpp"
#include "support/store_fixture.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using test::is_error;
using test::memory;
using test::memory_id;
using test::must;
using test::ok;

class RefusedStoresTest : public test::StoreFixture {
 protected:
  RefusedStoresTest() {
    auto engine = open();
    for (std::uint64_t i = 0; i < 20; ++i) must(engine.store_memory(memory(i)));
  }

  /// Opening is refused with this error, reading and writing, and again; a salvage would still find every byte.
  void expect_refused(ErrorCode code, std::string_view words) {
    const auto pages = disk.content(kPages);
    const auto log = disk.content(kLog);
    for (const bool read_only : {false, true, false}) {
      Options options;
      options.read_only = read_only;
      EXPECT_TRUE(is_error(try_open(options), code, words)) << (read_only ? "read-only" : "");
    }
    const auto skip_words = [](std::vector<std::byte> bytes) {
      if (bytes.size() >= format::kLeastPagesFileBytes) {  // derived, never the truth
        std::fill_n(bytes.begin() + format::kSharedStateOffset, base::kBlockBytes, std::byte{0});
      }
      return bytes;
    };
    EXPECT_TRUE(skip_words(disk.content(kPages)) == skip_words(pages)) << "pages.db was changed";
    EXPECT_TRUE(disk.content(kLog) == log) << "wal.log was changed";
  }

  void patch_superblock(const std::function<void(format::Superblock&)>& change) {
    auto s = superblock();
    change(s);
    std::array<std::byte, base::kBlockBytes> block{};
    format::encode_superblock(s, block);
    disk.damage(kPages, 0, block);
  }
};

TEST_F(RefusedStoresTest, ANewerFormat) {
  patch_superblock([](format::Superblock& s) { s.version = format::kFormatVersion + 1; });
  expect_refused(ErrorCode::incompatible, "use a newer mentedb");
  EXPECT_TRUE(is_error(offline::verify_directory(vfs, kDirectory, std::chrono::seconds(1)), ErrorCode::incompatible,
                       "pages.db"));
}

TEST_F(RefusedStoresTest, TheOriginalEnginesFiles) {
  std::vector<std::byte> pages(2 * 65'536);
  base::write_struct(std::span(pages), 0, format::kOriginalMagic);
  disk.install(kPages, pages);
  disk.install(kLog, std::vector<std::byte>(300, std::byte{0x21}));
  expect_refused(ErrorCode::incompatible, "import --from mentedb-rs");
}

TEST_F(RefusedStoresTest, FilesOfAnotherProgram) {
  std::vector<std::byte> bytes(100'000, std::byte{'S'});
  disk.install(kPages, bytes);
  // Beside a log of ours it is our file, and damaged: the remedy is another one.
  expect_refused(ErrorCode::corruption, "the superblock of /db/pages.db is damaged");
  disk.install(kLog, bytes);
  expect_refused(ErrorCode::incompatible, "pages.db is not a MenteDB file");
  disk.erase(kPages);
  disk.install(kLog, bytes);
  expect_refused(ErrorCode::incompatible, "wal.log is not a MenteDB log");
  EXPECT_FALSE(disk.exists(kPages));
  // Also when it is short.
  disk.install(kLog, std::span(bytes).first(10));
  expect_refused(ErrorCode::incompatible, "wal.log");
}

TEST_F(RefusedStoresTest, NoLogBesideThePages) {
  disk.erase(kLog);
  EXPECT_TRUE(is_error(try_open(), ErrorCode::corruption, "wal.log is missing"));
  EXPECT_TRUE(is_error(try_open(), ErrorCode::corruption, "restore a backup"));
  const auto found = problems();
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].file, "wal.log") << text(found);
}

TEST_F(RefusedStoresTest, NoPagesBesideTheLog) {
  disk.erase(kPages);
  expect_refused(ErrorCode::corruption, "pages.db is missing");
  EXPECT_FALSE(disk.exists(kPages)) << "never a silent fresh store";
  const auto found = problems();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].message.find("pages.db"), std::string::npos);
}

TEST_F(RefusedStoresTest, TruncatedPages) {
  const auto whole = disk.content(kPages);
  const std::size_t size = whole.size();
  for (const std::size_t left :
       {std::size_t{0}, std::size_t{10}, std::size_t{512}, std::size_t{4096}, std::size_t{69'631}, std::size_t{69'632},
        std::size_t{100'000}, std::size_t{1'000'000}, size - 1024, size - 1}) {
    disk.install(kPages, std::span(whole).first(left));
    expect_refused(ErrorCode::corruption, "pages.db");
    const auto found = problems();
    ASSERT_FALSE(found.empty()) << left;
    EXPECT_EQ(found[0].file, "pages.db") << left;
  }
}

TEST_F(RefusedStoresTest, TruncatedLog) {
  const auto whole = disk.content(kLog);
  for (const std::size_t left :
       {std::size_t{0}, std::size_t{100}, std::size_t{4096}, std::size_t{4096 + 119}, std::size_t{8192},
        std::size_t{8192 + 4096}, std::size_t{8192 + 19 * 4096}, std::size_t{8192 + 19 * 4096 + 100}}) {
    disk.install(kLog, std::span(whole).first(left));
    expect_refused(ErrorCode::corruption, "wal.log");
    EXPECT_FALSE(problems().empty()) << left;
  }
  // Behind the last batch nothing is missing.
  disk.install(kLog, std::span(whole).first(8192 + 20 * 4096));
  auto engine = open();
  must(engine.store_memory(memory(100)));
  expect_clean();
}

TEST_F(RefusedStoresTest, ALogOfAnotherStore) {
  {
    auto other = open({}, "/other");
    must(other.store_memory(memory(1)));
  }
  disk.install(kLog, disk.content("/other/wal.log"));
  expect_refused(ErrorCode::corruption, "belongs to another store");
  const auto found = problems();
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found[0].message.find("another store"), std::string::npos);
}

TEST_F(RefusedStoresTest, TheLogOfItsBackup) {
  // The same store id and another incarnation: its LSNs and pages went another way.
  {
    auto engine = open();
    must(engine.backup("/copy"));
    auto copy = open({}, "/copy");
    must(copy.store_memory(memory(30)));
  }
  disk.install(kLog, disk.content("/copy/wal.log"));
  expect_refused(ErrorCode::corruption, "belongs to another store");
}

TEST_F(RefusedStoresTest, ADamagedSuperblock) {
  for (const std::uint64_t at : {0U, 21U, 24U, 40U, 70U}) {
    flip(kPages, at);
    expect_refused(ErrorCode::corruption, "superblock of /db/pages.db");
    flip(kPages, at);
  }
  overwrite(kPages, 0, 4096, 0);
  expect_refused(ErrorCode::corruption, "pages.db");
}

TEST_F(RefusedStoresTest, BothHeadersOfTheLogDamaged) {
  flip(kLog, 4096 + 30);
  expect_refused(ErrorCode::corruption, "wal.log");
  overwrite(kLog, 0, 8192, 0);
  expect_refused(ErrorCode::corruption, "wal.log");
}

TEST_F(RefusedStoresTest, DamageInTheLogsMiddleIsNeverASilentCut) {
  flip(kLog, 8192 + 10 * 4096 + 90);
  expect_refused(ErrorCode::corruption, "wal.log is damaged at byte " + std::to_string(8192 + 10 * 4096));
}

TEST_F(RefusedStoresTest, DamageOfTheLogsLastSyncedBatchIsNoticedToo) {
  // No complete batch follows, but the cached tail of the same boot knows that it was committed.
  flip(kLog, 8192 + 19 * 4096 + 90);
  expect_refused(ErrorCode::corruption, "wal.log");
}

TEST_F(RefusedStoresTest, ANewestHeaderThatIsDamagedIsNeverTheEndOfTheStory) {
  {
    auto engine = open();
    must(engine.checkpoint());
    must(engine.store_memory(memory(50)));
  }
  flip(kLog, 20);  // epoch 2 lies in slot 0
  expect_refused(ErrorCode::corruption, "wal.log");
}

TEST_F(RefusedStoresTest, ADamagedOlderHeaderDoesNoHarm) {
  {
    auto engine = open();
    must(engine.checkpoint());
    must(engine.store_memory(memory(50)));
  }
  flip(kLog, 4096 + 20);
  EXPECT_FALSE(problems().empty());
  auto engine = open();
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 21U);
  expect_clean();
}

// The last step of its creation was seen in the page cache and never reached the disk: the store was used meanwhile.
TEST_F(RefusedStoresTest, AStoreWhoseCreationLacksItsLastStepIsFinished) {
  patch_superblock([](format::Superblock& s) { s.state = format::StoreState::creating; });
  auto engine = open();
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 20U);
  expect_clean();
}

TEST_F(RefusedStoresTest, AStoreThatWasNeverFinishedBeginsAgain) {
  patch_superblock([](format::Superblock& s) { s.state = format::StoreState::creating; });
  const std::vector<std::byte> no_slots(2 * 4096);
  disk.damage(kLog, 0, no_slots);
  auto engine = open();
  EXPECT_TRUE(must(engine.scan_all_memories()).empty());
  EXPECT_EQ(must(engine.store_memory(memory(1))), PageId{1});
  expect_clean();
}

TEST(RefusedDirectories, OnTheRealDisk) {
  const test::TempDirectory temp;
  std::ofstream(temp / "file") << "text";
  EXPECT_TRUE(is_error(StorageEngine::open(temp / "file"), ErrorCode::invalid_argument, (temp / "file").string()));
  EXPECT_TRUE(is_error(StorageEngine::open(temp / "file" / "below"), ErrorCode::invalid_argument));
  std::filesystem::create_directory(temp / "open");
  ASSERT_EQ(chmod((temp / "open").c_str(), 0777), 0);
  EXPECT_TRUE(is_error(StorageEngine::open(temp / "open"), ErrorCode::permission_denied, "chmod"));
  std::filesystem::create_directory(temp / "link");
  std::filesystem::create_symlink(temp / "file", temp / "link" / "wal.log");
  EXPECT_TRUE(is_error(StorageEngine::open(temp / "link"), ErrorCode::invalid_argument, "wal.log"));
  std::filesystem::create_directory(temp / "fifo");
  ASSERT_EQ(mkfifo((temp / "fifo" / "wal.log").c_str(), 0600), 0);
  EXPECT_TRUE(is_error(StorageEngine::open(temp / "fifo"), ErrorCode::invalid_argument, "wal.log"));
  std::filesystem::create_directories(temp / "sub" / "pages.db");
  EXPECT_TRUE(is_error(StorageEngine::open(temp / "sub"), ErrorCode::invalid_argument, "pages.db"));
}

// Within a mount `open` reads no log. It still looks whether the files are as long as the shared state says, and a file
// that was cut short is told by who recovers. On the real disk: the simulated one has no truncate.
TEST(RefusedFiles, AFileThatWasCutShortIsRefusedWithinAMount) {
  for (const char* name : {"pages.db", "wal.log"}) {
    const test::TempDirectory temp;
    const auto path = temp / "store";
    {
      auto engine = must(StorageEngine::open(path));
      for (std::uint64_t i = 0; i < 300; ++i) must(engine.store_memory(memory(i)));
      ASSERT_TRUE(ok(StorageEngine::open(path)));
    }
    std::filesystem::resize_file(path / name, std::filesystem::file_size(path / name) / 2);
    EXPECT_TRUE(is_error(StorageEngine::open(path), ErrorCode::corruption, name)) << name;
  }
}

}  // namespace
}  // namespace mentedb

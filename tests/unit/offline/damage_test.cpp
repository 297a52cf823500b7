// Damage of every kind to the files of a store on the real disk: verify names it (I12), salvage saves the rest and says
// what is lost. tests/support/damage/damaged_store.hpp says what has to hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "base/bytes.hpp"
#include "format/index_format.hpp"
#include "format/log_format.hpp"
#include "support/damage/damaged_store.hpp"

namespace mentedb::test {
namespace {

using format::EntryType;

class DamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    static DamagedStore* const shared = new DamagedStore(1);  // damaged and made whole again by each test
    store = shared;
  }
  void TearDown() override {
    const auto report = store->verify();
    EXPECT_TRUE(report.problems.empty()) << "not made whole again:\n" << DamagedStore::text(report.problems);
  }

  /// verify names the file, and the place when one is given.
  void expect_verified(const std::filesystem::path& file, std::optional<std::uint64_t> offset,
                       const std::string& what) {
    const auto report = store->verify();
    const bool named = std::ranges::any_of(report.problems, [&](const Problem& problem) {
      return problem.file == file.filename() && (!offset || problem.offset == *offset) && !problem.message.empty();
    });
    EXPECT_TRUE(named) << what << ": verify found\n" << DamagedStore::text(report.problems, report.notes);
  }
  /// The same, and salvage keeps its promises and misses so many memories.
  void expect_named(const std::filesystem::path& file, std::optional<std::uint64_t> offset, std::size_t missing,
                    const std::string& what) {
    expect_verified(file, offset, what);
    expect_salvaged(missing, what);
  }
  void expect_salvaged(std::size_t missing, const std::string& what) {
    const auto salvaged = store->salvage();
    const auto found = DamagedStore::text(salvaged.report.lost, salvaged.report.notes);
    EXPECT_EQ(salvaged.wrong, "") << what << ":\n" << found;
    EXPECT_EQ(salvaged.missing.size(), missing) << what << ":\n" << found;
  }
  void expect_harmless(const std::string& what) {
    const auto report = store->verify();
    EXPECT_TRUE(report.problems.empty()) << what << ":\n" << DamagedStore::text(report.problems);
    expect_salvaged(0, what);
  }

  std::uint64_t run_at(std::uint64_t page) const { return store->geometry().page_offset(page); }
  std::uint64_t entry_at(std::uint64_t page) const { return store->geometry().entry_offset(page); }
  /// A memory that the log does not have, on one page.
  std::uint64_t page_of_one() const {
    for (std::uint64_t page = 1; page <= store->page_count(); ++page) {
      const auto entry = store->entry(page);
      if (entry && entry->type == EntryType::memory_stored && entry->run_pages == 1 && !in_log(entry->lsn)) return page;
    }
    throw std::runtime_error("no such page");
  }
  std::uint64_t long_run() const {
    for (std::uint64_t page = 1; page <= store->page_count(); ++page) {
      const auto entry = store->entry(page);
      if (entry && format::is_memory(entry->type) && entry->run_pages > 1 && !in_log(entry->lsn)) return page;
    }
    throw std::runtime_error("no such page");
  }
  bool in_log(std::uint64_t lsn) const {
    const auto first = store->read(store->log(), store->batches().front(), sizeof(format::BatchHeader));
    return lsn >= base::read_struct<format::BatchHeader>(first).first_lsn;
  }
  std::size_t all() const { return store->memories().size(); }

  DamagedStore* store = nullptr;
};

TEST_F(DamageTest, AWholeStoreLosesNothing) { expect_harmless("no damage"); }

TEST_F(DamageTest, EachFieldOfTheSuperblock) {
  // Checksum, magic, version, state, page size, reserved, store id, incarnation: the rest of the files makes up for it.
  for (const std::uint64_t at : {0U, 9U, 16U, 20U, 24U, 25U, 28U, 35U, 50U}) {
    const auto damage = Damage::flip(store->pages(), at, 2);
    expect_named(store->pages(), 0, 0, "superblock byte " + std::to_string(at));
  }
  // Without the seed no checksum can be compared, and what decodes is taken.
  const auto seed = Damage::flip(store->pages(), 64);
  expect_named(store->pages(), 0, 0, "the seed");
  const auto salvaged = store->salvage();
  EXPECT_NE(DamagedStore::text({}, salvaged.report.notes).find("seed of their checksums is lost"), std::string::npos);
}

TEST_F(DamageTest, TheSuperblockIsGone) {
  for (const std::size_t size : {512U, 4'096U}) {
    const auto damage = Damage::zeros(store->pages(), 0, size);
    expect_named(store->pages(), 0, 0, "no superblock");
  }
}

TEST_F(DamageTest, TheLogsHeaders) {
  for (const std::uint64_t slot : {0U, 1U}) {
    for (const std::uint64_t at : {0U, 8U, 16U, 20U, 24U, 32U, 40U, 48U, 64U, 80U, 119U}) {
      const auto damage = Damage::flip(store->log(), slot * 4'096 + at);
      expect_verified(store->log(), slot * 4'096, "slot " + std::to_string(slot) + " byte " + std::to_string(at));
    }
    const auto damage = Damage::flip(store->log(), slot * 4'096 + 50);
    expect_salvaged(0, "slot " + std::to_string(slot));
  }
  const auto both = Damage::zeros(store->log(), 0, 8'192);
  expect_named(store->log(), 0, 0, "both headers");
}

TEST_F(DamageTest, EachBatchOfTheLog) {
  // What a batch did is in the pages, too.
  for (const std::uint64_t batch : store->batches()) {
    for (const std::uint64_t at : {0U, 8U, 16U, 24U, 32U, 36U, 40U, 80U, 84U, 88U, 96U, 112U, 119U}) {
      const auto damage = Damage::flip(store->log(), batch + at);
      expect_verified(store->log(), batch, "batch at " + std::to_string(batch) + " byte " + std::to_string(at));
    }
    const auto damage = Damage::flip(store->log(), batch + 100);
    expect_salvaged(0, "batch at " + std::to_string(batch));
  }
}

TEST_F(DamageTest, ABatchAndThePageItWrote) {
  // The batches behind it verify on their own: what they hold is not lost with it.
  const std::uint64_t batch = store->batches()[2];
  const auto operation = base::read_struct<format::OperationHeader>(
      store->read(store->log(), batch + sizeof(format::BatchHeader), sizeof(format::OperationHeader)));
  const auto in_log = Damage::flip(store->log(), batch + 100);
  const auto in_page = Damage::flip(store->pages(), run_at(operation.page) + 60);
  expect_named(store->log(), batch, 1, "batch and page");
  expect_named(store->pages(), run_at(operation.page), 1, "batch and page");
  const std::uint64_t later = store->batches()[3];
  const auto next = base::read_struct<format::OperationHeader>(
      store->read(store->log(), later + sizeof(format::BatchHeader), sizeof(format::OperationHeader)));
  const auto also = Damage::flip(store->pages(), run_at(next.page) + 60);
  expect_salvaged(1, "a page whose batch lies behind the damage");
}

TEST_F(DamageTest, ARunAndItsSlack) {
  const std::uint64_t page = page_of_one();
  const auto header =
      base::read_struct<format::RunHeader>(store->read(store->pages(), run_at(page), sizeof(format::RunHeader)));
  for (std::uint64_t at = 0; at < sizeof(header) + header.payload_bytes; at += at < 40 ? 3 : 61) {
    const auto damage = Damage::flip(store->pages(), run_at(page) + at, 0x40);
    expect_verified(store->pages(), run_at(page), "run byte " + std::to_string(at));
    if (at % 5 == 0) expect_salvaged(1, "run byte " + std::to_string(at));
  }
  const auto slack = Damage::flip(store->pages(), run_at(page) + 1'023);
  expect_named(store->pages(), run_at(page) + sizeof(header) + header.payload_bytes, 0, "slack");
}

TEST_F(DamageTest, ALaterPageOfALongRun) {
  const std::uint64_t page = long_run();
  const auto header =
      base::read_struct<format::RunHeader>(store->read(store->pages(), run_at(page), sizeof(format::RunHeader)));
  const auto damage = Damage::flip(store->pages(), run_at(page) + sizeof(header) + header.payload_bytes - 1);
  expect_named(store->pages(), run_at(page), 1, "a page inside a run");
}

TEST_F(DamageTest, DirectoryEntriesOfEveryType) {
  // The page says itself what is on it: nothing is lost with an entry alone.
  for (int type = 1; type <= 7; ++type) {
    const std::uint64_t page = store->page_with(static_cast<EntryType>(type));
    for (const std::uint64_t at : {0U, 15U, 16U, 23U, 24U, 26U, 27U, 28U, 31U}) {
      const auto damage = Damage::flip(store->pages(), entry_at(page) + at);
      expect_verified(store->pages(), entry_at(page), "entry of type " + std::to_string(type));
      if (at == 16) expect_salvaged(0, "entry of type " + std::to_string(type));
    }
  }
}

TEST_F(DamageTest, AWholeBlockOfTheDirectory) {
  const auto damage = Damage::zeros(store->pages(), entry_at(1), 4'096);
  expect_named(store->pages(), entry_at(1), 0, "a block of the directory");
}

TEST_F(DamageTest, AnEntryWithItsPage) {
  const std::uint64_t page = page_of_one();
  const auto entry = Damage::flip(store->pages(), entry_at(page) + 3);
  const auto run = Damage::flip(store->pages(), run_at(page) + 60);
  expect_named(store->pages(), entry_at(page), 1, "entry and page");
}

// It holds any bytes: a large batch that was never logged may have written there (R15).
TEST_F(DamageTest, AFreedPageIsNoDamage) {
  for (const EntryType type : {EntryType::deleted, EntryType::moved}) {
    const std::uint64_t page = store->page_with(type);
    const auto damage = Damage::flip(store->pages(), run_at(page) + 20);
    EXPECT_TRUE(store->verify().problems.empty());
    expect_salvaged(0, "a freed page");
  }
}

TEST_F(DamageTest, SwappedPagesAndEntries) {
  const std::uint64_t one = page_of_one();
  const std::uint64_t other = long_run();
  {
    const auto bytes = store->read(store->pages(), run_at(one), 1'024);
    const auto first =
        Damage::overwrite(store->pages(), run_at(one), store->read(store->pages(), run_at(other), 1'024));
    const auto second = Damage::overwrite(store->pages(), run_at(other), bytes);
    expect_named(store->pages(), run_at(one), 2, "swapped pages");
    expect_named(store->pages(), run_at(other), 2, "swapped pages");
  }
  const auto bytes = store->read(store->pages(), entry_at(one), 32);
  const auto first = Damage::overwrite(store->pages(), entry_at(one), store->read(store->pages(), entry_at(other), 32));
  const auto second = Damage::overwrite(store->pages(), entry_at(other), bytes);
  expect_named(store->pages(), entry_at(one), 0, "swapped entries");
  expect_named(store->pages(), entry_at(other), 0, "swapped entries");
}

// Every byte of it verifies, but it is of another time. The log is damaged, so that nothing else tells.
TEST_F(DamageTest, StalePagesAndEntries) {
  const auto old = [&](std::uint64_t offset, std::size_t size) {
    return std::span(store->old_pages()).subspan(offset, size);
  };
  int checked = 0;
  for (std::uint64_t page = 1; page <= store->high_water(); ++page) {
    const bool other_entry =
        !std::ranges::equal(store->read(store->pages(), entry_at(page), 32), old(entry_at(page), 32));
    const bool other_page =
        !std::ranges::equal(store->read(store->pages(), run_at(page), 1'024), old(run_at(page), 1'024));
    // Two entries that say no more than "free" are of the same use.
    const auto bytes = old(entry_at(page), format::kEntryBytes);
    const auto before =
        format::decode_entry(std::span<const std::byte, format::kEntryBytes>(bytes), page, store->seed());
    const auto now = store->entry(page);
    if (before->type == EntryType::free && now->type == EntryType::free) continue;
    if (other_entry) {
      const auto damage = Damage::overwrite(store->pages(), entry_at(page), old(entry_at(page), 32));
      const auto report = store->verify();
      const bool named = std::ranges::any_of(report.problems, [&](const Problem& p) { return p.page.value == page; });
      EXPECT_TRUE(named) << "stale entry of page " << page << '\n' << DamagedStore::text(report.problems);
      if (page % 3 == 0) expect_salvaged(0, "stale entry of page " + std::to_string(page));
      ++checked;
    }
    const auto& entry = now;
    if (other_page && entry->type != EntryType::interior && entry->type != EntryType::free) {
      const auto damage = Damage::overwrite(store->pages(), run_at(page), old(run_at(page), 1'024));
      const auto report = store->verify();
      EXPECT_FALSE(report.problems.empty()) << "stale page " << page;
      EXPECT_EQ(store->salvage().wrong, "") << "stale page " << page;
      ++checked;
    }
  }
  EXPECT_GT(checked, 10);
}

// Where a memory lived before it moved, page and entry are as they were then: both verify, and the newer one counts.
TEST_F(DamageTest, AMemoryThatIsThereTwice) {
  const auto old = [&](std::uint64_t offset, std::size_t size) {
    return std::span(store->old_pages()).subspan(offset, size);
  };
  int checked = 0;
  for (std::uint64_t page = 1; page <= store->high_water(); ++page) {
    const auto bytes = old(entry_at(page), format::kEntryBytes);
    const auto before =
        format::decode_entry(std::span<const std::byte, format::kEntryBytes>(bytes), page, store->seed());
    if (store->entry(page)->type != EntryType::moved || !format::is_memory(before->type) || before->run_pages != 1)
      continue;
    const auto entry = Damage::overwrite(store->pages(), entry_at(page), bytes);
    const auto run = Damage::overwrite(store->pages(), run_at(page), old(run_at(page), 1'024));
    const auto report = store->verify();
    EXPECT_FALSE(report.problems.empty()) << page;
    expect_salvaged(0, "page " + std::to_string(page));
    ++checked;
    for (std::uint64_t now = 1; now <= store->high_water(); ++now) {
      const auto there = store->entry(now);
      if (now == page || !format::is_memory(there->type) || there->id != before->id || !in_log(there->lsn)) continue;
      const auto damage = Damage::flip(store->pages(), run_at(now) + 60);
      expect_salvaged(0, "page " + std::to_string(now) + ", which the log has");
      ++checked;
    }
  }
  EXPECT_GT(checked, 1);
}

TEST_F(DamageTest, TruncatedPages) {
  const std::uint64_t size = std::filesystem::file_size(store->pages());
  for (const std::uint64_t left :
       {std::uint64_t{0}, std::uint64_t{50}, std::uint64_t{4'096}, std::uint64_t{8'192}, std::uint64_t{9'000},
        run_at(1), run_at(20) + 100, run_at(store->high_water()), size - 1'024, size - 1}) {
    const auto damage = Damage::truncate(store->pages(), left);
    const auto report = store->verify();
    ASSERT_FALSE(report.problems.empty()) << left;
    EXPECT_EQ(report.problems[0].file, "pages.db");
    const auto salvaged = store->salvage();
    EXPECT_EQ(salvaged.wrong, "") << left << '\n' << DamagedStore::text(salvaged.report.lost, salvaged.report.notes);
    // The log alone has the last eight.
    EXPECT_LE(salvaged.missing.size(), all() - 7);
    if (left > run_at(store->high_water()) + 1'024) {
      EXPECT_TRUE(salvaged.missing.empty()) << left;
    }
  }
}

TEST_F(DamageTest, TruncatedLog) {
  for (const std::uint64_t left : {std::uint64_t{0}, std::uint64_t{100}, std::uint64_t{4'096}, std::uint64_t{8'192},
                                   store->batches()[1], store->batches()[1] + 50, store->batches().back() + 4'000}) {
    const auto damage = Damage::truncate(store->log(), left);
    if (left > store->batches().back() + 2'000) {
      expect_harmless("zeros behind the last batch");
    } else {
      expect_named(store->log(), std::nullopt, 0, "the log cut to " + std::to_string(left));
    }
  }
  const auto damage = Damage::truncate(store->log(), store->log_end());
  expect_harmless("the unused end of the log");
}

TEST_F(DamageTest, MissingFiles) {
  {
    const auto damage = Damage::remove(store->pages());
    expect_named(store->pages(), 0, all() - 7, "no pages.db: the log has the memories since the last checkpoint");
  }
  {
    const auto damage = Damage::remove(store->log());
    expect_named(store->log(), 0, 0, "no wal.log: the pages have everything");
  }
  {
    const auto damage = Damage::remove(store->index());
    expect_named(store->index(), 0, 0, "no id index");
  }
  const auto one = Damage::remove(store->log());
  const auto other = Damage::remove(store->pages());
  const auto report = verify_store(store->path());
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::not_found);
}

TEST_F(DamageTest, TheIdIndex) {
  for (const std::uint64_t at : {0U, 8U, 16U, 24U, 40U, 88U}) {
    const auto damage = Damage::flip(store->index(), at);
    expect_named(store->index(), 0, 0, "index header");
  }
  for (const std::uint64_t size : {0U, 100U, 4'096U, 8'000U}) {
    const auto damage = Damage::truncate(store->index(), size);
    expect_named(store->index(), 0, 0, "index cut");
  }
  const auto slots = store->read(store->index(), format::kIndexBucketsOffset, 8 * 1'024);
  int checked = 0;
  for (std::uint64_t at = 0; at < slots.size() && checked < 6; at += 8) {
    if (format::bucket_page(base::read_struct<std::uint64_t>(slots, at)) == 0) continue;
    ++checked;
    for (const std::uint64_t byte : {0U, 3U, 4U, 7U}) {
      const auto damage = Damage::flip(store->index(), format::kIndexBucketsOffset + at + byte);
      const auto report = store->verify();
      // The slot leads to the wrong place, and its memory is missed where a search for it ends.
      ASSERT_EQ(report.problems.size(), 2U) << DamagedStore::text(report.problems);
      EXPECT_EQ(report.problems[1].offset, format::kIndexBucketsOffset + at);
      EXPECT_GT(report.problems[0].offset, format::kIndexBucketsOffset);
    }
    const auto gone = Damage::zeros(store->index(), format::kIndexBucketsOffset + at, 8);
    const auto report = store->verify();
    ASSERT_FALSE(report.problems.empty());
    EXPECT_EQ(report.problems[0].offset, format::kIndexBucketsOffset + at);
  }
  EXPECT_EQ(checked, 6);
  const auto used = Damage::zeros(store->index(), format::kIndexUsedOffset, 8);
  expect_named(store->index(), format::kIndexUsedOffset, 0, "the count of slots in use");
}

TEST_F(DamageTest, TheSharedState) {
  // A cached tail that does not verify costs a walk; the others would mislead readers until the next open.
  {
    const auto hint = Damage::flip(store->pages(), format::kSharedStateOffset + 30);
    expect_harmless("the hint");
  }
  for (const std::uint64_t word : {128U, 144U}) {
    const std::uint64_t at = format::kSharedStateOffset + word;
    const auto damage = Damage::zeros(store->pages(), at, 8);
    expect_named(store->pages(), at, 0, "word " + std::to_string(word));
  }
  const auto number = Damage::flip(store->pages(), format::kSharedStateOffset + 136, 4);
  EXPECT_FALSE(store->verify().problems.empty());
}

TEST_F(DamageTest, TheRecordOfAStretch) {
  const std::uint64_t at = store->geometry().record_offset(0);
  {
    const auto lsn = Damage::zeros(store->pages(), at, 8);
    expect_named(store->pages(), at, 0, "a reader of changes would pass the stretch");
  }
  const auto room = Damage::flip(store->pages(), at + 8);
  expect_harmless("what a record says of free pages is no promise");
}

TEST_F(DamageTest, WhatNobodyNeeds) {
  // Padding belongs to no structure: torn writes leave anything there.
  const auto superblock = Damage::flip(store->pages(), 100);
  const auto slot = Damage::flip(store->log(), 4'096 + 200);
  const auto batch = Damage::flip(store->log(), store->batches().back() + 4'095);
  const auto behind = Damage::flip(store->log(), store->log_end() + 100);
  expect_harmless("padding");
}

TEST_F(DamageTest, TheLogOfAnotherStore) {
  DamagedStore other(2);
  const auto damage = Damage::overwrite(store->log(), 0, other.read(other.log(), 0, other.log_end()));
  expect_named(store->log(), 0, 0, "another store's log");
}

TEST_F(DamageTest, FilesThatAreNotTheStores) {
  {
    std::ofstream(store->path() / "notes.txt") << "x";
    std::ofstream(store->path() / "ids-77.idx") << "x";
  }
  const auto report = store->verify();
  EXPECT_TRUE(report.problems.empty());
  const std::string notes = DamagedStore::text({}, report.notes);
  EXPECT_NE(notes.find("notes.txt"), std::string::npos) << notes;
  EXPECT_NE(notes.find("ids-77.idx"), std::string::npos) << notes;
  std::filesystem::remove(store->path() / "notes.txt");
  std::filesystem::remove(store->path() / "ids-77.idx");
}

// Several damages at once, drawn. MENTEDB_DAMAGE_ROUNDS and MENTEDB_SEED make more of them; a failure names its seed.
TEST(RandomDamage, NothingIsSavedWrongAndNothingIsLostInSilence) {
  const auto from_environment = [](const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
  };
  const std::uint64_t rounds = from_environment("MENTEDB_DAMAGE_ROUNDS", 40);
  const std::uint64_t first = from_environment("MENTEDB_SEED", 1);
  std::optional<DamagedStore> store;
  std::uint64_t damages = 0;
  std::uint64_t saved = 0;
  std::uint64_t missing = 0;
  for (std::uint64_t seed = first; seed < first + rounds; ++seed) {
    if (!store || seed % 50 == 0) store.emplace(seed / 50 + 1);
    std::mt19937_64 random(seed);
    std::string done;
    std::vector<Damage> damage;
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      const int file = static_cast<int>(random() % 5);
      const auto path = file < 3 ? store->pages() : file == 3 ? store->log() : store->index();
      if (!std::filesystem::exists(path)) continue;
      const std::uint64_t used = file == 3 ? store->log_end() : std::filesystem::file_size(path);
      // Half of all in the parts of pages.db that are in use.
      std::uint64_t at = random() % std::max<std::uint64_t>(used, 1);
      const std::uint64_t page = 1 + random() % store->high_water();
      if (file == 0) at = store->geometry().entry_offset(page) + random() % 32;
      if (file == 1) at = store->geometry().page_offset(page) + random() % 1'024;
      if (random() % 16 == 0) at %= 8'192;
      const std::uint64_t size = std::uint64_t{1} << (random() % 14);
      const std::uint64_t kind = random() % 16;
      if (kind < 8) {
        damage.push_back(Damage::flip(path, at, 1 << (random() % 8)));
      } else if (kind < 12) {
        damage.push_back(Damage::zeros(path, at, size));
      } else if (kind < 13) {
        std::vector<std::byte> bytes(size);
        for (std::byte& b : bytes) b = static_cast<std::byte>(random());
        damage.push_back(Damage::overwrite(path, at, bytes));
      } else if (kind < 14 && file < 3 && at + size <= store->old_pages().size()) {
        damage.push_back(Damage::overwrite(path, at, std::span(store->old_pages()).subspan(at, size)));
      } else if (kind < 15) {
        damage.push_back(Damage::truncate(path, at));
      } else {
        damage.push_back(Damage::remove(path));
      }
      done += path.filename().string() + "@" + std::to_string(at) + " kind " + std::to_string(kind) + " size " +
              std::to_string(size) + "; ";
    }
    damages += damage.size();
    if (!std::filesystem::exists(store->pages()) && !std::filesystem::exists(store->log())) {
      while (!damage.empty()) damage.pop_back();
      continue;
    }
    const auto report = verify_store(store->path());
    const auto salvaged = store->salvage();
    const std::string what = "MENTEDB_SEED=" + std::to_string(seed) + ": " + done + "\n" +
                             DamagedStore::text(salvaged.report.lost, salvaged.report.notes) + "verify: " +
                             (report ? DamagedStore::text(report->problems, report->notes) : report.error().message);
    // Without the seed salvage cannot tell changed bytes, and a note says so.
    const bool can_tell = what.find("changed bytes inside a memory were not noticed") == std::string::npos;
    EXPECT_TRUE(!can_tell || salvaged.wrong.empty()) << salvaged.wrong << what;
    if (!salvaged.report.lost.empty() || !salvaged.missing.empty()) {
      EXPECT_TRUE(!report || !report->problems.empty()) << "salvage misses something, verify does not: " << what;
    }
    saved += salvaged.report.memories_saved;
    missing += salvaged.missing.size();
    while (!damage.empty()) damage.pop_back();  // in the order of a stack: they may overlap
    const auto whole = store->verify();
    ASSERT_TRUE(whole.problems.empty()) << "not made whole again after " << what << DamagedStore::text(whole.problems);
  }
  std::printf("%llu rounds, %llu damages, %llu memories saved, %llu missing\n", static_cast<unsigned long long>(rounds),
              static_cast<unsigned long long>(damages), static_cast<unsigned long long>(saved),
              static_cast<unsigned long long>(missing));
}

}  // namespace
}  // namespace mentedb::test

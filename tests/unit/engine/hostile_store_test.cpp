// Stores whose checksums hold and whose content no writer wrote (I10). What the fuzzer found, or what it would have
// taken too long to find, each with its story.
#include <gtest/gtest.h>

#include "base/checksum.hpp"
#include "support/store_fixture.hpp"

namespace mentedb {
namespace {

using format::EntryType;
using test::is_error;
using test::memory;
using test::memory_id;
using test::must;

class HostileStoreTest : public test::StoreFixture {
 protected:
  HostileStoreTest() {
    auto engine = open();
    for (std::uint64_t i = 1; i <= 10; ++i) must(engine.store_memory(memory(i)));
    must(engine.checkpoint());
  }

  void forge_entry(std::uint64_t page, const format::Entry& entry) {
    std::array<std::byte, format::kEntryBytes> bytes{};
    format::encode_entry(entry, page, superblock().seed, bytes);
    disk.damage(kPages, geometry().entry_offset(page), bytes);
  }
  void forge_word(std::uint64_t offset, std::uint64_t value) {
    disk.damage(kPages, format::kSharedStateOffset + offset, std::as_bytes(std::span(&value, 1)));
  }
  static constexpr std::uint64_t kPageCountWord = 144;

  static Options read_only() {
    Options options;
    options.read_only = true;
    return options;
  }
};

// It ended in an assertion of the buffer pool, or in SIGBUS.
TEST_F(HostileStoreTest, APageCountInTheSharedStateThatTheFileDoesNotHave) {
  for (const std::uint64_t lie : {std::uint64_t{257}, std::uint64_t{70'000}, std::uint64_t{1} << 40, UINT64_MAX}) {
    forge_word(kPageCountWord, lie);
    auto engine = open(read_only());
    EXPECT_EQ(must(engine.scan_all_memories()).size(), 10U);
    EXPECT_EQ(must(engine.load_memory(memory_id(3))), memory(3));
    EXPECT_TRUE(is_error(engine.read_page(PageId{lie}), ErrorCode::not_found));
    EXPECT_EQ(must(engine.changes_since(Lsn{0})).changes.size(), 10U);
    forge_word(kPageCountWord, lie);
  }
  auto engine = open();
  must(engine.store_memory(memory(11)));
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 11U);
}

// Freeing it logged an operation that no redo believes: the next open refused the store.
TEST_F(HostileStoreTest, ARunThatLeavesTheStoreIsNotFreed) {
  const format::Entry before = *this->entry(PageId{4});
  format::Entry longer = before;
  longer.run_pages = 60'000;
  forge_entry(4, longer);
  {
    auto engine = open();
    EXPECT_TRUE(is_error(engine.free_page(PageId{4}), ErrorCode::corruption, "does not end within the store"));
    EXPECT_TRUE(is_error(engine.delete_memory(MemoryId{before.id}), ErrorCode::corruption));
    must(engine.store_memory(memory(12)));
  }
  auto engine = open();
  EXPECT_EQ(must(engine.load_memory(memory_id(12))), memory(12));
  EXPECT_FALSE(problems().empty());
}

// Each page says that a run of the whole group begins there: verify read the rest of the group's entries for each of
// them, 2^31 of them in a full group, and a backup wrote as much.
TEST_F(HostileStoreTest, RunsThatOverlap) {
  for (std::uint64_t page = 1; page <= 200; ++page) {
    forge_entry(page, {.id = memory(page).id.bytes,
                       .lsn = 1,
                       .run_pages = 250 - static_cast<std::uint32_t>(page),
                       .type = EntryType::memory_stored});
  }
  std::uint64_t reads = 0;
  disk.set_hook([&](const mentedb::test::Step& step) {
    reads += step.kind == mentedb::test::StepKind::read ? 1 : 0;
    return mentedb::test::StepAction::proceed();
  });
  EXPECT_GE(problems().size(), 200U);
  EXPECT_LT(reads, 2'000U);
  disk.set_hook(nullptr);
  auto engine = open();
  EXPECT_TRUE(is_error(engine.backup("/copy"), ErrorCode::corruption));
}

// An engine that may not write believed a valid cached tail that a power cut had left behind the log, and a backup made
// by it counted fewer memories than it held.
TEST_F(HostileStoreTest, AnOldCachedTailIsNotTheTailOfAReaderThatKnowsBetter) {
  const auto old_words = disk.content(kPages);
  {
    auto engine = open();
    must(engine.store_memory(memory(20)));
    must(engine.close());
  }
  disk.damage(kPages, format::kSharedStateOffset,
              std::span(old_words).subspan(format::kSharedStateOffset, 128));  // the cached tail and nothing else
  {
    auto engine = open(read_only());
    EXPECT_EQ(must(engine.scan_all_memories()).size(), 11U);
    must(engine.backup("/copy"));
  }
  expect_clean("/copy");
  EXPECT_EQ(must(open({}, "/copy").stats()).memory_count, 11U);
}

// A backup believed it, and wrote zeros for all these pages until the disk was full.
TEST_F(HostileStoreTest, ACachedTailOfPagesThatTheFileDoesNotHave) {
  for (const bool may_write : {false, true}) {
    auto engine = open(may_write ? Options{} : read_only());
    const auto words = disk.content(kPages);
    constexpr std::size_t kHint = format::kSharedStateOffset + sizeof(std::uint64_t);  // behind its check
    auto hint = base::read_struct<wal::Tail>(std::span(words).subspan(kHint));
    hint.counters.page_count = 1'000'000;
    disk.damage(kPages, kHint, base::bytes_of(hint));
    forge_word(0, base::checksum(base::bytes_of(hint), superblock().seed));
    const char* const copy = may_write ? "/copy-2" : "/copy";
    must(engine.backup(copy));
    EXPECT_LT(disk.content(std::string(copy) + "/pages.db").size(), 2 * words.size());
    expect_clean(copy);
    if (may_write) must(engine.store_memory(memory(40)));
  }
}

TEST_F(HostileStoreTest, ALogThatLosesBothHeadersWhileItIsOpen) {
  auto engine = open();
  must(engine.store_memory(memory(30)));
  overwrite(kLog, 0, format::kLogStart, 0xEE);
  EXPECT_TRUE(is_error(engine.recover(), ErrorCode::corruption, "no valid header"));
  EXPECT_EQ(must(engine.load_memory(memory_id(30))), memory(30));
}

// A reader looked a thousand times at a damaged memory whatever its size: minutes for one of 24 MiB.
TEST_F(HostileStoreTest, ALargeDamagedMemoryIsGivenUpSooner) {
  auto engine = open();
  const PageId page = must(engine.store_memory(memory(30, std::string(std::size_t{4} << 20, 'x'))));
  must(engine.checkpoint());
  flip(kPages, geometry().page_offset(page.value) + 3'000'000);
  std::uint64_t copied = 0;
  disk.set_hook([&](const mentedb::test::Step& step) {
    copied += step.kind == mentedb::test::StepKind::copy ? step.length : 0;
    return mentedb::test::StepAction::proceed();
  });
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(30)), ErrorCode::corruption));
  EXPECT_LT(copied, std::uint64_t{1} << 30);
  copied = 0;
  EXPECT_TRUE(is_error(engine.read_page(page), ErrorCode::corruption));
  EXPECT_LT(copied, std::uint64_t{1} << 30);
  disk.set_hook(nullptr);
  must(engine.close());
}

}  // namespace
}  // namespace mentedb

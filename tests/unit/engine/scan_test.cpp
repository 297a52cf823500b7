// scan_all_memories and for_each_memory.
#include <gtest/gtest.h>

#include <map>

#include "support/sample_nodes.hpp"
#include "support/store_fixture.hpp"

namespace mentedb {
namespace {

using test::is_error;
using test::memory;
using test::memory_id;
using test::must;

class ScanTest : public test::StoreFixture {
 protected:
  /// Stores memories 1..n of different sizes, then brings them to the pages for good.
  void fill(std::uint64_t n) {
    for (std::uint64_t i = 1; i <= n; ++i) must(engine.store_memory(memory(i, std::string(i * 100 % 3000, 'x'))));
    must(engine.checkpoint());
  }
  StorageEngine engine = open();
};

TEST_F(ScanTest, AnEmptyStoreHasNone) {
  EXPECT_TRUE(must(engine.scan_all_memories()).empty());
  must(engine.for_each_memory([](const MemoryNode&, PageId) {
    ADD_FAILURE();
    return true;
  }));
}

TEST_F(ScanTest, FindsEveryMemoryOnceInPageOrder) {
  fill(200);
  for (std::uint64_t i = 1; i <= 200; i += 3) must(engine.update_memory(memory(i, "updated")));
  for (std::uint64_t i = 2; i <= 200; i += 3) must(engine.delete_memory(memory_id(i)));
  static_cast<void>(must(engine.allocate_page(5000)));
  auto other = open();
  const auto all = must(other.scan_all_memories());
  EXPECT_EQ(all, must(engine.scan_all_memories()));
  std::map<MemoryId, PageId> found(all.begin(), all.end());
  EXPECT_EQ(found.size(), all.size());
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, [](const auto& item) { return item.second; }));
  for (std::uint64_t i = 1; i <= 200; ++i) {
    EXPECT_EQ(found.contains(memory_id(i)), i % 3 != 2) << i;
    if (i % 3 == 2) continue;
    EXPECT_EQ(found[memory_id(i)], must(engine.find(memory_id(i))));
  }
}

// The walk decodes into one node: a small memory behind a full one has nothing of it.
TEST_F(ScanTest, ForEachShowsEachMemoryAsItIs) {
  std::map<MemoryId, MemoryNode> stored;
  std::mt19937_64 random(3);
  for (int i = 0; i < 60; ++i) {
    MemoryNode node = i % 3 == 0 ? test::full_node() : test::random_node(random);
    node.id = memory_id(static_cast<std::uint64_t>(i) + 1);
    must(engine.store_memory(node));
    stored[node.id] = node;
  }
  std::size_t seen = 0;
  must(engine.for_each_memory([&](const MemoryNode& node, PageId) {
    EXPECT_EQ(node, stored.at(node.id));
    ++seen;
    return true;
  }));
  EXPECT_EQ(seen, stored.size());
}

TEST_F(ScanTest, ForEachVisitsAllAndStopsWhenTold) {
  fill(20);
  std::vector<PageId> pages;
  must(engine.for_each_memory([&](const MemoryNode& node, PageId page) {
    EXPECT_EQ(must(engine.load_memory(page)), node);
    pages.push_back(page);
    return true;
  }));
  EXPECT_EQ(pages.size(), 20U);
  EXPECT_TRUE(std::ranges::is_sorted(pages));
  int calls = 0;
  must(engine.for_each_memory([&](const MemoryNode&, PageId) { return ++calls < 5; }));
  EXPECT_EQ(calls, 5);
}

TEST_F(ScanTest, ForEachTellsWhereAMemoryLivesNowAndPassesOverDeletedOnes) {
  fill(3);
  std::map<MemoryId, std::string> seen;
  must(engine.for_each_memory([&](const MemoryNode& node, PageId page) {
    if (seen.empty()) {
      must(engine.update_memory(memory(2, "moved")));
      must(engine.delete_memory(memory_id(3)));
    }
    EXPECT_EQ(page, must(engine.find(node.id)));
    seen[node.id] = node.content;
    return true;
  }));
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[memory_id(2)], "moved");
}

TEST_F(ScanTest, DamagedMemoriesGoToOnDamage) {
  fill(10);
  const PageId broken = must(engine.find(memory_id(4)));
  flip(kPages, geometry().page_offset(broken.value) + 60);
  std::size_t good = 0;
  std::vector<std::pair<MemoryId, PageId>> damaged;
  must(engine.for_each_memory(
      [&](const MemoryNode& node, PageId) {
        EXPECT_NE(node.id, memory_id(4));
        ++good;
        return true;
      },
      [&](MemoryId id, PageId page, const Error& error) {
        EXPECT_EQ(error.code, ErrorCode::corruption);
        damaged.emplace_back(id, page);
      }));
  EXPECT_EQ(good, 9U);
  EXPECT_EQ(damaged, (std::vector<std::pair<MemoryId, PageId>>{{memory_id(4), broken}}));
  EXPECT_TRUE(is_error(engine.for_each_memory([](const MemoryNode&, PageId) { return true; }), ErrorCode::corruption,
                       "page " + std::to_string(broken.value)));
  // The directory still knows it.
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 10U);
}

TEST_F(ScanTest, ADamagedDirectoryEntryIsNeverASilentGap) {
  fill(10);
  const PageId broken = must(engine.find(memory_id(4)));
  const auto expect_named = [&] {
    const std::string name = "page " + std::to_string(broken.value);
    EXPECT_TRUE(is_error(engine.scan_all_memories(), ErrorCode::corruption, name));
    EXPECT_TRUE(
        is_error(engine.for_each_memory([](const MemoryNode&, PageId) { return true; }), ErrorCode::corruption));
    EXPECT_TRUE(is_error(engine.changes_since(Lsn{0}), ErrorCode::corruption, name));
    EXPECT_TRUE(is_error(engine.changes_since(Lsn{1}), ErrorCode::corruption, name));
  };
  flip(kPages, geometry().entry_offset(broken.value) + 5);
  expect_named();
  overwrite(kPages, geometry().entry_offset(broken.value), format::kEntryBytes, 0);  // no LSN that is above another
  expect_named();
}

TEST_F(ScanTest, ADamagedEntryThatTheLogStillHasIsHealed) {
  fill(10);
  const PageId fresh = must(engine.store_memory(memory(11)));
  flip(kPages, geometry().entry_offset(fresh.value) + 5);
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 11U);
  expect_clean();
}

}  // namespace
}  // namespace mentedb

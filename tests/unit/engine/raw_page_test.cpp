// allocate_page, write_page, read_page, free_page.
#include <gtest/gtest.h>

#include "support/store_fixture.hpp"

namespace mentedb {
namespace {

using test::is_error;
using test::memory;
using test::memory_id;
using test::must;

std::vector<std::byte> filled(std::size_t size, int value) {
  return std::vector<std::byte>(size, static_cast<std::byte>(value));
}

class RawPageTest : public test::StoreFixture {
 protected:
  StorageEngine engine = open();
};

TEST_F(RawPageTest, LivesFromAllocateToFree) {
  const PageId page = must(engine.allocate_page(3000));
  EXPECT_EQ(page, PageId{1});
  Page copy = must(engine.read_page(page));
  EXPECT_EQ(copy.header.id, page);
  EXPECT_EQ(copy.header.type, PageType::raw);
  EXPECT_EQ(copy.header.page_count, 3U);
  EXPECT_EQ(copy.header.data_bytes, 0U);
  EXPECT_TRUE(copy.data.empty());
  const Lsn allocated = copy.header.lsn;

  must(engine.write_page(page, filled(3000, 7)));
  copy = must(engine.read_page(page));
  EXPECT_EQ(copy.data, filled(3000, 7));
  EXPECT_EQ(copy.header.data_bytes, 3000U);
  EXPECT_GT(copy.header.lsn, allocated);
  must(engine.write_page(page, filled(10, 8)));  // shorter: nothing of the longer one is left
  EXPECT_EQ(must(engine.read_page(page)).data, filled(10, 8));
  expect_clean();
  must(engine.write_page(page, {}));
  EXPECT_TRUE(must(engine.read_page(page)).data.empty());

  must(engine.free_page(page));
  EXPECT_TRUE(is_error(engine.read_page(page), ErrorCode::not_found, "page 1"));
  EXPECT_TRUE(is_error(engine.write_page(page, {}), ErrorCode::not_found, "page 1"));
  EXPECT_TRUE(is_error(engine.free_page(page), ErrorCode::not_found, "page 1"));
  EXPECT_EQ(must(engine.stats()).used_pages, 0U);
  expect_clean();
}

TEST_F(RawPageTest, HoldsWhatWasAskedForAndNotMore) {
  const PageId page = must(engine.allocate_page(1000));
  const std::size_t room =
      std::size_t{must(engine.read_page(page)).header.page_count} * 1024 - sizeof(format::RunHeader);
  EXPECT_GE(room, 1000U);
  must(engine.write_page(page, filled(room, 1)));
  EXPECT_TRUE(
      is_error(engine.write_page(page, filled(room + 1, 2)), ErrorCode::capacity_exceeded, std::to_string(room)));
  EXPECT_EQ(must(engine.read_page(page)).data, filled(room, 1));  // never a silent cut
}

TEST_F(RawPageTest, TooLargeIsCapacityExceeded) {
  EXPECT_TRUE(is_error(engine.allocate_page((std::size_t{24} << 20) + 1), ErrorCode::capacity_exceeded, "25165824"));
  EXPECT_TRUE(is_error(engine.allocate_page(SIZE_MAX), ErrorCode::capacity_exceeded));
  EXPECT_EQ(engine.committed_lsn(), Lsn{0});
}

TEST_F(RawPageTest, MemoriesAreNotOverwritten) {
  const PageId page = must(engine.store_memory(memory(1, "mine")));
  EXPECT_TRUE(is_error(engine.write_page(page, filled(10, 1)), ErrorCode::invalid_argument, "update_memory"));
  EXPECT_EQ(must(engine.load_memory(page)).content, "mine");
  EXPECT_EQ(must(engine.read_page(page)).header.type, PageType::memory);
}

TEST_F(RawPageTest, ARawPageIsNoMemory) {
  const PageId page = must(engine.allocate_page());
  EXPECT_TRUE(is_error(engine.load_memory(page), ErrorCode::invalid_argument, "no memory"));
  EXPECT_TRUE(must(engine.scan_all_memories()).empty());
}

TEST_F(RawPageTest, FreeingAMemorysPageDeletesTheMemory) {
  const PageId page = must(engine.store_memory(memory(1)));
  const Lsn before = engine.committed_lsn();
  must(engine.free_page(page));
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(1)), ErrorCode::not_found));
  EXPECT_TRUE(is_error(engine.find(memory_id(1)), ErrorCode::not_found));
  const auto changes = must(engine.changes_since(before)).changes;
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, ChangeKind::deleted);
  EXPECT_EQ(changes[0].id, memory_id(1));
  EXPECT_EQ(must(engine.stats()).memory_count, 0U);
  expect_clean();
}

TEST_F(RawPageTest, PagesInsideARunAndPagesThatNeverWereAreNotFound) {
  const PageId page = must(engine.store_memory(memory(1, std::string(5000, 'x'))));
  const std::uint64_t inside = page.value + 2;
  const std::uint64_t count = must(engine.stats()).page_count;
  for (const std::uint64_t number :
       {std::uint64_t{0}, inside, inside + 50, count, count + 1, std::uint64_t{1} << 32, UINT64_MAX}) {
    EXPECT_TRUE(is_error(engine.read_page(PageId{number}), ErrorCode::not_found)) << number;
    EXPECT_TRUE(is_error(engine.load_memory(PageId{number}), ErrorCode::not_found)) << number;
    EXPECT_TRUE(is_error(engine.write_page(PageId{number}, {}), ErrorCode::not_found)) << number;
    EXPECT_TRUE(is_error(engine.free_page(PageId{number}), ErrorCode::not_found)) << number;
  }
}

TEST_F(RawPageTest, AForgedRunInsideAMemoryIsNeverAPage) {
  // A memory's content may hold anything, also bytes that look like a run; the directory says where runs start.
  MemoryNode node = memory(1);
  node.attributes["bytes"] = Bytes(3000);
  const PageId page = must(engine.store_memory(node));
  format::RunHeader forged{};
  forged.page = page.value + 1;
  forged.lsn = 100;
  forged.run_pages = 1;
  forged.type = format::RunType::memory;
  format::seal_run_header(forged, {}, superblock().seed);
  disk.damage(kPages, geometry().page_offset(page.value + 1), base::bytes_of(forged));
  EXPECT_TRUE(is_error(engine.read_page(PageId{page.value + 1}), ErrorCode::not_found));
}

TEST_F(RawPageTest, PagesOfOthersAreSeenAtOnce) {
  auto other = open();
  const PageId page = must(engine.allocate_page(100));
  must(other.write_page(page, filled(50, 1)));
  EXPECT_EQ(must(engine.read_page(page)).data, filled(50, 1));
  must(engine.write_page(page, filled(60, 2)));
  EXPECT_EQ(must(other.read_page(page)).data, filled(60, 2));
}

}  // namespace
}  // namespace mentedb

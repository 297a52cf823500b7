// Pages that do not hold what a reader may expect.

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// H15. What the log still has is never reported as damage by a read of that page.
TEST(Pages, AReadByPageHealsWhatTheLogStillHas) {
  SimDisk disk;
  Process process(disk);
  const PageId page = must(process->store_memory(make_memory(1, 1)));
  must(process->store_memory(make_memory(2, 1)));
  const std::array<std::byte, 4> noise{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  disk.damage("/store/pages.db", format::Geometry(512).page_offset(page.value) + 60, noise);
  EXPECT_EQ(must(process->load_memory(page)), make_memory(1, 1));
}

// H16. A page inside a run that was a memory once is no memory, also when the run's data never covered it.
TEST(Pages, AnInteriorPageIsNoMemoryOfBefore) {
  SimDisk disk;
  Process process(disk);
  std::vector<PageId> pages;
  for (std::uint64_t i = 0; i < 4; ++i) pages.push_back(must(process->store_memory(make_memory(i, 1))));
  for (std::uint64_t i = 0; i < 4; ++i) must(process->delete_memory(memory_id(i)));
  for (int i = 0; i < 200; ++i) {
    const PageId run = must(process->allocate_page(1'400));
    if (run.value < pages[3].value && run.value + 2 >= pages[1].value) break;
    ASSERT_LT(i, 199);
  }
  Process opener(disk);
  for (const PageId page : pages) EXPECT_FALSE(opener->load_memory(page)) << page.value;
  EXPECT_TRUE(list(opener).empty());
}

}  // namespace
}  // namespace mentedb::test

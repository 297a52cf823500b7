#include "pages/page_set.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace mentedb::pages {
namespace {

TEST(PageSet, IsASetOfPages) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    PageSet set;
    std::set<std::uint64_t> model;
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t first = 1 + random() % 80;
      const std::uint64_t count = 1 + random() % 12;
      std::set<std::uint64_t> gaps;
      bool overlaps = false;
      for (std::uint64_t page = first; page < first + count; ++page) {
        if (model.contains(page))
          overlaps = true;
        else
          gaps.insert(page);
      }
      EXPECT_EQ(set.overlaps(first, count), overlaps);
      std::uint64_t behind = 0;
      set.for_each_gap(first, count, [&](std::uint64_t gap, std::uint64_t pages) {
        EXPECT_GT(gap, behind);  // in order, and never two that touch
        EXPECT_GT(pages, 0U);
        behind = gap + pages;
        for (std::uint64_t page = gap; page < gap + pages; ++page) EXPECT_EQ(gaps.erase(page), 1U);
      });
      EXPECT_TRUE(gaps.empty());
      set.add(first, count);
      for (std::uint64_t page = first; page < first + count; ++page) model.insert(page);
    }
  }
}

}  // namespace
}  // namespace mentedb::pages

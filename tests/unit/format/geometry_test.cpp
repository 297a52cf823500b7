#include "format/geometry.hpp"

#include <gtest/gtest.h>

#include "format/page_format.hpp"

namespace mentedb::format {
namespace {

constexpr std::uint32_t kSizes[] = {512, 1024, 2048, 4096, 8192, 16'384, 32'768, 65'536};

// What docs/format.md prints: a change here is a new format version.
static_assert(Geometry(1024).record_offset(0) == 131'072);
static_assert(Geometry(1024).entry_offset(1) == 196'608);
static_assert(Geometry(1024).page_offset(1) == 196'608 + 2'097'152);
static_assert(Geometry(1024).page_offset(65'536) == 196'608 + 2'097'152 + 65'535 * 1024);
static_assert(Geometry(1024).record_offset(64) == 196'608 + 2'097'152 + 65'536 * 1024);
static_assert(Geometry(1024).entry_offset(65'537) == 262'144 + 2'097'152 + 65'536 * 1024);
static_assert(Geometry(512).file_bytes(0) == 69'632);
static_assert(Geometry(512).file_bytes(1) == 196'608 + 2'097'152 + 512);

TEST(Geometry, KnowsValidPageSizes) {
  for (const std::uint32_t size : kSizes) {
    EXPECT_TRUE(is_valid_page_bytes(size));
    EXPECT_FALSE(is_valid_page_bytes(size - 1));
    EXPECT_FALSE(is_valid_page_bytes(size + 1));
  }
  EXPECT_FALSE(is_valid_page_bytes(0));
  EXPECT_FALSE(is_valid_page_bytes(256));
  EXPECT_FALSE(is_valid_page_bytes(131'072));
  EXPECT_FALSE(is_valid_page_bytes(std::uint64_t{1} << 32 | 1024));
}

TEST(Geometry, DirectoryAndPagesNeverOverlap) {
  for (const std::uint32_t size : kSizes) {
    const Geometry g(size);
    for (std::uint64_t group = 0; group < 3; ++group) {
      const std::uint64_t first = Geometry::first_page_of(group);
      const std::uint64_t last = Geometry::last_page_of(group);
      EXPECT_EQ(last - first + 1, kPagesPerRegion);
      // [header | directory | pages], then at once the next region.
      EXPECT_EQ(g.record_offset(group * kStretchesPerRegion), g.region_offset(group));
      EXPECT_EQ(g.record_offset((group + 1) * kStretchesPerRegion), g.region_offset(group + 1));
      EXPECT_LE(g.record_offset((group + 1) * kStretchesPerRegion - 1) + kStretchRecordBytes,
                g.region_offset(group) + base::kBlockBytes);
      EXPECT_EQ(g.entry_offset(first), g.region_offset(group) + kRegionHeaderBytes);
      EXPECT_EQ(g.entry_offset(last) + kEntryBytes, g.page_offset(first));
      EXPECT_EQ(g.page_offset(last) + size, g.region_offset(group + 1));
      EXPECT_EQ(g.page_offset(first + 1), g.page_offset(first) + size);
      EXPECT_EQ(g.file_bytes(last), g.region_offset(group + 1));
    }
    EXPECT_EQ(g.region_offset(0), kFirstRegionOffset);
    EXPECT_GE(g.region_offset(0), kSharedStateOffset + base::kBlockBytes);
    EXPECT_EQ(g.region_offset(1) % kMapAlignment, 0U);  // mmap needs it, also on arm64
  }
}

TEST(Geometry, EntriesLieWithinOneSector) {
  // A torn write leaves entries old or new, never half.
  for (std::uint64_t page = 1; page < 100; ++page) {
    const std::uint64_t at = Geometry(1024).entry_offset(page);
    EXPECT_EQ(at / 512, (at + kEntryBytes - 1) / 512);
  }
}

TEST(Geometry, RunsStayInOneRegion) {
  EXPECT_TRUE(Geometry::in_one_region(1, kPagesPerRegion));
  EXPECT_FALSE(Geometry::in_one_region(2, kPagesPerRegion));
  EXPECT_FALSE(Geometry::in_one_region(1, kPagesPerRegion + 1));
  EXPECT_TRUE(Geometry::in_one_region(65'536, 1));
  EXPECT_FALSE(Geometry::in_one_region(65'536, 2));
  EXPECT_TRUE(Geometry::in_one_region(65'537, 2));
  EXPECT_FALSE(Geometry::in_one_region(5, 0));
  // Hostile numbers: the sum wraps around.
  EXPECT_FALSE(Geometry::in_one_region(5, UINT64_MAX));
  EXPECT_FALSE(Geometry::in_one_region(UINT64_MAX, kPagesPerRegion));
}

TEST(Geometry, TheLastPageHasAnOffsetThatFitsAFile) {
  const Geometry g(kMaxPageBytes);
  EXPECT_LT(g.file_bytes(kMaxPageCount), std::uint64_t{INT64_MAX});
  EXPECT_GT(g.page_offset(kMaxPageCount), g.page_offset(kMaxPageCount - 1));
}

TEST(Geometry, CountsThePagesOfAFile) {
  const Geometry g(512);
  for (const std::uint64_t pages : {1U, 2U, 65'535U, 65'536U, 65'537U, 200'000U}) {
    EXPECT_EQ(g.pages_in(g.file_bytes(pages)), pages);
    EXPECT_EQ(g.pages_in(g.file_bytes(pages) - 1), pages - 1);
  }
  for (const std::uint64_t bytes : {std::uint64_t{0}, kFirstRegionOffset, kFirstRegionOffset + kDirectoryBytes})
    EXPECT_EQ(g.pages_in(bytes), 0U);
  EXPECT_EQ(g.pages_in(UINT64_MAX), kMaxPageCount);
}

TEST(Geometry, CountsPagesForAPayload) {
  EXPECT_EQ(pages_for_payload(0, 1024), 1U);
  EXPECT_EQ(pages_for_payload(1024 - sizeof(RunHeader), 1024), 1U);
  EXPECT_EQ(pages_for_payload(1024 - sizeof(RunHeader) + 1, 1024), 2U);
  EXPECT_EQ(pages_for_payload(2048 - sizeof(RunHeader), 1024), 2U);
}

}  // namespace
}  // namespace mentedb::format

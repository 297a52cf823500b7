// Where things are in pages.db (docs/format.md "pages.db").
//
//   0        superblock (one block of 4 KiB)
//   4096     shared state (one block)
//   8192     region 0: directory of 65,536 entries of 32 bytes, then 65,536 pages
//            region 1: ...
//
// Pages are numbered from 1. A run (the consecutive pages of one memory) never crosses the end of a region.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"

namespace mentedb::format {

inline constexpr std::uint32_t kMinPageBytes = 512;
inline constexpr std::uint32_t kMaxPageBytes = 65'536;
inline constexpr std::uint32_t kDefaultPageBytes = 1'024;
inline constexpr std::uint64_t kPagesPerRegion = 65'536;
inline constexpr std::uint64_t kMaxPageCount = 0xFFFF'FFFF;  // a bucket of the id index has 32 bits for a page
inline constexpr std::size_t kEntryBytes = 32;
inline constexpr std::uint64_t kDirectoryBytes = kPagesPerRegion * kEntryBytes;
inline constexpr std::uint64_t kSharedStateOffset = base::kBlockBytes;
inline constexpr std::uint64_t kFirstRegionOffset = 2 * base::kBlockBytes;

constexpr bool is_valid_page_bytes(std::uint64_t bytes) {
  return bytes >= kMinPageBytes && bytes <= kMaxPageBytes && (bytes & (bytes - 1)) == 0;
}

/// Page numbers to file offsets, for one page size.
class Geometry {
 public:
  explicit constexpr Geometry(std::uint32_t page_bytes = kDefaultPageBytes) : page_bytes_(page_bytes) {}

  constexpr std::uint32_t page_bytes() const { return page_bytes_; }
  constexpr std::uint64_t region_bytes() const { return kDirectoryBytes + kPagesPerRegion * page_bytes_; }
  constexpr std::uint64_t region_offset(std::uint64_t region) const {
    return kFirstRegionOffset + region * region_bytes();
  }

  static constexpr std::uint64_t region_of(std::uint64_t page) { return (page - 1) / kPagesPerRegion; }
  static constexpr std::uint64_t index_in_region(std::uint64_t page) { return (page - 1) % kPagesPerRegion; }
  static constexpr std::uint64_t first_page_of(std::uint64_t region) { return region * kPagesPerRegion + 1; }
  static constexpr std::uint64_t last_page_of(std::uint64_t region) { return (region + 1) * kPagesPerRegion; }
  static constexpr bool in_one_region(std::uint64_t first, std::uint64_t count) {
    return count > 0 && count <= kPagesPerRegion && region_of(first) == region_of(first + count - 1);
  }

  constexpr std::uint64_t entry_offset(std::uint64_t page) const {
    return region_offset(region_of(page)) + index_in_region(page) * kEntryBytes;
  }
  constexpr std::uint64_t page_offset(std::uint64_t page) const {
    return region_offset(region_of(page)) + kDirectoryBytes + index_in_region(page) * page_bytes_;
  }
  /// The size of a pages.db that holds `page_count` pages.
  constexpr std::uint64_t file_bytes(std::uint64_t page_count) const {
    return page_count == 0 ? kFirstRegionOffset : page_offset(page_count) + page_bytes_;
  }
  /// The number of pages that a pages.db of this size holds completely, each with its entry.
  constexpr std::uint64_t pages_in(std::uint64_t file_bytes) const {
    if (file_bytes <= kFirstRegionOffset) return 0;
    const std::uint64_t whole_regions = (file_bytes - kFirstRegionOffset) / region_bytes();
    const std::uint64_t rest = (file_bytes - kFirstRegionOffset) % region_bytes();
    const std::uint64_t in_rest = rest > kDirectoryBytes ? (rest - kDirectoryBytes) / page_bytes_ : 0;
    return std::min(whole_regions * kPagesPerRegion + in_rest, kMaxPageCount);
  }

 private:
  std::uint32_t page_bytes_;
};

}  // namespace mentedb::format

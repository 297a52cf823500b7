// Where things are in pages.db (docs/format.md "pages.db").
//
//   0        superblock (one block of 4 KiB)
//   64 KiB   shared state (one block)
//   128 KiB  region 0: header of 64 stretch records and a region word, directory of 65,536 entries of 32 bytes, then
//            65,536 pages
//            region 1: ...
//
// Pages are numbered from 1. A run (the consecutive pages of one memory) never crosses the end of a region. A stretch
// is 1,024 consecutive pages; format/stretch.hpp says what its record tells.
//
// Whatever is mapped begins at a multiple of 64 KiB, the largest page of a kernel that this engine knows (arm64). The
// blocks between are holes of the file, and take no space.
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
inline constexpr std::uint64_t kPagesPerStretch = 1'024;
inline constexpr std::uint64_t kStretchesPerRegion = kPagesPerRegion / kPagesPerStretch;
inline constexpr std::uint64_t kMaxPageCount = 0xFFFF'FFFF;  // a bucket of the id index has 32 bits for a page
inline constexpr std::size_t kEntryBytes = 32;
inline constexpr std::uint64_t kDirectoryBytes = kPagesPerRegion * kEntryBytes;
inline constexpr std::size_t kStretchRecordBytes = 16;
inline constexpr std::size_t kRegionWordOffset = kStretchesPerRegion * kStretchRecordBytes;  ///< in the region
inline constexpr std::uint64_t kMapAlignment = 65'536;
inline constexpr std::uint64_t kSharedStateOffset = kMapAlignment;
inline constexpr std::uint64_t kFirstRegionOffset = 2 * kMapAlignment;
inline constexpr std::uint64_t kRegionHeaderBytes = kMapAlignment;
/// A pages.db without pages: it ends behind the shared state.
inline constexpr std::uint64_t kLeastPagesFileBytes = kSharedStateOffset + base::kBlockBytes;

constexpr bool is_valid_page_bytes(std::uint64_t bytes) {
  return bytes >= kMinPageBytes && bytes <= kMaxPageBytes && (bytes & (bytes - 1)) == 0;
}

/// Page numbers to file offsets, for one page size.
class Geometry {
 public:
  explicit constexpr Geometry(std::uint32_t page_bytes = kDefaultPageBytes) : page_bytes_(page_bytes) {}

  constexpr std::uint32_t page_bytes() const { return page_bytes_; }
  constexpr std::uint64_t region_bytes() const {
    return kRegionHeaderBytes + kDirectoryBytes + kPagesPerRegion * page_bytes_;
  }
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

  static constexpr std::uint64_t stretch_of(std::uint64_t page) { return (page - 1) / kPagesPerStretch; }
  static constexpr std::uint64_t first_page_of_stretch(std::uint64_t stretch) { return stretch * kPagesPerStretch + 1; }
  static constexpr std::uint64_t last_page_of_stretch(std::uint64_t stretch) {
    return (stretch + 1) * kPagesPerStretch;
  }

  // Offsets in a region.
  static constexpr std::uint64_t record_in_region(std::uint64_t stretch) {
    return stretch % kStretchesPerRegion * kStretchRecordBytes;
  }
  static constexpr std::uint64_t entry_in_region(std::uint64_t page) {
    return kRegionHeaderBytes + index_in_region(page) * kEntryBytes;
  }
  constexpr std::uint64_t page_in_region(std::uint64_t page) const {
    return kRegionHeaderBytes + kDirectoryBytes + index_in_region(page) * page_bytes_;
  }
  // Offsets in the file.
  constexpr std::uint64_t record_offset(std::uint64_t stretch) const {
    return region_offset(stretch / kStretchesPerRegion) + record_in_region(stretch);
  }
  constexpr std::uint64_t region_word_offset(std::uint64_t region) const {
    return region_offset(region) + kRegionWordOffset;
  }
  constexpr std::uint64_t entry_offset(std::uint64_t page) const {
    return region_offset(region_of(page)) + entry_in_region(page);
  }
  constexpr std::uint64_t page_offset(std::uint64_t page) const {
    return region_offset(region_of(page)) + page_in_region(page);
  }
  /// The size of a pages.db that holds `page_count` pages.
  constexpr std::uint64_t file_bytes(std::uint64_t page_count) const {
    return page_count == 0 ? kLeastPagesFileBytes : page_offset(page_count) + page_bytes_;
  }
  /// The number of pages that a pages.db of this size holds completely, each with its entry.
  constexpr std::uint64_t pages_in(std::uint64_t file_bytes) const {
    if (file_bytes <= kFirstRegionOffset) return 0;
    const std::uint64_t whole_regions = (file_bytes - kFirstRegionOffset) / region_bytes();
    const std::uint64_t rest = (file_bytes - kFirstRegionOffset) % region_bytes();
    constexpr std::uint64_t kFirstPage = kRegionHeaderBytes + kDirectoryBytes;
    const std::uint64_t in_rest = rest > kFirstPage ? (rest - kFirstPage) / page_bytes_ : 0;
    return std::min(whole_regions * kPagesPerRegion + in_rest, kMaxPageCount);
  }

 private:
  std::uint32_t page_bytes_;
};

}  // namespace mentedb::format

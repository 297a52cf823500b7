// The record of a stretch: 1,024 consecutive pages (docs/format.md "Stretch records"). It lets readers skip pages that
// did not change, and lets the allocator skip pages that are in use. No checksum covers a record, because a wrong one
// does no harm that lasts: the allocator believes nothing that it has not read in the directory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "format/geometry.hpp"

namespace mentedb::format {

struct StretchRecord {
  std::uint64_t lsn;         ///< no entry of the stretch has a higher one
  std::uint64_t free_space;  ///< a FreeSpace; 0: unknown
};
static_assert(sizeof(StretchRecord) == kStretchRecordBytes && std::has_unique_object_representations_v<StretchRecord>);

/// The free pages of one stretch. A record may claim more than there is: a write takes pages and does not correct the
/// record. It never claims less, because a write that frees pages makes the record unknown.
struct FreeSpace {
  std::uint32_t at_begin = 0;  ///< free pages from the first page of the stretch on
  std::uint32_t at_end = 0;    ///< free pages up to its last page
  std::uint32_t longest = 0;   ///< the longest run of free pages

  /// An unknown stretch may be free as a whole.
  static constexpr FreeSpace all() { return {kPagesPerStretch, kPagesPerStretch, kPagesPerStretch}; }

  constexpr std::uint64_t word() const {
    return kKnown | std::uint64_t{at_begin} << (2 * kBits) | std::uint64_t{at_end} << kBits | longest;
  }
  /// Nothing when the word says "unknown".
  static constexpr std::optional<FreeSpace> from_word(std::uint64_t word) {
    if ((word & kKnown) == 0) return std::nullopt;
    const auto part = [word](unsigned shift) {
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(word >> shift & kMask, kPagesPerStretch));
    };
    return FreeSpace{part(2 * kBits), part(kBits), part(0)};
  }
  friend bool operator==(const FreeSpace&, const FreeSpace&) = default;

 private:
  static constexpr unsigned kBits = 11;
  static constexpr std::uint64_t kMask = (1U << kBits) - 1;
  static constexpr std::uint64_t kKnown = std::uint64_t{1} << 63;
};

/// The region word: the longest run of free pages in the region, across its stretches. 0: unknown. As a record it may
/// claim more than there is. It lets the allocator pass 65,536 pages with one load.
constexpr std::uint64_t region_word(std::uint64_t longest) { return std::uint64_t{1} << 63 | longest; }
constexpr std::uint64_t longest_of_region(std::uint64_t word) {
  return (word >> 63) == 0 ? kPagesPerRegion : std::min(word & 0xFFFF'FFFF, kPagesPerRegion);
}

}  // namespace mentedb::format

// Reads directory entries one after the other, copying them out of the mapping a block at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include <mentedb/error.hpp>

#include "base/error.hpp"
#include "pages/buffer_pool.hpp"

namespace mentedb::pages {

class EntryReader {
 public:
  /// Pages up to `last_page` may be read.
  EntryReader(BufferPool& pool, std::uint64_t last_page) : pool_(pool), last_page_(last_page) {}

  /// The entry of `page`, or nothing when it does not verify. Others may write it meanwhile: a copy that was made
  /// some entries ago is as good as one made now.
  Result<std::optional<format::Entry>> at(std::uint64_t page) {
    if (page < first_ || page >= first_ + count_) MENTEDB_TRY(fill(page));
    return format::decode_entry(bytes_of(page), page, pool_.seed());
  }

  /// The first page from `page` on whose entry is newer than `lsn`, verified or not; else the one behind the block.
  Result<std::uint64_t> newer_than(std::uint64_t lsn, std::uint64_t page) {
    if (page < first_ || page >= first_ + count_) MENTEDB_TRY(fill(page));
    while (page < first_ + count_ && format::raw_entry_lsn(bytes_of(page)) <= lsn) ++page;
    return page;
  }

 private:
  static constexpr std::uint64_t kAtOnce = 64;

  std::span<const std::byte, format::kEntryBytes> bytes_of(std::uint64_t page) const {
    return std::span<const std::byte, format::kEntryBytes>(bytes_.data() + (page - first_) * format::kEntryBytes,
                                                           format::kEntryBytes);
  }

  Result<void> fill(std::uint64_t page) {
    const std::uint64_t group_end = format::Geometry::last_page_of(format::Geometry::group_of(page));
    const std::uint64_t n = std::min({kAtOnce, group_end - page + 1, last_page_ - page + 1});
    count_ = 0;
    MENTEDB_TRY(pool_.read_entries(page, std::span(bytes_).first(n * format::kEntryBytes)));
    first_ = page;
    count_ = n;
    return {};
  }

  BufferPool& pool_;
  std::uint64_t last_page_;
  std::uint64_t first_ = 0;
  std::uint64_t count_ = 0;
  std::array<std::byte, kAtOnce * format::kEntryBytes> bytes_;
};

}  // namespace mentedb::pages

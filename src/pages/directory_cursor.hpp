// The one way along the directory: scans, backups, the build of the id index, redo, verify and salvage walk it with
// this cursor, and the allocator looks ahead with it. It copies the entries out of their source some at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include <mentedb/error.hpp>

#include "base/error.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"

namespace mentedb::pages {

/// `Source` is a BufferPool, or raw files: it has `read_entries(first_page, bytes)` and `seed()`.
///
///     for (DirectoryCursor cursor(pool, last_page); cursor.next();) { ... cursor.page() ... cursor.entry() ... }
template <class Source>
class DirectoryCursor {
 public:
  /// Stands before page 1. Pages up to `last_page` may be read. `source` outlives the cursor.
  DirectoryCursor(const Source& source, std::uint64_t last_page) : source_(source), last_page_(last_page) {}

  /// Goes to the next page. False behind the last one.
  bool next() { return ++page_ <= last_page_; }
  std::uint64_t page() const { return page_; }
  std::uint64_t stretch() const { return format::Geometry::stretch_of(page_); }
  bool begins_stretch() const { return format::Geometry::first_page_of_stretch(stretch()) == page_; }
  /// `next` goes to the stretch behind this one.
  void skip_stretch() { page_ = format::Geometry::last_page_of_stretch(stretch()); }
  /// The same for regions.
  void skip_region() { page_ = format::Geometry::last_page_of(format::Geometry::region_of(page_)); }
  /// `next` passes this many pages: those inside the run that starts here.
  void skip_pages(std::uint64_t count) { page_ += count; }
  /// The entry of this page, or nothing when it does not verify. Other processes may write the entry meanwhile: a copy
  /// that was made some entries ago is as good as one made now.
  Result<std::optional<format::Entry>> entry() { return at(page_); }
  /// The same into `entry`. False when it does not verify.
  Result<bool> read(format::Entry& entry) {
    MENTEDB_TRY(fill(page_));
    return format::decode_entry(bytes_of(page_), page_, source_.seed(), entry);
  }
  /// The same for any page up to the last.
  Result<std::optional<format::Entry>> at(std::uint64_t page) {
    MENTEDB_TRY(fill(page));
    return format::decode_entry(bytes_of(page), page, source_.seed());
  }

  /// Passes the entries whose LSN is `lsn` or lower; their checksums are not looked at. False when the copied block
  /// ends before a newer one: `next` goes on behind it.
  Result<bool> skip_to_newer_than(std::uint64_t lsn) {
    MENTEDB_TRY(fill(page_));
    while (page_ < first_ + count_ && format::raw_entry_lsn(bytes_of(page_)) <= lsn) ++page_;
    if (page_ < first_ + count_) return true;
    --page_;
    return false;
  }

 private:
  static constexpr std::uint64_t kAtOnce = 64;

  std::span<const std::byte, format::kEntryBytes> bytes_of(std::uint64_t page) const {
    return std::span<const std::byte, format::kEntryBytes>(bytes_.data() + (page - first_) * format::kEntryBytes,
                                                           format::kEntryBytes);
  }

  Result<void> fill(std::uint64_t page) {
    if (page >= first_ && page < first_ + count_) [[likely]]
      return {};
    const std::uint64_t region_end = format::Geometry::last_page_of(format::Geometry::region_of(page));
    const std::uint64_t n = std::min({kAtOnce, region_end - page + 1, last_page_ - page + 1});
    const bool goes_on = page >= first_ && page < first_ + 2 * count_;  // not far behind the last entries
    count_ = 0;
    MENTEDB_TRY(source_.read_entries(page, std::span(bytes_).first(n * format::kEntryBytes)));
    first_ = page;
    count_ = n;
    // On the way along the directory the next entries come from memory while the caller works on these.
    if constexpr (requires { source_.prefetch_entries(page, n); }) {
      if (goes_on) source_.prefetch_entries(page + n, kAtOnce);
    }
    return {};
  }

  const Source& source_;
  std::uint64_t last_page_;
  std::uint64_t page_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t count_ = 0;
  std::array<std::byte, kAtOnce * format::kEntryBytes> bytes_;
};

}  // namespace mentedb::pages

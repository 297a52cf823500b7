// Writing pages.db: runs, directory entries, growth. Every write is a pwrite, so errors are reported; only the holder
// of the store's lock calls anything here.
#pragma once

#include <cstdint>
#include <span>

#include <mentedb/error.hpp>

#include "base/bytes.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"
#include "shared/shared_state.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::pages {

class PageFile {
 public:
  /// `file` and `state` outlive the page file.
  PageFile(vfs::File& file, shared::SharedState& state, format::Geometry geometry, std::uint64_t seed)
      : file_(file), state_(state), geometry_(geometry), seed_(seed) {}

  /// Makes room in memory so that the writes below allocate nothing.
  void prepare(std::uint64_t max_run_pages);

  /// The whole run: header, payload, zeros.
  Result<void> write_run(format::RunHeader header, std::span<const std::byte> payload);
  /// The header of a freed run's first page: the page says itself that it is free.
  Result<void> write_free_header(std::uint64_t page, std::uint64_t lsn);
  /// The head's entry and those of the pages inside the run.
  Result<void> write_run_entries(std::uint64_t page, const format::Entry& head);
  /// `head` for the first page (freed) and plain free entries for the others.
  Result<void> write_freed_entries(std::uint64_t page, std::uint32_t count, const format::Entry& head);

  /// Makes everything that was written durable, through the door of R7 (shared/pending_sync.hpp).
  /// @errors `io_error`: `sync pending` stays, and the next checkpoint rewrites the pages from the log
  Result<void> sync();
  /// The same after the pages were written again from the log: success takes back a `sync pending` that was set before.
  Result<void> sync_after_rewrite();
  /// Space and free entries for the pages from `page_count` + 1 to `new_count`, durable. @errors `no_space`
  Result<void> grow(std::uint64_t page_count, std::uint64_t new_count);

  vfs::File& file() { return file_; }

 private:
  Result<void> write_zeros(std::uint64_t offset, std::uint64_t length);
  Result<void> write_entries(std::uint64_t first_page, std::uint64_t count);
  std::span<std::byte, format::kEntryBytes> scratch_entry(std::uint64_t index);

  vfs::File& file_;
  shared::SharedState& state_;
  format::Geometry geometry_;
  std::uint64_t seed_;
  base::AlignedBuffer run_;
  base::AlignedBuffer entries_;
};

}  // namespace mentedb::pages

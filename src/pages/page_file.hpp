// Writes pages.db: runs, directory entries, growth. Every write is a pwrite, so the kernel reports an error instead of
// raising SIGBUS. Only the lock holder writes to an open store. A backup writes to its own copy.
#pragma once

#include <cstdint>
#include <span>

#include <mentedb/error.hpp>

#include "base/bytes.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"
#include "format/stretch.hpp"
#include "shared/shared_state.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::pages {

class PageFile {
 public:
  /// `file` and `state` outlive the page file.
  PageFile(vfs::File& file, shared::SharedState& state, format::Geometry geometry, std::uint64_t seed)
      : file_(file), state_(state), geometry_(geometry), seed_(seed) {}

  /// Reserves memory, so that the writes below allocate nothing.
  void prepare(std::uint64_t max_run_pages);

  /// Writes the whole run: header, payload, zeros.
  Result<void> write_run(format::RunHeader header, std::span<const std::byte> payload);
  /// Writes a header of type free to the first page of a freed run, so that the page itself says that it is free.
  Result<void> write_free_header(std::uint64_t page, std::uint64_t lsn);
  /// Writes the entry of the run's first page and those of the pages inside the run.
  Result<void> write_run_entries(std::uint64_t page, const format::Entry& head);
  /// Writes `head` for the first freed page and entries of type free for the others.
  Result<void> write_freed_entries(std::uint64_t page, std::uint32_t count, const format::Entry& head);

  Result<void> write_stretch(std::uint64_t stretch, const format::StretchRecord& record);
  /// Writes the records of all pages again: no entry has an LSN above `lsn`, and the free pages are unknown.
  Result<void> reset_stretches(std::uint64_t page_count, std::uint64_t lsn);

  /// Makes every write to the file durable, under `sync pending` (R7, shared/pending_sync.hpp).
  /// @errors `io_error`: `sync pending` stays set, and the next lock holder rewrites the pages from the log
  Result<void> sync();
  /// The same after redo has rewritten the pages from the log. A success also clears a `sync pending` of an earlier
  /// sync.
  Result<void> sync_after_rewrite();
  /// Makes space, free entries and stretch records for the pages from `page_count` + 1 to `new_count`, and syncs.
  /// @errors `no_space`
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

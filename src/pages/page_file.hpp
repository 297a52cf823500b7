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

/// Pages that the file gained for a batch and that no write has reached yet. Before the log speaks of them each is
/// written, with a run or with zeros (PageFile::fill).
struct NewPages {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
  bool any() const { return first <= last; }
};

class PageFile {
 public:
  /// `file` and `state` outlive the page file.
  PageFile(vfs::File& file, shared::SharedState& state, format::Geometry geometry, std::uint64_t seed)
      : file_(file), state_(state), geometry_(geometry), seed_(seed) {}

  /// Reserves memory, so that the writes below allocate nothing. `runs`: how many `write_runs` gets at most.
  void prepare(std::uint64_t max_run_pages, std::size_t runs = 1);

  /// Writes the whole run: header, payload, zeros.
  Result<void> write_run(format::RunHeader header, std::span<const std::byte> payload);
  struct Run {
    format::RunHeader header;
    std::span<const std::byte> payload;
    format::Entry entry;  ///< of the first page
  };
  // Runs that follow one another in the file go out in one write.

  /// Writes the runs, and fills in their checksums. New pages before a run get zeros.
  Result<void> write_runs(std::span<Run> runs, NewPages& new_pages);
  /// Writes the entries of the runs.
  Result<void> write_entries_of(std::span<const Run> runs);
  /// Writes a header of type free to the first page of a freed run, so that the page itself says that it is free.
  Result<void> write_free_header(std::uint64_t page, std::uint64_t lsn);
  /// Writes the entry of the run's first page and those of the pages inside the run.
  Result<void> write_run_entries(std::uint64_t page, const format::Entry& head);
  /// Writes `head` for the first freed page and entries of type free for the others.
  Result<void> write_freed_entries(std::uint64_t page, std::uint32_t count, const format::Entry& head);

  /// Writes the entries of consecutive pages of one region as they are given.
  Result<void> write_entries(std::uint64_t first_page, std::span<const format::Entry> entries);
  /// Writes free pages anew: zeros, and where the entry remembers a memory the header of a freed run.
  Result<void> write_free_pages(std::uint64_t first_page, std::span<const format::Entry> entries);

  Result<void> write_stretch(std::uint64_t stretch, const format::StretchRecord& record);
  Result<void> write_region_word(std::uint64_t region, std::uint64_t word);
  /// Writes the headers of all regions again: no entry has an LSN above `lsn`, and the free pages are unknown.
  Result<void> reset_stretches(std::uint64_t page_count, std::uint64_t lsn);

  /// Makes every write to the file durable, under `sync pending` (R7, shared/pending_sync.hpp).
  /// @errors `io_error`: `sync pending` stays set, and the next lock holder rewrites the pages from the log
  Result<void> sync();
  /// The same after redo has rewritten the pages from the log. A success also clears a `sync pending` of an earlier
  /// sync.
  Result<void> sync_after_rewrite();
  /// Makes space, free entries and stretch records for the pages from `page_count` + 1 to `new_count`, and adds these
  /// pages to `new_pages`. Before the log speaks of them, `fill` and `sync` have to succeed.
  /// @errors `no_space`
  Result<void> grow(std::uint64_t page_count, std::uint64_t new_count, NewPages& new_pages);
  /// Writes zeros to all new pages, or to those before a page.
  Result<void> fill(NewPages& new_pages, std::uint64_t before = UINT64_MAX);

  vfs::File& file() { return file_; }

 private:
  Result<void> write_zeros(std::uint64_t offset, std::uint64_t length);
  /// How many of the first runs one write takes, when a write has at most so many pages. At least one.
  static std::size_t first_stretch(std::span<const Run> runs, std::uint64_t most_pages);
  void seal_image(format::RunHeader& header, std::span<const std::byte> payload, std::span<std::byte> image) const;
  void encode_run_entries(std::uint64_t page, const format::Entry& head, std::uint64_t at);
  Result<void> write_scratch_entries(std::uint64_t first_page, std::uint64_t count);
  format::RunHeader free_header(std::uint64_t page, std::uint64_t lsn) const;
  std::span<std::byte, format::kEntryBytes> scratch_entry(std::uint64_t index);

  vfs::File& file_;
  shared::SharedState& state_;
  format::Geometry geometry_;
  std::uint64_t seed_;
  base::AlignedBuffer run_;
  base::AlignedBuffer entries_;
  base::AlignedBuffer zeros_;
};

}  // namespace mentedb::pages

#include "pages/page_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hpp"
#include "shared/pending_sync.hpp"

namespace mentedb::pages {

using format::Entry;
using format::EntryType;
using format::Geometry;
using format::RunHeader;

void PageFile::prepare(std::uint64_t max_run_pages) {
  run_.reserve(max_run_pages * geometry_.page_bytes());
  entries_.reserve(max_run_pages * format::kEntryBytes);
}

Result<void> PageFile::write_run(RunHeader header, std::span<const std::byte> payload) {
  const std::size_t total = std::size_t{header.run_pages} * geometry_.page_bytes();
  prepare(header.run_pages);
  format::seal_run_header(header, payload, seed_);
  const auto image = run_.first(total);
  base::write_struct(image, 0, header);
  std::ranges::copy(payload, image.begin() + sizeof(header));
  // The zeros overwrite old headers inside the run and bytes of a deleted memory in its slack.
  std::ranges::fill(image.subspan(sizeof(header) + payload.size()), std::byte{0});
  return file_.write_at(geometry_.page_offset(header.page), image);
}

Result<void> PageFile::write_free_header(std::uint64_t page, std::uint64_t lsn) {
  RunHeader header{.checksum = 0,
                   .page = page,
                   .lsn = lsn,
                   .payload_bytes = 0,
                   .run_pages = 1,
                   .type = format::RunType::free,
                   .reserved = {}};
  format::seal_run_header(header, {}, seed_);
  return file_.write_at(geometry_.page_offset(page), base::bytes_of(header));
}

std::span<std::byte, format::kEntryBytes> PageFile::scratch_entry(std::uint64_t index) {
  return std::span<std::byte, format::kEntryBytes>(entries_.data() + index * format::kEntryBytes, format::kEntryBytes);
}

Result<void> PageFile::write_entries(std::uint64_t first_page, std::uint64_t count) {
  return file_.write_at(geometry_.entry_offset(first_page), entries_.first(count * format::kEntryBytes));
}

Result<void> PageFile::write_run_entries(std::uint64_t page, const Entry& head) {
  prepare(head.run_pages);
  format::encode_entry(head, page, seed_, scratch_entry(0));
  for (std::uint32_t i = 1; i < head.run_pages; ++i) {
    format::encode_entry({.id = {}, .lsn = head.lsn, .run_pages = i, .type = EntryType::interior}, page + i, seed_,
                         scratch_entry(i));
  }
  return write_entries(page, head.run_pages);
}

Result<void> PageFile::write_freed_entries(std::uint64_t page, std::uint32_t count, const Entry& head) {
  prepare(count);
  format::encode_entry(head, page, seed_, scratch_entry(0));
  for (std::uint32_t i = 1; i < count; ++i) {
    format::encode_entry({.id = {}, .lsn = head.lsn, .run_pages = 0, .type = EntryType::free}, page + i, seed_,
                         scratch_entry(i));
  }
  return write_entries(page, count);
}

Result<void> PageFile::write_stretch(std::uint64_t stretch, const format::StretchRecord& record) {
  return file_.write_at(geometry_.record_offset(stretch), base::bytes_of(record));
}

Result<void> PageFile::reset_stretches(std::uint64_t page_count, std::uint64_t lsn) {
  std::array<format::StretchRecord, format::kStretchesPerRegion> records;
  records.fill({.lsn = lsn, .free_space = 0});
  for (std::uint64_t page = 1; page <= page_count; page += format::kPagesPerRegion) {
    MENTEDB_TRY(file_.write_at(geometry_.record_offset(Geometry::stretch_of(page)), std::as_bytes(std::span(records))));
  }
  return {};
}

Result<void> PageFile::sync() {
  MENTEDB_TRY_ASSIGN(auto pending, shared::PendingSync::begin(state_));
  MENTEDB_TRY(file_.sync());
  return pending.succeeded();
}

Result<void> PageFile::sync_after_rewrite() {
  MENTEDB_TRY_ASSIGN(auto pending, shared::PendingSync::begin(state_));
  MENTEDB_TRY(file_.sync());
  return pending.succeeded_after_rewrite();
}

// ext4 marks a reserved block as written when the first write-back of the block ends. After a write-back that fails,
// the block keeps the mark "unwritten": a rewrite of the same bytes (R7) reaches the disk, its sync succeeds, and after
// the next mount the block reads as zeros. So every block is written once before it holds data.
Result<void> PageFile::write_zeros(std::uint64_t offset, std::uint64_t length) {
  constexpr std::uint64_t kAtOnceBytes = 256 * 1024;
  run_.reserve(std::min(length, kAtOnceBytes));
  const auto zeros = run_.first(std::min(length, kAtOnceBytes));
  std::ranges::fill(zeros, std::byte{0});
  for (std::uint64_t done = 0; done < length; done += zeros.size()) {
    MENTEDB_TRY(file_.write_at(offset + done, zeros.first(std::min<std::uint64_t>(zeros.size(), length - done))));
  }
  return {};
}

Result<void> PageFile::grow(std::uint64_t page_count, std::uint64_t new_count) {
  constexpr std::uint64_t kEntriesAtOnce = 4'096;
  prepare(1);
  entries_.reserve(kEntriesAtOnce * format::kEntryBytes);
  for (std::uint64_t page = page_count + 1; page <= new_count;) {
    const std::uint64_t last = std::min(new_count, Geometry::last_page_of(Geometry::region_of(page)));
    const std::uint64_t count = last - page + 1;
    if (Geometry::index_in_region(page) == 0) {
      MENTEDB_TRY(write_zeros(geometry_.region_offset(Geometry::region_of(page)), base::kBlockBytes));
    }
    MENTEDB_TRY(file_.allocate(geometry_.page_offset(page), count * geometry_.page_bytes()));
    MENTEDB_TRY(file_.allocate(geometry_.entry_offset(page), count * format::kEntryBytes));
    MENTEDB_TRY(write_zeros(geometry_.page_offset(page), count * geometry_.page_bytes()));
    for (std::uint64_t done = 0; done < count;) {
      const std::uint64_t n = std::min(count - done, kEntriesAtOnce);
      for (std::uint64_t i = 0; i < n; ++i) format::encode_entry(Entry{}, page + done + i, seed_, scratch_entry(i));
      MENTEDB_TRY(write_entries(page + done, n));
      done += n;
    }
    page = last + 1;
  }
  return sync();
}

}  // namespace mentedb::pages

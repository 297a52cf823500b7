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

namespace {

constexpr std::uint64_t kZerosAtOnceBytes = 256 * 1024;
constexpr std::uint64_t kRunsAtOnceBytes = 256 * 1024;

}  // namespace

void PageFile::prepare(std::uint64_t max_run_pages, std::size_t runs) {
  const std::uint64_t at_once = kRunsAtOnceBytes / geometry_.page_bytes();
  const std::uint64_t pages = std::max(max_run_pages, std::min(max_run_pages * runs, at_once));
  run_.reserve(pages * geometry_.page_bytes());
  entries_.reserve(pages * format::kEntryBytes);
}

void PageFile::seal_image(RunHeader& header, std::span<const std::byte> payload, std::span<std::byte> image) const {
  format::seal_run_header(header, payload, seed_);
  base::write_struct(image, 0, header);
  base::copy_bytes(payload, image.subspan(sizeof(header)));
  // The zeros overwrite old headers inside the run and bytes of a deleted memory in its slack.
  std::ranges::fill(image.subspan(sizeof(header) + payload.size()), std::byte{0});
}

Result<void> PageFile::write_run(RunHeader header, std::span<const std::byte> payload) {
  prepare(header.run_pages);
  const auto image = run_.first(std::size_t{header.run_pages} * geometry_.page_bytes());
  seal_image(header, payload, image);
  return file_.write_at(geometry_.page_offset(header.page), image);
}

std::size_t PageFile::first_stretch(std::span<const Run> runs, std::uint64_t most_pages) {
  const std::uint64_t begin = runs.front().header.page;
  std::uint64_t end = begin + runs.front().header.run_pages;
  std::size_t count = 1;
  for (; count < runs.size(); ++count) {
    const RunHeader& next = runs[count].header;
    const bool follows = next.page == end && Geometry::region_of(next.page) == Geometry::region_of(begin);
    if (!follows || end + next.run_pages - begin > most_pages) break;
    end += next.run_pages;
  }
  return count;
}

Result<void> PageFile::write_runs(std::span<Run> runs, NewPages& new_pages) {
  const std::uint32_t page_bytes = geometry_.page_bytes();
  while (!runs.empty()) {
    prepare(runs.front().header.run_pages);
    const auto together = runs.first(first_stretch(runs, run_.size_bytes() / page_bytes));
    std::size_t bytes = 0;
    for (Run& run : together) {
      const std::size_t run_bytes = std::size_t{run.header.run_pages} * page_bytes;
      seal_image(run.header, run.payload, run_.first(bytes + run_bytes).subspan(bytes));
      bytes += run_bytes;
    }
    const std::uint64_t first = together.front().header.page;
    MENTEDB_TRY(fill(new_pages, first));  // so no page before the runs is new from here on
    MENTEDB_TRY(file_.write_at(geometry_.page_offset(first), run_.first(bytes)));
    new_pages.first = std::max(new_pages.first, first + bytes / page_bytes);
    runs = runs.subspan(together.size());
  }
  return {};
}

Result<void> PageFile::write_entries_of(std::span<const Run> runs) {
  while (!runs.empty()) {
    prepare(runs.front().header.run_pages);
    const auto together = runs.first(first_stretch(runs, entries_.size_bytes() / format::kEntryBytes));
    std::size_t pages = 0;
    for (const Run& run : together) {
      encode_run_entries(run.header.page, run.entry, pages);
      pages += run.header.run_pages;
    }
    MENTEDB_TRY(write_scratch_entries(together.front().header.page, pages));
    runs = runs.subspan(together.size());
  }
  return {};
}

RunHeader PageFile::free_header(std::uint64_t page, std::uint64_t lsn) const {
  RunHeader header{.checksum = 0,
                   .page = page,
                   .lsn = lsn,
                   .payload_bytes = 0,
                   .run_pages = 1,
                   .type = format::RunType::free,
                   .reserved = {}};
  format::seal_run_header(header, {}, seed_);
  return header;
}

Result<void> PageFile::write_free_header(std::uint64_t page, std::uint64_t lsn) {
  const RunHeader header = free_header(page, lsn);
  return file_.write_at(geometry_.page_offset(page), base::bytes_of(header));
}

Result<void> PageFile::write_free_pages(std::uint64_t first_page, std::span<const Entry> entries) {
  const std::size_t page_bytes = geometry_.page_bytes();
  const std::size_t at_once = std::max<std::size_t>(1, kZerosAtOnceBytes / page_bytes);
  run_.reserve(std::min(entries.size(), at_once) * page_bytes);
  for (std::size_t done = 0; done < entries.size();) {
    const std::size_t n = std::min(at_once, entries.size() - done);
    const auto image = run_.first(n * page_bytes);
    std::ranges::fill(image, std::byte{0});
    for (std::size_t i = 0; i < n; ++i) {
      const Entry& entry = entries[done + i];
      if (entry.type == EntryType::free) continue;
      base::write_struct(image, i * page_bytes, free_header(first_page + done + i, entry.lsn));
    }
    MENTEDB_TRY(file_.write_at(geometry_.page_offset(first_page + done), image));
    done += n;
  }
  return {};
}

std::span<std::byte, format::kEntryBytes> PageFile::scratch_entry(std::uint64_t index) {
  return std::span<std::byte, format::kEntryBytes>(entries_.data() + index * format::kEntryBytes, format::kEntryBytes);
}

Result<void> PageFile::write_scratch_entries(std::uint64_t first_page, std::uint64_t count) {
  return file_.write_at(geometry_.entry_offset(first_page), entries_.first(count * format::kEntryBytes));
}

Result<void> PageFile::write_entries(std::uint64_t first_page, std::span<const Entry> entries) {
  entries_.reserve(entries.size() * format::kEntryBytes);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    format::encode_entry(entries[i], first_page + i, seed_, scratch_entry(i));
  }
  return write_scratch_entries(first_page, entries.size());
}

void PageFile::encode_run_entries(std::uint64_t page, const Entry& head, std::uint64_t at) {
  format::encode_entry(head, page, seed_, scratch_entry(at));
  for (std::uint32_t i = 1; i < head.run_pages; ++i) {
    format::encode_entry({.id = {}, .lsn = head.lsn, .run_pages = i, .type = EntryType::interior}, page + i, seed_,
                         scratch_entry(at + i));
  }
}

Result<void> PageFile::write_run_entries(std::uint64_t page, const Entry& head) {
  prepare(head.run_pages);
  encode_run_entries(page, head, 0);
  return write_scratch_entries(page, head.run_pages);
}

Result<void> PageFile::write_freed_entries(std::uint64_t page, std::uint32_t count, const Entry& head) {
  prepare(count);
  format::encode_entry(head, page, seed_, scratch_entry(0));
  for (std::uint32_t i = 1; i < count; ++i) {
    format::encode_entry({.id = {}, .lsn = head.lsn, .run_pages = 0, .type = EntryType::free}, page + i, seed_,
                         scratch_entry(i));
  }
  return write_scratch_entries(page, count);
}

Result<void> PageFile::write_stretch(std::uint64_t stretch, const format::StretchRecord& record) {
  return file_.write_at(geometry_.record_offset(stretch), base::bytes_of(record));
}

Result<void> PageFile::write_region_word(std::uint64_t region, std::uint64_t word) {
  return file_.write_at(geometry_.region_word_offset(region), base::bytes_of(word));
}

Result<void> PageFile::reset_stretches(std::uint64_t page_count, std::uint64_t lsn) {
  std::array<format::StretchRecord, format::kStretchesPerRegion + 1> records;
  records.fill({.lsn = lsn, .free_space = 0});
  static_assert(format::kRegionWordOffset == format::kStretchesPerRegion * sizeof(records[0]));
  records.back() = {.lsn = 0, .free_space = 0};  // the region word
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
  zeros_.reserve(std::min(length, kZerosAtOnceBytes));
  const auto zeros = zeros_.first(std::min(length, kZerosAtOnceBytes));
  std::ranges::fill(zeros, std::byte{0});
  for (std::uint64_t done = 0; done < length; done += zeros.size()) {
    MENTEDB_TRY(file_.write_at(offset + done, zeros.first(std::min<std::uint64_t>(zeros.size(), length - done))));
  }
  return {};
}

Result<void> PageFile::fill(NewPages& new_pages, std::uint64_t before) {
  const std::uint64_t end = std::min(new_pages.last, before - 1);
  while (new_pages.first <= end) {
    const std::uint64_t last = std::min(end, Geometry::last_page_of(Geometry::region_of(new_pages.first)));
    const std::uint64_t count = last - new_pages.first + 1;
    MENTEDB_TRY(write_zeros(geometry_.page_offset(new_pages.first), count * geometry_.page_bytes()));
    new_pages.first = last + 1;
  }
  return {};
}

Result<void> PageFile::grow(std::uint64_t page_count, std::uint64_t new_count, NewPages& new_pages) {
  constexpr std::uint64_t kEntriesAtOnce = 4'096;
  entries_.reserve(kEntriesAtOnce * format::kEntryBytes);
  for (std::uint64_t page = page_count + 1; page <= new_count;) {
    const std::uint64_t last = std::min(new_count, Geometry::last_page_of(Geometry::region_of(page)));
    const std::uint64_t count = last - page + 1;
    if (Geometry::index_in_region(page) == 0) {
      MENTEDB_TRY(write_zeros(geometry_.region_offset(Geometry::region_of(page)), base::kBlockBytes));
    }
    MENTEDB_TRY(file_.allocate(geometry_.page_offset(page), count * geometry_.page_bytes()));
    MENTEDB_TRY(file_.allocate(geometry_.entry_offset(page), count * format::kEntryBytes));
    for (std::uint64_t done = 0; done < count;) {
      const std::uint64_t n = std::min(count - done, kEntriesAtOnce);
      for (std::uint64_t i = 0; i < n; ++i) format::encode_entry(Entry{}, page + done + i, seed_, scratch_entry(i));
      MENTEDB_TRY(write_scratch_entries(page + done, n));
      done += n;
    }
    page = last + 1;
  }
  if (!new_pages.any()) new_pages.first = page_count + 1;
  new_pages.last = new_count;
  return {};
}

}  // namespace mentedb::pages

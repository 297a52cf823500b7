#include "pages/reclaimer.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.hpp"
#include "format/stretch.hpp"
#include "pages/directory_cursor.hpp"

namespace mentedb::pages {

using format::Entry;
using format::Geometry;

namespace {

// Space is taken back by more than one run at a time, because each time costs a sync.
constexpr std::uint64_t kTakeAtOnceBytes = 256 * 1024;

}  // namespace

std::uint64_t Reclaimer::pages_per_block() const {
  return std::max<std::uint64_t>(1, base::kBlockBytes / pool_.geometry().page_bytes());
}

// Adds the runs of wanted pages of [first, last]. No run crosses the end of a stretch.
template <class Wanted>
Result<void> Reclaimer::collect(std::uint64_t first, std::uint64_t last, const Wanted& wanted, Found& found) const {
  Run run;
  const auto end_run = [&] {
    if (!run.entries.empty()) found.runs.push_back(std::exchange(run, {}));
  };
  DirectoryCursor entries(pool_, last);
  for (std::uint64_t page = first; page <= last; ++page) {
    if (page == Geometry::first_page_of_stretch(Geometry::stretch_of(page))) end_run();
    const auto read = entries.at(page);
    if (!read) {
      // A block of the directory that the disk cannot read. Its pages stay as they are.
      if (read.error().os_error != EIO) return std::unexpected(read.error());
      end_run();
      const std::uint64_t end = std::min(last, Geometry::last_page_of_stretch(Geometry::stretch_of(page)));
      found.unjudged += end - page + 1;
      page = end;
      continue;
    }
    const std::optional<Entry>& entry = *read;
    if (!entry) ++found.unjudged;
    if (!entry || !wanted(*entry)) {
      end_run();
      continue;
    }
    if (run.entries.empty()) run.first = page;
    run.entries.push_back(*entry);
  }
  end_run();
  return {};
}

Result<Reclaimer::Found> Reclaimer::find_idle(std::uint64_t stretch, const Slice& slice, bool whole_blocks) const {
  // A page that was never used is part of the last growth, which comes into use soon.
  const auto idle = [&slice](const Entry& entry) {
    return format::is_free(entry.type) && (slice.again || !format::lacks_space(entry)) &&
           (entry.lsn != 0 || slice.unused) && entry.lsn < slice.before_lsn;
  };
  const std::uint64_t align = whole_blocks ? pages_per_block() : 1;
  const std::uint64_t least = std::max<std::uint64_t>(1, slice.least_bytes / pool_.geometry().page_bytes());
  Found found;
  Found looked_at_now;
  for (std::uint64_t looked_at = 0; Geometry::first_page_of_stretch(stretch) <= slice.page_count; ++stretch) {
    if (looked_at++ == slice.stretches || found.runs.size() >= slice.runs) {
      found.next = stretch;
      break;
    }
    if (least > 1) {  // a record claims too much at times, and never too little
      MENTEDB_TRY_ASSIGN(const auto record, pool_.read_stretch(stretch));
      const auto claimed = format::FreeSpace::from_word(record.free_space);
      if (claimed && claimed->longest < least) continue;
    }
    looked_at_now = {};
    MENTEDB_TRY(collect(Geometry::first_page_of_stretch(stretch),
                        std::min(Geometry::last_page_of_stretch(stretch), slice.page_count), idle, looked_at_now));
    found.unjudged += looked_at_now.unjudged;
    for (const Run& run : looked_at_now.runs) {
      const std::uint64_t index = Geometry::index_in_region(run.first);
      const std::uint64_t skipped = base::round_up(index, align) - index;
      if (run.entries.size() < skipped + least) continue;
      const std::uint64_t count = (run.entries.size() - skipped) / align * align;
      if (count < least) continue;
      const auto begin = run.entries.begin() + static_cast<std::ptrdiff_t>(skipped);
      found.runs.push_back(
          {.first = run.first + skipped, .entries = {begin, begin + static_cast<std::ptrdiff_t>(count)}});
    }
  }
  return found;
}

// An entry changes in its last word alone, so a reader that copies it meanwhile has the old one or the new one.
Result<void> Reclaimer::write_marked(const Run& run, bool lacking) {
  std::vector<Entry> entries = run.entries;
  for (Entry& entry : entries) entry.run_pages = lacking ? 1 : 0;
  return file_.write_entries(run.first, entries);
}

Result<std::optional<std::uint64_t>> Reclaimer::give_back(std::uint64_t stretch, const Slice& slice) {
  MENTEDB_TRY_ASSIGN(const Found found, find_idle(stretch, slice, true));
  if (found.runs.empty()) return found.next;
  vfs::File& file = file_.file();
  MENTEDB_TRY_ASSIGN(const bool possible, file.give_back(0, 0));
  if (!possible) return std::nullopt;
  const auto has_space = [](const Run& run) { return !std::ranges::all_of(run.entries, format::lacks_space); };
  if (std::ranges::any_of(found.runs, has_space)) {
    for (const Run& run : found.runs) {
      if (has_space(run)) MENTEDB_TRY(write_marked(run, true));
    }
    MENTEDB_TRY(file_.sync());
  }
  const Geometry& geometry = pool_.geometry();
  for (auto run = found.runs.begin(); run != found.runs.end(); ++run) {
    const auto given = file.give_back(geometry.page_offset(run->first), run->entries.size() * geometry.page_bytes());
    if (given && *given) continue;
    // The file system may have taken a part of this run, and nothing of the others: they are as they were.
    for (auto other = given ? run : run + 1; other != found.runs.end(); ++other) {
      MENTEDB_TRY(file_.write_entries(other->first, other->entries));
    }
    MENTEDB_TRY(given);
    return std::nullopt;
  }
  return found.next;
}

Result<std::optional<std::uint64_t>> Reclaimer::erase(std::uint64_t stretch, const Slice& slice,
                                                      std::uint64_t& unjudged) {
  MENTEDB_TRY_ASSIGN(const bool gives_back, file_.file().give_back(0, 0));
  Slice mine = slice;
  mine.again = !gives_back;
  MENTEDB_TRY_ASSIGN(const Found found, find_idle(stretch, mine, false));
  unjudged += found.unjudged;
  if (gives_back) {
    for (const Run& run : found.runs) MENTEDB_TRY(file_.write_free_pages(run.first, run.entries));
    if (!found.runs.empty()) MENTEDB_TRY(file_.sync());
  } else {
    MENTEDB_TRY(take_runs(found.runs));
  }
  return found.next;
}

Result<void> Reclaimer::take_back(std::uint64_t first, std::uint64_t count) {
  // Whole blocks, so that no page lacks space beside one that has it.
  const std::uint64_t before = Geometry::index_in_region(first) % pages_per_block();
  const auto runs_to = [&](std::uint64_t last) -> Result<std::vector<Run>> {
    Found found;
    const std::uint64_t region_end = Geometry::last_page_of(Geometry::region_of(first));
    MENTEDB_TRY(collect(first - before, std::min({last, region_end, pool_.page_count()}), format::lacks_space, found));
    return std::move(found.runs);
  };
  const std::uint64_t block_end = first + base::round_up(before + count, pages_per_block()) - before - 1;
  MENTEDB_TRY_ASSIGN(const auto more, runs_to(block_end + kTakeAtOnceBytes / pool_.geometry().page_bytes()));
  auto taken = take_runs(more);
  if (taken || taken.error().code != ErrorCode::no_space) return taken;
  MENTEDB_TRY_ASSIGN(const auto least, runs_to(block_end));
  return take_runs(least);
}

// The zeros: see PageFile::write_zeros.
Result<void> Reclaimer::take_runs(const std::vector<Run>& runs) {
  if (runs.empty()) return {};
  const Geometry& geometry = pool_.geometry();
  for (const Run& run : runs) {
    MENTEDB_TRY(file_.file().allocate(geometry.page_offset(run.first), run.entries.size() * geometry.page_bytes()));
  }
  for (const Run& run : runs) MENTEDB_TRY(file_.write_free_pages(run.first, run.entries));
  MENTEDB_TRY(file_.sync());
  for (const Run& run : runs) MENTEDB_TRY(write_marked(run, false));
  return {};
}

}  // namespace mentedb::pages

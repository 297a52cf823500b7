#include "pages/allocator.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "pages/directory_cursor.hpp"

namespace mentedb::pages {

using format::Counters;
using format::Geometry;

namespace {

// Growth costs system calls and a sync. A step of an eighth of the store keeps growth rare and the spare space small.
constexpr std::uint64_t kMinGrowthBytes = 256 * 1024;
constexpr std::uint64_t kMaxGrowthBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kGrowthFraction = 8;

// Each allocation looks at a few more entries than it needs. So the cursor goes round the store about once while the
// store grows by an eighth. It finds free space again, and no allocation waits for a full round.
constexpr std::uint64_t kSweepBase = 64;
constexpr std::uint64_t kSweepPerPage = 8;

}  // namespace

std::optional<std::uint64_t> TakenRuns::overlap(std::uint64_t first, std::uint64_t count) const {
  auto after = runs_.lower_bound(first + count);
  if (after == runs_.begin()) return std::nullopt;
  --after;
  const std::uint64_t end = after->first + after->second;
  if (end <= first) return std::nullopt;
  return end;
}

// Looks at no more than `budget` entries.
Result<std::optional<Allocator::Found>> Allocator::sweep(std::uint64_t count, std::uint64_t budget,
                                                         const Counters& counters, const TakenRuns& taken) {
  // The open batch may have made the file grow. The new pages are not published yet, and none of them was freed.
  const std::uint64_t last_page = std::min(counters.high_water, pool_.page_count());
  if (last_page == 0) return std::nullopt;
  DirectoryCursor entries(pool_, last_page);
  std::uint64_t page = state_.cursor();
  Found found{.page = page, .reuse_horizon = 0};
  const auto start_run = [&found](std::uint64_t at) { found = {.page = at, .reuse_horizon = 0}; };
  for (; budget > 0; --budget) {
    if (page == 0 || page > last_page) start_run(page = 1);
    if (Geometry::index_in_region(page) == 0) start_run(page);  // a run never crosses the end of a region
    const auto read = entries.at(page);
    const auto entry = read ? *read : std::nullopt;
    ++page;
    if (!entry || !format::is_free(entry->type)) {  // a page with a damaged or unreadable entry may hold a memory
      start_run(page);
      continue;
    }
    if (entry->type == format::EntryType::deleted) found.reuse_horizon = std::max(found.reuse_horizon, entry->lsn);
    if (page - found.page < count) continue;
    if (const auto past = taken.overlap(found.page, count)) {
      start_run(page = *past);
      continue;
    }
    state_.set_cursor(page);
    return found;
  }
  state_.set_cursor(found.page);  // the next sweep looks again at a run that this one did not finish
  return std::nullopt;
}

Result<void> Allocator::grow(std::uint64_t last_page, Counters& counters) {
  if (last_page > format::kMaxPageCount) {
    return base::failf(ErrorCode::capacity_exceeded,
                       "the store is full: {} pages is the most it can have; use larger pages", format::kMaxPageCount);
  }
  const std::uint64_t page_bytes = pool_.geometry().page_bytes();
  const std::uint64_t step =
      std::clamp(counters.page_count / kGrowthFraction, kMinGrowthBytes / page_bytes, kMaxGrowthBytes / page_bytes);
  std::uint64_t target = std::min(std::max(last_page, counters.page_count + step), format::kMaxPageCount);
  auto grown = file_.grow(counters.page_count, target);
  if (!grown && grown.error().code == ErrorCode::no_space &&
      target > last_page) {  // no space for the whole step, perhaps enough for the run
    target = last_page;
    grown = file_.grow(counters.page_count, target);
  }
  MENTEDB_TRY(grown);
  counters.page_count = target;
  return {};
}

Result<std::uint64_t> Allocator::allocate(std::uint64_t count, Counters& counters, TakenRuns& taken) {
  MENTEDB_ASSERT(count > 0 && count <= format::kPagesPerRegion);
  const auto use = [&](const Found& found) {
    counters.reuse_horizon = std::max(counters.reuse_horizon, found.reuse_horizon);
    counters.used_pages += count;
    taken.add(found.page, count);
    return found.page;
  };
  const bool may_have_room = counters.high_water - counters.used_pages >= count;
  if (may_have_room) {
    const std::uint64_t budget = std::min(kSweepBase + kSweepPerPage * count, counters.high_water);
    MENTEDB_TRY_ASSIGN(const auto found, sweep(count, budget, counters, taken));
    if (found) return use(*found);
  }
  std::uint64_t first = counters.high_water + 1;
  if (!Geometry::in_one_region(first, count)) first = Geometry::first_page_of(Geometry::region_of(first) + 1);
  const std::uint64_t last = first + count - 1;
  if (last > counters.page_count) {
    const auto grown = grow(last, counters);
    // There is no space elsewhere, so a sweep over all entries is worth its time.
    if (!grown && may_have_room) {
      MENTEDB_TRY_ASSIGN(const auto found, sweep(count, counters.high_water + count, counters, taken));
      if (found) return use(*found);
    }
    MENTEDB_TRY(grown);
  }
  counters.high_water = last;
  counters.used_pages += count;
  taken.add(first, count);
  return first;
}

}  // namespace mentedb::pages

#include "pages/allocator.hpp"

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "format/stretch.hpp"
#include "pages/directory_cursor.hpp"

namespace mentedb::pages {

using format::Counters;
using format::FreeSpace;
using format::Geometry;

namespace {

// Growth costs system calls and a sync. A step of a part of the store keeps growth rare and the spare space small.
constexpr std::uint64_t kMinGrowthBytes = 256 * 1024;
constexpr std::uint64_t kMaxGrowthBytes = std::uint64_t{2} << 20;
constexpr std::uint64_t kGrowthFraction = 16;

}  // namespace

std::optional<std::uint64_t> TakenRuns::overlap(std::uint64_t first, std::uint64_t count) const {
  auto after = runs_.lower_bound(first + count);
  if (after == runs_.begin()) return std::nullopt;
  --after;
  const std::uint64_t end = after->first + after->second;
  if (end <= first) return std::nullopt;
  return end;
}

void TakenRuns::note_search(std::uint64_t count, std::uint64_t to) {
  for (std::uint64_t size = std::min(count, kSizes); size <= kSizes; ++size) {
    // The last place stands for all larger sizes. A search for many pages says nothing of holes that are shorter.
    if (size == kSizes && count > kSizes) break;
    searched_to_[size - 1] = std::max(searched_to_[size - 1], to);
  }
}

void Allocator::begin_batch(TakenRuns& taken, std::uint64_t next_lsn) const {
  if (searched_lsn_ == next_lsn) taken.searched_to_ = searched_;
}

void Allocator::end_batch(const TakenRuns& taken, std::uint64_t lowest_freed, std::uint64_t next_lsn) {
  searched_ = taken.searched_to_;
  searched_lsn_ = taken.passed_holes_ ? 0 : next_lsn;
  if (lowest_freed == 0) return;
  // A hole that has the freed page begins so many pages before it at most.
  for (std::uint64_t i = 0; i < searched_.size(); ++i)
    searched_[i] = i + 1 == searched_.size() ? 1 : std::min(searched_[i], lowest_freed - std::min(lowest_freed - 1, i));
}

// One search for the first hole of `count` pages. `hole_` is the first page of the free run that reaches to the place
// where the search is; 0 when the page before that place is in use.
class Allocator::Search {
 public:
  Search(const BufferPool& pool, PageFile& file, std::uint64_t count, Holes holes, std::uint64_t last_page,
         const TakenRuns& taken)
      : file_(file),
        pool_(pool),
        count_(count),
        holes_(holes),
        last_page_(last_page),
        // The open batch may have made the file grow. No reader knows the new pages, and all of them are free.
        published_(std::min(last_page, pool.page_count())),
        taken_(taken),
        entries_(pool, published_) {}

  /// The first page of the hole. Nothing when there is none: then `hole()` is what the file ends with.
  Result<std::optional<std::uint64_t>> from(std::uint64_t page);
  std::uint64_t hole() const { return hole_; }
  bool passed_what_it_cannot_read() const { return passed_unreadable_; }

 private:
  Result<bool> pass_region(std::uint64_t page);
  Result<void> end_region(std::uint64_t last);
  Result<FreeSpace> claim(std::uint64_t stretch) const;
  Result<bool> look(std::uint64_t first, std::uint64_t last);
  Result<std::uint64_t> pages_in_use(std::uint64_t page);
  bool is_whole(std::uint64_t stretch) const { return Geometry::last_page_of_stretch(stretch) <= published_; }

  PageFile& file_;
  const BufferPool& pool_;
  std::uint64_t count_;
  Holes holes_;
  std::uint64_t last_page_;
  std::uint64_t published_;
  const TakenRuns& taken_;
  DirectoryCursor<BufferPool> entries_;
  std::uint64_t hole_ = 0;
  bool unreadable_ = false;  ///< an entry of the stretch that is looked at
  bool passed_unreadable_ = false;
  bool sums_claims_ = false;  ///< since the begin of the region the search has gone by claims alone
  std::uint64_t longest_claim_ = 0;
};

// What the record says. A stretch that the file has only a part of has no record.
Result<FreeSpace> Allocator::Search::claim(std::uint64_t stretch) const {
  if (!is_whole(stretch)) return FreeSpace::all();
  MENTEDB_TRY_ASSIGN(const auto record, pool_.read_stretch(stretch));
  return FreeSpace::from_word(record.free_space).value_or(FreeSpace::all());
}

// True when the word of the region that begins here says that no run of it is long enough.
Result<bool> Allocator::Search::pass_region(std::uint64_t page) {
  const std::uint64_t region = Geometry::region_of(page);
  sums_claims_ = Geometry::last_page_of(region) <= published_;
  longest_claim_ = 0;
  if (!sums_claims_) return false;
  MENTEDB_TRY_ASSIGN(const std::uint64_t word, pool_.read_region_word(region));
  return format::longest_of_region(word) < count_;
}

// Writes the word of the region that ends here, when all of its records were looked at, and no page.
Result<void> Allocator::Search::end_region(std::uint64_t last) {
  const std::uint64_t region = Geometry::region_of(last);
  if (!sums_claims_ || last != Geometry::last_page_of(region)) return {};
  return file_.write_region_word(region, format::region_word(longest_claim_));
}

Result<std::optional<std::uint64_t>> Allocator::Search::from(std::uint64_t page) {
  hole_ = 0;
  // A part of a stretch has no record either.
  if (const std::uint64_t last = std::min(last_page_, Geometry::last_page_of_stretch(Geometry::stretch_of(page)));
      page <= last && page != Geometry::first_page_of_stretch(Geometry::stretch_of(page))) {
    MENTEDB_TRY_ASSIGN(const bool found, look(page, last));
    if (found) return hole_;
    page = last + 1;
  }
  for (; page <= last_page_; page = Geometry::last_page_of_stretch(Geometry::stretch_of(page)) + 1) {
    const std::uint64_t stretch = Geometry::stretch_of(page);
    const std::uint64_t last = std::min(last_page_, Geometry::last_page_of_stretch(stretch));
    if (Geometry::index_in_region(page) == 0) {
      hole_ = 0;  // a run never crosses the end of a region
      MENTEDB_TRY_ASSIGN(const bool passed, pass_region(page));
      if (passed) {
        page = Geometry::last_page_of(Geometry::region_of(page));
        continue;
      }
    }
    MENTEDB_TRY_ASSIGN(const FreeSpace claimed, claim(stretch));
    const std::uint64_t before = hole_ == 0 ? 0 : page - hole_;
    longest_claim_ = std::max<std::uint64_t>({longest_claim_, before + claimed.at_begin, claimed.longest});
    if (before + claimed.at_begin >= count_ || claimed.longest >= count_) {
      // The records claim that a hole fits. It may begin some stretches earlier.
      const std::uint64_t begin = hole_ == 0 ? page : Geometry::first_page_of_stretch(Geometry::stretch_of(hole_));
      hole_ = 0;
      sums_claims_ = false;  // the records may be others now
      MENTEDB_TRY_ASSIGN(const bool found, look(begin, last));
      if (found) return hole_;
    } else if (claimed.at_begin < last - page + 1) {
      hole_ = claimed.at_end == 0 ? 0 : last + 1 - claimed.at_end;
    } else if (hole_ == 0) {
      hole_ = page;
    }
    MENTEDB_TRY(end_region(last));
  }
  // What the file ends with was only claimed.
  if (hole_ != 0) {
    const std::uint64_t begin = hole_;
    hole_ = 0;
    MENTEDB_TRY(look(begin, last_page_));
  }
  return std::nullopt;
}

// The number of pages from this one on that are in use. 0: the page is free.
Result<std::uint64_t> Allocator::Search::pages_in_use(std::uint64_t page) {
  if (page > published_) return 0;
  const auto read = entries_.at(page);
  if (!read) {
    // The disk cannot read the entry. Its neighbours fail with it, since they are brought into memory together.
    if (read.error().os_error != EIO) return std::unexpected(read.error());
    unreadable_ = true;
    passed_unreadable_ = true;
    return Geometry::last_page_of_stretch(Geometry::stretch_of(page)) - page + 1;
  }
  const auto& entry = *read;
  if (!entry) {  // a page with a damaged entry may hold a memory
    passed_unreadable_ = true;
    return 1;
  }
  if (format::is_free(entry->type)) return holes_ == Holes::with_space && format::lacks_space(*entry) ? 1 : 0;
  if (format::is_head(entry->type)) return std::max<std::uint64_t>(entry->run_pages, 1);
  // Inside a run: its head tells where it ends.
  const std::uint64_t distance = entry->run_pages;
  if (distance >= page) return 1;
  const auto head_read = entries_.at(page - distance);
  const auto head = head_read ? *head_read : std::nullopt;
  return head && format::is_head(head->type) && head->run_pages > distance ? head->run_pages - distance : 1;
}

// Reads the directory from `first` to `last`, and corrects the records of the stretches that it reads as a whole. True
// when `hole_` is long enough.
Result<bool> Allocator::Search::look(std::uint64_t first, std::uint64_t last) {
  std::uint64_t page = first;
  for (std::uint64_t stretch = Geometry::stretch_of(first); stretch <= Geometry::stretch_of(last); ++stretch) {
    const std::uint64_t begin = Geometry::first_page_of_stretch(stretch);
    const std::uint64_t end = Geometry::last_page_of_stretch(stretch) + 1;
    const std::uint64_t stop = std::min(end, last + 1);
    const bool some_taken = taken_.overlap(begin, end - begin).has_value();
    unreadable_ = false;
    FreeSpace seen;
    std::uint64_t free_from = page;  // the free run that is being read, within the stretch
    const auto end_of_run = [&](std::uint64_t at) {
      const auto length = static_cast<std::uint32_t>(at - free_from);
      if (free_from == begin) seen.at_begin = length;
      if (at == end) seen.at_end = length;
      seen.longest = std::max(seen.longest, length);
    };
    while (page < stop) {
      const auto past = some_taken ? taken_.overlap(page, 1) : std::nullopt;
      std::uint64_t used = past ? *past - page : 0;
      if (!past) {
        MENTEDB_TRY_ASSIGN(used, pages_in_use(page));
      }
      if (used == 0) {
        if (hole_ == 0) hole_ = page;
        ++page;
        if (page - hole_ >= count_) return true;
        continue;
      }
      end_of_run(page);
      page += used;
      free_from = page;
      hole_ = 0;
    }
    if (free_from < stop) end_of_run(stop);
    // What the batch has taken is still free when the batch fails, and what cannot be read now may be free.
    const bool saw_all = first <= begin && stop == end && holes_ == Holes::any;
    if (!saw_all || some_taken || unreadable_ || !is_whole(stretch)) continue;
    MENTEDB_TRY_ASSIGN(auto record, pool_.read_stretch(stretch));
    if (record.free_space == seen.word()) continue;
    record.free_space = seen.word();
    MENTEDB_TRY(file_.write_stretch(stretch, record));
  }
  return false;
}

Result<void> Allocator::grow(std::uint64_t last_page, std::uint64_t more, Counters& counters, TakenRuns& taken) {
  if (last_page > format::kMaxPageCount) {
    return base::failf(ErrorCode::capacity_exceeded,
                       "the store is full: {} pages is the most it can have; use larger pages", format::kMaxPageCount);
  }
  const std::uint64_t page_bytes = pool_.geometry().page_bytes();
  const std::uint64_t least = kMinGrowthBytes / page_bytes;
  // A batch that fills a step of its own gets just what it needs: its runs are the first that the blocks hold.
  const std::uint64_t step =
      more >= least ? 0 : std::clamp(counters.page_count / kGrowthFraction, least, kMaxGrowthBytes / page_bytes);
  std::uint64_t target = std::min(std::max(last_page + more, counters.page_count + step), format::kMaxPageCount);
  auto grown = file_.grow(counters.page_count, target, taken.new_pages_);
  if (!grown && grown.error().code == ErrorCode::no_space &&
      target > last_page) {  // no space for the whole step, perhaps enough for the run
    target = last_page;
    grown = file_.grow(counters.page_count, target, taken.new_pages_);
  }
  MENTEDB_TRY(grown);
  counters.page_count = target;
  return {};
}

// The first page of a hole, or of the end of the file, which grows for it.
Result<std::uint64_t> Allocator::find(std::uint64_t count, std::uint64_t more, Holes holes, Counters& counters,
                                      TakenRuns& taken) {
  Search search(pool_, file_, count, holes, counters.page_count, taken);
  if (counters.page_count - counters.used_pages >= count) {
    // A batch that found no hole of as many pages may have passed some without space.
    MENTEDB_TRY_ASSIGN(const auto found, search.from(holes == Holes::any ? taken.searched_to(count) : 1));
    taken.passed_holes_ |= search.passed_what_it_cannot_read();
    if (found) return *found;
  }
  std::uint64_t first = search.hole() == 0 ? counters.page_count + 1 : search.hole();
  if (!Geometry::in_one_region(first, count)) first = Geometry::first_page_of(Geometry::region_of(first) + 1);
  MENTEDB_TRY(grow(first + count - 1, more, counters, taken));
  return first;
}

// Space for the run, and a cursor of changes_since that is older than a deletion cannot learn of it any more.
Result<void> Allocator::make_ready(std::uint64_t first, std::uint64_t count, Counters& counters) {
  bool lacks_space = false;
  std::uint64_t horizon = counters.reuse_horizon;
  const std::uint64_t last = std::min(first + count - 1, pool_.page_count());
  DirectoryCursor entries(pool_, last);
  for (std::uint64_t page = first; page <= last; ++page) {
    MENTEDB_TRY_ASSIGN(const auto entry, entries.at(page));
    if (!entry) continue;
    lacks_space |= format::lacks_space(*entry);
    if (entry->type == format::EntryType::deleted) horizon = std::max(horizon, entry->lsn);
  }
  if (lacks_space) MENTEDB_TRY(reclaimer_.take_back(first, count));  // R12
  counters.reuse_horizon = horizon;
  return {};
}

Result<std::uint64_t> Allocator::allocate(std::uint64_t count, std::uint64_t more, Counters& counters,
                                          TakenRuns& taken) {
  MENTEDB_ASSERT(count > 0 && count <= format::kPagesPerRegion);
  MENTEDB_TRY_ASSIGN(std::uint64_t first, find(count, more, Holes::any, counters, taken));
  auto ready = make_ready(first, count, counters);
  if (!ready && ready.error().code == ErrorCode::no_space) {
    // The disk is full. What was freed since the hole was made has space.
    taken.passed_holes_ = true;
    MENTEDB_TRY_ASSIGN(first, find(count, more, Holes::with_space, counters, taken));
    ready = make_ready(first, count, counters);
  }
  MENTEDB_TRY(ready);
  counters.high_water = std::max(counters.high_water, first + count - 1);
  counters.used_pages += count;
  taken.add(first, count);
  taken.note_search(count, first + count);
  return first;
}

}  // namespace mentedb::pages

// The allocator of runs: first fit in the order of pages. A run goes to the first hole that is long enough, so that
// live runs gather at the begin of the file and holes grow together behind them. When no hole fits, the file grows.
//
// There is no free list that a crash could leave wrong: the directory tells which pages are free. The stretch records
// tell the allocator which stretches it need not look at. It believes a record that says "no room here", and checks in
// the directory one that says "room"; a record that promised too much is corrected. The region words sum the records
// up, so that the cost of a search does not grow with the file.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include <mentedb/error.hpp>

#include "format/log_format.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"
#include "pages/reclaimer.hpp"

namespace mentedb::pages {

/// The runs that the open batch has taken. The directory still shows them as free.
class TakenRuns {
 public:
  void add(std::uint64_t first, std::uint64_t count) { runs_[first] = count; }
  void remove(std::uint64_t first) { runs_.erase(first); }
  /// The first page behind a taken run that overlaps [first, first + count). Nothing when no run does.
  std::optional<std::uint64_t> overlap(std::uint64_t first, std::uint64_t count) const;

  /// Pages that the file gained for the batch.
  NewPages& new_pages() { return new_pages_; }

 private:
  friend class Allocator;
  /// Where a search for `count` pages begins: this batch found no hole of as many pages before.
  std::uint64_t searched_to(std::uint64_t count) const { return searched_to_[std::min(count, kSizes) - 1]; }
  void note_search(std::uint64_t count, std::uint64_t to);

  static constexpr std::uint64_t kSizes = 64;
  using Searched = std::array<std::uint64_t, kSizes>;
  std::map<std::uint64_t, std::uint64_t> runs_;
  NewPages new_pages_;
  Searched searched_to_ = filled_with_ones();
  bool passed_holes_ = false;  ///< that the disk had no space for, or whose entries cannot be read: for now
  static constexpr Searched filled_with_ones() {
    Searched ones{};
    ones.fill(1);
    return ones;
  }
};

class Allocator {
 public:
  Allocator(const BufferPool& pool, PageFile& file, Reclaimer& reclaimer)
      : pool_(pool), file_(file), reclaimer_(reclaimer) {}

  /// At the beginning of a batch. When no other engine has committed since `end_batch`, the searches of this batch go
  /// on where those of the one before ended.
  void begin_batch(TakenRuns& taken, std::uint64_t next_lsn) const;
  /// The batch was committed. `lowest_freed`: the lowest page that it freed; 0: none.
  void end_batch(const TakenRuns& taken, std::uint64_t lowest_freed, std::uint64_t next_lsn);

  /// The first page of a free run of `count` pages that has space. Updates page_count, high_water, used_pages and
  /// reuse_horizon. The caller logs these counters with the batch that uses the run. @errors `no_space`,
  /// `capacity_exceeded`, `io_error`
  /// @cost one load for each 65,536 pages before the run; in its region some loads for each 1,024 pages, and one or two
  /// stretches of the directory
  /// `more`: pages that the batch is going to need besides.
  Result<std::uint64_t> allocate(std::uint64_t count, std::uint64_t more, format::Counters& counters, TakenRuns& taken);

 private:
  class Search;
  enum class Holes { any, with_space };
  Result<std::uint64_t> find(std::uint64_t count, std::uint64_t more, Holes holes, format::Counters& counters,
                             TakenRuns& taken);
  Result<void> make_ready(std::uint64_t first, std::uint64_t count, format::Counters& counters);
  Result<void> grow(std::uint64_t last_page, std::uint64_t more, format::Counters& counters, TakenRuns& taken);

  const BufferPool& pool_;
  PageFile& file_;
  Reclaimer& reclaimer_;
  TakenRuns::Searched searched_{};  ///< by the batch that was committed last
  std::uint64_t searched_lsn_ = 0;  ///< the next LSN behind it
};

}  // namespace mentedb::pages

// The allocator of runs: first fit in the order of pages. A run goes to the first hole that is long enough, so that
// live runs gather at the begin of the file and holes grow together behind them. When no hole fits, the file grows.
//
// There is no free list that a crash could leave wrong: the directory tells which pages are free. The stretch records
// tell the allocator which stretches it need not look at. It believes a record that says "no room here", and checks in
// the directory one that says "room"; a record that promised too much is corrected.
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

namespace mentedb::pages {

/// The runs that the open batch has taken. The directory still shows them as free.
class TakenRuns {
 public:
  void add(std::uint64_t first, std::uint64_t count) { runs_[first] = count; }
  void remove(std::uint64_t first) { runs_.erase(first); }
  /// The first page behind a taken run that overlaps [first, first + count). Nothing when no run does.
  std::optional<std::uint64_t> overlap(std::uint64_t first, std::uint64_t count) const;

 private:
  friend class Allocator;
  /// Where a search for `count` pages begins: this batch found no hole of as many pages before.
  std::uint64_t searched_to(std::uint64_t count) const { return searched_to_[std::min(count, kSizes) - 1]; }
  void note_search(std::uint64_t count, std::uint64_t to);

  static constexpr std::uint64_t kSizes = 64;
  std::map<std::uint64_t, std::uint64_t> runs_;
  std::array<std::uint64_t, kSizes> searched_to_ = filled_with_ones();
  static constexpr std::array<std::uint64_t, kSizes> filled_with_ones() {
    std::array<std::uint64_t, kSizes> ones{};
    ones.fill(1);
    return ones;
  }
};

class Allocator {
 public:
  Allocator(const BufferPool& pool, PageFile& file) : pool_(pool), file_(file) {}

  /// The first page of a free run of `count` pages. Updates page_count, high_water, used_pages and reuse_horizon. The
  /// caller logs these counters with the batch that uses the run. @errors `no_space`, `capacity_exceeded`, `io_error`
  /// @cost some loads for each thousand pages before the run, and one or two stretches of the directory
  Result<std::uint64_t> allocate(std::uint64_t count, format::Counters& counters, TakenRuns& taken);

 private:
  class Search;
  Result<void> grow(std::uint64_t last_page, format::Counters& counters);
  Result<std::uint64_t> highest_deletion(std::uint64_t first, std::uint64_t count) const;

  const BufferPool& pool_;
  PageFile& file_;
};

}  // namespace mentedb::pages

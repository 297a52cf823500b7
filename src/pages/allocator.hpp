// The allocator of runs. It tries in this order: a bounded next-fit sweep over the directory; the pages above the
// high-water mark; growth of the file. There is no free list that a crash could leave wrong: the directory tells which
// pages are free.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include <mentedb/error.hpp>

#include "format/log_format.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"
#include "shared/shared_state.hpp"

namespace mentedb::pages {

/// The runs that the open batch has taken. The directory still shows them as free.
class TakenRuns {
 public:
  void add(std::uint64_t first, std::uint64_t count) { runs_[first] = count; }
  void remove(std::uint64_t first) { runs_.erase(first); }
  /// The first page behind a taken run that overlaps [first, first + count). Nothing when no run does.
  std::optional<std::uint64_t> overlap(std::uint64_t first, std::uint64_t count) const;

 private:
  std::map<std::uint64_t, std::uint64_t> runs_;
};

class Allocator {
 public:
  Allocator(const BufferPool& pool, PageFile& file, shared::SharedState& state)
      : pool_(pool), file_(file), state_(state) {}

  /// The first page of a free run of `count` pages. Updates page_count, high_water, used_pages and reuse_horizon. The
  /// caller logs these counters with the batch that uses the run. @errors `no_space`, `capacity_exceeded`, `io_error`
  Result<std::uint64_t> allocate(std::uint64_t count, format::Counters& counters, TakenRuns& taken);

 private:
  struct Found {
    std::uint64_t page = 0;
    std::uint64_t reuse_horizon = 0;
  };
  Result<std::optional<Found>> sweep(std::uint64_t count, std::uint64_t budget, const format::Counters& counters,
                                     const TakenRuns& taken);
  Result<void> grow(std::uint64_t last_page, format::Counters& counters);

  const BufferPool& pool_;
  PageFile& file_;
  shared::SharedState& state_;
};

}  // namespace mentedb::pages

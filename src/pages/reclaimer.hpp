// R12: space that comes back. The blocks of free pages go back to the file system, and are taken again before the pages
// are used. It is the only place that makes holes in pages.db, and the only one that fills them.
//
//   1. A page is given back only when it is free and the log has no operation of it. Else redo would need its space.
//   2. Its entry says "lacks space" (format::lacks_space) before that, and is durable.
//   3. A run that lacks space gets it while its batch is planned, and a sync makes that durable before the batch is
//      logged. Only then may a full disk still say no. The entries are changed after the sync.
//
// So a commit and redo never need space of the disk, whatever a crash has left.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <mentedb/error.hpp>

#include "format/page_format.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"

namespace mentedb::pages {

class Reclaimer {
 public:
  Reclaimer(const BufferPool& pool, PageFile& file) : pool_(pool), file_(file) {}

  /// Which free pages, and how much work one call does at most.
  struct Slice {
    std::uint64_t page_count;   ///< of the store
    std::uint64_t before_lsn;   ///< pages that an operation with a lower LSN freed, or that it left free
    std::uint64_t least_bytes;  ///< leave shorter runs alone
    std::uint64_t stretches;    ///< to look at
    std::uint64_t runs;         ///< to work on; a stretch is finished in any case
    bool again = false;         ///< also pages that lack space: a crash may have left them their blocks
    bool unused = false;  ///< also pages that were never used: a batch that was never logged may have written there
  };

  /// Gives whole blocks of free pages back to the file system, from this stretch on. The caller may write, and plans no
  /// batch. A file system that cannot take them is no error.
  /// @return the stretch to go on with; nothing at the end of the store, or when the file system takes none
  /// @errors those of the file system; what it has not taken keeps its space
  Result<std::optional<std::uint64_t>> give_back(std::uint64_t stretch, const Slice& slice);
  /// Writes zeros over free pages, and syncs. Pages that lack space are left to `give_back`, where it can work. Adds
  /// the pages that it cannot judge to `unjudged`: their entries do not verify, or the disk cannot read them.
  Result<std::optional<std::uint64_t>> erase(std::uint64_t stretch, const Slice& slice, std::uint64_t& unjudged);

  /// Makes space for those of the pages that lack it, and for some behind them when the disk has it. Then syncs.
  /// @errors `no_space`: the pages stay as they are
  Result<void> take_back(std::uint64_t first, std::uint64_t count);

 private:
  /// Consecutive pages of one stretch.
  struct Run {
    std::uint64_t first = 0;
    std::vector<format::Entry> entries;
  };
  struct Found {
    std::vector<Run> runs;
    std::optional<std::uint64_t> next;
    std::uint64_t unjudged = 0;
  };

  template <class Wanted>
  Result<void> collect(std::uint64_t first, std::uint64_t last, const Wanted& wanted, Found& found) const;
  Result<Found> find_idle(std::uint64_t stretch, const Slice& slice, bool whole_blocks) const;
  Result<void> take_runs(const std::vector<Run>& runs);
  Result<void> write_marked(const Run& run, bool lacking);
  std::uint64_t pages_per_block() const;

  const BufferPool& pool_;
  PageFile& file_;
};

}  // namespace mentedb::pages

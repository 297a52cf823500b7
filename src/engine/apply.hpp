// Bringing logged operations into pages.db and the id index: one routine for a commit, for redo and for the rewrite
// after a failed sync. Applying twice changes nothing (I9).
//
// R4: an operation is applied to a page only if no later one covers that page; a plan finds that out first.
// R6: run, directory entries, id index and freed page are judged each on its own.
// Order (I3, I5): runs and their entries, then the id index, then what is freed; so an id always leads to a live run.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include <mentedb/error.hpp>

#include "format/log_format.hpp"
#include "index/id_index.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"
#include "pages/shared_words.hpp"

namespace mentedb::engine {

enum class ApplyMode {
  commit,      ///< the pages are known to be older: write without looking
  redo,        ///< write what is older or does not validate
  rewrite,     ///< R7: write everything again, so that the next sync covers it
  count_only,  ///< write nothing, tell what redo would do
};

/// Which operation has the last word on which pages and ids.
class ApplyPlan {
 public:
  /// `overlapping` false: no two operations touch the same page or id, as in most batches.
  ApplyPlan(std::span<const format::Operation> operations, bool overlapping);

  struct Free {
    std::size_t operation;
    std::uint32_t first;  ///< pages [first, first + count) of the operation's run
    std::uint32_t count;
  };
  const std::vector<std::size_t>& puts() const { return puts_; }
  const std::vector<Free>& frees() const { return frees_; }
  const std::vector<std::size_t>& index_sets() const { return index_sets_; }
  const std::vector<std::size_t>& index_erases() const { return index_erases_; }
  std::uint64_t max_run_pages() const { return max_run_pages_; }

 private:
  void plan_pages(std::span<const format::Operation> operations);
  void plan_index(std::span<const format::Operation> operations);

  std::vector<std::size_t> puts_;
  std::vector<Free> frees_;
  std::vector<std::size_t> index_sets_;
  std::vector<std::size_t> index_erases_;
  std::uint64_t max_run_pages_ = 0;
};

/// An operation's payload, where it is needed.
using PayloadSource = std::function<Result<std::span<const std::byte>>(std::size_t operation)>;

class Applier {
 public:
  Applier(pages::PageFile& file, pages::BufferPool& pool, pages::SharedWords& words, index::IdIndex& index)
      : file_(file), pool_(pool), words_(words), index_(index) {}

  /// @return how many operations were missing something. `rebuild`, when given, makes a fresh id index as soon as the
  /// runs are there and before anything is freed: an id always leads to a live run.
  Result<std::uint64_t> apply(const ApplyPlan& plan, std::span<const format::Operation> operations,
                              const PayloadSource& payload, ApplyMode mode,
                              const std::function<Result<void>()>& rebuild = {});

 private:
  Result<bool> put(const format::Operation& operation, std::size_t number, const PayloadSource& payload,
                   ApplyMode mode);
  Result<bool> free(const format::Operation& operation, const ApplyPlan::Free& part, ApplyMode mode);
  bool entries_current(std::uint64_t page, std::uint32_t count, std::uint64_t lsn);
  bool run_current(std::uint64_t page, std::uint64_t lsn);

  pages::PageFile& file_;
  pages::BufferPool& pool_;
  pages::SharedWords& words_;
  index::IdIndex& index_;
  base::AlignedBuffer scratch_;
};

}  // namespace mentedb::engine

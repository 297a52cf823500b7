// R4: the plan of redo. For each page and each id only the last logged operation is applied. An older operation could
// write over a live run, or show a version that no longer counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "format/log_format.hpp"
#include "pages/stretches.hpp"

namespace mentedb::store {

class ApplyPlan {
 public:
  /// `overlapping` false: no two operations touch the same page or id, as in most batches.
  ApplyPlan(std::span<const format::Operation> operations, bool overlapping);

  /// Pages that an operation frees and that no later operation covers.
  struct Free {
    std::size_t operation;
    std::uint32_t first;  ///< pages [first, first + count) of the operation's run
    std::uint32_t count;
  };
  // Numbers of operations, in the order of the log.
  const std::vector<std::size_t>& puts() const { return puts_; }
  const std::vector<Free>& frees() const { return frees_; }
  const std::vector<std::size_t>& index_sets() const { return index_sets_; }
  const std::vector<std::size_t>& index_erases() const { return index_erases_; }
  std::uint64_t max_run_pages() const { return max_run_pages_; }
  /// What the puts and the frees do to the records of the stretches. Readers of changes skip a stretch by its LSN, so
  /// they are written first.
  const pages::StretchChanges& stretches() const { return stretches_; }

 private:
  void plan_distinct(std::span<const format::Operation> operations);
  void plan_pages(std::span<const format::Operation> operations);
  void plan_index(std::span<const format::Operation> operations);
  void plan_stretches(std::span<const format::Operation> operations);

  std::vector<std::size_t> puts_;
  std::vector<Free> frees_;
  std::vector<std::size_t> index_sets_;
  std::vector<std::size_t> index_erases_;
  std::uint64_t max_run_pages_ = 0;
  pages::StretchChanges stretches_;
};

}  // namespace mentedb::store

// Writes logged operations into pages.db and the id index. A commit writes without looking, because its pages are known
// to be older. Redo, and the second try of a commit, look at each page first, so applying an operation twice changes
// nothing (I9).
//
// R6: redo judges the run, its directory entries, the id index and a freed page each on its own.
// Order (I3, I5): runs and their entries, then the id index, then the freed pages. So an id always leads to a live run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <mentedb/error.hpp>

#include "base/bytes.hpp"
#include "format/log_format.hpp"
#include "index/id_index.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"
#include "shared/shared_state.hpp"
#include "store/apply_plan.hpp"

namespace mentedb::store {

/// How much of the log recovery brings into the pages.
enum class RedoMode {
  repair,   ///< write each part that is older or does not verify
  rewrite,  ///< R7: write every part again, so that the next sync covers it
  check,    ///< write nothing, and count the operations that miss a part: for an engine that may not write
};

/// The source of payloads. Redo reads a payload only when it has to write the run.
class PayloadSource {
 public:
  PayloadSource() = default;
  PayloadSource(const PayloadSource&) = delete;
  PayloadSource& operator=(const PayloadSource&) = delete;
  virtual Result<std::span<const std::byte>> payload(std::size_t operation) = 0;

 protected:
  ~PayloadSource() = default;
};

class Applier {
 public:
  Applier(const pages::BufferPool& pool, pages::PageFile& file, shared::SharedState& state, index::IdIndex& index)
      : pool_(pool), file_(file), state_(state), index_(index) {}

  /// For a large batch, before it is logged: writes the runs of its memories to their pages, which are free, and notes
  /// their checksums in the operations (R15).
  Result<void> write_early(const ApplyPlan& plan, std::span<format::Operation> operations, pages::NewPages& new_pages);
  /// For a commit. The caller has made the shared state writable.
  Result<void> write(const ApplyPlan& plan, std::span<const format::Operation> operations);
  /// For redo. `rebuild`: rebuilds the id index for so many pages, after the runs are written and before pages are
  /// freed.
  /// @return the number of operations that missed a part
  Result<std::uint64_t> redo(const ApplyPlan& plan, std::span<const format::Operation> operations,
                             PayloadSource& payloads, RedoMode mode, std::optional<std::uint64_t> rebuild = {});

 private:
  /// The parts of a page that are older than the operation or do not verify.
  struct Missing {
    bool bytes;  ///< the run, or the header of a freed run
    bool entries;
    bool any() const { return bytes || entries; }
  };
  Missing look_at_put(const format::Operation& operation);
  Missing look_at_free(const format::Operation& operation, const ApplyPlan::Free& part);
  template <class Write>
  Result<void> for_runs(const ApplyPlan& plan, std::span<const format::Operation> operations, Write&& write);
  Result<void> write_buckets(const ApplyPlan& plan, std::span<const format::Operation> operations);
  Result<void> write_free_entries(const format::Operation& operation, const ApplyPlan::Free& part);
  Result<bool> redo_put(const format::Operation& operation, std::size_t number, PayloadSource& payloads, RedoMode mode);
  Result<bool> redo_free(const format::Operation& operation, const ApplyPlan::Free& part, RedoMode mode);
  bool entries_current(std::uint64_t page, std::uint32_t count, std::uint64_t lsn);
  bool run_current(std::uint64_t page, std::uint64_t lsn);

  const pages::BufferPool& pool_;
  pages::PageFile& file_;
  shared::SharedState& state_;
  index::IdIndex& index_;
  base::AlignedBuffer scratch_;
  // So many at once. A commit allocates nothing, and does not pay for those that it has no use for.
  std::array<pages::PageFile::Run, 128> runs_{};
  std::array<index::Lead, 1'024> leads_{};
};

}  // namespace mentedb::store

// The lock-free reader. It has const parts only: it copies, verifies the copy, looks again, and tries again (I5). A
// warm read takes no lock and makes no system call. Only bytes that keep failing send the reader to the repair door.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>
#include <mentedb/memory_node.hpp>
#include <mentedb/page.hpp>
#include <mentedb/report.hpp>

#include "base/bytes.hpp"
#include "format/page_format.hpp"
#include "index/id_index.hpp"
#include "pages/buffer_pool.hpp"
#include "shared/shared_state.hpp"
#include "store/known_damage.hpp"
#include "store/repair_door.hpp"

namespace mentedb::store {

/// Where an id lives.
struct Location {
  std::uint64_t page = 0;
  format::Entry entry;
};

class Reader {
 public:
  /// References outlive the reader.
  Reader(const pages::BufferPool& pool, const shared::SharedState& state, const index::IdIndex& index, RepairDoor door)
      : pool_(pool), state_(state), index_(index), door_(door) {}

  /// `corruption` means that the log has no copy (mentedb/error.hpp). So a caller without the lock lets redo run once
  /// before a call answers it. A lock holder and a walk do not.
  enum class IfDamaged { fail, redo };
  /// @errors `not_found`, `corruption`, `busy` (the memory changes all the time)
  Result<MemoryNode> load(const MemoryId& id, IfDamaged if_damaged = IfDamaged::fail) const;
  /// @errors `not_found`, `invalid_argument` (no memory), `corruption`, `busy` (read-only, and half written)
  Result<MemoryNode> load(PageId page) const;
  /// The same into a node that may hold another memory. After an error the node holds a mix.
  Result<void> load(const MemoryId& id, MemoryNode& node, IfDamaged if_damaged = IfDamaged::fail) const;
  Result<void> load(PageId page, MemoryNode& node) const;
  Result<Page> read_page(PageId page) const;
  /// Nothing when no live memory has the id. @errors as `load`
  Result<std::optional<Location>> locate(const MemoryId& id, IfDamaged if_damaged = IfDamaged::fail) const;
  /// Every live memory, in page order.
  Result<std::vector<std::pair<MemoryId, PageId>>> scan() const;
  /// See StorageEngine::changes_since.
  Result<Changes> changes_since(Lsn since) const;

 private:
  enum class Seen { wanted, other, damaged };
  /// A look at a page. `settled` false: what the look saw may be a write under way.
  struct Look {
    bool settled = true;
    Result<pages::RunCopy> run;
  };

  /// `damaged_page`: set when the answer is `corruption` for the bytes of a page.
  template <class LookAtPage>
  Result<std::optional<std::uint64_t>> probe_id(const MemoryId& id, std::uint64_t& damaged_page,
                                                LookAtPage&& look) const;
  template <class T, class Read>
  Result<T> repaired(IfDamaged if_damaged, Read&& read) const;
  Result<void> load_once(const MemoryId& id, std::uint64_t& damaged_page, MemoryNode& node) const;
  Result<std::optional<Location>> locate_once(const MemoryId& id, std::uint64_t& damaged_page) const;
  /// Rebuilds the id index, which no reader can use.
  Result<void> repair_index() const;
  Result<Sight> sight_of(std::uint64_t page) const;
  Result<Sight> sight_of_entries(const std::vector<std::uint64_t>& pages) const;
  bool is_known(const Result<Sight>& sight) const;
  /// A verified copy of the run that starts at `page`, in `buffer`.
  Result<pages::RunCopy> read_run(std::uint64_t page, base::AlignedBuffer& buffer) const;
  Look look_at_page(std::uint64_t page, base::AlignedBuffer& buffer, std::uint64_t& bytes_read) const;
  Result<pages::RunCopy> repair_page(std::uint64_t page, base::AlignedBuffer& buffer) const;
  Result<bool> scan_quiet_store(std::vector<std::pair<MemoryId, PageId>>& found) const;
  template <class Visit>
  Result<std::uint64_t> passes(std::uint64_t since, Visit&& visit) const;

  const pages::BufferPool& pool_;
  const shared::SharedState& state_;
  const index::IdIndex& index_;
  RepairDoor door_;
  mutable KnownDamage known_;  ///< a cache that many threads share
};

}  // namespace mentedb::store

// The lock, held. Only this type appends to the log, publishes, checkpoints or recovers: "with the lock held" is "you
// have a Writer". It owns the tail of the log, and each change of the tail happens in this class.
//
// States of the store, in the shared state. Only a Writer moves it:
//
//     cached tail valid   --- commit, checkpoint, sync: invalidate_cached_tail -->  invalid
//     invalid             --- the same Writer finishes: publish -------------->  valid
//     invalid             --- the Writer's process dies; the next Writer recovers -->  valid
//
// So R5 ("each lock holder looks behind the tail first") is one load: a valid cached tail says that nothing is behind
// it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <mentedb/error.hpp>

#include "store/apply.hpp"
#include "store/batch.hpp"
#include "store/failure.hpp"
#include "store/lock.hpp"
#include "wal/log.hpp"

namespace mentedb::store {

class Store;

/// While a Writer lives, every committed operation is in its pages, and only this Writer changes the store.
///
/// An engine that may not write gets a Writer, too, to read while nothing changes. Its commit, checkpoint and recover
/// answer `read_only`.
class Writer {
 public:
  /// Takes the lock. Then, in this order: R11, the check for poison, R5.
  /// @errors `busy`, `poisoned`, `incompatible` (files replaced; nothing was done), and those of recovery
  static Outcome<Writer> acquire(Store& store, std::chrono::milliseconds timeout);

  const wal::Tail& tail() const { return tail_; }
  /// An empty batch. It must not outlive the Writer.
  Batch begin() const;
  /// The life of a write: log, sync, pages, index, shared state. Durable and visible on success.
  /// @errors `no_space`, `out_of_memory` (nothing changed); `io_error` "durable, not yet visible"; `poisoned`;
  /// `incompatible` with FilesReplaced::after_commit
  Outcome<void> commit(Batch& batch);
  /// Makes everything that the log holds durable in the pages, then begins a new epoch at the log's start.
  /// @errors `io_error`: the log is kept and nothing is lost
  Result<void> checkpoint();
  /// Redoes the log from the checkpoint. That repairs each page that is behind or damaged and that the log has.
  Result<void> redo_log();
  /// The same, and rebuilds the id index. The log is not reset.
  Result<void> recover();

 private:
  friend class Store;  // open() recovers first, also when the cached tail is valid (R3)
  Writer(Store& store, StoreLock::Hold lock) : store_(&store), lock_(std::move(lock)) {}

  Result<void> find_tail();
  /// Returns how many operations were not in their pages.
  Result<std::uint64_t> recover_from_log(RedoMode mode, bool new_index = false);
  Result<void> refuse_if_read_only(std::string_view purpose) const;
  Result<void> make_log_room(std::uint64_t padded_bytes);
  Result<void> grow_log(std::uint64_t bytes);
  Result<void> append_to_log(std::span<const std::byte> padded);
  enum class Attempt { first, second };
  Result<void> make_visible(const ApplyPlan& plan, std::span<const format::Operation> operations, const wal::Tail& next,
                            Attempt attempt);
  Result<void> sync_pages();

  Store* store_;
  StoreLock::Hold lock_;
  wal::Tail tail_;
};

}  // namespace mentedb::store

// The lock, held. Only this type appends to the log, publishes, checkpoints or recovers: "with the lock held" is "you
// have a Writer". It owns the tail of the log, and each change of the tail happens in this class.
//
// States of the store, in the shared state. Only a Writer moves it:
//
//     cached tail valid     --- commit, checkpoint, sync: invalidate_cached_tail ------>  in doubt
//     in doubt              --- the same Writer finishes: publish -------------------->  valid
//     in doubt              --- the Writer's process dies; the next Writer takes over -->  valid
//     valid, in doubt, none --- recovery from the checkpoint: forget_cached_tail ------>  none
//     none                  --- the same recovery ends, or the next Writer's ---------->  valid
//
// So R5 ("each lock holder looks behind the tail first") is one load: a valid cached tail says that nothing is behind
// it. Behind one that is in doubt stands one batch at most.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <mentedb/error.hpp>

#include "queue/commit_queue.hpp"
#include "store/apply.hpp"
#include "store/batch.hpp"
#include "store/failure.hpp"
#include "store/lock.hpp"
#include "store/recovery.hpp"
#include "wal/log.hpp"

namespace mentedb::store {

class Store;

/// While a Writer lives, every committed operation is in its pages, and only this Writer changes the store.
///
/// An engine that may not write gets a Writer, too, to read while nothing changes. Its commit, checkpoint and recover
/// answer `read_only`.
class Writer {
 public:
  /// Takes the lock. Then, in this order: R11, the check for poison, R5, R13.
  /// @errors `busy`, `poisoned`, `incompatible` (files replaced; nothing was done), and those of recovery
  static Outcome<Writer> acquire(Store& store, std::chrono::milliseconds timeout);

  /// The same, without a wait. Nothing when the lock is not free.
  static Outcome<std::optional<Writer>> try_acquire(Store& store, StoreLock::Turn turn = StoreLock::Turn::any);

  const wal::Tail& tail() const { return tail_; }
  /// An empty batch. It must not outlive the Writer.
  Batch begin() const;
  /// The life of a write: log, sync, pages, index, shared state. Durable and visible on success.
  /// @errors `no_space`, `out_of_memory` (nothing changed); `io_error` "durable, not yet visible"; `poisoned`;
  /// `incompatible` with FilesReplaced::after_commit
  /// `taken`: the requests of others that the batch has, with their answers for the case that it succeeds (R13)
  Outcome<void> commit(Batch& batch, std::span<const queue::Taken> taken = {});
  /// False when a batch cannot be committed in this hold any more.
  bool may_commit() const;
  queue::CommitQueue& queue() const;
  /// Makes everything that the log holds durable in the pages, then begins a new epoch at the log's start.
  /// @errors `io_error`: the log is kept and nothing is lost
  Result<void> checkpoint();
  // R12, for callers that plan no batch.
  /// After a checkpoint: gives back some of what was free for the whole epoch that it ended. An error is dropped,
  /// because the checkpoint is done: a sync that failed leaves `sync pending` for the next Writer (R7).
  void give_back_cold_space();
  /// Each works on one slice of the store, so that others get the lock between.
  /// @return the stretch to go on with; nothing at the end
  Result<std::optional<std::uint64_t>> give_back_space(std::uint64_t stretch);
  Result<std::optional<std::uint64_t>> erase_free_pages(std::uint64_t stretch, std::uint64_t& unjudged);
  /// Writes zeros over a piece of the log that the epoch does not use. @return the offset to go on with
  Result<std::optional<std::uint64_t>> erase_log(std::uint64_t offset);
  /// Redoes the log from the checkpoint. That repairs each page that is behind or damaged and that the log has.
  Result<void> redo_log();
  /// The same, and rebuilds the id index. The log is not reset.
  Result<void> recover();

 private:
  friend class Store;  // open() recovers first, also when the cached tail is valid (R3)
  Writer(Store& store, StoreLock::Hold lock) : store_(&store), lock_(std::move(lock)) {}

  static Outcome<Writer> begin_hold(Store& store, StoreLock::Hold hold);
  Result<void> find_tail();
  /// Whether this engine may go by a tail that the shared state names.
  bool may_believe(const std::optional<wal::Tail>& tail) const;
  /// R5, the short way: completes the work of a dead lock holder. False when that takes `recover_from_log`.
  Result<bool> take_over();
  void adopt(const Recovered& recovered);
  /// Returns how many operations were not in their pages.
  Result<std::uint64_t> recover_from_log(RedoMode mode, bool new_index = false);
  Result<void> check_no_sync_failed() const;
  Result<void> refuse_if_read_only(std::string_view purpose) const;
  Result<pages::Reclaimer::Slice> slice_of(std::string_view purpose);
  Result<void> make_log_room(std::uint64_t padded_bytes);
  Result<void> grow_log(std::uint64_t bytes);
  Result<void> make_pages_ready(Batch& batch, const ApplyPlan& plan, std::span<format::Operation> operations);
  Result<void> append_to_log(std::span<const std::byte> padded);
  enum class Attempt { first, second };
  Result<void> make_visible(const ApplyPlan& plan, std::span<const format::Operation> operations, const wal::Tail& next,
                            Attempt attempt);
  Result<void> sync_pages();

  Store* store_;
  StoreLock::Hold lock_;
  wal::Tail tail_;
  std::uint64_t ended_epoch_lsn_ = 0;  ///< first LSN of the last epoch that this Writer has ended
};

}  // namespace mentedb::store

// The shared state: the second block of pages.db, a page of atomic words that every process maps. The values
// that readers use come from the log and the directory. The lock holder publishes it, every recovery writes it again,
// and nothing in it is needed after a crash of the machine.
//
//   cached tail        the tail of the log, as one unit that checks itself (R9). VALID IF AND ONLY IF the last lock
//                      holder finished: a holder invalidates it before it changes the log or the pages, and publishes
//                      it as its last step. So a valid cached tail says that nothing stands behind the tail (R5). An
//                      invalidated one is IN DOUBT: everything up to it is in its pages, and the work of one holder
//                      may stand behind it (ADR 16). A recovery from the checkpoint forgets it, because such a recovery
//                      writes pages of earlier batches, too.
//   committed LSN      everything up to it is visible; also the futex of wait_for_commit
//   index number       N of the current ids-N.idx; 0: none
//   queue number       N of the current or last queue-N.shm, and whether it is there. N never falls
//   poison generation  raised when a log write or sync failed; an engine that opened under another one is poisoned
//   sync pending       R7: set before a sync, cleared only after it succeeded
//   page count         pages that readers may touch
//   reuse horizon      see format::Counters
//   recovered          marks of the mounts through which recovery has found that the pages hold every acknowledged
//                      operation. Such a mark holds until the page cache is lost: then boot or mount is another one
//   released           futex of the processes that wait for the lock; "waiting" says that there is one
//   commit woken       how many waiters of wait_for_commit the last wake-up woke
//
// Who may do what: const methods are for every thread of every process. The other methods are for the lock holder, and
// only the store's Writer has a reference that is not const.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <mentedb/error.hpp>

#include "vfs/vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::shared {

class SharedState {
 public:
  /// `seed` is the superblock's.
  SharedState(std::unique_ptr<vfs::Mapping> mapping, std::uint64_t seed);

  // ---- reading

  std::optional<wal::Tail> cached_tail() const;
  /// The cached tail that a lock holder has invalidated, and that no lock holder has replaced since.
  std::optional<wal::Tail> doubtful_tail() const;
  std::uint64_t committed_lsn() const;
  std::uint64_t page_count() const;
  std::uint64_t index_number() const;
  std::uint64_t queue_number() const;
  bool has_queue() const;
  std::uint64_t poison_generation() const;
  bool sync_pending() const;
  std::uint64_t reuse_horizon() const;
  /// True when `mark` was noted, and no failed write of the log has taken the marks away since. 0 is no mark.
  bool is_recovered(std::uint64_t mark) const;
  /// Of an engine that may not write: see `advance_minimum`.
  std::uint64_t minimum_lsn() const { return least_committed_lsn_.load(); }

  // ---- waiting. A waiter announces itself in a word of its own kind, which is no state of the protocol.

  /// Sleeps until committed_lsn() may have moved from `seen`, or until `timeout` is over.
  /// `may_write` false: this engine maps the state read-only and cannot announce itself.
  void wait_for_commit(std::uint64_t seen, std::chrono::microseconds timeout, bool may_write) const;
  /// How many threads of all processes the last commit that woke any has woken. For pauses only
  /// (engine/wake_pause.hpp).
  std::uint64_t commit_waiters_woken() const;
  std::uint64_t released_count() const;
  void announce_lock_waiter() const;
  /// Sleeps until released_count() may have moved from `seen`, or until `timeout` is over.
  void wait_for_release(std::uint64_t seen, std::chrono::microseconds timeout) const;
  /// Wakes the processes that wait for the lock. Called right after the lock was released.
  /// @return true when there was one
  bool publish_release() const;

  // ---- for the lock holder

  /// Called before the first store of a hold, and again after each wait for the disk: see vfs::Mapping::make_writable.
  Result<void> make_writable() { return ready_to_store(); }

  /// A valid cached tail is in doubt from now on. One that is in doubt, or none, stays as it is.
  void invalidate_cached_tail();
  /// There is no cached tail from now on, neither a valid one nor one in doubt.
  void forget_cached_tail();
  /// The last step of a holder: everything up to the tail is in its pages, and every process sees it from now on.
  Result<void> publish(const wal::Tail& tail);
  // The parts of `publish`.
  void publish_cached_tail(const wal::Tail& tail);
  /// Wakes the threads and processes that wait for a change.
  void publish_committed_lsn(std::uint64_t lsn);
  void publish_page_count(std::uint64_t count);
  void publish_index_number(std::uint64_t number);
  void publish_queue(std::uint64_t number, bool there);
  /// Takes the marks of recovery away, too.
  void raise_poison_generation();
  void note_recovered(std::uint64_t mark);
  void set_sync_pending(bool pending);
  void raise_reuse_horizon(std::uint64_t lsn);

  /// For an engine that may not write: what its own walk of the log found, while the words on disk are older.
  /// Kept in this process only.
  void advance_minimum(std::uint64_t committed_lsn, std::uint64_t page_count, std::uint64_t reuse_horizon);

  // ---- layout, for the self-test of open() and for code that names damage

  static std::uint64_t self_test_offset();
  std::uint64_t self_test_word() const;
  static constexpr std::size_t kCommittedOffset = 128;
  static constexpr std::size_t kPageCountOffset = 144;
  static constexpr std::size_t kReuseHorizonOffset = 152;

 private:
  static constexpr std::size_t kTailWords = 9;
  static constexpr std::size_t kMarks = 16;
  using TailWords = std::array<std::uint64_t, kTailWords>;
  std::uint64_t tail_check(const TailWords& words) const;
  enum class Standing { valid, in_doubt };
  std::optional<wal::Tail> tail_if(Standing standing) const;
  Result<void> ready_to_store() const { return mapping_->make_writable(0, mapping_->size_bytes()); }

  std::unique_ptr<vfs::Mapping> mapping_;
  std::uint64_t seed_;
  std::atomic<std::uint64_t> least_committed_lsn_{0};
  std::atomic<std::uint64_t> least_page_count_{0};
  std::atomic<std::uint64_t> least_reuse_horizon_{0};
};

}  // namespace mentedb::shared

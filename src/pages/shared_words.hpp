// The second block of pages.db: words that all processes map and share. All of it is derived from the log and the
// directory, published by whoever holds the lock and rewritten by every recovery; nothing in it is needed after
// a crash. Readers load words without a lock.
//
//   hint               the tail of the log (R9: one self-checking unit). VALID IF AND ONLY IF the last lock holder
//                      finished: whoever changes the log or the pages makes it invalid first and publishes it
//                      anew as the last thing. So a valid hint means that nothing stands behind the tail (R5), and an
//                      invalid one costs a walk from the checkpoint.
//   committed          the LSN up to which everything is visible; also the futex of wait_for_change
//   index number       N of the current ids-N.idx; 0: none
//   poison generation  raised when a log write or sync failed; an engine that opened under another one is poisoned
//   sync pending       R7: set before a sync, cleared only by success
//   page count         pages that readers may touch
//   reuse horizon      see Counters
//   cursor             where the next allocation sweep starts
//   released           futex of those who wait for the lock; "waiting" says that somebody does
//   group LSNs         per group (modulo 256) an LSN that nothing in it exceeds, raised before publishing
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "vfs/vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::pages {

class SharedWords {
 public:
  SharedWords(std::unique_ptr<vfs::Mapping> mapping, std::uint64_t seed);

  /// Before anything is stored, and again after waiting for the disk: see vfs::Mapping::make_writable. The waiters'
  /// part below sees to that itself, and does without the word when it cannot be written.
  Result<void> make_writable() { return mapping_->make_writable(0, mapping_->size_bytes()); }

  std::optional<wal::Tail> hint() const;
  void invalidate_hint();
  void publish_hint(const wal::Tail& tail);

  std::uint64_t committed_lsn() const;
  /// Wakes those who wait for a change.
  void publish_committed_lsn(std::uint64_t lsn);
  /// Sleeps until committed_lsn() may have moved from `seen`, or the time is over.
  void wait_for_commit(std::uint64_t seen, std::chrono::microseconds timeout, bool may_write);

  std::uint64_t page_count() const;
  void publish_page_count(std::uint64_t count);

  std::uint64_t index_number() const;
  void publish_index_number(std::uint64_t number);
  std::uint64_t poison_generation() const;
  void raise_poison_generation();
  bool sync_pending() const;
  void set_sync_pending(bool pending);
  /// R7, for whoever syncs a file of the store under the lock: the mark is set and the hint is gone before, since
  /// whoever gets the error may die of it, and come back only with success. When a sync fails, pages may go back to
  /// what the device has, also those that were written back before; so the next holder writes them again before it
  /// plans on them. `rewritten`: all pages were written since the mark was set, so success clears it.
  Result<void> announce_sync(const std::function<Result<void>()>& sync, bool rewritten = false);
  /// The same for a failed sync of the log's batches, where nothing is announced. Does nothing when the words cannot be
  /// written any more.
  void doubt_pages();
  std::uint64_t reuse_horizon() const;
  void raise_reuse_horizon(std::uint64_t lsn);
  std::uint64_t cursor() const;
  void set_cursor(std::uint64_t page);
  std::uint64_t group_lsn(std::uint64_t group) const;
  void raise_group_lsn(std::uint64_t group, std::uint64_t lsn);

  std::uint64_t released_count() const;
  void announce_lock_waiter();
  void wait_for_release(std::uint64_t seen, std::chrono::microseconds timeout);
  /// @return true when somebody was waiting.
  bool publish_release();

  /// For the live self-test of open(): the word's offset in pages.db, and its value through the mapping.
  static std::uint64_t self_test_offset();
  std::uint64_t self_test_word() const;

  /// For an engine that may not write: what its own walk found, while the words on disk are older.
  void raise_floor(std::uint64_t committed_lsn, std::uint64_t page_count, std::uint64_t reuse_horizon);

  static constexpr std::size_t kGroupLsnCount = 256;
  /// Where words lie in the block, for those who name damage.
  static constexpr std::size_t kCommittedOffset = 128;
  static constexpr std::size_t kPageCountOffset = 144;
  static constexpr std::size_t kReuseHorizonOffset = 152;
  static constexpr std::size_t kGroupLsnsOffset = 2048;

 private:
  static constexpr std::size_t kHintWords = 9;
  std::uint64_t hint_check(const std::array<std::uint64_t, kHintWords>& words) const;

  std::unique_ptr<vfs::Mapping> mapping_;
  std::uint64_t seed_;
  std::atomic<std::uint64_t> floor_committed_lsn_{0};
  std::atomic<std::uint64_t> floor_page_count_{0};
  std::atomic<std::uint64_t> floor_reuse_horizon_{0};
};

}  // namespace mentedb::pages

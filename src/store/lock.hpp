// The one lock of a store: flock(2) on the descriptor of wal.log. The threads of one process share that descriptor, so
// a mutex stands in front of it. No process holds the lock while it is idle, and the lock has no shared mode.
//
// A waiter sleeps on a futex in the shared state, in short slices, because a killed holder wakes no process. A process
// that releases the lock while others wait gives way: it waits for at most a millisecond before it takes the lock
// again, so no process starves behind a busy writer.
#pragma once

#include <chrono>
#include <optional>
#include <utility>

#include <mentedb/error.hpp>

#include "base/mutex.hpp"
#include "queue/commit_queue.hpp"
#include "shared/shared_state.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::store {

/// A longer wait counts as endless, because its deadline would overflow.
inline constexpr std::chrono::milliseconds kLongestWait = std::chrono::hours(24 * 365 * 10);

class StoreLock {
 public:
  /// References outlive the lock.
  StoreLock(vfs::Vfs& vfs, vfs::File& log_file) : vfs_(vfs), file_(log_file) {}

  /// Held until destroyed.
  class Hold {
   public:
    Hold() = default;
    explicit Hold(StoreLock& lock) : lock_(&lock) {}
    Hold(Hold&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    Hold& operator=(Hold&& other) noexcept {
      release();
      lock_ = std::exchange(other.lock_, nullptr);
      return *this;
    }
    ~Hold() { release(); }
    void release() {
      if (lock_ != nullptr) std::exchange(lock_, nullptr)->unlock();
    }

   private:
    StoreLock* lock_ = nullptr;
  };

  /// @errors `busy`: names the lock holder when /proc/locks shows it. Returned at once when this thread holds the lock
  /// of the same file already, through this engine or another one of the process
  Result<Hold> acquire(std::chrono::milliseconds timeout) MENTEDB_NO_THREAD_SAFETY_ANALYSIS;
  /// Nothing, at once, when the lock is not free. It does not ask who holds the lock: /proc/locks takes the kernel ten
  /// milliseconds (a grace period of RCU).
  enum class Turn {
    any,
    gives_way,  ///< nothing also when others waited at the last release of this engine
  };
  Result<std::optional<Hold>> try_acquire(Turn turn = Turn::any) MENTEDB_NO_THREAD_SAFETY_ANALYSIS;
  /// @errors `busy` when this thread holds the lock of the same file already, so that it would wait for itself
  Result<void> check_may_wait() const;
  /// For a caller that waited in vain.
  std::unexpected<Error> busy() const;
  /// How long a waiter sleeps at most: a killed holder wakes no process.
  static constexpr std::chrono::microseconds kSlice = std::chrono::milliseconds(20);
  static constexpr std::chrono::microseconds kGiveWay = std::chrono::milliseconds(1);
  /// From now on waiting uses the futex in this shared state instead of short sleeps.
  void use_state(const shared::SharedState* state) { state_ = state; }
  /// From now on a release wakes an owner of a request that waits.
  void use_queue(const queue::CommitQueue* queue) { queue_ = queue; }

 private:
  bool lock_mutex(std::chrono::milliseconds timeout) MENTEDB_TRY_ACQUIRE(true, mutex_);
  Result<bool> lock_file(std::chrono::microseconds deadline, bool forever) MENTEDB_REQUIRES(mutex_);
  Hold hold() MENTEDB_REQUIRES(mutex_);
  void wait(std::uint64_t seen, std::chrono::microseconds time);
  void unlock() MENTEDB_NO_THREAD_SAFETY_ANALYSIS;
  void wake_a_leader() const;
  Result<bool> held_by_this_thread() const;

  vfs::Vfs& vfs_;
  vfs::File& file_;
  const shared::SharedState* state_ = nullptr;
  const queue::CommitQueue* queue_ = nullptr;
  base::TimedMutex mutex_;
  StoreLock* outer_ = nullptr;  ///< the lock that the holding thread took before this one
  bool others_waited_ MENTEDB_GUARDED_BY(mutex_) = false;
};

}  // namespace mentedb::store

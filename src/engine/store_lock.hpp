// The one lock of a store: flock(2) on wal.log's own descriptor, with a mutex in front for the threads of this
// process (they share the descriptor). Never held while idle, never converted.
//
// Waiting is a futex on the shared words with short slices, because a killed holder wakes nobody. A process that
// releases the lock while others wait lets one of them have it before it takes it again (for at most a millisecond),
// so nobody starves behind a busy writer.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include <mentedb/error.hpp>

#include "pages/shared_words.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::engine {

/// A longer wait is for ever, and would overflow.
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

  /// @errors `busy`, naming the holder when /proc/locks shows it; at once when this thread holds it already
  Result<Hold> acquire(std::chrono::milliseconds timeout);
  /// From now on waiting uses the futex in these words instead of short sleeps.
  void use_words(pages::SharedWords* words) { words_ = words; }

 private:
  bool lock_mutex(std::chrono::milliseconds timeout);
  Result<void> lock_file(std::chrono::microseconds deadline, bool forever);
  void wait(std::uint64_t seen, std::chrono::microseconds time);
  void unlock();

  vfs::Vfs& vfs_;
  vfs::File& file_;
  pages::SharedWords* words_ = nullptr;
  std::timed_mutex mutex_;
  std::atomic<std::thread::id> owner_{};  ///< the thread that holds it
  bool others_waited_ = false;            ///< guarded by mutex_
};

}  // namespace mentedb::engine

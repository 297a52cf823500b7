#include "store/lock.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace mentedb::store {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr microseconds kSlice = milliseconds(20);  // a killed holder wakes no process
constexpr microseconds kNoStateSlice = milliseconds(1);
constexpr microseconds kGiveWay = milliseconds(1);

// The locks that this thread holds: a list, from the one that it took last. Usually there is one or none. A call from
// inside a transaction finds here that its thread would wait for itself, also when it goes through another engine.
thread_local StoreLock* innermost_held = nullptr;

}  // namespace

bool StoreLock::lock_mutex(milliseconds timeout) {
  if (timeout == milliseconds::max()) {
    mutex_.lock();
    return true;
  }
  return timeout.count() <= 0 ? mutex_.try_lock() : mutex_.try_lock_for(timeout);
}

void StoreLock::wait(std::uint64_t seen, microseconds time) {
  if (state_ != nullptr) {
    state_->wait_for_release(seen, time);
  } else {
    vfs_.sleep(std::min(time, kNoStateSlice));
  }
}

Result<void> StoreLock::lock_file(microseconds deadline, bool forever) {
  if (std::exchange(others_waited_, false) && state_ != nullptr) {
    const std::uint64_t seen = state_->released_count();
    state_->announce_lock_waiter();
    wait(seen, kGiveWay);
  }
  for (;;) {
    const std::uint64_t seen = state_ == nullptr ? 0 : state_->released_count();
    MENTEDB_TRY_ASSIGN(bool taken, file_.try_lock());
    if (taken) return {};
    if (state_ != nullptr) {
      state_->announce_lock_waiter();
      MENTEDB_TRY_ASSIGN(taken, file_.try_lock());  // the holder may have released the lock before the announcement
      if (taken) return {};
    }
    const microseconds now = vfs_.now();
    if (!forever && now >= deadline) break;
    wait(seen, forever ? kSlice : std::min(kSlice, deadline - now));
  }
  const std::string holder = file_.lock_holder();
  return base::failf(ErrorCode::busy, "{} is locked by {}; try again, raise lock_timeout, or end that process",
                     file_.path(), holder.empty() ? "another process" : holder);
}

Result<bool> StoreLock::held_by_this_thread() const {
  if (innermost_held == nullptr) return false;
  MENTEDB_TRY_ASSIGN(const vfs::FileId id, file_.id());
  for (const StoreLock* held = innermost_held; held != nullptr; held = held->outer_) {
    if (held == this) return true;
    if (&held->vfs_ != &vfs_) continue;
    MENTEDB_TRY_ASSIGN(const vfs::FileId other, held->file_.id());
    if (other == id) return true;
  }
  return false;
}

Result<StoreLock::Hold> StoreLock::acquire(milliseconds timeout) {
  MENTEDB_TRY_ASSIGN(const bool held, held_by_this_thread());
  if (held) {
    return base::failf(ErrorCode::busy,
                       "this thread holds the lock of {} already; make this call outside the transaction",
                       file_.path());
  }
  timeout = timeout > kLongestWait ? milliseconds::max() : std::max(timeout, milliseconds(0));
  const bool forever = timeout == milliseconds::max();
  const microseconds deadline = forever ? microseconds::max() : vfs_.now() + timeout;
  if (!lock_mutex(timeout)) {
    return base::failf(
        ErrorCode::busy,
        "another thread of this process holds the lock of {} for longer than lock_timeout; try again, or raise "
        "lock_timeout",
        file_.path());
  }
  std::unique_lock<base::TimedMutex> guard(mutex_, std::adopt_lock);
  MENTEDB_TRY(lock_file(deadline, forever));
  guard.release();
  outer_ = std::exchange(innermost_held, this);
  return Hold(*this);
}

void StoreLock::unlock() {
  StoreLock** held = &innermost_held;
  while (*held != nullptr && *held != this) held = &(*held)->outer_;
  if (*held != nullptr) *held = outer_;
  file_.unlock();
  try {
    others_waited_ = state_ != nullptr && state_->publish_release();
  } catch (...) {  // the simulated disk may end its process here (see vfs.hpp), and destructors call this function
    others_waited_ = false;
  }
  mutex_.unlock();
}

}  // namespace mentedb::store

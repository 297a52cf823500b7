#include "store/lock.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace mentedb::store {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr microseconds kNoStateSlice = milliseconds(1);

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

// False when the lock was not free before the deadline.
Result<bool> StoreLock::lock_file(microseconds deadline, bool forever) {
  if (std::exchange(others_waited_, false) && state_ != nullptr) {
    const std::uint64_t seen = state_->released_count();
    state_->announce_lock_waiter();
    wait(seen, kGiveWay);
  }
  for (;;) {
    const std::uint64_t seen = state_ == nullptr ? 0 : state_->released_count();
    MENTEDB_TRY_ASSIGN(bool taken, file_.try_lock());
    if (taken) return true;
    if (state_ != nullptr) {
      state_->announce_lock_waiter();
      MENTEDB_TRY_ASSIGN(taken, file_.try_lock());  // the holder may have released the lock before the announcement
      if (taken) return true;
    }
    const microseconds now = vfs_.now();
    if (!forever && now >= deadline) return false;
    wait(seen, forever ? kSlice : std::min(kSlice, deadline - now));
  }
}

StoreLock::Hold StoreLock::hold() {
  outer_ = std::exchange(innermost_held, this);
  return Hold(*this);
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

Result<void> StoreLock::check_may_wait() const {
  MENTEDB_TRY_ASSIGN(const bool held, held_by_this_thread());
  if (!held) return {};
  return base::failf(ErrorCode::busy,
                     "this thread holds the lock of {} already; make this call outside the transaction", file_.path());
}

std::unexpected<Error> StoreLock::busy() const {
  const std::string holder = file_.lock_holder();
  return base::failf(ErrorCode::busy, "{} is locked by {}; try again, raise lock_timeout, or end that process",
                     file_.path(), holder.empty() ? "another process" : holder);
}

Result<StoreLock::Hold> StoreLock::acquire(milliseconds timeout) {
  MENTEDB_TRY(check_may_wait());
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
  MENTEDB_TRY_ASSIGN(const bool taken, lock_file(deadline, forever));
  if (!taken) {
    guard.unlock();
    wake_a_leader();  // a thread that met the mutex while this one had it sleeps
    return busy();
  }
  guard.release();
  return hold();
}

Result<std::optional<StoreLock::Hold>> StoreLock::try_acquire(Turn turn) {
  MENTEDB_TRY_ASSIGN(const bool held, held_by_this_thread());
  if (held || !mutex_.try_lock()) return std::nullopt;
  std::unique_lock<base::TimedMutex> guard(mutex_, std::adopt_lock);
  if (turn == Turn::gives_way && others_waited_) return std::nullopt;
  others_waited_ = false;
  MENTEDB_TRY_ASSIGN(const bool taken, file_.try_lock());
  if (!taken) return std::nullopt;
  guard.release();
  return hold();
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
  wake_a_leader();  // last: the thread that it wakes tries the mutex, too
}

void StoreLock::wake_a_leader() const {
  try {
    if (queue_ != nullptr) queue_->wake_a_leader();
  } catch (...) {  // NOLINT(bugprone-empty-catch): as above; then owners look by themselves
  }
}

}  // namespace mentedb::store

// Mutexes for clang's thread safety analysis. With -Wthread-safety the clang presets check that code holds the mutex
// when it touches a member marked MENTEDB_GUARDED_BY. Other compilers see plain mutexes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define MENTEDB_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define MENTEDB_THREAD_ANNOTATION(x)
#endif
#define MENTEDB_CAPABILITY(name) MENTEDB_THREAD_ANNOTATION(capability(name))
#define MENTEDB_SCOPED_CAPABILITY MENTEDB_THREAD_ANNOTATION(scoped_lockable)
#define MENTEDB_GUARDED_BY(mutex) MENTEDB_THREAD_ANNOTATION(guarded_by(mutex))
#define MENTEDB_REQUIRES(...) MENTEDB_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define MENTEDB_EXCLUDES(...) MENTEDB_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define MENTEDB_ACQUIRE(...) MENTEDB_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define MENTEDB_TRY_ACQUIRE(...) MENTEDB_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define MENTEDB_RELEASE(...) MENTEDB_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
/// For the few functions that take a mutex and keep it after they return: the analysis cannot follow these.
#define MENTEDB_NO_THREAD_SAFETY_ANALYSIS MENTEDB_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace mentedb::base {

class MENTEDB_CAPABILITY("mutex") Mutex {
 public:
  void lock() MENTEDB_ACQUIRE() { mutex_.lock(); }
  void unlock() MENTEDB_RELEASE() { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class MENTEDB_CAPABILITY("mutex") TimedMutex {
 public:
  void lock() MENTEDB_ACQUIRE() { mutex_.lock(); }
  bool try_lock() MENTEDB_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  bool try_lock_for(std::chrono::milliseconds time) MENTEDB_TRY_ACQUIRE(true) { return mutex_.try_lock_for(time); }
  void unlock() MENTEDB_RELEASE() { mutex_.unlock(); }

 private:
  std::timed_mutex mutex_;
};

/// Holds a mutex until the end of the scope.
class MENTEDB_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) MENTEDB_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() MENTEDB_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

/// A condition variable for `Mutex`. A wake-up may be spurious, so callers wait in a loop.
class Condition {
 public:
  using Clock = std::chrono::steady_clock;

  void wait(Mutex& mutex) MENTEDB_REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    condition_.wait(held);
    held.release();
  }
  void wait_until(Mutex& mutex, Clock::time_point deadline) MENTEDB_REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    condition_.wait_until(held, deadline);
    held.release();
  }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace mentedb::base

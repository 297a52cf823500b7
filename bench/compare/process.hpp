// Runs measurements in processes of their own. This process opens no engine and starts no thread, so it may fork.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <stdexcept>

namespace mentedb::compare {

/// A T, all zero at first, that this process and its children share.
template <class T>
class Shared {
 public:
  Shared() {
    void* place = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) throw std::bad_alloc();
    value_ = new (place) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(value_, sizeof(T)); }
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

/// Where processes or threads meet before the clock starts. It lies in shared memory.
class StartLine {
 public:
  /// Called by each runner. @return the end of the measurement, on the clock of `now_ns`
  std::uint64_t wait();
  /// @return how many runners wait
  std::uint32_t waiting() const { return waiting_.load(); }
  /// Starts all runners.
  void start(double seconds);

 private:
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<std::uint64_t> deadline_{0};
};

/// Children of this process. A child that throws prints why and fails.
class Children {
 public:
  Children() = default;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  ~Children();  ///< kills those that still run

  void start(const std::function<void()>& role);
  /// Waits until all children wait at the line, then starts them.
  void start_together(StartLine& line, double seconds);
  /// Throws when a child has ended by an error.
  void look();
  void kill_all();
  /// Waits for all of them. Throws when one failed.
  void wait();

 private:
  static constexpr std::size_t kMost = 32;
  pid_t pids_[kMost] = {};
  std::size_t count_ = 0;
};

/// From here on SIGINT and SIGTERM end the children, and this process learns of them by `interrupted`.
void catch_interrupts();
bool interrupted();

/// Runs one role in a child and waits for the end.
void run_in_child(const std::function<void()>& role);

}  // namespace mentedb::compare

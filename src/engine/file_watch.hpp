// When a call looks whether the files of the store were replaced (R11). A write looks each time, under the lock. A read
// makes no system call, so it looks twice a second only, and one thread looks for all. After a look that found other
// files each call looks, until the store is opened again or the files are back.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mentedb::engine {

class FileWatch {
 public:
  /// True for the one thread that has to look now.
  bool due(std::chrono::microseconds now) {
    std::int64_t due_us = due_us_.load(std::memory_order_relaxed);
    if (now.count() < due_us) [[likely]]
      return false;
    const std::int64_t next_us = due_us == kAlwaysUs ? kAlwaysUs : (now + kPeriod).count();
    return due_us_.compare_exchange_strong(due_us, next_us, std::memory_order_relaxed);
  }
  void found_unchanged(std::chrono::microseconds now) {
    due_us_.store((now + kPeriod).count(), std::memory_order_relaxed);
  }
  void found_others() { due_us_.store(kAlwaysUs, std::memory_order_relaxed); }

 private:
  static constexpr std::chrono::microseconds kPeriod = std::chrono::milliseconds(500);
  static constexpr std::int64_t kAlwaysUs = -1;
  std::atomic<std::int64_t> due_us_{0};
};

}  // namespace mentedb::engine

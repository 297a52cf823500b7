// Keeps many waiters in wait_for_change from costing the writers their time. A commit wakes every announced waiter.
// When each of 64 waiters announced itself again at once, the writers did little but wake them. So a waiter that was
// woken stays away from the futex for a pause that grows with the number of waiters that its commit woke. After the
// pause it looks at the committed LSN before it announces itself. A waiter that has announced itself is always woken by
// the next commit, so no wake-up is lost. A lone waiter never pauses.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>

namespace mentedb::engine {

class WakePause {
 public:
  /// A commit has woken a waiter of this engine.
  void woken(std::chrono::microseconds now) { woken_at_us_.store(now.count(), std::memory_order_relaxed); }

  /// How long a waiter of this engine has to stay away from the futex. `herd` is the number of waiters of all processes
  /// that the last commit woke.
  std::chrono::microseconds left(std::chrono::microseconds now, std::uint64_t herd) const {
    // To wake one waiter costs a few microseconds, so all of them together take a few hundredths of a processor.
    constexpr std::int64_t kPerWaiterUs = 600;
    constexpr std::uint64_t kLargestHerd = 256;
    const std::int64_t pause_us =
        static_cast<std::int64_t>(std::clamp<std::uint64_t>(herd, 1, kLargestHerd) - 1) * kPerWaiterUs;
    const std::int64_t since_us = now.count() - woken_at_us_.load(std::memory_order_relaxed);
    return std::chrono::microseconds(std::clamp<std::int64_t>(pause_us - since_us, 0, pause_us));
  }

 private:
  std::atomic<std::int64_t> woken_at_us_{std::numeric_limits<std::int64_t>::min() / 2};
};

}  // namespace mentedb::engine

// Lets calls into an engine until it is closed, so that close() can wait for those inside.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <thread>
#include <utility>

#include "base/lanes.hpp"

namespace mentedb::engine {

class CallGate {
 public:
  class Pass {
   public:
    Pass() = default;
    explicit Pass(base::Lanes::Pass inside) : inside_(std::move(inside)) { ++depth(); }
    Pass(Pass&& other) noexcept : inside_(std::exchange(other.inside_, std::nullopt)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (inside_) --depth();
    }
    explicit operator bool() const { return inside_.has_value(); }

   private:
    std::optional<base::Lanes::Pass> inside_;
  };

  /// Empty when the gate is closed.
  Pass enter() {
    auto inside = lanes_.enter();
    if (closed_.load(std::memory_order_seq_cst)) return {};
    return Pass(std::move(inside));
  }

  /// True for the one caller that closes the gate. Returns when no call is inside. `wait_for_calls` false: returns at
  /// once, for a forked child, where the calls of the parent's threads never leave.
  bool close(bool wait_for_calls) {
    if (closed_.exchange(true)) return false;
    base::Lanes::Departure calls;
    while (wait_for_calls && !lanes_.have_left(calls)) std::this_thread::sleep_for(std::chrono::microseconds(50));
    return true;
  }

  /// The calls that are inside now.
  const base::Lanes& calls() const { return lanes_; }

  /// True on a thread that is inside a call of any engine, as a callback is.
  static bool inside_a_call() { return depth() > 0; }

 private:
  static std::size_t& depth() {
    static thread_local std::size_t value = 0;
    return value;
  }

  base::Lanes lanes_;
  std::atomic<bool> closed_{false};
};

}  // namespace mentedb::engine

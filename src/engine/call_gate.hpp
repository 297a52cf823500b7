// Counts the calls that are inside an engine, so that close() can wait for them. Threads share no counter's cache line
// when their lanes differ, so readers rarely slow each other down.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>
#include <utility>

namespace mentedb::engine {

class CallGate {
 public:
  class Pass {
   public:
    explicit Pass(std::atomic<std::size_t>* counter) : counter_(counter) {}
    Pass(Pass&& other) noexcept : counter_(std::exchange(other.counter_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (counter_ == nullptr) return;
      counter_->fetch_sub(1, std::memory_order_release);
      --depth();
    }
    explicit operator bool() const { return counter_ != nullptr; }

   private:
    std::atomic<std::size_t>* counter_;
  };

  /// Empty when the gate is closed.
  Pass enter() {
    static thread_local const std::size_t lane = std::hash<std::thread::id>{}(std::this_thread::get_id()) % kLanes;
    std::atomic<std::size_t>& counter = lanes_[lane].inside;
    counter.fetch_add(1, std::memory_order_seq_cst);
    if (closed_.load(std::memory_order_seq_cst)) {
      counter.fetch_sub(1, std::memory_order_release);
      return Pass(nullptr);
    }
    ++depth();
    return Pass(&counter);
  }

  /// True for the one caller that closes the gate. Returns when no call is inside. `wait_for_calls` false: returns at
  /// once, for a forked child, where the calls of the parent's threads never leave.
  bool close(bool wait_for_calls) {
    if (closed_.exchange(true)) return false;
    if (!wait_for_calls) return true;
    for (const Lane& lane : lanes_) {
      while (lane.inside.load(std::memory_order_acquire) != 0)
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
  }

  /// True on a thread that is inside a call of any engine, as a callback is.
  static bool inside_a_call() { return depth() > 0; }

 private:
  static constexpr std::size_t kLanes = 16;
  struct alignas(64) Lane {
    std::atomic<std::size_t> inside{0};
  };
  static std::size_t& depth() {
    static thread_local std::size_t value = 0;
    return value;
  }

  std::array<Lane, kLanes> lanes_;
  std::atomic<bool> closed_{false};
};

}  // namespace mentedb::engine

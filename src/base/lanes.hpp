// Counts the threads that are inside something, so that its owner can wait until they have left, or give back what only
// they can still use. Threads share no counter's cache line when their lanes differ, so they rarely slow each other
// down.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

namespace mentedb::base {

class Lanes {
 public:
  /// The thread is inside until the pass is destroyed.
  class Pass {
   public:
    explicit Pass(std::atomic<std::size_t>* counter = nullptr) : counter_(counter) {}
    Pass(Pass&& other) noexcept : counter_(std::exchange(other.counter_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      leave();
      counter_ = std::exchange(other.counter_, nullptr);
      return *this;
    }
    ~Pass() { leave(); }
    void leave() {
      if (counter_ != nullptr) std::exchange(counter_, nullptr)->fetch_sub(1, std::memory_order_release);
    }

   private:
    std::atomic<std::size_t>* counter_;
  };

  /// A store that this thread makes before `enter` is seen by every thread that finds the lane empty afterwards, and
  /// this thread sees afterwards what that thread stored before it looked (sequential consistency).
  Pass enter() {
    static thread_local const std::size_t lane = std::hash<std::thread::id>{}(std::this_thread::get_id()) % kLanes;
    std::atomic<std::size_t>& counter = lanes_[lane].inside;
    counter.fetch_add(1, std::memory_order_seq_cst);
    return Pass(&counter);
  }

  /// Which lanes were not seen empty yet since this object was made.
  class Departure {
    friend class Lanes;
    std::uint32_t lanes_left_ = (1U << kLanes) - 1;
  };
  /// True when every thread that was inside when `departure` was made has left. Waits for none of them.
  bool have_left(Departure& departure) const {
    for (std::size_t i = 0; i < kLanes; ++i) {
      if (lanes_[i].inside.load(std::memory_order_seq_cst) == 0) departure.lanes_left_ &= ~(1U << i);
    }
    return departure.lanes_left_ == 0;
  }

 private:
  static constexpr std::size_t kLanes = 16;
  struct alignas(64) Lane {
    std::atomic<std::size_t> inside{0};
  };
  std::array<Lane, kLanes> lanes_;
};

}  // namespace mentedb::base

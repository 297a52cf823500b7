#include "support/failing_new.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace mentedb::faults {

void (*on_allocation)() = nullptr;

namespace {

struct State {
  bool armed = false;
  bool from_then_on = false;
  bool fired = false;
  std::uint64_t asked = 0;
  std::uint64_t first = 0;
};
thread_local State state;
std::atomic<std::int64_t> live{0};

bool refuses() {
  if (!state.armed) return false;
  if (on_allocation != nullptr) {
    state.armed = false;
    on_allocation();
    state.armed = true;
  }
  const std::uint64_t number = state.asked++;
  if (number != state.first && !(state.from_then_on && number > state.first)) return false;
  state.fired = true;
  return true;
}

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (refuses()) return nullptr;
  void* block = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                    ? std::malloc(bytes == 0 ? 1 : bytes)
                    : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (block != nullptr) live.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* const block = allocate(bytes, alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void release(void* block) {
  if (block == nullptr) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  std::free(block);
}

}  // namespace

FailingNew::FailingNew(std::uint64_t first, bool from_then_on) {
  state = {.armed = true, .from_then_on = from_then_on, .fired = false, .asked = 0, .first = first};
}
FailingNew::~FailingNew() { state.armed = false; }
std::uint64_t FailingNew::asked() { return state.asked; }
bool FailingNew::fired() { return state.fired; }

AllocateFreely::AllocateFreely() : before_(state.armed) { state.armed = false; }
AllocateFreely::~AllocateFreely() { state.armed = before_; }

std::int64_t live_allocations() { return live.load(); }

}  // namespace mentedb::faults

using mentedb::faults::allocate;
using mentedb::faults::allocate_or_throw;
using mentedb::faults::release;
constexpr std::size_t kUsual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define MENTEDB_TEST_KEEPS_OPERATOR_NEW  // the thread sanitizer has its own, and its tests let no allocation fail
#endif
#endif

#ifndef MENTEDB_TEST_KEEPS_OPERATOR_NEW
void* operator new(std::size_t n) { return allocate_or_throw(n, kUsual); }
void* operator new[](std::size_t n) { return allocate_or_throw(n, kUsual); }
void* operator new(std::size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, kUsual); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, kUsual); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<std::size_t>(a));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { release(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { release(block); }
void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept { release(block); }
void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept { release(block); }
#endif

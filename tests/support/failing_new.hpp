// Global operator new that fails on purpose, on threads and within scopes that ask for it, and counts what is alive.
// The engine allocates through it alone; only libc's own malloc (directory streams, files) is not touched.
#pragma once

#include <cstdint>

namespace mentedb::faults {

/// While it lives, allocations of this thread are numbered from 0; number `first` fails, and with `from_then_on` all
/// later ones too.
class FailingNew {
 public:
  FailingNew(std::uint64_t first, bool from_then_on);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  /// Allocations asked for so far.
  [[nodiscard]] static std::uint64_t asked();
  [[nodiscard]] static bool fired();
};

/// Lets the campaign itself allocate in the middle of an engine's call (callbacks, hooks).
class AllocateFreely {
 public:
  AllocateFreely();
  ~AllocateFreely();
  AllocateFreely(const AllocateFreely&) = delete;
  AllocateFreely& operator=(const AllocateFreely&) = delete;

 private:
  bool before_;
};

/// Blocks that operator new gave and nobody deleted, of all threads.
std::int64_t live_allocations();

/// Called before each allocation inside a FailingNew scope; must not allocate.
extern void (*on_allocation)();

}  // namespace mentedb::faults

// Damage that redo did not repair. A reader that meets damaged bytes looks at them a thousand times, takes the lock and
// redoes the whole log. A program that polled one damaged page did that with each read, and the writers had little time
// left. So a reader remembers the bytes that were the same after the redo. As long as it meets the same bytes in the
// same epoch of the log, it answers at once.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/mutex.hpp"

namespace mentedb::store {

/// What was seen: a page and a checksum of its bytes.
struct Sight {
  std::uint64_t page = 0;  ///< 0: the damaged entries of a whole pass over the directory
  std::uint64_t checksum = 0;
};

/// Any number of threads may use it. It forgets the oldest sights.
class KnownDamage {
 public:
  /// False as long as nothing is known: then no caller needs to make a sight.
  bool any() const { return any_.load(std::memory_order_relaxed); }
  /// `epoch`: nothing when it cannot be told, while a commit is under way. Then the sight alone decides.
  bool contains(const Sight& sight, std::optional<std::uint64_t> epoch) const MENTEDB_EXCLUDES(mutex_) {
    const base::MutexLock guard(mutex_);
    for (const Known& known : known_) {
      if (known.used && known.sight.page == sight.page)
        return known.sight.checksum == sight.checksum && known.epoch == epoch.value_or(known.epoch);
    }
    return false;
  }
  void remember(const Sight& sight, std::uint64_t epoch) MENTEDB_EXCLUDES(mutex_) {
    const base::MutexLock guard(mutex_);
    Known* place = &known_[next_];
    for (Known& known : known_) {
      if (known.used && known.sight.page == sight.page) place = &known;
    }
    if (place == &known_[next_]) next_ = (next_ + 1) % known_.size();
    *place = {.used = true, .sight = sight, .epoch = epoch};
    any_.store(true, std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kMost = 64;
  struct Known {
    bool used = false;
    Sight sight;
    std::uint64_t epoch = 0;
  };
  mutable base::Mutex mutex_;
  std::array<Known, kMost> known_ MENTEDB_GUARDED_BY(mutex_){};
  std::size_t next_ MENTEDB_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> any_{false};
};

}  // namespace mentedb::store

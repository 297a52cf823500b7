// A log write or sync failed: what the device has is unknown until the log is read again. So the engine whose write
// failed, and every engine that was open then, refuse to write from then on. A fresh open() reads the log.
#pragma once

#include <cstdint>
#include <string>

#include <mentedb/error.hpp>

#include "shared/shared_state.hpp"

namespace mentedb::store {

/// For the lock holder.
class Poison {
 public:
  explicit Poison(shared::SharedState& state) : state_(state) {}

  /// open() has read the log: failures before this moment no longer matter.
  void cleared_by_open() { generation_ = state_.poison_generation(); }

  /// @errors `poisoned`
  Result<void> check(const std::string& log_path) const;

  /// Poisons every engine that has the store open. Returns the error as the caller of the write gets it.
  std::unexpected<Error> poison(Error error);

 private:
  shared::SharedState& state_;
  std::uint64_t generation_ = 0;
  bool poisoned_ = false;
};

}  // namespace mentedb::store

// A log write or sync failed: what the device has is unknown until the log is read again. So the engine whose write
// failed, and every engine that was open then, refuse to write from then on. A fresh open() reads the log.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <mentedb/error.hpp>

#include "base/error.hpp"
#include "shared/pending_sync.hpp"
#include "shared/shared_state.hpp"

namespace mentedb::store {

/// For the lock holder.
class Poison {
 public:
  explicit Poison(shared::SharedState& state) : state_(state) {}

  /// open() has read the log: failures before this moment no longer matter.
  void cleared_by_open() { generation_ = state_.poison_generation(); }

  /// @errors `poisoned`
  Result<void> check(const std::string& log_path) const {
    if (!poisoned_ && state_.poison_generation() == generation_) return {};
    return base::failf(
        ErrorCode::poisoned,
        "a write to {} failed, so what is on the disk has to be read again: close this engine and open the store "
        "again; everything acknowledged is kept",
        log_path);
  }

  /// Poisons every engine that has the store open. Returns the error as the caller of the write gets it.
  std::unexpected<Error> poison(Error error) {
    poisoned_ =
        true;  // also when a file system that shut down takes no store: then the other engines fail by themselves
    if (state_.make_writable()) state_.raise_poison_generation();
    shared::PendingSync::note_failure(state_);
    if (error.code == ErrorCode::no_space) error.code = ErrorCode::io_error;  // no_space: "nothing changed"
    error.message += "; nothing of this write was acknowledged. Close this engine and open the store again";
    return std::unexpected(std::move(error));
  }

 private:
  shared::SharedState& state_;
  std::uint64_t generation_ = 0;
  bool poisoned_ = false;
};

}  // namespace mentedb::store

// After a failed write or sync of the log the bytes on the device are unknown until the log is read again. So the
// engine whose write failed refuses to write from then on, and so does every engine that was open then: they are
// poisoned. A new open() reads the log.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <utility>

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
  /// Runs a write or sync of the log, and poisons when it fails. That needs no memory behind the failure.
  template <class LogWrite>
  Result<void> unless(LogWrite&& write_log) {
    Error error{ErrorCode::io_error, 0, std::string("a write of the log failed, and memory ran out")};
    try {
      auto written = write_log();
      if (written) return {};
      error = std::move(written).error();
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): `error` has a message already
    }
    return poison(std::move(error));
  }

 private:
  shared::SharedState& state_;
  std::uint64_t generation_ = 0;
  bool poisoned_ = false;
};

}  // namespace mentedb::store

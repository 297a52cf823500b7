#include "store/poison.hpp"

#include <new>
#include <utility>

#include "base/error.hpp"

namespace mentedb::store {

Result<void> Poison::check(const std::string& log_path) const {
  if (!poisoned_ && state_.poison_generation() == generation_) return {};
  return base::failf(
      ErrorCode::poisoned,
      "a write to {} failed, so the log has to be read again: close this engine and open the store again; every "
      "acknowledged write is kept",
      log_path);
}

std::unexpected<Error> Poison::poison(Error error) {
  // Also when the shared state takes no store. Then the file system has shut down, and the other engines fail, too.
  poisoned_ = true;
  if (state_.make_writable()) {
    state_.raise_poison_generation();
    // R7: the device may have lost pages, too. The open that clears the poison writes them again from the log (R3).
    state_.set_sync_pending(true);
  }
  if (error.code == ErrorCode::no_space) error.code = ErrorCode::io_error;  // no_space: "nothing changed"
  try {
    error.message += "; nothing of this write was acknowledged. Close this engine and open the store again";
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the shorter message will do
  }
  return std::unexpected(std::move(error));
}

}  // namespace mentedb::store

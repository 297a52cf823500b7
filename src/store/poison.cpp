#include "store/poison.hpp"

#include <utility>

#include "base/error.hpp"
#include "shared/pending_sync.hpp"

namespace mentedb::store {

Result<void> Poison::check(const std::string& log_path) const {
  if (!poisoned_ && state_.poison_generation() == generation_) return {};
  return base::failf(
      ErrorCode::poisoned,
      "a write to {} failed, so what is on the disk has to be read again: close this engine and open the store "
      "again; everything acknowledged is kept",
      log_path);
}

std::unexpected<Error> Poison::poison(Error error) {
  poisoned_ = true;  // also when a file system that shut down takes no store: then the other engines fail by themselves
  if (state_.make_writable()) state_.raise_poison_generation();
  shared::PendingSync::note_failure(state_);
  if (error.code == ErrorCode::no_space) error.code = ErrorCode::io_error;  // no_space: "nothing changed"
  error.message += "; nothing of this write was acknowledged. Close this engine and open the store again";
  return std::unexpected(std::move(error));
}

}  // namespace mentedb::store

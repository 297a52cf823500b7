#include "shared/pending_sync.hpp"

#include "base/error.hpp"

namespace mentedb::shared {

Result<PendingSync> PendingSync::begin(SharedState& state) {
  PendingSync pending(state);
  MENTEDB_TRY(state.make_writable());
  state.set_sync_pending(true);
  state.invalidate_cached_tail();
  return pending;
}

Result<void> PendingSync::end(bool still_pending) {
  MENTEDB_TRY(state_->make_writable());  // the sync may have written the state's own page back
  state_->set_sync_pending(still_pending);
  if (tail_) state_->publish_cached_tail(*tail_);
  return {};
}

}  // namespace mentedb::shared

// R7, for the syncs of pages.db, of the id index and of new space in the log. Linux reports a failed write-back to one
// caller only, and that caller may crash. After a failed sync a page may go back to the bytes on the device, also a
// page that was written back earlier. So `sync pending` is set and the cached tail is invalidated before the sync, and
// both are undone only after the sync succeeded. The next lock holder that finds `sync pending` rewrites the pages from
// the log before it plans on them.
//
//     MENTEDB_TRY_ASSIGN(PendingSync pending, PendingSync::begin(state));
//     MENTEDB_TRY(file.sync());
//     return pending.succeeded();
//
// A PendingSync that ends without `succeeded` leaves `sync pending` set. So does a process that dies in the sync.
#pragma once

#include <optional>

#include <mentedb/error.hpp>

#include "shared/shared_state.hpp"
#include "wal/log.hpp"

namespace mentedb::shared {

class PendingSync {
 public:
  /// Sets `sync pending` and invalidates the cached tail. @errors as SharedState::make_writable; then nothing was
  /// stored
  [[nodiscard]] static Result<PendingSync> begin(SharedState& state);
  /// Publishes the cached tail as it was, and clears `sync pending` unless an earlier sync had left it set.
  [[nodiscard]] Result<void> succeeded() { return end(was_pending_); }
  /// The same when redo has rewritten every page that the log has since `sync pending` was set: `sync pending` is
  /// cleared in any case.
  [[nodiscard]] Result<void> succeeded_after_rewrite() { return end(false); }

 private:
  explicit PendingSync(SharedState& state)
      : state_(&state), was_pending_(state.sync_pending()), tail_(state.cached_tail()) {}
  Result<void> end(bool still_pending);

  SharedState* state_;
  bool was_pending_;
  std::optional<wal::Tail> tail_;
};

}  // namespace mentedb::shared

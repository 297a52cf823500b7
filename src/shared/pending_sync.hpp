// R7, the one door for a sync under the lock. Linux reports a failed write-back to one caller only, and that caller may
// crash before it tells anyone. After a failed sync the pages may go back to what the device has, also pages that were
// written back earlier. So `sync pending` is set and the cached tail is invalid before the sync starts, and both come
// back only after it succeeded. The next lock holder that finds `sync pending` rewrites the pages from the log before
// it plans on them.
//
//     MENTEDB_TRY_ASSIGN(PendingSync pending, PendingSync::begin(state));
//     MENTEDB_TRY(file.sync());
//     return pending.succeeded();
//
// A PendingSync that ends without `succeeded` leaves the mark, as a process does that dies in the sync.
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
  /// Publishes the cached tail as it was, and takes `sync pending` back unless an earlier sync had left it.
  [[nodiscard]] Result<void> succeeded() { return end(was_pending_); }
  /// The same after every page that the log has was written again since the mark was set: the mark is taken back.
  [[nodiscard]] Result<void> succeeded_after_rewrite() { return end(false); }

  /// The same mark for a sync that was not announced and failed: that of a batch in the log. Does nothing when the
  /// state cannot be stored to any more.
  static void note_failure(SharedState& state);

 private:
  explicit PendingSync(SharedState& state)
      : state_(&state), was_pending_(state.sync_pending()), tail_(state.cached_tail()) {}
  Result<void> end(bool still_pending);

  SharedState* state_;
  bool was_pending_;
  std::optional<wal::Tail> tail_;
};

}  // namespace mentedb::shared

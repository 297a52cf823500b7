// The path of a write. A thread that gets the lock leads: it commits its own write, and with it all that wait in the
// commit queue, in one batch with one sync (ADR 15). A thread that does not get the lock puts its write into the queue.
#pragma once

#include <span>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>

#include "store/batch.hpp"
#include "store/edit.hpp"
#include "store/failure.hpp"
#include "store/store.hpp"

namespace mentedb::engine {

/// Returns when the edits are durable and visible, all or none, or with an error. `pages`: as many as edits; gets
/// the page of each edit that has one.
/// @errors `busy`: the store's lock timeout bounds the wait. `io_error` "may appear": the process that had taken the
/// write stopped or died, and the outcome is unknown
store::Outcome<void> write(store::Store& store, std::span<const store::Edit> edits, std::span<PageId> pages);

/// A write that only the calling thread can plan.
class LocalWrite {
 public:
  LocalWrite() = default;
  LocalWrite(const LocalWrite&) = delete;
  LocalWrite& operator=(const LocalWrite&) = delete;
  /// Adds the operations to the batch, under the lock. After an error nothing of the batch is committed.
  virtual Result<void> plan(store::Batch& batch) = 0;

 protected:
  virtual ~LocalWrite() = default;
};
/// Waits for the lock and commits this write alone.
store::Outcome<void> write_alone(store::Store& store, LocalWrite& write);

}  // namespace mentedb::engine

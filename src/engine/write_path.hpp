// Group commit: the threads of one process queue their write requests. The thread in front leads: it takes the lock,
// plans the requests of a group into one batch, commits the batch with one sync, and wakes the threads of the group.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <vector>

#include <mentedb/error.hpp>

#include "base/mutex.hpp"
#include "store/batch.hpp"
#include "store/failure.hpp"
#include "store/store.hpp"

namespace mentedb::engine {

/// One call's write, as the queue sees it. It lives on the stack of the calling thread.
class WriteRequest {
 public:
  WriteRequest() = default;
  WriteRequest(const WriteRequest&) = delete;
  WriteRequest& operator=(const WriteRequest&) = delete;

  /// Adds the request's operations to the batch. An error rolls back this request and no other. The leader calls `plan`
  /// with the lock held, so it may run on another thread than the caller's. A request that does not fit is planned
  /// again for the next commit.
  virtual Result<void> plan(store::Batch& batch) = 0;
  /// True: the request is planned on the calling thread and committed without other requests.
  virtual bool alone() const { return false; }

 protected:
  virtual ~WriteRequest() = default;

 private:
  friend class WriteQueue;
  bool taken_ = false;         ///< a leader works on it: it cannot leave the queue
  bool done_ = false;          ///< a leader has finished it
  bool acknowledged_ = false;  ///< only a success sets it, so a failure cannot look like one
  store::Outcome<void> result_;
  store::Failure hidden_{Error{}};  ///< the answer for a write that is durable and no more; WriteQueue::run makes it
};

class WriteQueue {
 public:
  /// Returns when the request's operations are durable and visible, or with an error. An error of the plan drops only
  /// this request. An error of the commit is that of the whole commit group.
  /// @errors `busy`: the store's lock timeout bounds the wait behind other threads and for the lock together
  store::Outcome<void> run(store::Store& store, WriteRequest& request) MENTEDB_EXCLUDES(mutex_);

 private:
  enum class Turn { leads, finished, timed_out };
  class Deadline;
  class CommitGroup;

  Turn wait_for_turn(WriteRequest& request, const Deadline& deadline) MENTEDB_EXCLUDES(mutex_);
  void lead(store::Store& store, const Deadline& deadline) MENTEDB_EXCLUDES(mutex_);
  static store::Outcome<void> leave(WriteRequest& request);

  base::Mutex mutex_;
  base::Condition changed_;
  std::deque<WriteRequest*> queue_ MENTEDB_GUARDED_BY(mutex_);  ///< the front leads
};

}  // namespace mentedb::engine

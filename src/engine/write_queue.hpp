// Group commit: threads of one process queue what they want written; the one in front takes the lock, plans everything
// queued into one batch, commits it with one sync and wakes the others.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include <mentedb/error.hpp>

#include "engine/batch.hpp"

namespace mentedb::engine {

class WriteQueue {
 public:
  using Plan = std::function<Result<void>(Batch&)>;
  /// Takes the lock (waiting that long), lets `plan` fill a batch, commits it.
  using Commit = std::function<Result<void>(const Plan& plan, std::chrono::milliseconds timeout)>;

  /// Returns when the plan's operations are durable and visible, or with the error of the plan (then only
  /// this plan was dropped) or of the commit. `alone`: the plan runs on the calling thread and is committed by itself.
  /// `timeout` bounds the wait behind other threads and for the lock together; `busy` when it is over.
  Result<void> submit(const Plan& plan, bool alone, std::chrono::milliseconds timeout, const Commit& commit);

 private:
  struct Request {
    const Plan* plan;
    bool alone;
    bool taken = false;  ///< a leader works on it: it cannot leave the queue
    bool done = false;
    bool acknowledged = false;  ///< set by success alone: nothing that goes wrong can look like it
    Result<void> result{};      ///< of the plan, or the commit's error
  };
  static Result<void> answer(const Request& request);
  /// Waits until the request leads or is done; false when the time is over before anybody worked on it.
  bool wait_for_turn(std::unique_lock<std::mutex>& guard, Request& request, std::chrono::milliseconds timeout);
  std::vector<Request*> take_group();
  static Result<void> plan_group(const std::vector<Request*>& group, std::size_t& planned, Batch& batch);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request*> queue_;  ///< the front leads
};

}  // namespace mentedb::engine

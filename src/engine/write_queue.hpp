// Group commit: threads of one process queue what they want written; the one in front takes the lock, plans everything
// queued into one batch, commits it with one sync and wakes the others.
#pragma once

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
  /// Takes the lock, lets `plan` fill a batch, commits it.
  using Commit = std::function<Result<void>(const Plan& plan)>;

  /// Returns when the plan's operations are durable and visible, or with the error of the plan (then only
  /// this plan was dropped) or of the commit. `alone`: the plan runs on the calling thread and is committed by itself.
  Result<void> submit(const Plan& plan, bool alone, const Commit& commit);

 private:
  struct Request {
    const Plan* plan;
    bool alone;
    bool done = false;
    bool acknowledged = false;  ///< set by success alone: nothing that goes wrong can look like it
    Result<void> result{};      ///< of the plan, or the commit's error
  };
  static Result<void> answer(const Request& request);
  std::vector<Request*> take_group();
  static Result<void> plan_group(const std::vector<Request*>& group, std::size_t& planned, Batch& batch);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request*> queue_;  ///< the front leads
};

}  // namespace mentedb::engine

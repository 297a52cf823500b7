#include "engine/write_queue.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/store_lock.hpp"

namespace mentedb::engine {

using std::chrono::milliseconds;

namespace {}  // namespace

std::vector<WriteQueue::Request*> WriteQueue::take_group() {
  std::vector<Request*> group;
  for (Request* request : queue_) {
    if (!group.empty() && (request->alone || group.front()->alone)) break;
    group.push_back(request);
  }
  for (Request* request : group) request->taken = true;
  return group;
}

// Plans one request after the other; one that fails is rolled back and leaves the others alone. Stops early when the
// batch is full: the rest is the next group's.
Result<void> WriteQueue::plan_group(const std::vector<Request*>& group, std::size_t& planned, Batch& batch) {
  constexpr std::uint64_t kEnoughBytes = std::uint64_t{4} << 20;
  for (std::size_t i = 0; i < group.size() && batch.payload_bytes() < kEnoughBytes; ++i) {
    planned = i + 1;  // before the plan runs: should it throw, it has had its turn all the same
    const Batch::Mark mark = batch.mark();
    group[i]->result = (*group[i]->plan)(batch);
    if (group[i]->result) continue;
    batch.rollback(mark);
    if (i > 0 && group[i]->result.error().code == ErrorCode::capacity_exceeded) {
      planned = i;  // alone it may fit
      break;
    }
  }
  return {};
}

Result<void> WriteQueue::answer(const Request& request) {
  if (request.acknowledged || !request.result) return request.result;
  return std::unexpected(base::out_of_memory());  // not even the error could be passed on
}

bool WriteQueue::wait_for_turn(std::unique_lock<std::mutex>& guard, Request& request, milliseconds timeout) {
  const auto turn = [&] { return request.done || queue_.front() == &request; };
  if (timeout > kLongestWait) {
    changed_.wait(guard, turn);
    return true;
  }
  if (changed_.wait_for(guard, timeout, turn)) return true;
  // Its leader waits for the lock no longer than this, or has it already.
  if (request.taken) changed_.wait(guard, [&] { return turn() || !request.taken; });
  return turn();
}

Result<void> WriteQueue::submit(const Plan& plan, bool alone, milliseconds timeout, const Commit& commit) {
  const auto begin = std::chrono::steady_clock::now();
  Request request{.plan = &plan, .alone = alone};
  std::unique_lock guard(mutex_);
  queue_.push_back(&request);
  if (!wait_for_turn(guard, request, timeout)) {
    std::erase(queue_, &request);
    return base::fail(ErrorCode::busy,
                      "other threads of this process have been writing for longer than lock_timeout; try again, or "
                      "raise it");
  }
  if (request.done) return answer(request);
  const auto waited = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  const milliseconds left = timeout > kLongestWait ? timeout : std::max(timeout - waited, milliseconds(0));

  // Whatever happens below (the lock, a plan or an allocation may throw), the group leaves the queue.
  std::size_t planned = 1;
  struct Leave {
    WriteQueue& queue;
    std::size_t& planned;
    ~Leave() {
      const std::lock_guard again(queue.mutex_);
      for (std::size_t i = 0; i < planned; ++i) {
        queue.queue_.front()->done = true;
        queue.queue_.pop_front();
      }
      for (Request* request : queue.queue_) request->taken = false;  // those that did not fit
      queue.changed_.notify_all();
    }
  };
  guard.unlock();
  const Leave leave{*this, planned};
  std::vector<Request*> group;
  {
    const std::lock_guard again(mutex_);
    group = take_group();
  }
  const auto fail_all = [&](const Error& error) {
    for (std::size_t i = 0; i < planned; ++i) {
      if (group[i]->result) group[i]->result = std::unexpected(error);
    }
  };
  try {
    planned = group.size();
    const auto committed = commit([&](Batch& batch) { return plan_group(group, planned, batch); }, left);
    if (!committed) fail_all(committed.error());
    for (std::size_t i = 0; committed && i < planned; ++i) group[i]->acknowledged = group[i]->result.has_value();
  } catch (const std::bad_alloc&) {
    fail_all(base::out_of_memory());
  } catch (...) {
    // Only the leader's own plan, alone in its group, runs code that throws something else.
    fail_all(Error{ErrorCode::out_of_memory, 0, "the write was given up by an exception; nothing was acknowledged"});
    throw;
  }
  return answer(request);
}

}  // namespace mentedb::engine

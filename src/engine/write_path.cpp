// The path of a write, from the public call to the acknowledgement, top to bottom:
//
//   store_memory            validates and encodes the memory before anything waits
//   Impl::write             one call; R11: a second one when files of the same store have replaced the open files
//   WriteQueue::run         1. waits for its turn  2. leads  3. leaves
//   WriteQueue::lead        takes the lock, plans the group's requests into one batch, commits it
//   Writer::commit          log, sync, pages, index, shared state (store/writer.cpp)
//   WriteQueue::leave       gives the caller the result of its request: this is the acknowledgement
#include "engine/write_path.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.hpp"
#include "engine/engine_impl.hpp"
#include "store/lock.hpp"

namespace mentedb {

using engine::WriteRequest;
using store::Batch;
using store::EncodedNode;
using store::Outcome;
using store::Store;

// ---- the calls

namespace {

class PutRequest final : public WriteRequest {
 public:
  PutRequest(const EncodedNode& memory, Batch::Put mode) : memory_(memory), mode_(mode) {}
  Result<void> plan(Batch& batch) override {
    MENTEDB_TRY_ASSIGN(page_, batch.put(memory_, mode_));
    return {};
  }
  PageId page() const { return page_; }

 private:
  const EncodedNode& memory_;
  Batch::Put mode_;
  PageId page_;
};

}  // namespace

Result<PageId> StorageEngine::store_memory(const MemoryNode& node) { return impl().put(node, Batch::Put::any); }
Result<PageId> StorageEngine::store_memory_if_absent(const MemoryNode& node) {
  return impl().put(node, Batch::Put::only_new);
}
Result<PageId> StorageEngine::update_memory(const MemoryNode& node) {
  return impl().put(node, Batch::Put::only_existing);
}

Result<PageId> StorageEngine::Impl::put(const MemoryNode& node, Batch::Put mode) {
  return call([&](Store&) -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const EncodedNode memory, store::encode(node));
    PutRequest request(memory, mode);
    MENTEDB_TRY(write(request));
    return request.page();
  });
}

Result<std::vector<PageId>> StorageEngine::store_memories(std::span<const MemoryNode> nodes) {
  class PutAllRequest final : public WriteRequest {
   public:
    explicit PutAllRequest(const std::vector<EncodedNode>& memories) : memories_(memories), pages(memories.size()) {}
    Result<void> plan(Batch& batch) override {
      for (std::size_t i = 0; i < memories_.size(); ++i) {
        MENTEDB_TRY_ASSIGN(pages[i], batch.put(memories_[i], Batch::Put::any));
      }
      return {};
    }

   private:
    const std::vector<EncodedNode>& memories_;

   public:
    std::vector<PageId> pages;
  };
  return impl().call([&](Store&) -> Result<std::vector<PageId>> {
    std::vector<EncodedNode> memories;
    memories.reserve(nodes.size());
    for (const MemoryNode& node : nodes) {
      MENTEDB_TRY_ASSIGN(EncodedNode one, store::encode(node));
      memories.push_back(std::move(one));
    }
    PutAllRequest request(memories);
    if (!memories.empty()) MENTEDB_TRY(impl().write(request));
    return std::move(request.pages);
  });
}

Result<void> StorageEngine::delete_memory(MemoryId id) {
  class EraseRequest final : public WriteRequest {
   public:
    explicit EraseRequest(MemoryId id) : id_(id) {}
    Result<void> plan(Batch& batch) override { return batch.erase(id_); }

   private:
    MemoryId id_;
  };
  EraseRequest request(id);
  return impl().write(request);
}

Result<PageId> StorageEngine::allocate_page(std::size_t min_bytes) {
  class AllocateRequest final : public WriteRequest {
   public:
    explicit AllocateRequest(std::size_t min_bytes) : min_bytes_(min_bytes) {}
    Result<void> plan(Batch& batch) override {
      MENTEDB_TRY_ASSIGN(page, batch.allocate_raw(min_bytes_));
      return {};
    }
    PageId page;

   private:
    std::size_t min_bytes_;
  };
  AllocateRequest request(min_bytes);
  MENTEDB_TRY(impl().write(request));
  return request.page;
}

Result<void> StorageEngine::write_page(PageId page, std::span<const std::byte> data) {
  class WritePageRequest final : public WriteRequest {
   public:
    WritePageRequest(PageId page, std::span<const std::byte> data) : page_(page), data_(data) {}
    Result<void> plan(Batch& batch) override { return batch.write_raw(page_, data_); }

   private:
    PageId page_;
    std::span<const std::byte> data_;
  };
  WritePageRequest request(page, data);
  return impl().write(request);
}

Result<void> StorageEngine::free_page(PageId page) {
  class FreePageRequest final : public WriteRequest {
   public:
    explicit FreePageRequest(PageId page) : page_(page) {}
    Result<void> plan(Batch& batch) override { return batch.free_page(page_); }

   private:
    PageId page_;
  };
  FreePageRequest request(page);
  return impl().write(request);
}

// ---- one write

Result<void> StorageEngine::Impl::write(WriteRequest& request) {
  return change([&](Store& store) -> Outcome<void> {
    if (store.options().read_only) {
      return base::failf(ErrorCode::read_only, "{} was opened with read_only; open it without to write",
                         store.files().path().string());
    }
    return writes_.run(store, request);
  });
}

}  // namespace mentedb

namespace mentedb::engine {

using std::chrono::milliseconds;

// The time at which a write stops waiting. It covers the wait behind other threads and the wait for the lock together.
class WriteQueue::Deadline {
 public:
  explicit Deadline(milliseconds timeout) : timeout_(timeout), begin_(base::Condition::Clock::now()) {}
  bool never() const { return timeout_ > store::kLongestWait; }
  base::Condition::Clock::time_point time() const { return begin_ + timeout_; }
  bool passed() const { return !never() && base::Condition::Clock::now() >= time(); }
  milliseconds left() const {
    if (never()) return timeout_;
    const auto waited = std::chrono::duration_cast<milliseconds>(base::Condition::Clock::now() - begin_);
    return std::max(timeout_ - waited, milliseconds(0));
  }

 private:
  milliseconds timeout_;
  base::Condition::Clock::time_point begin_;
};

// The requests that one leader commits together. The lock, a plan or an allocation may throw, and the destructor still
// lets every member go that had its turn.
class WriteQueue::CommitGroup {
 public:
  explicit CommitGroup(WriteQueue& queue) : queue_(queue) {}
  ~CommitGroup();
  CommitGroup(const CommitGroup&) = delete;
  CommitGroup& operator=(const CommitGroup&) = delete;

  /// All requests that wait, from the leader's on. A request that is committed alone ends the group.
  void gather();
  /// Plans one request after the other. A request that fails is rolled back, and the others stay. Stops when the batch
  /// is full, and leaves the rest to the next group.
  void plan(store::Batch& batch);
  /// Holds the lock. Returns the new tail.
  store::Outcome<wal::Tail> commit(store::Store& store, const Deadline& deadline);
  void acknowledge();
  void fail(const store::Failure& failure);

 private:
  WriteQueue& queue_;
  std::vector<WriteRequest*> members_;
  std::size_t planned_ = 1;  ///< members that had their turn
};

store::Outcome<void> WriteQueue::run(store::Store& store, WriteRequest& request) {
  const Deadline deadline(store.options().lock_timeout);
  request.taken_ = request.done_ = request.acknowledged_ = false;
  request.result_ = {};
  request.hidden_ = store::durable_not_visible();
  // 1. Wait until a leader has finished the request, or until it is in front, or until the time is up.
  switch (wait_for_turn(request, deadline)) {
    case Turn::timed_out:
      return base::fail(ErrorCode::busy,
                        "other threads of this process have been writing for longer than lock_timeout; try again, or "
                        "raise lock_timeout");
    case Turn::leads:  // 2. The thread in front works for all that wait.
      lead(store, deadline);
      break;
    case Turn::finished:
      break;
  }
  return leave(request);  // 3. Give the caller the result.
}

WriteQueue::Turn WriteQueue::wait_for_turn(WriteRequest& request, const Deadline& deadline) {
  const base::MutexLock guard(mutex_);
  queue_.push_back(&request);
  for (;;) {
    if (request.done_) return Turn::finished;
    if (queue_.front() == &request) return Turn::leads;
    if (deadline.never() || request.taken_) {
      // The leader of a taken request waits for the lock no longer than this request would, or has it already.
      changed_.wait(mutex_);
    } else if (!deadline.passed()) {
      changed_.wait_until(mutex_, deadline.time());
    } else {
      std::erase(queue_, &request);
      return Turn::timed_out;
    }
  }
}

void WriteQueue::lead(store::Store& store, const Deadline& deadline) {
  CommitGroup group(*this);
  try {
    group.gather();
    const auto committed = group.commit(store, deadline);
    if (committed) {
      group.acknowledge();
      store.start_write_back_early(*committed);
    } else {
      group.fail(committed.error());
    }
  } catch (const std::bad_alloc&) {
    group.fail(base::out_of_memory());
  } catch (...) {
    // Only the function of a transaction throws another type, and a transaction is alone in its group.
    group.fail(Error{ErrorCode::out_of_memory, 0, "the write was given up by an exception; nothing was acknowledged"});
    throw;
  }
}

store::Outcome<void> WriteQueue::leave(WriteRequest& request) {
  if (request.acknowledged_ || !request.result_) return std::move(request.result_);
  return std::unexpected(base::out_of_memory());  // no memory was left to pass the error on
}

// ---- the group

void WriteQueue::CommitGroup::gather() {
  const base::MutexLock guard(queue_.mutex_);
  for (WriteRequest* const request : queue_.queue_) {
    if (!members_.empty() && (request->alone() || members_.front()->alone())) break;
    members_.push_back(request);
  }
  planned_ = members_.size();
  for (WriteRequest* const request : members_) request->taken_ = true;
}

void WriteQueue::CommitGroup::plan(store::Batch& batch) {
  constexpr std::uint64_t kEnoughBytes = std::uint64_t{4} << 20;
  for (std::size_t i = 0; i < members_.size() && batch.payload_bytes() < kEnoughBytes; ++i) {
    planned_ = i + 1;  // before the plan runs: a request whose plan throws has had its turn
    const store::Batch::Mark mark = batch.mark();
    auto planned = members_[i]->plan(batch);
    if (planned) continue;
    batch.rollback(mark);
    if (i > 0 && planned.error().code == ErrorCode::capacity_exceeded) {
      planned_ = i;  // it may fit into a batch of its own
      break;
    }
    members_[i]->result_ = std::unexpected(std::move(planned).error());
  }
}

store::Outcome<wal::Tail> WriteQueue::CommitGroup::commit(store::Store& store, const Deadline& deadline) {
  MENTEDB_TRY_ASSIGN(store::Writer writer, store::Writer::acquire(store, deadline.left()));
  store::Batch batch = writer.begin();
  plan(batch);
  MENTEDB_TRY(writer.commit(batch));
  return writer.tail();
}

void WriteQueue::CommitGroup::acknowledge() {
  for (std::size_t i = 0; i < planned_; ++i) members_[i]->acknowledged_ = members_[i]->result_.has_value();
}

void WriteQueue::CommitGroup::fail(const store::Failure& failure) {
  for (std::size_t i = 0; i < std::min(planned_, members_.size()); ++i) {
    WriteRequest& member = *members_[i];
    if (!member.result_) continue;
    if (!failure.durable) {
      member.result_ = std::unexpected(failure);
      continue;
    }
    // The answer to a durable write needs no memory.
    member.hidden_.os_error = failure.os_error;
    try {
      member.hidden_.message = failure.message;
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): it has a message already
    }
    member.result_ = std::unexpected(std::move(member.hidden_));
  }
}

WriteQueue::CommitGroup::~CommitGroup() {
  const base::MutexLock guard(queue_.mutex_);
  for (std::size_t i = 0; i < planned_; ++i) {
    queue_.queue_.front()->done_ = true;
    queue_.queue_.pop_front();
  }
  for (WriteRequest* const request : queue_.queue_) request->taken_ = false;  // the requests that did not fit
  queue_.changed_.notify_all();
}

}  // namespace mentedb::engine

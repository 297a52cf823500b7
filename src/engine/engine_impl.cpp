#include "engine/engine_impl.hpp"

namespace mentedb {

using engine::Batch;
using engine::Store;
using engine::WriteQueue;

namespace {

// The engine whose transaction runs on this thread, and its batch.
thread_local const void* transaction_engine = nullptr;

}  // namespace

class TransactionAccess {
 public:
  static Transaction make(Batch& batch) { return Transaction(&batch); }
};

StorageEngine::Impl::Impl(vfs::Vfs& vfs, std::unique_ptr<Store> store)
    : vfs_(vfs), process_token_(vfs.process_token()), store_(store.get()) {
  stores_.push_back(std::move(store));
}

bool StorageEngine::Impl::in_transaction() const { return transaction_engine == this; }

// R11: reopen what is the same store with the same or more operations; anything else is somebody else's.
Result<Store*> StorageEngine::Impl::reopen(Store& replaced, const Error& reason) {
  const std::lock_guard guard(stores_mutex_);
  if (stores_.back().get() != &replaced) return stores_.back().get();
  Options options = replaced.options();
  options.page_size_bytes = 0;
  // What was removed or moved away is not made anew in its place.
  auto fresh = Store::open(vfs_, replaced.path(), options, Store::Missing::refuse);
  const bool same = fresh && (*fresh)->superblock().store_id == replaced.superblock().store_id &&
                    (*fresh)->superblock().incarnation == replaced.superblock().incarnation &&
                    (*fresh)->words().committed_lsn() >= replaced.words().committed_lsn();
  if (!same) return std::unexpected(reason);
  stores_.push_back(std::move(*fresh));
  store_.store(stores_.back().get(), std::memory_order_release);
  return stores_.back().get();
}

Result<void> StorageEngine::Impl::commit(Store& store, const WriteQueue::Plan& plan,
                                         std::chrono::milliseconds timeout) {
  wal::Tail tail;
  {
    MENTEDB_TRY_ASSIGN(Store::Hold hold, store.acquire(timeout));
    Batch batch(store, hold.tail);
    MENTEDB_TRY(plan(batch));
    MENTEDB_TRY(store.commit(hold, batch));
    tail = hold.tail;
  }
  store.write_back_early(tail);
  return {};
}

Result<void> StorageEngine::Impl::write(const WriteQueue::Plan& plan, bool alone) {
  return change([&](Store& store) -> Result<void> {
    if (store.options().read_only) {
      return base::failf(ErrorCode::read_only, "{} was opened with read_only; open it without to write",
                         store.path().string());
    }
    return queue_.submit(plan, alone, store.options().lock_timeout,
                         [&](const WriteQueue::Plan& group, std::chrono::milliseconds timeout) {
                           return commit(store, group, timeout);
                         });
  });
}

Result<void> StorageEngine::Impl::transact(const std::function<Result<void>(Transaction&)>& fn) {
  return write(
      [&](Batch& batch) -> Result<void> {
        struct Enter {
          const void* outer;
          explicit Enter(const void* engine) : outer(std::exchange(transaction_engine, engine)) {}
          ~Enter() { transaction_engine = outer; }
        };
        const Enter enter(this);
        Transaction transaction = TransactionAccess::make(batch);
        return fn(transaction);
      },
      true);
}

Result<void> StorageEngine::Impl::final_checkpoint() {
  Store& store = *store_.load();
  const auto hint = store.words().hint();
  const bool worth_it = hint && hint->offset - format::kLogStart > store.options().wal_limit_bytes / 4;
  if (store.options().read_only || !worth_it) return {};
  auto hold = store.acquire(std::chrono::milliseconds(0));
  if (!hold) return {};  // somebody is writing, and will make the checkpoint when it is needed
  return store.checkpoint(*hold);
}

Result<void> StorageEngine::Impl::close() {
  if (engine::CallGate::inside_a_call()) {
    return base::fail(ErrorCode::invalid_argument, "close() cannot be called from a callback of the engine");
  }
  const bool is_forked = vfs_.process_token() != process_token_;
  if (!gate_.close(!is_forked)) return {};
  Result<void> result;
  try {
    if (!is_forked) result = final_checkpoint();
  } catch (const std::bad_alloc&) {
    result = std::unexpected(base::out_of_memory());
  }
  store_.store(nullptr);
  stores_.clear();
  return result;
}

namespace {

// A call that fails half-way (no space or memory for its run, say) leaves nothing in the batch: the function may go on.
template <class Body>
auto all_or_nothing(Batch& batch, Body&& body) -> decltype(body()) {
  const Batch::Mark mark = batch.mark();
  try {
    auto result = body();
    if (!result) batch.rollback(mark);
    return result;
  } catch (const std::bad_alloc&) {
    batch.rollback(mark);
    return std::unexpected(base::out_of_memory());
  } catch (...) {
    batch.rollback(mark);
    throw;
  }
}

}  // namespace

Result<MemoryNode> Transaction::load(MemoryId id) {
  Batch& batch = *static_cast<Batch*>(batch_);
  return all_or_nothing(batch, [&] { return batch.load(id); });
}

Result<PageId> Transaction::find(MemoryId id) {
  Batch& batch = *static_cast<Batch*>(batch_);
  return all_or_nothing(batch, [&]() -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const auto page, batch.find(id));
    if (!page) return base::fail(ErrorCode::not_found, "there is no memory " + id.to_string());
    return PageId{*page};
  });
}

Result<PageId> Transaction::store(const MemoryNode& node) {
  Batch& batch = *static_cast<Batch*>(batch_);
  return all_or_nothing(batch, [&]() -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const engine::EncodedNode encoded, engine::encode(node));
    return batch.put(encoded, Batch::Put::any);
  });
}

Result<void> Transaction::update(const MemoryNode& node) {
  Batch& batch = *static_cast<Batch*>(batch_);
  return all_or_nothing(batch, [&]() -> Result<void> {
    MENTEDB_TRY_ASSIGN(const engine::EncodedNode encoded, engine::encode(node));
    MENTEDB_TRY(batch.put(encoded, Batch::Put::only_existing));
    return {};
  });
}

Result<void> Transaction::erase(MemoryId id) {
  Batch& batch = *static_cast<Batch*>(batch_);
  return all_or_nothing(batch, [&] { return batch.erase(id); });
}

}  // namespace mentedb

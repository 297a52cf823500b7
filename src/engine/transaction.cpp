// Transactions: a write whose plan is the caller's function, alone in its batch.
#include <mentedb/transaction.hpp>

#include <exception>
#include <new>
#include <utility>

#include "base/error.hpp"
#include "engine/engine_impl.hpp"
#include "engine/write_path.hpp"
#include "store/batch.hpp"

namespace mentedb {

using store::Batch;
using store::EncodedNode;

class TransactionAccess {
 public:
  static Transaction make(Batch& batch) { return Transaction(batch); }
};

namespace {

// The transactions that run on this thread, from the innermost one: a function may use the transaction of another
// store.
struct Running {
  const void* engine;
  const Running* outer;
};
thread_local const Running* innermost = nullptr;

class TransactWrite final : public engine::LocalWrite {
 public:
  TransactWrite(const void* engine, const std::function<Result<void>(Transaction&)>& fn) : engine_(engine), fn_(fn) {}

  Result<void> plan(Batch& batch) override {
    struct Enter {
      Running running;
      explicit Enter(const void* engine) : running{.engine = engine, .outer = innermost} { innermost = &running; }
      ~Enter() { innermost = running.outer; }
      Enter(const Enter&) = delete;
      Enter& operator=(const Enter&) = delete;
    };
    const Enter enter(engine_);
    Transaction transaction = TransactionAccess::make(batch);
    thrown_ = nullptr;
    try {
      return fn_(transaction);
    } catch (const std::bad_alloc&) {
      // The engine turns its own into `out_of_memory`. This one is the caller's.
      thrown_ = std::current_exception();
      return std::unexpected(base::out_of_memory());
    }
  }

  /// A bad_alloc that the function threw.
  const std::exception_ptr& thrown() const { return thrown_; }

 private:
  std::exception_ptr thrown_;
  const void* engine_;
  const std::function<Result<void>(Transaction&)>& fn_;
};

// A call that fails half-way, for want of space or memory, leaves nothing in the batch. So the function may go on.
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

bool StorageEngine::Impl::in_transaction() const {
  for (const Running* running = innermost; running != nullptr; running = running->outer) {
    if (running->engine == this) return true;
  }
  return false;
}

Result<void> StorageEngine::Impl::transact(const std::function<Result<void>(Transaction&)>& fn) {
  if (!fn) return base::fail(ErrorCode::invalid_argument, "transact was given an empty function");
  TransactWrite request(this, fn);
  auto written = write_alone(request);
  if (!written && request.thrown()) std::rethrow_exception(request.thrown());
  return written;
}

Result<void> StorageEngine::transact(const std::function<Result<void>(Transaction&)>& fn) {
  return impl().transact(fn);
}

Result<MemoryNode> Transaction::load(MemoryId id) {
  Batch& batch = *batch_;
  return all_or_nothing(batch, [&] { return batch.load(id); });
}

Result<PageId> Transaction::find(MemoryId id) {
  Batch& batch = *batch_;
  return all_or_nothing(batch, [&]() -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const auto page, batch.find(id));
    if (!page) return base::fail(ErrorCode::not_found, "there is no memory " + id.to_string());
    return PageId{*page};
  });
}

Result<PageId> Transaction::store(const MemoryNode& node) {
  Batch& batch = *batch_;
  return all_or_nothing(batch, [&]() -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const EncodedNode encoded, store::encode(node));
    return batch.put(encoded.id, encoded.bytes, Batch::Put::any);
  });
}

Result<void> Transaction::update(const MemoryNode& node) {
  Batch& batch = *batch_;
  return all_or_nothing(batch, [&]() -> Result<void> {
    MENTEDB_TRY_ASSIGN(const EncodedNode encoded, store::encode(node));
    MENTEDB_TRY(batch.put(encoded.id, encoded.bytes, Batch::Put::only_existing));
    return {};
  });
}

Result<void> Transaction::erase(MemoryId id) {
  Batch& batch = *batch_;
  return all_or_nothing(batch, [&] { return batch.erase(id); });
}

}  // namespace mentedb

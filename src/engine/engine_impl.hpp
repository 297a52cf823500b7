// What a StorageEngine holds: the store it has open now, the queue of writers, the gate that close() shuts.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include <mentedb/storage_engine.hpp>

#include "base/error.hpp"
#include "engine/batch.hpp"
#include "engine/call_gate.hpp"
#include "engine/store.hpp"
#include "engine/write_queue.hpp"

namespace mentedb {

class StorageEngine::Impl {
 public:
  Impl(vfs::Vfs& vfs, std::unique_ptr<engine::Store> store);

  /// Runs `body(store)` for one call: not closed, not forked, bad_alloc becomes an error.
  template <class Body>
  auto call(Body&& body) -> decltype(body(std::declval<engine::Store&>())) {
    try {
      const auto pass = gate_.enter();
      if (!pass) return closed();
      if (vfs_.process_token() != process_token_) return forked();
      return body(*store_.load(std::memory_order_acquire));
    } catch (const std::bad_alloc&) {
      return std::unexpected(base::out_of_memory());
    }
  }
  /// As `call`, for a body that changes the store. When files were replaced by the same store, that is opened and the
  /// body runs once more.
  template <class Body>
  auto change(Body&& body) -> decltype(body(std::declval<engine::Store&>())) {
    return call([&](engine::Store& store) -> decltype(body(store)) {
      if (in_transaction()) return nested();
      auto result = body(store);
      if (result || !engine::Store::is_replaced(result.error())) return result;
      MENTEDB_TRY_ASSIGN(engine::Store* const reopened, reopen(store, result.error()));
      if constexpr (std::is_same_v<decltype(result), Result<void>>) {
        // Their names were away for a moment. The write is in them, and made again it would be made twice.
        if (engine::Store::is_replaced_after_commit(result.error()) && reopened->has_same_files(store)) return {};
      }
      return body(*reopened);
    });
  }

  /// Commits what `plan` makes, in one group with other threads.
  Result<void> write(const engine::WriteQueue::Plan& plan, bool alone = false);
  Result<void> transact(const std::function<Result<void>(Transaction&)>& fn);
  Result<void> close();
  /// True on a thread that is inside `transact` of this engine.
  bool in_transaction() const;

 private:
  static std::unexpected<Error> closed() { return base::fail(ErrorCode::closed, "the engine is closed"); }
  static std::unexpected<Error> forked() {
    return base::fail(ErrorCode::forked, "this engine belongs to the parent process; a forked child opens its own");
  }
  static std::unexpected<Error> nested() {
    return base::fail(ErrorCode::invalid_argument, "inside transact, write through the transaction");
  }
  Result<engine::Store*> reopen(engine::Store& replaced, const Error& reason);
  Result<void> commit(engine::Store& store, const engine::WriteQueue::Plan& plan, std::chrono::milliseconds timeout);
  Result<void> final_checkpoint();

  vfs::Vfs& vfs_;
  std::uint64_t process_token_;
  engine::CallGate gate_;
  engine::WriteQueue queue_;
  std::mutex stores_mutex_;
  std::vector<std::unique_ptr<engine::Store>> stores_;  ///< the last is current; readers may still be in an older one
  std::atomic<engine::Store*> store_;
};

/// For programs inside the project (tests, salvage): the calls without an engine, on another seam.
class EngineAccess {
 public:
  static Result<StorageEngine> open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options);
  static Result<void> restore(vfs::Vfs& vfs, const std::filesystem::path& source,
                              const std::filesystem::path& destination);
};

}  // namespace mentedb

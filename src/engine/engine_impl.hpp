// The parts of a StorageEngine: the open store, and the gate that close() shuts.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <mentedb/storage_engine.hpp>

#include "base/error.hpp"
#include "base/mutex.hpp"
#include "engine/call_gate.hpp"
#include "engine/file_watch.hpp"
#include "engine/wake_pause.hpp"
#include "engine/write_path.hpp"
#include "store/failure.hpp"
#include "store/store.hpp"
#include "vfs/vfs.hpp"

namespace mentedb {

class StorageEngine::Impl {
 public:
  Impl(vfs::Vfs& vfs, std::unique_ptr<store::Store> store);
  /// The closed engine that a moved-from StorageEngine stands for. The first call makes it.
  static Impl& moved_from();

  /// Runs `body(store)` for one call. Answers `closed` after close() and `forked` in a forked child. A bad_alloc
  /// becomes `out_of_memory`. R11: twice a second the call looks whether the files were replaced.
  template <class Body>
  auto call(Body&& body) -> decltype(body(std::declval<store::Store&>())) {
    const AfterCall after(*this);  // before the pass: it works when the call has left
    try {
      const auto pass = gate_.enter();
      if (!pass) return closed();
      if (vfs_.process_token() != process_token_) return forked();
      store::Store* store = store_.load(std::memory_order_seq_cst);
      if (const auto now = vfs_.coarse_now(); watch_.due(now)) [[unlikely]] {
        MENTEDB_TRY_ASSIGN(store, look_at_files(*store, now));
      }
      return body(*store);
    } catch (const std::bad_alloc&) {
      return std::unexpected(base::out_of_memory());
    }
  }

  /// As `call`, for a body that changes the store and answers an Outcome. R11: when the files were replaced by
  /// files of the same store, `change` opens these and runs the body once more.
  template <class Body>
  auto change(Body&& body) -> Result<typename decltype(body(std::declval<store::Store&>()))::value_type> {
    using Answer = Result<typename decltype(body(std::declval<store::Store&>()))::value_type>;
    return call([&](store::Store& store) -> Answer {
      if (in_transaction()) return nested();
      auto outcome = body(store);
      if (outcome || outcome.error().replaced == store::FilesReplaced::no) return Answer(std::move(outcome));
      MENTEDB_TRY_ASSIGN(store::Store* const reopened, reopen_after(store, outcome.error()));
      if constexpr (std::is_same_v<Answer, Result<void>>) {
        // The paths led elsewhere for a moment only. The write is in the files, and a second run would write it twice.
        const bool written = outcome.error().replaced == store::FilesReplaced::after_commit;
        if (written && reopened->files().same_files(store.files())) return {};
      }
      return Answer(body(*reopened));
    });
  }

  Result<PageId> put(const MemoryNode& node, store::EditType type);
  // Return when the write is durable and visible (engine/write_path.cpp).
  Result<PageId> write(const store::Edit& edit);
  Result<void> write(std::span<const store::Edit> edits, std::span<PageId> pages);
  Result<void> write_alone(engine::LocalWrite& write);
  Result<void> transact(const std::function<Result<void>(Transaction&)>& fn);
  Result<void> close();
  /// True on a thread that is inside `transact` of this engine.
  bool in_transaction() const;
  /// Inside a transaction this thread has the lock already.
  store::Reader::IfDamaged if_damaged() const {
    return in_transaction() ? store::Reader::IfDamaged::fail : store::Reader::IfDamaged::redo;
  }
  engine::WakePause& wake_pause() { return wake_pause_; }

 private:
  explicit Impl(vfs::Vfs& vfs);  ///< closed
  static std::unexpected<Error> closed() { return base::fail(ErrorCode::closed, "the engine is closed"); }
  static std::unexpected<Error> forked() {
    return base::fail(ErrorCode::forked, "this engine belongs to the parent process; a forked child opens its own");
  }
  static std::unexpected<Error> nested() {
    return base::fail(ErrorCode::invalid_argument, "inside transact, write through the transaction");
  }
  /// Gives back the replaced stores that no call is inside of any more.
  class AfterCall {
   public:
    explicit AfterCall(Impl& impl) : impl_(impl) {}
    ~AfterCall() {
      if (impl_.has_replaced_.load(std::memory_order_relaxed)) [[unlikely]]
        impl_.give_back_replaced();
    }
    AfterCall(const AfterCall&) = delete;
    AfterCall& operator=(const AfterCall&) = delete;

   private:
    Impl& impl_;
  };
  void give_back_replaced() MENTEDB_EXCLUDES(stores_mutex_);
  Result<store::Store*> reopen(store::Store& replaced, const Error& reason) MENTEDB_EXCLUDES(stores_mutex_);
  /// The same for a write. It fails with `reason` also for want of memory, since the old files may hold the write.
  Result<store::Store*> reopen_after(store::Store& replaced, store::Failure& reason) {
    try {
      return reopen(replaced, reason);
    } catch (const std::bad_alloc&) {
      return std::unexpected(std::move(reason));
    }
  }
  Result<store::Store*> look_at_files(store::Store& store, std::chrono::microseconds now);
  Result<void> final_checkpoint();

  vfs::Vfs& vfs_;
  std::uint64_t process_token_;
  engine::CallGate gate_;
  engine::FileWatch watch_;
  engine::WakePause wake_pause_;
  struct Opened {
    std::unique_ptr<store::Store> store;
    base::Lanes::Departure calls;  ///< since the store was replaced
  };
  base::Mutex stores_mutex_;
  /// The last store is current. A reader may still be inside an older one.
  std::vector<Opened> stores_ MENTEDB_GUARDED_BY(stores_mutex_);
  std::atomic<bool> has_replaced_{false};
  std::atomic<store::Store*> store_;
};

/// For tests and other programs of the project: the calls that need no engine, on any Vfs.
class EngineAccess {
 public:
  static Result<StorageEngine> open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options);
  static Result<void> restore(vfs::Vfs& vfs, const std::filesystem::path& source,
                              const std::filesystem::path& destination);
};

}  // namespace mentedb

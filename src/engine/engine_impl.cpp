#include "engine/engine_impl.hpp"

#include <algorithm>

#include "vfs/posix_vfs.hpp"

namespace mentedb {

using store::Store;

StorageEngine::Impl::Impl(vfs::Vfs& vfs, std::unique_ptr<Store> store)
    : vfs_(vfs), process_token_(vfs.process_token()), store_(store.get()) {
  stores_.push_back({.store = std::move(store), .calls = {}});
}

StorageEngine::Impl::Impl(vfs::Vfs& vfs) : vfs_(vfs), process_token_(vfs.process_token()), store_(nullptr) {
  gate_.close(false);
}

StorageEngine::Impl& StorageEngine::Impl::moved_from() {
  static Impl* const instance = new Impl(vfs::posix_vfs());  // never destroyed: engines may outlive static destruction
  return *instance;
}

// R11: opens the files that the paths lead to now. They are accepted when they are of the same store and hold at least
// the operations that this engine has seen committed. Else the call gets the error of R11.
Result<Store*> StorageEngine::Impl::reopen(Store& replaced, const Error& reason) {
  const base::MutexLock guard(stores_mutex_);
  if (stores_.back().store.get() != &replaced) return stores_.back().store.get();
  Options options = replaced.options();
  options.page_size_bytes = 0;
  // `refuse`: when the store was removed or moved away, no new store is made in its place.
  auto fresh = Store::open(vfs_, replaced.files().path(), options, store::IfAbsent::refuse);
  const bool same = fresh && (*fresh)->files().same_store(replaced.files()) &&
                    (*fresh)->state().committed_lsn() >= replaced.state().committed_lsn();
  if (!same) return std::unexpected(reason);
  stores_.reserve(stores_.size() + 1);
  store_.store(fresh->get(), std::memory_order_seq_cst);
  stores_.back().calls = {};  // after the store: a call that begins now does not meet the replaced one
  stores_.push_back({.store = std::move(*fresh), .calls = {}});
  has_replaced_.store(true, std::memory_order_relaxed);
  return stores_.back().store.get();
}

void StorageEngine::Impl::give_back_replaced() {
  if (vfs_.process_token() != process_token_) return;  // the parent's threads may hold the mutex for ever
  const base::MutexLock guard(stores_mutex_);
  if (stores_.empty()) return;
  const auto current = stores_.end() - 1;
  stores_.erase(std::remove_if(stores_.begin(), current,
                               [this](Opened& opened) { return gate_.calls().have_left(opened.calls); }),
                current);
  has_replaced_.store(stores_.size() > 1, std::memory_order_relaxed);
}

// R11, for a call that may be a read. Files that cannot be looked at count as unchanged: the open ones can be read.
Result<Store*> StorageEngine::Impl::look_at_files(Store& store, std::chrono::microseconds now) {
  if (in_transaction()) return &store;  // its commit looks, and the lock is of this store
  const auto unchanged = store.files().check_unchanged();
  if (unchanged || unchanged.error().replaced == store::FilesReplaced::no) {
    watch_.found_unchanged(now);
    return &store;
  }
  watch_.found_others();
  MENTEDB_TRY_ASSIGN(Store* const reopened, reopen(store, unchanged.error()));
  watch_.found_unchanged(now);
  return reopened;
}

Result<void> StorageEngine::Impl::final_checkpoint() {
  Store& store = *store_.load();
  const auto cached = store.state().cached_tail();
  const bool worth_it = cached && cached->offset - format::kLogStart > store.options().wal_limit_bytes / 4;
  if (store.options().read_only || !worth_it) return {};
  auto writer = store::Writer::try_acquire(store);
  if (!writer || !*writer) return {};  // another process is writing, and makes the checkpoint when it is needed
  MENTEDB_TRY((*writer)->checkpoint());
  (*writer)->give_back_cold_space();
  return {};
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
  const base::MutexLock guard(stores_mutex_);
  stores_.clear();
  return result;
}

}  // namespace mentedb

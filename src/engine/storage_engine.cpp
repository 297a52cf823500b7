// The public calls. Each is a few lines: what is interesting is in engine_impl.cpp (gate, queue, transactions) and
// in store.hpp (the protocol).
#include <mentedb/storage_engine.hpp>

#include <algorithm>
#include <optional>

#include "engine/backup.hpp"
#include "engine/engine_impl.hpp"
#include "engine/verify.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb {

using engine::Batch;
using engine::EncodedNode;
using engine::Store;

Result<StorageEngine> EngineAccess::open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options) {
  try {
    MENTEDB_TRY_ASSIGN(auto store, Store::open(vfs, path, options));
    return StorageEngine(std::make_unique<StorageEngine::Impl>(vfs, std::move(store)));
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

Result<StorageEngine> StorageEngine::open(const std::filesystem::path& directory, const Options& options) {
  return EngineAccess::open(vfs::posix_vfs(), directory, options);
}

StorageEngine::StorageEngine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
StorageEngine::StorageEngine(StorageEngine&&) noexcept = default;

StorageEngine& StorageEngine::operator=(StorageEngine&& other) noexcept {
  StorageEngine closed_at_the_end(std::move(*this));
  impl_ = std::move(other.impl_);
  return *this;
}

StorageEngine::~StorageEngine() {
  if (!impl_) return;
  try {
    static_cast<void>(impl_->close());
  } catch (...) {  // NOLINT(bugprone-empty-catch): a destructor has nobody to tell; nothing acknowledged depends on it
  }
}

namespace {

Result<PageId> put(auto& impl, const MemoryNode& node, Batch::Put mode) {
  try {
    MENTEDB_TRY_ASSIGN(const EncodedNode encoded, engine::encode(node));
    PageId page;
    MENTEDB_TRY(impl.write([&](Batch& batch) -> Result<void> {
      MENTEDB_TRY_ASSIGN(page, batch.put(encoded, mode));
      return {};
    }));
    return page;
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

}  // namespace

Result<PageId> StorageEngine::store_memory(const MemoryNode& node) { return put(*impl_, node, Batch::Put::any); }
Result<PageId> StorageEngine::store_memory_if_absent(const MemoryNode& node) {
  return put(*impl_, node, Batch::Put::only_new);
}
Result<PageId> StorageEngine::update_memory(const MemoryNode& node) {
  return put(*impl_, node, Batch::Put::only_existing);
}

Result<std::vector<PageId>> StorageEngine::store_memories(std::span<const MemoryNode> nodes) {
  return impl_->call([&](Store&) -> Result<std::vector<PageId>> {
    std::vector<EncodedNode> encoded;
    encoded.reserve(nodes.size());
    for (const MemoryNode& node : nodes) {
      MENTEDB_TRY_ASSIGN(EncodedNode one, engine::encode(node));
      encoded.push_back(std::move(one));
    }
    std::vector<PageId> pages(nodes.size());
    if (nodes.empty()) return pages;
    MENTEDB_TRY(impl_->write([&](Batch& batch) -> Result<void> {
      for (std::size_t i = 0; i < encoded.size(); ++i) {
        MENTEDB_TRY_ASSIGN(pages[i], batch.put(encoded[i], Batch::Put::any));
      }
      return {};
    }));
    return pages;
  });
}

Result<void> StorageEngine::delete_memory(MemoryId id) {
  return impl_->write([&](Batch& batch) { return batch.erase(id); });
}

Result<void> StorageEngine::transact(const std::function<Result<void>(Transaction&)>& fn) {
  return impl_->transact(fn);
}

namespace {

// `corruption` is what the log cannot heal (mentedb/error.hpp): it is asked first.
template <class Read>
auto healed(const auto& impl, Store& store, Read&& read) {
  auto result = read();
  const bool ask = !result && result.error().code == ErrorCode::corruption && !store.options().read_only;
  if (!ask || impl.in_transaction()) return result;
  if (auto done = store.heal(); !done) return decltype(result)(std::unexpected(std::move(done).error()));
  return read();
}

}  // namespace

Result<MemoryNode> StorageEngine::load_memory(MemoryId id) const {
  return impl_->call([&](Store& store) { return healed(*impl_, store, [&] { return store.load(id); }); });
}

Result<MemoryNode> StorageEngine::load_memory(PageId page) const {
  return impl_->call([&](Store& store) { return store.load(page); });
}

Result<PageId> StorageEngine::find(MemoryId id) const {
  return impl_->call([&](Store& store) -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const auto location, healed(*impl_, store, [&] { return store.locate(id); }));
    if (!location) return base::fail(ErrorCode::not_found, "there is no memory " + id.to_string());
    return PageId{location->page};
  });
}

Result<std::vector<std::pair<MemoryId, PageId>>> StorageEngine::scan_all_memories() const {
  return impl_->call([](Store& store) { return store.scan(); });
}

Result<void> StorageEngine::for_each_memory(
    const std::function<bool(const MemoryNode&, PageId)>& fn,
    const std::function<void(MemoryId, PageId, const Error&)>& on_damage) const {
  return impl_->call([&](Store& store) -> Result<void> {
    MENTEDB_TRY_ASSIGN(const auto all, store.scan());
    for (const auto& [id, page] : all) {
      auto node = store.load(page);
      PageId where = page;
      // Moved, or something else lives there now: ask for the id.
      if (!node || node->id != id) {
        node = store.load(id);
        if (const auto location = store.locate(id); location && *location) where = PageId{(*location)->page};
      }
      if (node) {
        if (!fn(*node, where)) return {};
      } else if (node.error().code != ErrorCode::not_found) {  // deleted meanwhile
        if (!on_damage) return std::unexpected(node.error());
        on_damage(id, where, node.error());
      }
    }
    return {};
  });
}

Lsn StorageEngine::committed_lsn() const {
  const auto lsn = impl_->call([](Store& store) -> Result<Lsn> { return Lsn{store.words().committed_lsn()}; });
  return lsn ? *lsn : Lsn{};
}

Result<Changes> StorageEngine::changes_since(Lsn since) const {
  return impl_->call([&](Store& store) { return store.changes_since(since); });
}

Result<Lsn> StorageEngine::wait_for_change(Lsn since, std::chrono::milliseconds timeout) const {
  using std::chrono::microseconds;
  constexpr microseconds kSlice = std::chrono::milliseconds(100);  // a writer that died wakes nobody
  std::optional<microseconds> deadline;
  // Each slice is a call of its own: close() waits for no longer than one, and a store that was opened again because
  // its files were replaced (R11) is the one looked at.
  for (;;) {
    const auto changed = impl_->call([&](Store& store) -> Result<std::optional<Lsn>> {
      const std::uint64_t committed = store.words().committed_lsn();
      if (committed > since.value) return Lsn{committed};
      const microseconds now = store.vfs().now();
      if (!deadline) deadline = timeout == std::chrono::milliseconds::max() ? microseconds::max() : now + timeout;
      if (now >= *deadline) return Lsn{committed};
      store.words().wait_for_commit(committed, std::min(kSlice, *deadline - now), !store.options().read_only);
      return std::nullopt;
    });
    if (!changed) return std::unexpected(changed.error());
    if (*changed) return **changed;
  }
}

Result<PageId> StorageEngine::allocate_page(std::size_t min_bytes) {
  PageId page;
  MENTEDB_TRY(impl_->write([&](Batch& batch) -> Result<void> {
    MENTEDB_TRY_ASSIGN(page, batch.allocate_raw(min_bytes));
    return {};
  }));
  return page;
}

Result<void> StorageEngine::write_page(PageId page, std::span<const std::byte> data) {
  return impl_->write([&](Batch& batch) { return batch.write_raw(page, data); });
}

Result<void> StorageEngine::free_page(PageId page) {
  return impl_->write([&](Batch& batch) { return batch.free_page(page); });
}

Result<Page> StorageEngine::read_page(PageId page) const {
  return impl_->call([&](Store& store) { return store.read_page(page); });
}

Result<std::uint64_t> StorageEngine::recover() {
  return impl_->change([](Store& store) -> Result<std::uint64_t> {
    const std::uint64_t before = store.redone();
    MENTEDB_TRY_ASSIGN(Store::Hold hold, store.acquire(store.options().lock_timeout));
    MENTEDB_TRY(store.recover(hold));
    MENTEDB_TRY(store.checkpoint(hold));
    return store.redone() - before;
  });
}

Result<void> StorageEngine::checkpoint() {
  return impl_->change([](Store& store) -> Result<void> {
    store.start_write_back();
    MENTEDB_TRY_ASSIGN(Store::Hold hold, store.acquire(store.options().lock_timeout));
    return store.checkpoint(hold);
  });
}

Result<void> StorageEngine::backup(const std::filesystem::path& destination) const {
  return impl_->call([&](Store& store) -> Result<void> {
    if (impl_->in_transaction()) {
      return base::fail(ErrorCode::invalid_argument,
                        "a backup takes the lock that this transaction holds; make it outside");
    }
    return engine::backup(store, destination);
  });
}

Result<void> EngineAccess::restore(vfs::Vfs& vfs, const std::filesystem::path& source,
                                   const std::filesystem::path& destination) {
  Options options;
  options.read_only = true;
  MENTEDB_TRY_ASSIGN(const StorageEngine engine, open(vfs, source, options));
  return engine.backup(destination);
}

Result<void> StorageEngine::restore(const std::filesystem::path& source, const std::filesystem::path& destination) {
  return EngineAccess::restore(vfs::posix_vfs(), source, destination);
}

Result<VerifyReport> StorageEngine::verify() const {
  return impl_->call(
      [](Store& store) { return engine::verify_directory(store.vfs(), store.path(), store.options().lock_timeout); });
}

Result<Stats> StorageEngine::stats() const {
  return impl_->call([](Store& store) { return store.stats(); });
}

Result<void> StorageEngine::close() {
  if (!impl_) return {};
  return impl_->close();
}

}  // namespace mentedb

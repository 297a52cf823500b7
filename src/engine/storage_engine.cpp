// The public calls that do not write memories or pages. The others are in engine/write_path.cpp. Each call is a few
// lines on the store's Reader or Writer.
#include <mentedb/storage_engine.hpp>

#include <algorithm>
#include <optional>

#include "engine/engine_impl.hpp"
#include "offline/verify.hpp"
#include "store/copier.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb {

using store::Outcome;
using store::Store;
using store::Writer;

Result<StorageEngine> EngineAccess::open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options) {
  try {
    StorageEngine::Impl::moved_from();  // made now, since a call of a moved-from engine must not need memory
    MENTEDB_TRY_ASSIGN(auto store, Store::open(vfs, path, options));
    return StorageEngine(std::make_unique<StorageEngine::Impl>(vfs, std::move(store)));
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

Result<StorageEngine> StorageEngine::open(const std::filesystem::path& directory, const Options& options) {
  return EngineAccess::open(vfs::posix_vfs(), directory, options);
}

MemoryVisitor::~MemoryVisitor() = default;

bool MemoryVisitor::damaged(MemoryId /*id*/, PageId /*page*/, const Error& /*error*/) { return false; }

StorageEngine::StorageEngine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
StorageEngine::StorageEngine(StorageEngine&&) noexcept = default;

StorageEngine& StorageEngine::operator=(StorageEngine&& other) noexcept {
  StorageEngine closed_at_the_end(std::move(*this));
  impl_ = std::move(other.impl_);
  return *this;
}

StorageEngine::Impl& StorageEngine::impl() const { return impl_ ? *impl_ : Impl::moved_from(); }

StorageEngine::~StorageEngine() {
  if (!impl_) return;
  try {
    static_cast<void>(impl_->close());
  } catch (...) {  // NOLINT(bugprone-empty-catch): a destructor returns no error, and no acknowledged write needs it
  }
}

Result<MemoryNode> StorageEngine::load_memory(MemoryId id) const {
  return impl().call([&](Store& store) { return store.reader().load(id, impl().if_damaged()); });
}

Result<MemoryNode> StorageEngine::load_memory(PageId page) const {
  return impl().call([&](Store& store) { return store.reader().load(page); });
}

Result<PageId> StorageEngine::find(MemoryId id) const {
  return impl().call([&](Store& store) -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const auto location, store.reader().locate(id, impl().if_damaged()));
    if (!location) return base::fail(ErrorCode::not_found, "there is no memory " + id.to_string());
    return PageId{location->page};
  });
}

Result<std::vector<std::pair<MemoryId, PageId>>> StorageEngine::scan_all_memories() const {
  return impl().call([](Store& store) { return store.reader().scan(); });
}

Result<void> StorageEngine::for_each_memory(MemoryVisitor& visitor) const {
  return impl().call([&](Store& store) -> Result<void> {
    const store::Reader& reader = store.reader();
    MENTEDB_TRY_ASSIGN(const auto all, reader.scan());
    MemoryNode node;  // one for all, so that its buffers are used again
    for (const auto& [id, page] : all) {
      auto loaded = reader.load(page, node);
      PageId where = page;
      // The memory moved, or another memory has the page now: look the id up.
      if (!loaded || node.id != id) {
        loaded = reader.load(id, node);
        if (const auto location = reader.locate(id); location && *location) where = PageId{(*location)->page};
      }
      if (loaded) {
        if (!visitor.visit(node, where)) return {};
      } else if (loaded.error().code != ErrorCode::not_found) {  // else: deleted since the scan
        if (!visitor.damaged(id, where, loaded.error())) return std::unexpected(loaded.error());
      }
    }
    return {};
  });
}

Lsn StorageEngine::committed_lsn() const {
  const auto lsn = impl().call([](Store& store) -> Result<Lsn> { return Lsn{store.state().committed_lsn()}; });
  return lsn ? *lsn : Lsn{};
}

Result<Changes> StorageEngine::changes_since(Lsn since) const {
  return impl().call([&](Store& store) { return store.reader().changes_since(since); });
}

Result<Lsn> StorageEngine::wait_for_change(Lsn since, std::chrono::milliseconds timeout) const {
  using std::chrono::microseconds;
  constexpr microseconds kSlice = std::chrono::milliseconds(100);  // a writer that died wakes no thread
  timeout = std::max(timeout, std::chrono::milliseconds(0));
  std::optional<microseconds> deadline;
  // Each slice is a call of its own. So close() waits for one slice at most, and a slice looks at the store that is
  // current after R11 has opened other files.
  for (;;) {
    const auto changed = impl().call([&](Store& store) -> Result<std::optional<Lsn>> {
      const std::uint64_t committed = store.state().committed_lsn();
      if (committed > since.value) return Lsn{committed};
      const microseconds now = store.vfs().now();
      if (!deadline) deadline = timeout > store::kLongestWait ? microseconds::max() : now + timeout;
      if (now >= *deadline) return Lsn{committed};
      const microseconds slice = std::min(kSlice, *deadline - now);
      const microseconds pause = impl().wake_pause().left(now, store.state().commit_waiters_woken());
      if (pause.count() > 0) {
        store.vfs().sleep(std::min(pause, slice));
        return std::nullopt;
      }
      store.state().wait_for_commit(committed, slice, !store.options().read_only);
      if (store.state().committed_lsn() != committed) impl().wake_pause().woken(store.vfs().now());
      return std::nullopt;
    });
    if (!changed) return std::unexpected(changed.error());
    if (*changed) return **changed;
  }
}

Result<Page> StorageEngine::read_page(PageId page) const {
  return impl().call([&](Store& store) { return store.reader().read_page(page); });
}

Result<std::uint64_t> StorageEngine::recover() {
  return impl().change([](Store& store) -> Outcome<std::uint64_t> {
    const std::uint64_t before = store.reapplied();
    MENTEDB_TRY_ASSIGN(Writer writer, store.writer());
    MENTEDB_TRY(writer.recover());
    MENTEDB_TRY(writer.checkpoint());
    return store.reapplied() - before;
  });
}

namespace {

// Work on the whole store, some of it at a time: others get the lock between. `work(writer, at)` returns where to go
// on.
template <class Work>
Outcome<void> in_slices(Store& store, std::optional<std::uint64_t> next, const Work& work) {
  while (next) {
    MENTEDB_TRY_ASSIGN(Writer writer, store.writer());
    MENTEDB_TRY_ASSIGN(next, work(writer, *next));
  }
  return {};
}

Result<std::optional<std::uint64_t>> give_back(Writer& writer, std::uint64_t stretch) {
  return writer.give_back_space(stretch);
}

}  // namespace

Result<void> StorageEngine::checkpoint() {
  return impl().change([](Store& store) -> Outcome<void> {
    store.start_write_back();
    std::optional<std::uint64_t> next;
    {
      MENTEDB_TRY_ASSIGN(Writer writer, store.writer());
      MENTEDB_TRY(writer.checkpoint());
      const auto given = give_back(writer, 0);
      if (given) next = *given;
    }
    // The checkpoint is done, whatever becomes of the space.
    static_cast<void>(in_slices(store, next, give_back));
    return {};
  });
}

Result<void> StorageEngine::erase_deleted() {
  return impl().change([](Store& store) -> Outcome<void> {
    store.start_write_back();
    {
      MENTEDB_TRY_ASSIGN(Writer writer, store.writer());
      MENTEDB_TRY(writer.checkpoint());
      MENTEDB_TRY(writer.queue().erase());
    }
    std::uint64_t unjudged = 0;
    MENTEDB_TRY(in_slices(
        store, 0, [&](Writer& writer, std::uint64_t stretch) { return writer.erase_free_pages(stretch, unjudged); }));
    MENTEDB_TRY(in_slices(store, format::kLogStart,
                          [](Writer& writer, std::uint64_t offset) { return writer.erase_log(offset); }));
    MENTEDB_TRY(in_slices(store, 0, give_back));
    if (unjudged == 0) return {};
    return base::failf(ErrorCode::corruption,
                       "{} pages of {} were not erased, because their directory entries are damaged; the rest was. Run "
                       "mentedb verify, then mentedb salvage into a new store, and remove this one",
                       unjudged, store.files().pages_file().path());
  });
}

Result<void> StorageEngine::backup(const std::filesystem::path& destination) const {
  return impl().call([&](Store& store) -> Result<void> {
    if (impl().in_transaction()) {
      return base::fail(ErrorCode::invalid_argument,
                        "a backup takes the lock that this transaction holds; make it outside");
    }
    return store::backup(store, destination);
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
  return impl().call([](Store& store) {
    return offline::verify_directory(store.vfs(), store.files().path(), store.options().lock_timeout);
  });
}

Result<Stats> StorageEngine::stats() const {
  return impl().call([](Store& store) { return store.stats(); });
}

Result<void> StorageEngine::close() {
  if (!impl_) return {};
  return impl_->close();
}

}  // namespace mentedb

// The storage engine: crash-safe memory of several processes in one directory.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>
#include <mentedb/ids.hpp>
#include <mentedb/memory_node.hpp>
#include <mentedb/options.hpp>
#include <mentedb/page.hpp>
#include <mentedb/report.hpp>
#include <mentedb/transaction.hpp>

namespace mentedb {

/// Sees one memory after the other (`StorageEngine::for_each_memory`).
class MemoryVisitor {
 public:
  MemoryVisitor() = default;
  MemoryVisitor(const MemoryVisitor&) = delete;
  MemoryVisitor& operator=(const MemoryVisitor&) = delete;
  virtual ~MemoryVisitor() = default;

  /// A memory and where it lives. False ends the walk.
  virtual bool visit(const MemoryNode& memory, PageId page) = 0;
  /// A memory that cannot be read. False, the default, ends the walk with its error; true goes on.
  virtual bool damaged(MemoryId id, PageId page, const Error& error);
};

/// A store: a directory with `wal.log`, `pages.db` and `ids-N.idx`.
///
/// @threads Every method may be called from many threads on one engine, and any number of processes may have
/// the directory open. Writes are serialised by flock(2) on the log; reads take no lock. After fork(2) the
/// child's copy answers `forked` and the child opens its own. Moving or destroying an engine while another thread
/// uses it is the caller's mistake; `close()` meanwhile is not.
///
/// Any call may also answer `closed`, `forked`, `out_of_memory` or `io_error`, and what the operating system refuses
/// keeps its meaning: `permission_denied`, `read_only` (media), `no_space`. Those are not repeated below.
/// Any write, `recover` and `checkpoint` may answer `busy` (lock timeout), `poisoned`, `read_only`, `corruption` (of
/// the log or the directory) or, when files were replaced under the engine, `incompatible`; nothing was acknowledged
/// then. A read takes the lock only to have something repaired, and then it may answer the same.
class MENTEDB_EXPORT StorageEngine {
 public:
  /// Opens the store in `directory`, creating both when missing. A log left by a crash is replayed before it
  /// returns; no lock is held afterwards.
  /// @errors `busy`, `permission_denied`, `read_only` (media), `incompatible`, `corruption`,
  /// `unsupported_filesystem`, `invalid_argument` (options, or a path that is no directory), `not_found` (read_only and
  /// nothing there, or removed meanwhile)
  /// @cost reads the log since the last checkpoint
  [[nodiscard]] static Result<StorageEngine> open(const std::filesystem::path& directory, const Options& options = {});

  StorageEngine(StorageEngine&&) noexcept;
  StorageEngine& operator=(StorageEngine&&) noexcept;
  /// Releases everything; never throws and never waits for another process.
  ~StorageEngine();

  /// Stores a memory, or replaces the one with the same id, and returns the head of its run.
  /// Durable and visible to every process when it returns. A crash leaves all of it or nothing.
  /// @errors `invalid_argument`, `capacity_exceeded`, `no_space`; `io_error` "durable, not yet visible" when the
  /// log took it and the page file did not: the next lock holder completes it
  /// @cost one log write, one sync, the writes of its run and its directory entry
  [[nodiscard]] Result<PageId> store_memory(const MemoryNode& node);
  /// As `store_memory`, but never replaces. @errors `already_exists`
  [[nodiscard]] Result<PageId> store_memory_if_absent(const MemoryNode& node);
  /// Stores all or none, with one sync; at most kMaxBatchBytes. A reader may see the first memories a moment before
  /// the last. Pages in the order of the nodes. @errors as `store_memory`
  [[nodiscard]] Result<std::vector<PageId>> store_memories(std::span<const MemoryNode> nodes);
  /// Replaces the memory with this id (copy on write) and returns where it lives now. @errors `not_found`, as store
  [[nodiscard]] Result<PageId> update_memory(const MemoryNode& node);
  /// @errors `not_found`
  [[nodiscard]] Result<void> delete_memory(MemoryId id);

  /// Runs `fn` under one hold of the lock and commits what it did as one atomic batch; when it returns an error or
  /// throws, nothing happens (an exception is rethrown). Everybody else waits: keep it short. Calls that
  /// write through the engine inside `fn` answer `invalid_argument`.
  [[nodiscard]] Result<void> transact(const std::function<Result<void>(Transaction&)>& fn);

  /// The newest committed version. Takes no lock and, once the pages were touched, makes no system call.
  /// @errors `not_found`, `corruption`
  [[nodiscard]] Result<MemoryNode> load_memory(MemoryId id) const;
  /// @errors `not_found` (no live run starts there), `invalid_argument` (the page holds no memory), `corruption`,
  /// `busy` (the page is half written by a process that is stopped)
  [[nodiscard]] Result<MemoryNode> load_memory(PageId page) const;
  /// Where the memory lives; valid until it is next changed or deleted. @errors `not_found`
  [[nodiscard]] Result<PageId> find(MemoryId id) const;
  /// Every memory that any process has committed, in page order. @errors `corruption` (never a silent gap)
  [[nodiscard]] Result<std::vector<std::pair<MemoryId, PageId>>> scan_all_memories() const;
  /// Shows the visitor every memory, in page order, until the visitor ends the walk.
  [[nodiscard]] Result<void> for_each_memory(MemoryVisitor& visitor) const;
  /// The same with functions: `fn(memory, page)` returns false to end the walk; `on_damage(id, page, error)` is told of
  /// each memory that cannot be read, and the walk goes on.
  template <class Fn>
    requires std::is_invocable_r_v<bool, Fn&, const MemoryNode&, PageId>
  [[nodiscard]] Result<void> for_each_memory(Fn&& fn) const;
  template <class Fn, class OnDamage>
    requires std::is_invocable_r_v<bool, Fn&, const MemoryNode&, PageId>
  [[nodiscard]] Result<void> for_each_memory(Fn&& fn, OnDamage&& on_damage) const;

  /// The LSN up to which everything is committed and visible. No system call.
  [[nodiscard]] Lsn committed_lsn() const;
  /// What changed after `since`: per memory its newest change, up to the returned cursor. Everything that was
  /// acknowledged before the call is told, also of a memory that changes meanwhile: instead of a change that a commit
  /// under way has overwritten already, that commit's own is told, with an LSN above the cursor, and the next call
  /// tells it again. Reads the directory of the groups that changed, and again what was committed meanwhile; no lock,
  /// unless somebody commits during each of eight such passes.
  /// @errors `resync_required` when deletions after `since` are no longer on record, or `since` is from another life
  /// of the store (a restored backup)
  [[nodiscard]] Result<Changes> changes_since(Lsn since) const;
  /// Returns as soon as `committed_lsn() > since`, or after `timeout`; the committed LSN either way.
  [[nodiscard]] Result<Lsn> wait_for_change(Lsn since, std::chrono::milliseconds timeout) const;

  /// A fresh raw page (a run) with room for `min_bytes`, holding no data. @errors `capacity_exceeded`, `no_space`
  [[nodiscard]] Result<PageId> allocate_page(std::size_t min_bytes = 0);
  /// Replaces a raw page's data in place, logged.
  /// @errors `not_found`, `invalid_argument` (a memory's page), `capacity_exceeded` (more than the run holds)
  [[nodiscard]] Result<void> write_page(PageId page, std::span<const std::byte> data);
  /// Frees a run; freeing a memory's page deletes the memory. @errors `not_found`
  [[nodiscard]] Result<void> free_page(PageId page);
  /// A verified copy of a run. @errors `not_found`, `corruption`, `busy` (as `load_memory(PageId)`)
  [[nodiscard]] Result<Page> read_page(PageId page) const;

  /// Brings every committed operation into the pages, heals damaged pages from the log, rebuilds the id index and
  /// resets the log (the file keeps its size). Returns how many operations were not yet in their pages.
  [[nodiscard]] Result<std::uint64_t> recover();
  /// Syncs the page file and resets the log.
  /// @errors `io_error`: the log is kept and nothing is lost
  [[nodiscard]] Result<void> checkpoint();

  /// Copies the store as of one moment into the new directory `destination` while others go on.
  /// A backup that fails removes what it made; a killed one leaves a directory that `open` refuses.
  /// @errors `already_exists`, `invalid_argument` (the path, or inside `transact`), `not_found` (a part of
  /// the path was removed meanwhile)
  [[nodiscard]] Result<void> backup(const std::filesystem::path& destination) const;
  /// Copies the backup (or any store) `source` into the new directory `destination`, as a new incarnation: cursors of
  /// `changes_since` from before answer `resync_required`. Failed or killed: as `backup`.
  /// @errors `already_exists`, as `open` and `backup`
  [[nodiscard]] static Result<void> restore(const std::filesystem::path& source,
                                            const std::filesystem::path& destination);

  /// Checks every structure on disk; writes nothing and heals nothing. Finding damage is not an error.
  /// @errors as `verify_store`
  [[nodiscard]] Result<VerifyReport> verify() const;
  [[nodiscard]] Result<Stats> stats() const;

  /// Releases everything, after a checkpoint when the lock is free at once and the log is over a quarter of its
  /// limit. Waits for calls of other threads. Idempotent.
  Result<void> close();

 private:
  friend class EngineAccess;
  class MENTEDB_NO_EXPORT Impl;
  MENTEDB_NO_EXPORT explicit StorageEngine(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

template <class Fn>
  requires std::is_invocable_r_v<bool, Fn&, const MemoryNode&, PageId>
Result<void> StorageEngine::for_each_memory(Fn&& fn) const {
  struct Visitor final : MemoryVisitor {
    explicit Visitor(Fn& function) : fn(function) {}
    bool visit(const MemoryNode& memory, PageId page) override { return fn(memory, page); }
    Fn& fn;
  } visitor(fn);
  return for_each_memory(static_cast<MemoryVisitor&>(visitor));
}

template <class Fn, class OnDamage>
  requires std::is_invocable_r_v<bool, Fn&, const MemoryNode&, PageId>
Result<void> StorageEngine::for_each_memory(Fn&& fn, OnDamage&& on_damage) const {
  struct Visitor final : MemoryVisitor {
    Visitor(Fn& function, OnDamage& damage) : fn(function), on_damage(damage) {}
    bool visit(const MemoryNode& memory, PageId page) override { return fn(memory, page); }
    bool damaged(MemoryId id, PageId page, const Error& error) override {
      on_damage(id, page, error);
      return true;
    }
    Fn& fn;
    OnDamage& on_damage;
  } visitor(fn, on_damage);
  return for_each_memory(static_cast<MemoryVisitor&>(visitor));
}

}  // namespace mentedb

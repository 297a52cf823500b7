// The storage engine: memories that survive crashes, in one directory, shared by several processes.
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
class MENTEDB_EXPORT MemoryVisitor {
 public:
  MemoryVisitor() = default;
  MemoryVisitor(const MemoryVisitor&) = delete;
  MemoryVisitor& operator=(const MemoryVisitor&) = delete;
  virtual ~MemoryVisitor();

  /// Sees a memory, and its first page.
  /// @param memory the walk uses the object again: copy what has to outlive the call
  /// @return false to end the walk
  virtual bool visit(const MemoryNode& memory, PageId page) = 0;
  /// Learns of a memory that cannot be read.
  /// @return true to go on; false, as the default does, to end the walk with this error
  virtual bool damaged(MemoryId id, PageId page, const Error& error);
};

/// A store is a directory with `wal.log` (the log), `pages.db` (the pages) and `ids-N.idx` (the id index). A
/// StorageEngine is one process's access to one store.
///
/// An acknowledged write is durable and visible to every process. A write is acknowledged when its call returns
/// success. A call, a batch and a transaction survive a crash as a whole or not at all. "Crash" means kill -9, a kernel
/// crash or a power cut. docs/durability.md names the assumptions about the disk.
///
/// @threads Any number of threads may call one engine, and any number of processes may have the directory open.
/// flock(2) on the log orders the writers. Reads take no lock. No lock is held between calls. After fork(2) the child's
/// copy answers `forked`, and the child opens an engine of its own. A thread may call `close` while others use the
/// engine. It may not move or destroy the engine then. A moved-from engine answers `closed`.
///
/// @errors of every call: `closed`, `forked`, `out_of_memory`, `io_error`, and what the operating system refuses:
/// `permission_denied`, `read_only` (media), `no_space`. They are not repeated below. A call that returns an error has
/// acknowledged nothing. The change may still be there in three cases, which stand in the next list: `incompatible`,
/// and the two cases of `io_error`.
///
/// @errors of every write, of `recover` and of `checkpoint`; they are not repeated below either:
/// - `busy`: the lock was not free within `Options::lock_timeout`. The message names the holder when it is known.
///   Nothing of the call was or will be written.
/// - `io_error` "the write may appear": another process had taken the write to commit it, and stopped or died in a way
///   that leaves the outcome unknown. Read the memory before you write it again.
/// - `poisoned`: a write to the log failed before. Close the engine and open the store again.
/// - `read_only`: the engine was opened with `Options::read_only`.
/// - `corruption`: the log, the superblock or a directory entry that the call needs is damaged.
/// - `incompatible`: the files were removed or replaced by another store while the engine was open. The old files may
///   hold the change.
/// - `invalid_argument`: the call came from inside `transact` of the same engine.
/// - `io_error` with "nothing of this write was acknowledged": the log did not take the write. The change may still be
///   there after the next open, as after a crash. The engine answers `poisoned` from then on.
/// - `io_error` with "durable, not yet visible": the log took the write, the page file did not. The next lock holder
///   completes the write, so the change WILL appear. A caller who stores a new memory under a new id would have it
///   twice: look first. The answer is the same when memory runs out on the way, and never `out_of_memory`.
/// A read may give the same errors when it takes the lock, which it does only to have something repaired. Each call may
/// answer `incompatible`: twice a second a call looks whether the files were removed or replaced by another store,
/// which costs two statx(2).
class MENTEDB_EXPORT StorageEngine {
 public:
  /// Opens the store in `directory`. Creates the store, the directory and its parents when they are missing, with mode
  /// 0700, unless `options.read_only` is set. The first `open` after a start of the machine, or after the file system
  /// was mounted, takes the lock and redoes the log from the last checkpoint, which recovers the store after any crash.
  /// A later `open` takes no lock and waits for no writer. It repairs what a writer that died has left, when the lock
  /// is free at once; else the next lock holder does. (Linux before 6.8 does not name mounts: there each `open` takes
  /// the lock.) Holds no lock afterwards.
  /// @crash a crash while a store is created leaves no store, and the next `open` starts over; a crash while the log is
  /// redone loses nothing, and the next `open` redoes the log again
  /// @param directory a path on a local file system
  /// @param options the limits stand in options.hpp
  /// @errors `not_found`: `read_only` is set and there is no store; or the directory was removed meanwhile
  /// @errors `busy`: the store has to be recovered first, and the lock was not free in time or `read_only` is set
  /// @errors `invalid_argument`: an option is out of range, or the path or a file in it is no directory or regular file
  /// @errors `incompatible`: another program's files, a newer format, or another page size than the one asked for
  /// @errors `corruption`: superblock or log are damaged, a file is missing or too short, or the directory is an
  /// unfinished backup; the files stay as they are, for `salvage`
  /// @errors `unsupported_filesystem`: locks or shared mappings do not work there, and `single_process` is not set
  /// @errors `permission_denied`: the user may not open the files, or every user may write them
  /// @threads any number of openers at once, also of a store that does not exist yet
  /// @cost about 20 system calls; with a recovery it reads the log since the last checkpoint, and after a reboot or
  /// another mount also the directory, to rebuild the id index
  [[nodiscard]] static Result<StorageEngine> open(const std::filesystem::path& directory, const Options& options = {});

  StorageEngine(StorageEngine&&) noexcept;
  /// Closes the engine that stood here before.
  StorageEngine& operator=(StorageEngine&&) noexcept;
  /// Closes the engine as `close` does, and drops the error. Never throws, never waits for another process. Call
  /// `close` to learn of an error; nothing acknowledged depends on it.
  ~StorageEngine();

  /// Stores a memory, or replaces the memory with the same id.
  /// @crash all of the memory is there, or the version before; after the call has returned success: all of it
  /// @param node a memory that `validate` accepts
  /// @return the first page of the memory; valid until the memory is next changed or deleted
  /// @errors `invalid_argument`, `capacity_exceeded`: as `validate`; nothing changed
  /// @errors `capacity_exceeded`: also when the store has its most pages (4,294,967,295)
  /// @errors `no_space`: log or page file cannot grow; nothing changed, reads and deletions go on
  /// @threads calls of several threads are committed together, with one sync
  /// @cost one write and one fdatasync of the log, three writes to the page file (free space, run, directory entry),
  /// two more when an earlier version is freed, others when a file grows; two flock, four statx, seven madvise; copies
  /// the memory three times
  /// @source docs/architecture.md "The life of a write"
  [[nodiscard]] Result<PageId> store_memory(const MemoryNode& node);

  /// Stores a memory, unless its id exists.
  /// @crash as `store_memory`
  /// @errors `already_exists`: the store holds a memory with this id; it stays as it is
  /// @errors as `store_memory`
  /// @cost as `store_memory`
  [[nodiscard]] Result<PageId> store_memory_if_absent(const MemoryNode& node);

  /// Stores several memories as one atomic batch, or none of them. When an id occurs twice, the later node replaces the
  /// earlier one. An empty span does nothing.
  /// @crash all memories are there, or none
  /// @param nodes together at most kMaxBatchBytes (64 MiB) encoded
  /// @return the pages, in the order of the nodes
  /// @errors `capacity_exceeded`: also when the memories together pass kMaxBatchBytes; store them in several calls
  /// @errors as `store_memory`, for the whole batch
  /// @threads a reader may see the first memories of the batch a moment before the last one
  /// @cost one write and one fdatasync of the log; runs that follow one another take one write, and so do their
  /// entries. Memories of 256 KiB or more together: their runs are written and synced first, and the log has no copy of
  /// them
  /// @source docs/adr/0017-large-batches-write-their-runs-first.md
  [[nodiscard]] Result<std::vector<PageId>> store_memories(std::span<const MemoryNode> nodes);

  /// Replaces the memory with this id. The new version goes to free pages, so readers see the old version or the new
  /// one.
  /// @crash the old version is there, or the new one
  /// @return the first page of the new version
  /// @errors `not_found`: there is no memory with this id
  /// @errors as `store_memory`
  /// @cost as `store_memory`, and two writes to the page file for the freed run
  [[nodiscard]] Result<PageId> update_memory(const MemoryNode& node);

  /// Deletes a memory. The bytes stay in the files until their space is used again.
  /// @crash the memory is there, or it is not; after the call has returned success: it is not
  /// @errors `not_found`: there is no memory with this id
  /// @cost one write and one fdatasync of the log, three writes to the page file
  [[nodiscard]] Result<void> delete_memory(MemoryId id);

  /// Runs `fn` while this process holds the lock, and commits what `fn` wrote as one atomic batch. When `fn` returns an
  /// error or throws, nothing is written; the call returns the error or throws the exception again.
  ///
  /// All other writers wait while `fn` runs, so `fn` should be short. Inside `fn`, calls that write through this
  /// engine, `backup` and `close` answer `invalid_argument`. A call that needs the lock of this store in another way
  /// answers `busy` at once: through another engine of the process, `open`, `salvage`.
  /// `fn` may run twice: when the directory was replaced by one of the same store (moved, copied back) during the
  /// commit, `fn` runs again on the new files. So what `fn` does besides the transaction has to bear a second run.
  /// @crash everything that `fn` wrote is there, or nothing
  /// @param fn together at most kMaxBatchBytes (64 MiB) of encoded memories
  /// @errors `invalid_argument`: `fn` is empty
  /// @errors what `fn` returned, or as `store_memories`
  /// @threads `fn` runs on the calling thread, alone in its batch
  /// @cost as `store_memories`, and two writes to the page file for each freed run; two flock and
  /// two statx when `fn` wrote nothing
  [[nodiscard]] Result<void> transact(const std::function<Result<void>(Transaction&)>& fn);

  /// Loads the newest committed version of a memory.
  /// @errors `not_found`: there is no memory with this id
  /// @errors `corruption`: the memory is damaged and the log has no copy; the message names the page. The log is asked
  /// once in each of its epochs as long as the bytes are the same
  /// @errors `busy`: the lock was needed for a repair and was not free; or the memory moved during every one of 1,000
  /// attempts
  /// @threads takes no lock, and never waits for a writer, not even for one that is stopped in the middle
  /// @cost no system call when warm (its pages were touched before); copies the memory twice, computes one checksum
  /// @source docs/architecture.md "The life of a read"
  [[nodiscard]] Result<MemoryNode> load_memory(MemoryId id) const;

  /// Loads the memory whose run starts at `page`.
  /// @param page from a store call, `find` or a scan; another memory may live there by now
  /// @errors `not_found`: no run starts at this page
  /// @errors `invalid_argument`: a raw page starts there; use `read_page`
  /// @errors `corruption`: as `load_memory(MemoryId)`
  /// @errors `busy`: the page is half written and its writer holds the lock; or this engine is read-only and may not
  /// repair the page
  /// @threads takes no lock, unless the page cannot be read: then it waits for the lock and repairs the page from the
  /// log
  /// @cost as `load_memory(MemoryId)`
  [[nodiscard]] Result<MemoryNode> load_memory(PageId page) const;

  /// Finds a memory.
  /// @return the first page of the memory; valid until the memory is next changed or deleted
  /// @errors `not_found`, `corruption`, `busy`: as `load_memory(MemoryId)`
  /// @threads as `load_memory(MemoryId)`
  /// @cost no system call when warm; copies one directory entry
  [[nodiscard]] Result<PageId> find(MemoryId id) const;

  /// Lists every memory that any process has committed.
  /// @return ids and first pages, in page order; a memory that is committed meanwhile may be there or not
  /// @errors `corruption`: a directory entry is damaged and the log has no copy; there is never a silent gap
  /// @errors `busy`: the lock was needed and was not free
  /// @threads takes no lock, unless a commit comes during each of eight passes over the directory, or an entry is
  /// damaged
  /// @cost no system call when warm; reads one directory entry of 32 bytes for each memory, or for each page of the
  /// store when a commit comes meanwhile
  [[nodiscard]] Result<std::vector<std::pair<MemoryId, PageId>>> scan_all_memories() const;

  /// Shows the visitor every memory that `scan_all_memories` would list, until the visitor ends the walk. The visitor
  /// gets the newest version, also when the memory moved after the scan. A memory that was deleted meanwhile is passed
  /// over.
  /// @param visitor may call the engine, except `close`
  /// @errors as `scan_all_memories`; also as `load_memory(MemoryId)` when `MemoryVisitor::damaged` ends the walk
  /// @threads as `scan_all_memories`; the visitor runs on the calling thread, without the lock
  /// @cost as `scan_all_memories` and one `load_memory` for each; holds all ids in memory
  [[nodiscard]] Result<void> for_each_memory(MemoryVisitor& visitor) const;
  /// The same with functions.
  /// @param fn `fn(memory, page)` returns false to end the walk
  /// @param on_damage `on_damage(id, page, error)` gets each memory that cannot be read, and the walk goes on. Without
  /// `on_damage` the walk ends at such a memory
  template <class Fn>
    requires std::is_invocable_r_v<bool, Fn&, const MemoryNode&, PageId>
  [[nodiscard]] Result<void> for_each_memory(Fn&& fn) const;
  template <class Fn, class OnDamage>
    requires std::is_invocable_r_v<bool, Fn&, const MemoryNode&, PageId>
  [[nodiscard]] Result<void> for_each_memory(Fn&& fn, OnDamage&& on_damage) const;

  /// @return the LSN up to which every operation is committed and visible; 0 in a new store, and when the engine is
  /// closed, belongs to the parent process, or has lost its files (`incompatible`)
  /// @threads takes no lock
  /// @cost no system call
  [[nodiscard]] Lsn committed_lsn() const;

  /// Lists what changed after `since`, for caches above the engine. For each memory the call reports the newest change.
  /// Everything that was acknowledged before the call is reported. A memory may change again during the call; then the
  /// call reports that commit's change, whose LSN may lie above the returned cursor, and the next call reports it
  /// again.
  /// @param since the cursor of the call before, `committed_lsn()`, or Lsn{0} for everything
  /// @return one change for each changed memory, in LSN order, and the cursor for the next call
  /// @errors `resync_required`: deletions after `since` are no longer on record; or `since` is not of this store, but
  /// of its original or of its backup. Read everything again
  /// @errors `corruption`, `busy`: as `scan_all_memories`
  /// @threads as `scan_all_memories`
  /// @cost no system call when warm; reads the directory of the regions (65,536 pages each) that changed, and once more
  /// of those that change meanwhile
  [[nodiscard]] Result<Changes> changes_since(Lsn since) const;

  /// Waits until `committed_lsn() > since`.
  /// @param since the committed LSN or the cursor that the caller knows
  /// @param timeout the longest wait in milliseconds; `std::chrono::milliseconds::max()`, and anything above ten years,
  /// waits for ever; 0 and less do not wait
  /// @return the committed LSN; not above `since` when the time is over
  /// @errors `closed`: another thread closed the engine; the call notices within 100 ms; `incompatible`: the files were
  /// replaced or removed
  /// @threads takes no lock; a commit of any process wakes the call; after a commit whose writer died it takes up to
  /// 100 ms. When a commit woke several waiters, each of them notices the next commit up to 0.6 ms times their number
  /// later (at most 100 ms), so that many waiters do not slow the writers down. A lone waiter is woken at once
  /// @cost no system call when the LSN is above `since` already; else one futex(2) for each 100 ms
  [[nodiscard]] Result<Lsn> wait_for_change(Lsn since, std::chrono::milliseconds timeout) const;

  /// Allocates a raw page: a run without a memory, for bytes of the caller. It holds no data at first.
  /// @crash the raw page is there, or it is not; a run may stay allocated although no caller knows its number
  /// @param min_bytes the room that is needed, 0 to 24 MiB (kMaxEncodedBytes)
  /// @return the first page of the run; the run keeps its room until `free_page`
  /// @errors `capacity_exceeded`: above 24 MiB, or the store has its most pages; nothing changed
  /// @errors `no_space`: log or page file cannot grow; nothing changed
  /// @cost as `store_memory`
  [[nodiscard]] Result<PageId> allocate_page(std::size_t min_bytes = 0);

  /// Replaces the data of a raw page in place.
  /// @crash all of the new data is there, or the old data
  /// @param data 0 bytes to the room of the run; shorter data leaves nothing of the old data
  /// @errors `not_found`: no run starts at this page
  /// @errors `invalid_argument`: a memory lives there; use `update_memory`
  /// @errors `capacity_exceeded`: more bytes than the run has room for; nothing changed
  /// @threads while the write is under way, a reader of this page tries again, and at last waits for the lock
  /// @cost as `store_memory`
  [[nodiscard]] Result<void> write_page(PageId page, std::span<const std::byte> data);

  /// Frees a run. Freeing the page of a memory deletes the memory.
  /// @crash the run is there, or it is free
  /// @errors `not_found`: no run starts at this page
  /// @cost as `delete_memory`
  [[nodiscard]] Result<void> free_page(PageId page);

  /// Reads a run, of a raw page or of a memory.
  /// @return a copy whose checksum held
  /// @errors `not_found`, `corruption`, `busy`: as `load_memory(PageId)`
  /// @threads as `load_memory(PageId)`
  /// @cost no system call when warm; copies the run, and the data once more into the answer
  [[nodiscard]] Result<Page> read_page(PageId page) const;

  /// Redoes the log from the last checkpoint, repairs damaged pages that the log still holds, rebuilds the id index and
  /// makes a checkpoint. `open` recovers a store by itself; this call is for damage, and before a read-only mount.
  /// @crash nothing is lost; call it again
  /// @return how many logged operations were not in their pages
  /// @errors `corruption`: the log is damaged; the pages that are whole stay as they are
  /// @threads holds the lock to the end; reads go on
  /// @cost reads the log and the directory; syncs log, page file and id index
  [[nodiscard]] Result<std::uint64_t> recover();

  /// Syncs the page file and the id index, then starts the log anew. Writes do this by themselves when the log reaches
  /// its limit. The call makes the next `open` quicker; it adds no safety. Then it gives the whole blocks of 4,096
  /// bytes that deletions and updates have left free back to the file system. Checkpoints of writes give back only runs
  /// of at least 64 KiB that were free for a whole epoch of the log, and not on tmpfs.
  /// @crash the log counts as before, or the synced pages do; nothing is lost
  /// @errors `io_error`: the log stays as it is, or the engine is poisoned; nothing is lost
  /// @threads holds the lock while it syncs, and for each slice of what it gives back; reads go on
  /// @cost three fdatasync (page file, id index, log) unless the log is empty; reads the directory; for each slice with
  /// free blocks one fdatasync, and a system call for each run
  [[nodiscard]] Result<void> checkpoint();

  /// Makes the bytes of deleted and replaced memories unreadable in the store's files: a checkpoint, zeros over all
  /// free pages, zeros over the log behind its last batch, then as `checkpoint`. What was deleted before the call is
  /// gone when it returns. Id, time and kind of a deletion stay, for `changes_since`.
  /// @crash nothing is lost; call it again
  /// @errors `io_error`, `no_space`, `busy`: some bytes may be readable still; call it again
  /// @errors `corruption`: pages whose directory entries are damaged were not erased; the rest was
  /// @threads holds the lock for one slice after another; others read and write between
  /// @cost writes every free page that has space, and the whole log
  /// @source docs/security.md says what remains readable where
  [[nodiscard]] Result<void> erase_deleted();

  /// Copies the store as of one moment into a new directory, while other processes read and write.
  /// @crash the store is untouched. The destination is unfinished: `open` answers `corruption` for it, or, when the
  /// crash came before the first sync, finds no store there. Remove it
  /// @param destination a directory that does not exist; the call creates it, and its parents, with mode 0700
  /// @errors `already_exists`: the destination exists; it stays as it is
  /// @errors `invalid_argument`: the path leads through a file, or the call came from inside `transact`
  /// @errors `not_found`: a part of the path was removed meanwhile
  /// @errors `corruption`: a page is damaged, so the copy would not be whole; the message names the page
  /// @errors `busy`: the lock was not free in time
  /// After an error the call removes the destination; the message says when that fails, too.
  /// @threads takes the lock at the end, for what changed during the copy
  /// @cost reads and writes all live runs; syncs the copy
  /// @source docs/adr/0008-lsn-gap-and-horizon-in-backups.md
  [[nodiscard]] Result<void> backup(const std::filesystem::path& destination) const;

  /// Copies a backup, or any store, into a new directory. The copy is a new incarnation: cursors of `changes_since`
  /// from before answer `resync_required` there.
  /// @crash as `backup`
  /// @param source a directory with a store; it is opened with `Options::read_only` and a lock_timeout of 30 s
  /// @param destination as `backup`
  /// @errors `busy`: also when operations in `source` are not in their pages yet; run `mentedb recover` on it
  /// @errors as `open` for the source, as `backup` for the destination
  /// @threads any thread; processes may use `source` meanwhile
  /// @cost as `open` and `backup`
  [[nodiscard]] static Result<void> restore(const std::filesystem::path& source,
                                            const std::filesystem::path& destination);

  /// Checks every structure on disk. Writes nothing and repairs nothing. Damage is no error; the report lists it.
  /// @errors as `verify_store` in inspect.hpp
  /// @threads, @cost as `verify_store`, with `Options::lock_timeout` of this engine
  [[nodiscard]] Result<VerifyReport> verify() const;

  /// Reports sizes and counts.
  /// @errors `busy` and others as for a read, because the call takes the lock when the cached tail is not valid
  /// @threads takes no lock, unless a commit is under way or a crash left the cached tail invalid
  /// @cost some system calls, most of them stat(2) and mincore(2)
  [[nodiscard]] Result<Stats> stats() const;

  /// Closes the engine. Later calls answer `closed`. When the lock is free at once and the log holds more than a
  /// quarter of its limit, a checkpoint comes first, so that the next `open` is quick. A second call does nothing.
  /// @crash nothing is lost; `close` is not needed for durability
  /// @errors `invalid_argument`: the call came from a callback of an engine; the engine stays open
  /// @errors every other one: of the checkpoint; the engine is closed, and nothing acknowledged is lost
  /// @threads waits for calls of other threads, not for other processes; in a forked child it waits for nothing
  /// @cost a checkpoint, or nothing but closing the files
  Result<void> close();

 private:
  friend class EngineAccess;
  class MENTEDB_NO_EXPORT Impl;
  MENTEDB_NO_EXPORT explicit StorageEngine(std::unique_ptr<Impl> impl) noexcept;
  MENTEDB_NO_EXPORT Impl& impl() const;
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

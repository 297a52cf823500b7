// Read, change and write under one hold of the store's lock.
#pragma once

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>
#include <mentedb/ids.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb {

namespace store {
class Batch;
}

/// What `StorageEngine::transact` passes to its function. The lock is held, so no other process changes the store.
/// Reads see the newest committed state and the transaction's own writes.
///
/// A call that fails changes nothing. The function may go on, or return the error to give up the whole transaction.
/// Writes are logged when the function has returned; until then a crash leaves none of them. Any call may also answer
/// `io_error` or `out_of_memory`. A damaged page or directory entry is `corruption`; the log does not repair it inside
/// a transaction, `StorageEngine::recover` outside of it may.
/// @threads only the thread that runs the function, and only until the function returns
class MENTEDB_EXPORT Transaction {
 public:
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// Loads the newest version of a memory.
  /// @errors `not_found`: no such memory, or this transaction deleted it
  /// @errors `corruption`: its page is damaged
  /// @cost no system call when warm; copies the memory once
  [[nodiscard]] Result<MemoryNode> load(MemoryId id);

  /// Finds a memory.
  /// @return the first page of the memory; for a memory that this transaction stored, the page after the commit
  /// @errors `not_found`: as `load`
  /// @errors `corruption`: a directory entry is damaged
  /// @cost no system call when warm
  [[nodiscard]] Result<PageId> find(MemoryId id);

  /// Stores a memory, or replaces the memory with the same id.
  /// @return the first page of the memory after the commit, until the transaction stores the same id again
  /// @errors `invalid_argument`, `capacity_exceeded`: as `validate`; also `capacity_exceeded` when the transaction's
  /// memories would pass kMaxBatchBytes, or when the store has its most pages
  /// @errors `no_space`: pages.db cannot grow
  /// @errors `corruption`: the directory entry of the old version is damaged
  /// @cost copies the memory once; a system call and a sync only when pages.db grows
  [[nodiscard]] Result<PageId> store(const MemoryNode& node);

  /// Replaces an existing memory.
  /// @errors `not_found`: there is no memory with this id
  /// @errors as `store`
  /// @cost as `store`
  [[nodiscard]] Result<void> update(const MemoryNode& node);

  /// Deletes a memory.
  /// @errors `not_found`: there is no memory with this id
  /// @errors `capacity_exceeded`: the transaction has too many operations for one batch (about three million deletions)
  /// @errors `corruption`: the directory entry of the memory is damaged
  /// @cost no system call when warm
  [[nodiscard]] Result<void> erase(MemoryId id);

 private:
  friend class TransactionAccess;
  explicit Transaction(store::Batch& batch) : batch_(&batch) {}
  store::Batch* batch_;
};

}  // namespace mentedb

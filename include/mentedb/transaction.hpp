// Read-modify-write under one hold of the store's lock.
#pragma once

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>
#include <mentedb/ids.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb {

namespace store {
class Batch;
}

/// What `StorageEngine::transact` hands to its function. Reads see the transaction's own writes and, since
/// the lock is held, the newest state of every process. Valid only inside that call and on its thread.
/// A failed call changes nothing: the function may go on or return the error, which rolls everything back.
class MENTEDB_EXPORT Transaction {
 public:
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// @errors `not_found`, `corruption`, `io_error`
  [[nodiscard]] Result<MemoryNode> load(MemoryId id);
  /// The page the memory will have when the transaction commits. @errors `not_found`
  [[nodiscard]] Result<PageId> find(MemoryId id);
  /// Stores, or replaces the memory with the same id. @errors `invalid_argument`, `capacity_exceeded`, `no_space`
  [[nodiscard]] Result<PageId> store(const MemoryNode& node);
  /// Replaces an existing memory. @errors as `store`, and `not_found`
  [[nodiscard]] Result<void> update(const MemoryNode& node);
  /// @errors `not_found`
  [[nodiscard]] Result<void> erase(MemoryId id);

 private:
  friend class TransactionAccess;
  explicit Transaction(store::Batch& batch) : batch_(&batch) {}
  store::Batch* batch_;
};

}  // namespace mentedb

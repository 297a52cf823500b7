// What the engine reports: statistics, changes, and the result of a verification.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>

namespace mentedb {

/// What `StorageEngine::stats` returns. Counts of the store are those of one commit. Counts of the engine begin at 0
/// when the engine is opened.
struct Stats {
  std::uint32_t page_size_bytes = 0;   ///< 512 to 65,536
  std::uint64_t page_count = 0;        ///< pages that pages.db has room for
  std::uint64_t used_pages = 0;        ///< pages of live runs: memories and raw pages
  std::uint64_t free_pages = 0;        ///< page_count - used_pages
  std::uint64_t memory_count = 0;      ///< live memories
  std::uint64_t pages_file_bytes = 0;  ///< size of pages.db
  /// What pages.db takes of the disk. Less than its size: the blocks of free pages go back to the file system.
  std::uint64_t pages_allocated_bytes = 0;
  std::uint64_t log_file_bytes = 0;      ///< size of wal.log; the file never shrinks
  std::uint64_t log_used_bytes = 0;      ///< bytes of the log since the last checkpoint
  std::uint64_t wal_limit_bytes = 0;     ///< `Options::wal_limit_bytes` of this engine
  std::uint64_t epoch = 0;               ///< 1 + checkpoints in the life of the store
  Lsn committed_lsn;                     ///< the last committed operation; 0 in a new store
  std::uint64_t index_number = 0;        ///< N of ids-N.idx, the current id index; 0: none
  std::uint64_t index_buckets = 0;       ///< buckets of the id index, of 8 bytes each
  std::uint64_t index_buckets_used = 0;  ///< buckets that hold an entry or a tombstone
  std::uint64_t checkpoints = 0;         ///< checkpoints that this engine made
  std::uint64_t redo_operations = 0;     ///< logged operations that were not in their pages and that this engine redid
  std::uint64_t commits = 0;             ///< batches that this engine committed; a batch may hold calls of many threads
  std::uint64_t mapped_bytes = 0;        ///< bytes of pages.db that this engine has mapped
  std::uint64_t resident_bytes = 0;      ///< how many of those the kernel's page cache holds now
  /// Other users that may change the files: a group, another owner, a hard link. One sentence each.
  std::vector<std::string> access_warnings;
};

/// What the newest operation on a memory did.
enum class ChangeKind : std::uint8_t {
  stored,   ///< stored a memory that did not exist
  updated,  ///< replaced an earlier version
  deleted,  ///< deleted the memory
};

/// One changed memory.
struct Change {
  MemoryId id;
  ChangeKind kind = ChangeKind::stored;
  PageId page;  ///< the first page of the memory; PageId{0} when the memory was deleted
  Lsn lsn;      ///< the operation. Above the cursor: its commit is under way, and the next call reports it again
};

/// What `StorageEngine::changes_since` returns.
struct Changes {
  std::vector<Change> changes;  ///< one for each memory that changed, in LSN order
  Lsn cursor;                   ///< pass it to the next call
};

/// One damaged structure.
struct Problem {
  std::string file;          ///< for example "pages.db"
  std::uint64_t offset = 0;  ///< byte offset in the file
  PageId page;               ///< the page, or PageId{0} when the structure belongs to no page
  std::string message;       ///< what is damaged, and the remedy
};

/// What `StorageEngine::verify` and `verify_store` return.
struct VerifyReport {
  std::vector<Problem> problems;          ///< every damaged structure; empty when the store is whole
  std::vector<std::string> notes;         ///< remarks that are no damage, e.g. a batch that is not redone yet
  std::uint64_t pages_checked = 0;        ///< pages, free ones included
  std::uint64_t memories_checked = 0;     ///< memories in pages
  std::uint64_t log_batches_checked = 0;  ///< batches of the log since the last checkpoint
};

}  // namespace mentedb

// What the engine tells about itself: statistics, changes and the result of a verification.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>

namespace mentedb {

struct Stats {
  std::uint32_t page_size_bytes = 0;
  std::uint64_t page_count = 0;  ///< pages that the file has room for
  std::uint64_t used_pages = 0;  ///< pages of live runs
  std::uint64_t free_pages = 0;  ///< page_count - used_pages
  std::uint64_t memory_count = 0;
  std::uint64_t pages_file_bytes = 0;  ///< apparent size of pages.db (it is sparse)
  std::uint64_t log_file_bytes = 0;    ///< size of wal.log (never shrinks)
  std::uint64_t log_used_bytes = 0;    ///< bytes appended since the last checkpoint
  std::uint64_t wal_limit_bytes = 0;
  std::uint64_t epoch = 0;  ///< checkpoints in the life of the store + 1
  Lsn committed_lsn;
  std::uint64_t index_number = 0;  ///< N of ids-N.idx
  std::uint64_t index_buckets = 0;
  std::uint64_t index_buckets_used = 0;  ///< live entries and tombstones
  std::uint64_t checkpoints = 0;         ///< by this engine since it was opened
  std::uint64_t redo_operations = 0;     ///< logged operations this engine found missing and redid
  std::uint64_t commits = 0;             ///< batches this engine made durable
  std::uint64_t mapped_bytes = 0;        ///< of pages.db, in this process
  std::uint64_t resident_bytes = 0;      ///< of those, in the kernel's page cache now
  /// Who but the owner may change the store's files (a group, another owner, hard links): a sentence each.
  std::vector<std::string> access_warnings;
};

enum class ChangeKind : std::uint8_t {
  stored,   ///< the newest operation on the memory stored it
  updated,  ///< the newest operation replaced an earlier version
  deleted,
};

struct Change {
  MemoryId id;
  ChangeKind kind = ChangeKind::stored;
  PageId page;  ///< where it lives; PageId{0} when deleted
  Lsn lsn;      ///< above the cursor: its commit is under way, and the next call tells it again
};

/// The newest change of every memory that changed, in LSN order, and the cursor for the next call.
struct Changes {
  std::vector<Change> changes;
  Lsn cursor;
};

/// One damaged structure.
struct Problem {
  std::string file;          ///< for example "pages.db"
  std::uint64_t offset = 0;  ///< byte offset in the file
  PageId page;               ///< PageId{0} when no page is meant
  std::string message;       ///< what is wrong and what to do
};

struct VerifyReport {
  std::vector<Problem> problems;   ///< empty when all is well
  std::vector<std::string> notes;  ///< things worth knowing that are no damage, e.g. a batch not yet redone
  std::uint64_t pages_checked = 0;
  std::uint64_t memories_checked = 0;
  std::uint64_t log_batches_checked = 0;
};

}  // namespace mentedb

// Looks at a store's files without opening the store: for damaged stores, and for people who debug. The functions read
// with pread(2). They write nothing and repair nothing. A batch that a crash left in the log is reported as not redone.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>
#include <mentedb/ids.hpp>
#include <mentedb/report.hpp>

namespace mentedb {

/// Checks every structure of a store, also of one that does not open: without wal.log or pages.db, or with a damaged
/// superblock. Damage is no error; the report lists it.
///
/// The first look takes no lock. When that look finds a problem, a second one runs under the lock, because a write
/// under way may look like damage. When the lock stays taken, the report holds the first look and a note says so.
/// @param lock_timeout how long the second look waits for the lock, as `Options::lock_timeout`
/// @errors `not_found`: there is no such directory, or it holds neither wal.log nor pages.db
/// @errors `incompatible`: the files belong to another program or to a newer version
/// @errors `invalid_argument`: the path is no directory, or a file of the store is no regular file
/// @errors `permission_denied`, `out_of_memory`, `io_error`
/// @threads any thread; other processes may use the store meanwhile, and writers wait only for a second look
/// @cost reads the log, the directory and all live runs; the id index is held in memory
[[nodiscard]] MENTEDB_EXPORT Result<VerifyReport> verify_store(
    const std::filesystem::path& directory, std::chrono::milliseconds lock_timeout = std::chrono::seconds(30));

/// A named value of a structure on disk, as text.
struct Field {
  std::string name;
  std::string value;
};

/// A page's directory entry and run header, field by field, valid or not.
struct PageDump {
  std::uint64_t entry_offset = 0;  ///< byte offset of the directory entry in pages.db
  bool entry_valid = false;        ///< the entry's checksum holds
  std::vector<Field> entry;        ///< empty when the entry is not valid
  std::uint64_t page_offset = 0;   ///< byte offset of the page in pages.db
  bool run_valid = false;          ///< a run starts at this page, and its checksum holds
  std::vector<Field> header;       ///< the run header; without a valid run, the page's first bytes read as one
  std::vector<std::byte> data;     ///< the run's data; without a valid run, all bytes of the page
  bool is_memory = false;          ///< the data decodes as a memory
};

/// Reads one page.
/// @param page 1 to the last page that pages.db has
/// @errors `not_found`: there is no store, or pages.db has no such page
/// @errors `corruption`: the superblock is damaged, or one of the files is missing
/// @errors as `verify_store`
/// @threads any thread; a write under way may look like damage
/// @cost reads the run
/// @source docs/format.md "Directory" and "Runs"
[[nodiscard]] MENTEDB_EXPORT Result<PageDump> inspect_page(const std::filesystem::path& directory, PageId page);

/// One logged operation.
struct LogOperationDump {
  Lsn lsn;
  std::string type;                 ///< "store", "update", "raw", "remove" or "move"
  PageId page;                      ///< the first page of the run
  std::uint32_t page_count = 0;     ///< pages of the run
  MemoryId memory_id;               ///< nil for a raw page
  std::uint32_t payload_bytes = 0;  ///< bytes of the logged data
};

/// One batch: the operations of one commit.
struct LogBatchDump {
  std::uint64_t offset = 0;  ///< byte offset in wal.log
  std::uint64_t bytes = 0;   ///< without the padding to whole blocks
  /// True: the batch lies before the cached tail, so its operations are in the pages. False: that is not known. A
  /// commit is under way, or a crash came before its end. The next lock holder redoes the missing operations.
  bool redone = true;
  std::vector<LogOperationDump> operations;
};

/// The log since the last checkpoint.
struct LogDump {
  std::uint64_t file_bytes = 0;                   ///< size of wal.log
  std::vector<std::vector<Field>> header_copies;  ///< both header copies
  std::vector<LogBatchDump> batches;              ///< the batches of the newest epoch, in log order
  std::string end;                                ///< where the chain of batches ends; says so when the end is damaged
};

/// Reads the log.
/// @errors as `inspect_page`, without those of the page
/// @threads any thread; a commit under way may look like a torn end
/// @cost reads the log since the last checkpoint
/// @source docs/format.md "wal.log"
[[nodiscard]] MENTEDB_EXPORT Result<LogDump> inspect_log(const std::filesystem::path& directory);

/// What a salvage saved, and what it could not save.
struct SalvageReport {
  std::uint64_t memories_saved = 0;  ///< memories in the destination
  std::vector<Problem> lost;  ///< memories, older versions instead of the newest, places where a memory may have been
  std::vector<std::string> notes;  ///< remarks, e.g. memories that may have been deleted before the damage
};

/// Saves every readable memory of a damaged store into a new store. Each memory gets the newest version that pages or
/// log still hold. The function works with what is there: without wal.log, without pages.db (then only the log counts),
/// and with a damaged superblock. It does not save raw pages. It only reads `source`.
/// @crash a killed salvage leaves a store in `destination` with a part of the memories; remove it and start again
/// @param source the directory of the damaged store
/// @param destination a directory that does not exist; the function creates it with mode 0700
/// @param lock_timeout how long to wait for the lock of `source`, as `Options::lock_timeout`
/// @errors `already_exists`: the destination exists
/// @errors `not_found`: there is no such directory, or it holds neither wal.log nor pages.db
/// @errors `incompatible`: the files belong to another program or to a newer version
/// @errors `busy`: another process holds the lock of `source`
/// @errors for the destination as `StorageEngine::open` and `StorageEngine::store_memories`
/// After an error the function removes the destination; the message says when that fails, too.
/// @threads any thread; holds the lock of `source` to the end, so its writers wait
/// @cost reads all pages of pages.db and the log; writes each memory once, about 8 MiB for each sync
[[nodiscard]] MENTEDB_EXPORT Result<SalvageReport> salvage(
    const std::filesystem::path& source, const std::filesystem::path& destination,
    std::chrono::milliseconds lock_timeout = std::chrono::seconds(30));

}  // namespace mentedb

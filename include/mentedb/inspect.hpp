// Looking at a store's files without opening it: for damaged stores and for people who debug.
// These functions read with pread, write nothing and heal nothing; a batch that a crash left behind the tail is
// reported as not yet redone.
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

/// Checks every structure of the store in `directory`. On a live store whatever looks wrong is looked at again under
/// the lock (waiting at most `lock_timeout`) before it is reported.
/// @errors `not_found`, `permission_denied`, `incompatible` (no store at all), `invalid_argument` (the path),
/// `out_of_memory`, `io_error`
[[nodiscard]] MENTEDB_EXPORT Result<VerifyReport> verify_store(
    const std::filesystem::path& directory, std::chrono::milliseconds lock_timeout = std::chrono::seconds(30));

/// A named value of an on-disk structure.
struct Field {
  std::string name;
  std::string value;
};

/// A page's directory entry and run header, field by field, whatever they hold.
struct PageDump {
  std::uint64_t entry_offset = 0;  ///< in pages.db
  bool entry_valid = false;
  std::vector<Field> entry;
  std::uint64_t page_offset = 0;  ///< in pages.db
  bool run_valid = false;         ///< the run's checksum holds
  std::vector<Field> header;
  std::vector<std::byte> data;  ///< the run's data when valid, else the raw bytes of the page
  bool is_memory = false;       ///< data decodes as a memory
};

/// @errors `not_found` (page or store), `corruption` (of the superblock, or a file is missing), as `verify_store`
[[nodiscard]] MENTEDB_EXPORT Result<PageDump> inspect_page(const std::filesystem::path& directory, PageId page);

struct LogOperationDump {
  Lsn lsn;
  std::string type;
  PageId page;
  std::uint32_t page_count = 0;
  MemoryId memory_id;
  std::uint32_t payload_bytes = 0;
};

struct LogBatchDump {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool redone = true;  ///< false: behind the recorded tail, its writer died
  std::vector<LogOperationDump> operations;
};

struct LogDump {
  std::uint64_t file_bytes = 0;
  std::vector<std::vector<Field>> header_copies;  ///< both slots
  std::vector<LogBatchDump> batches;              ///< of the newest epoch
  std::string end;                                ///< why the walk ended
};

/// @errors as `inspect_page`
[[nodiscard]] MENTEDB_EXPORT Result<LogDump> inspect_log(const std::filesystem::path& directory);

/// What a salvage could and could not save.
struct SalvageReport {
  std::uint64_t memories_saved = 0;
  std::vector<Problem> lost;       ///< memories, or places where one may have been
  std::vector<std::string> notes;  ///< e.g. memories that may have been deleted before
};

/// Writes every readable memory of the damaged store `source` into the new store `destination`, the newest version of
/// each that pages or log still hold. Works with what is left: without wal.log, without pages.db (then only what the
/// log holds), and with a damaged superblock. The source is only read. Raw pages are not salvaged. Holds the source's
/// lock. A salvage that fails removes the destination.
/// @errors `already_exists` (destination), `not_found`, `incompatible` (another program's files), `busy`, `no_space`,
/// for the destination as `StorageEngine::open` and `store_memories`
[[nodiscard]] MENTEDB_EXPORT Result<SalvageReport> salvage(
    const std::filesystem::path& source, const std::filesystem::path& destination,
    std::chrono::milliseconds lock_timeout = std::chrono::seconds(30));

}  // namespace mentedb

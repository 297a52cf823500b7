// How a store is opened.
#pragma once

#include <chrono>
#include <cstdint>

namespace mentedb {

/// How `StorageEngine::open` opens a store. Only the page size is kept in the files.
struct Options {
  /// Size of a page in bytes: a power of two from 512 to 65,536, or 0. A new store gets this size; 0 means 1,024. An
  /// existing store keeps its size: 0 accepts the size, another number than the store's is `incompatible`. A larger
  /// page means fewer pages to manage. A smaller page wastes less: half a page for each memory on average.
  /// Default: 0.
  std::uint32_t page_size_bytes = 0;

  /// How long the log may become before a write makes a checkpoint, in bytes: 65,536 (64 KiB) to 4,294,967,296 (4 GiB).
  /// A shorter log means less to redo after a crash. A longer log means fewer syncs of the page file. A crash loses
  /// nothing either way. A single batch above the limit still succeeds: the checkpoint comes first, then the log grows.
  /// The file keeps its size. Each engine follows its own limit, also when several share a store.
  /// Default: 6 MiB.
  std::uint64_t wal_limit_bytes = std::uint64_t{6} << 20;

  /// How long a call waits for its turn before it answers `busy`, in milliseconds, not negative. The call waits for
  /// other processes that hold the lock, and for other threads that write through the same engine. 0 tries once;
  /// `std::chrono::milliseconds::max()`, and anything above ten years, waits for ever. The limit does not bound the
  /// work itself, for example a sync. The kernel releases the lock of a killed process at once, so only a live process
  /// keeps others waiting. When another process has taken the write to commit it, and that process stops, the call
  /// answers `io_error` ten seconds later: the write may appear. Default: 30 s.
  std::chrono::milliseconds lock_timeout = std::chrono::seconds(30);

  /// Never write to the directory: every write answers `read_only`. Works on read-only media. Where no writing
  /// engine has opened the store since the machine started, opening takes the lock for a moment, to read the log. When
  /// a crash of the machine left operations that are not in their pages, `open` then answers `busy` with the remedy
  /// `mentedb recover`, because only a writing engine may redo the log. Without a usable id index the
  /// engine builds one in memory: 16 to 32 bytes for each memory, at least 8 KiB. Default: false.
  bool read_only = false;

  /// Promise that no other process and no other engine uses the directory. Only then `open` accepts a network or
  /// host-shared file system, where locks or shared mappings may not reach other machines. A broken promise loses data.
  /// Default: false.
  bool single_process = false;
};

}  // namespace mentedb

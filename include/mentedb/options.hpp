// How a store is opened.
#pragma once

#include <chrono>
#include <cstdint>

namespace mentedb {

struct Options {
  /// Size of a page in bytes: a power of two, 512 to 65,536. 0 takes the store's own size. Asking for another
  /// size than an existing store has is `incompatible`.
  /// Default: 0 (1,024 for a new store).
  std::uint32_t page_size_bytes = 0;

  /// The log is checkpointed when a batch would make it longer than this. Smaller means less to replay at open,
  /// larger means fewer syncs of the page file. Per engine: every process follows its own. A single larger
  /// batch makes the log grow first. 64 KiB to 4 GiB, else `invalid_argument`.
  /// Default: 16 MiB.
  std::uint64_t wal_limit_bytes = std::uint64_t{16} << 20;

  /// How long a write, an open or a checkpoint waits for another process, or for other threads that write through the
  /// same engine, before it answers `busy`.
  /// 0 tries once; `std::chrono::milliseconds::max()` waits for ever.
  /// Default: 30 s.
  std::chrono::milliseconds lock_timeout = std::chrono::seconds(30);

  /// Never write to the directory. Opening takes the lock to look at the log; when a crash left something
  /// to replay the answer is `busy`, with the remedy `mentedb recover`. Works on read-only media.
  /// Default: false.
  bool read_only = false;

  /// Promise that no other process and no other engine uses the directory. Only then is a network or
  /// host-shared file system accepted, where locks or shared mappings may not reach other machines.
  /// Default: false.
  bool single_process = false;
};

}  // namespace mentedb

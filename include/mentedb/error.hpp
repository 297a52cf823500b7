// What every call returns: a value or an Error. A call that does I/O throws nothing of its own.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include <mentedb/export.hpp>

namespace mentedb {

/// The kind of an error. Each code names one thing that the caller can do.
enum class ErrorCode {
  /// The memory, page, file or directory does not exist. Check the id or the path.
  not_found,
  /// The memory or the destination exists, and the call must not replace it. Choose another id or path.
  already_exists,
  /// The input breaks a documented rule. The message names the field or the option. Change the input.
  invalid_argument,
  /// The input is past a documented limit. The message names the limit. Split the batch or shorten the memory.
  capacity_exceeded,
  /// The disk, the quota or the file size limit has no room. The store holds what it held before. Free space, try
  /// again.
  no_space,
  /// An allocation failed. The call acknowledged nothing, and no write of it will appear. Free memory, try again.
  out_of_memory,
  /// The operating system reported an error. `os_error` holds its number. The message says what the store holds.
  io_error,
  /// Bytes on disk fail their checksum, and the log cannot repair them. Restore a backup, or call `salvage`.
  corruption,
  /// The call waited for the lock longer than `Options::lock_timeout`, or a read-only engine met work that only a
  /// writing engine can finish. Try again, or do what the message says.
  busy,
  /// A write to the log failed, here or in another process. Close this engine and open the store again. The store keeps
  /// everything that was acknowledged.
  poisoned,
  /// The files have a newer format, belong to another program, have another page size than asked for, or were replaced
  /// while the engine was open. Use a newer version, another directory, page size 0, or open the store again.
  incompatible,
  /// The operating system refused access, or every user may write the files. The message names the file.
  permission_denied,
  /// The engine was opened with `Options::read_only`, or the file system is read-only. Open the store for writing.
  read_only,
  /// The cursor is too old for `changes_since`, or comes from another copy of the store. Read everything again.
  resync_required,
  /// File locks or shared mappings do not work on this file system. Use a local directory.
  unsupported_filesystem,
  /// The engine belongs to the parent of this process. The child opens an engine of its own.
  forked,
  /// `close` was called before. Open the store again.
  closed,
};

/// @return the enumerator's name, for example "not_found"; "unknown" for a value that has none
MENTEDB_EXPORT std::string_view to_string(ErrorCode code) noexcept;

/// Why a call failed.
struct Error {
  ErrorCode code = ErrorCode::io_error;
  int os_error = 0;     ///< errno(3) of the failed system call; 0 when no system call failed
  std::string message;  ///< one sentence for people: the file, page or field, and the remedy
};

/// A value of type T, or an Error. `Result<void>` holds no value.
template <class T>
using Result = std::expected<T, Error>;

}  // namespace mentedb

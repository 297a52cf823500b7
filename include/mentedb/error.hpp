// What every call returns: a value or an Error. No exception crosses the public API.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include <mentedb/export.hpp>

namespace mentedb {

/// What went wrong, by what the caller can do about it.
enum class ErrorCode {
  not_found,               ///< no such memory, page, file or directory
  already_exists,          ///< the destination or the memory exists and must not be replaced
  invalid_argument,        ///< the caller's input breaks a documented rule
  capacity_exceeded,       ///< past a documented limit; the message names the limit
  no_space,                ///< the file system is full; nothing changed
  out_of_memory,           ///< an allocation failed; nothing was acknowledged
  io_error,                ///< the operating system reported an error; see `os_error`
  corruption,              ///< bytes on disk fail their checksum and the log cannot heal them
  busy,                    ///< another process holds the lock longer than `Options::lock_timeout`
  poisoned,                ///< a log write failed; close this engine and open the store again
  incompatible,            ///< a newer format, another program's file, or a page size that differs
  permission_denied,       ///< the operating system refused access
  read_only,               ///< a write through a read-only engine or on read-only media
  resync_required,         ///< the change cursor is too old; read everything again
  unsupported_filesystem,  ///< locks or shared mappings do not work there
  forked,                  ///< the engine belongs to the parent process
  closed,                  ///< the engine was closed
};

/// The code's name as written above, for example "not_found".
MENTEDB_EXPORT std::string_view to_string(ErrorCode code) noexcept;

/// An error: a code, the errno when the operating system gave one (else 0), and a sentence that names
/// the file or page and the remedy.
struct Error {
  ErrorCode code = ErrorCode::io_error;
  int os_error = 0;
  std::string message;
};

/// A value or an Error.
template <class T>
using Result = std::expected<T, Error>;

}  // namespace mentedb

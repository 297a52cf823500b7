// Functions that make an Error, and macros that pass it to the caller.
#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>
#include <mentedb/error.hpp>

namespace mentedb::base {

inline std::unexpected<Error> fail(ErrorCode code, std::string message, int os_error = 0) {
  return std::unexpected(Error{code, os_error, std::move(message)});
}

template <class... Args>
std::unexpected<Error> failf(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, 0, fmt::format(format, std::forward<Args>(args)...)});
}

/// The message is short enough for the string's own storage, so this function allocates nothing.
inline Error out_of_memory() { return Error{ErrorCode::out_of_memory, 0, "out of memory"}; }

/// Turns `not_found` and `invalid_argument` of the operating system into `io_error`. Inside a call they are about a
/// file of the store. The caller would take them for an answer about the memory or the path that it asked for.
inline void as_internal_error(Error& error) {
  const bool about_names = error.code == ErrorCode::not_found || error.code == ErrorCode::invalid_argument;
  if (about_names && error.os_error != 0) error.code = ErrorCode::io_error;
}

}  // namespace mentedb::base

// Returns the error of a Result<void>-like expression to the caller.
#define MENTEDB_TRY(expression)                                   \
  do {                                                            \
    if (auto try_result = (expression); !try_result) [[unlikely]] \
      return std::unexpected(std::move(try_result).error());      \
  } while (false)

#define MENTEDB_CONCAT_(a, b) a##b
#define MENTEDB_CONCAT(a, b) MENTEDB_CONCAT_(a, b)
// Declares `declaration` from the value of a Result, or returns its error to the caller.
#define MENTEDB_TRY_ASSIGN(declaration, expression)                                   \
  auto MENTEDB_CONCAT(try_result_, __LINE__) = (expression);                          \
  if (!MENTEDB_CONCAT(try_result_, __LINE__)) [[unlikely]]                            \
    return std::unexpected(std::move(MENTEDB_CONCAT(try_result_, __LINE__)).error()); \
  declaration = std::move(*MENTEDB_CONCAT(try_result_, __LINE__))

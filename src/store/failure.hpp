// An Error with a fact for callers inside the engine: whether the files of the store were replaced.
#pragma once

#include <expected>
#include <utility>

#include <mentedb/error.hpp>

namespace mentedb::store {

/// R11: whether the paths of the store still led to the files that are open.
enum class FilesReplaced {
  no,
  before_commit,  ///< nothing of the write is in any file
  after_commit,   ///< the files that were open have the write, and the paths lead to others
};

/// Converts to an Error for callers that need no more.
struct Failure : Error {
  Failure(Error error, FilesReplaced files_replaced = FilesReplaced::no)  // NOLINT(google-explicit-constructor)
      : Error(std::move(error)), replaced(files_replaced) {}

  FilesReplaced replaced;
};

template <class T>
using Outcome = std::expected<T, Failure>;

}  // namespace mentedb::store

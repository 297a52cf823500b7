// An Error with facts for callers inside the engine: whether the files of the store were replaced, and whether the log
// has the write.
#pragma once

#include <expected>
#include <string>
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
  bool durable = false;  ///< the log has the write, and it will appear
};

/// For a write that the log has, when the rest fails. Made before the append: once the log has the write, the answer
/// may not become `out_of_memory`, which promises that nothing changed.
inline Failure durable_not_visible() {
  Failure failure(Error{ErrorCode::io_error, 0,
                        "durable, not yet visible: the log has the write, but memory ran out on the way to the pages; "
                        "the next write or open completes it"});
  failure.durable = true;
  return failure;
}

template <class T>
using Outcome = std::expected<T, Failure>;

}  // namespace mentedb::store

#include <mentedb/error.hpp>

namespace mentedb {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::already_exists:
      return "already_exists";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::capacity_exceeded:
      return "capacity_exceeded";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::out_of_memory:
      return "out_of_memory";
    case ErrorCode::io_error:
      return "io_error";
    case ErrorCode::corruption:
      return "corruption";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::poisoned:
      return "poisoned";
    case ErrorCode::incompatible:
      return "incompatible";
    case ErrorCode::permission_denied:
      return "permission_denied";
    case ErrorCode::read_only:
      return "read_only";
    case ErrorCode::resync_required:
      return "resync_required";
    case ErrorCode::unsupported_filesystem:
      return "unsupported_filesystem";
    case ErrorCode::forked:
      return "forked";
    case ErrorCode::closed:
      return "closed";
  }
  return "unknown";
}

}  // namespace mentedb

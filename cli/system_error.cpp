#include "system_error.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/core.h>

namespace mentedb::cli {

Error system_error(std::string_view what, int error) {
  struct Meaning {
    int error;
    ErrorCode code;
    std::string_view remedy;
  };
  constexpr Meaning kMeanings[] = {
      {ENOENT, ErrorCode::not_found, "check the path"},
      {ENOTDIR, ErrorCode::not_found, "a part of the path is no directory; check the path"},
      {EISDIR, ErrorCode::invalid_argument, "name a file"},
      {ELOOP, ErrorCode::invalid_argument, "its path has too many symbolic links; give the real path"},
      {ENAMETOOLONG, ErrorCode::invalid_argument, "choose a shorter name"},
      {EACCES, ErrorCode::permission_denied, "check the owner and the permissions of the file and its directory"},
      {EPERM, ErrorCode::permission_denied, "check its owner, its permissions and its attributes (lsattr)"},
      {EROFS, ErrorCode::read_only, "the file system is read-only; choose a path elsewhere"},
      {ENOSPC, ErrorCode::no_space, "free some disk space and try again"},
      {EDQUOT, ErrorCode::no_space, "the disk quota is used up; free some space and try again"},
      {EFBIG, ErrorCode::no_space, "the file would pass its size limit; raise ulimit -f"},
      {EMFILE, ErrorCode::io_error, "raise ulimit -n"},
      {ENFILE, ErrorCode::io_error, "the system has too many open files; close some programs"},
      {EIO, ErrorCode::io_error, "the device reported an error; check the disk and the kernel's log"},
  };
  for (const Meaning& meaning : kMeanings) {
    if (meaning.error != error) continue;
    return Error{meaning.code, error, fmt::format("{}: {}; {}", what, std::strerror(error), meaning.remedy)};
  }
  return Error{ErrorCode::io_error, error, fmt::format("{}: {}", what, std::strerror(error))};
}

}  // namespace mentedb::cli

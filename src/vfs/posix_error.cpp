#include "vfs/posix_error.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace mentedb::vfs {
namespace {

struct Meaning {
  int error;
  ErrorCode code;
  std::string_view remedy;
};

constexpr Meaning kMeanings[] = {
    {ENOENT, ErrorCode::not_found, "check the path; another program may have removed it"},
    {EEXIST, ErrorCode::already_exists, "choose another name or remove it first"},
    {ENOTDIR, ErrorCode::invalid_argument, "give the path of a directory"},
    {EISDIR, ErrorCode::invalid_argument,
     "a directory is in the place of a file: remove it, or choose another directory"},
    {ELOOP, ErrorCode::invalid_argument, "it is a symbolic link, or its path has too many: give the real path"},
    {ENAMETOOLONG, ErrorCode::invalid_argument, "choose a shorter path"},
    {ENOSPC, ErrorCode::no_space, "free some disk space and try again"},
    {EDQUOT, ErrorCode::no_space, "the disk quota is used up: free some space and try again"},
    {EFBIG, ErrorCode::no_space, "the file would pass its size limit: raise ulimit -f, or use another file system"},
    {EACCES, ErrorCode::permission_denied, "check its owner and its permissions"},
    {EPERM, ErrorCode::permission_denied, "check its owner, its permissions and its attributes (lsattr)"},
    {EROFS, ErrorCode::read_only, "the file system is read-only: open with read_only"},
    {ENOMEM, ErrorCode::out_of_memory, "free some memory and try again"},
    {EMFILE, ErrorCode::io_error, "this process has too many open files: close some, or raise ulimit -n"},
    {ENFILE, ErrorCode::io_error, "the system has too many open files: close some, or raise sysctl fs.file-max"},
    {ENOLCK, ErrorCode::io_error,
     "the system has no more file locks, or the file system has none: use a local directory"},
    {ESTALE, ErrorCode::io_error, "the file was removed on its server: open the store again"},
    {EIO, ErrorCode::io_error, "the device reported an error: check the disk and the kernel's log"},
};

}  // namespace

std::unexpected<Error> errno_error(int error, std::string_view action, std::string_view path) {
  ErrorCode code = ErrorCode::io_error;
  std::string_view remedy = "look into the kernel's log, then try again";
  for (const Meaning& meaning : kMeanings) {
    if (meaning.error != error) continue;
    code = meaning.code;
    remedy = meaning.remedy;
  }
  return base::fail(
      code, fmt::format("cannot {} {}: {}; {}", action, path, std::generic_category().message(error), remedy), error);
}

std::unexpected<Error> sync_error(int error, std::string_view path) {
  auto failed = errno_error(error, "sync", path);
  failed.error().code = ErrorCode::io_error;
  return failed;
}

}  // namespace mentedb::vfs

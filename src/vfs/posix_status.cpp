#include "vfs/posix_status.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "vfs/posix_error.hpp"

namespace mentedb::vfs {

Result<FileId> id_at(int directory, const char* name, int flags, std::string_view path) {
  struct statx status{};
  if (statx(directory, name, flags | AT_STATX_DONT_SYNC, STATX_INO, &status) != 0)
    return errno_error(errno, "look at", path);
  return FileId{.device = makedev(status.stx_dev_major, status.stx_dev_minor), .inode = status.stx_ino};
}

Result<std::uint64_t> size_of(int descriptor, std::string_view path) {
  struct statx status{};
  if (statx(descriptor, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &status) != 0)
    return errno_error(errno, "look at", path);
  return status.stx_size;
}

Result<std::uint64_t> allocated_bytes_of(int descriptor, std::string_view path) {
  constexpr std::uint64_t kUnitBytes = 512;  // of stx_blocks, on every file system
  struct statx status{};
  if (statx(descriptor, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BLOCKS, &status) != 0)
    return errno_error(errno, "look at", path);
  return status.stx_blocks * kUnitBytes;
}

}  // namespace mentedb::vfs

#include "outside_file.hpp"

#include <cstdint>

#include <fcntl.h>
#include <unistd.h>

#include "../disks/block_log.hpp"

namespace mentedb::prove {
namespace {

constexpr std::uint64_t kBlockBytes = 4096;

// ext4 gives freed blocks out when the transaction that freed them is on the disk.
void write_everything_back(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::syncfs(descriptor);
  ::close(descriptor);
}

}  // namespace

void OutsideFile::take_all() {
  write_everything_back(mounted_);
  const int descriptor = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return;  // no space for a name is no space at all
  const off_t end = ::lseek(descriptor, 0, SEEK_END);
  auto at = static_cast<std::uint64_t>(end < 0 ? 0 : end);
  for (std::uint64_t bytes = std::uint64_t{64} << 20; bytes >= kBlockBytes;) {
    if (::fallocate(descriptor, 0, static_cast<off_t>(at), static_cast<off_t>(bytes)) == 0) {
      at += bytes;
    } else {
      bytes /= 2;
    }
  }
  ::close(descriptor);
  write_everything_back(mounted_);
  there_ = true;
}

void OutsideFile::give_back() {
  if (there_ && ::unlink(path_.c_str()) != 0) die("cannot remove " + path_);
  there_ = false;
  write_everything_back(mounted_);
}

}  // namespace mentedb::prove

#include "vfs/posix_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bytes.hpp"
#include "vfs/fork_guard.hpp"
#include "vfs/posix_error.hpp"
#include "vfs/posix_mapping.hpp"
#include "vfs/posix_status.hpp"

namespace mentedb::vfs {

PosixFile::PosixFile(int descriptor, std::string path, bool direct)
    : descriptor_(descriptor), path_(std::move(path)), direct_(direct), owner_(process_token()) {}

PosixFile::~PosixFile() {
  // In a forked child the atfork handler has closed the descriptor already. The number may be that of another file now,
  // even of the lock of an engine that the child has opened.
  if (owner_ == process_token()) close_registered(descriptor_);
}

Result<FileId> PosixFile::id() const { return id_at(descriptor_, "", AT_EMPTY_PATH, path_); }

Result<std::uint64_t> PosixFile::size_bytes() const { return size_of(descriptor_, path_); }

Result<std::size_t> PosixFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error(errno, "read", path_);
    }
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

// A write behind the process's file size limit (RLIMIT_FSIZE, `ulimit -f`) raises SIGXFSZ, also when the file is that
// long already. The signal kills a program that embeds the library. So the limit is asked for first. The answer holds
// for all bytes that the file has then, so a commit costs nothing, and growth asks again.
Result<void> PosixFile::check_size_limit(std::uint64_t end) const {
  if (end <= allowed_end_.load(std::memory_order_relaxed)) return {};
  struct rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur) {
    return base::fail(ErrorCode::no_space,
                      fmt::format("cannot write {} bytes of {}: this process may write files of at most {} bytes; "
                                  "raise its file size limit (ulimit -f)",
                                  end, path_, limit.rlim_cur),
                      EFBIG);
  }
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, size_bytes());
  allowed_end_.store(std::max(end, std::min<std::uint64_t>(size, limit.rlim_cur)), std::memory_order_relaxed);
  return {};
}

Result<void> PosixFile::write_at(std::uint64_t offset, std::span<const std::byte> data) {
  MENTEDB_TRY(check_size_limit(offset + data.size()));
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = pwrite(descriptor_, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error(errno, "write", path_);
    }
    if (n == 0) return errno_error(EIO, "write", path_);
    done += static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> PosixFile::sync() {
  while (fdatasync(descriptor_) != 0) {
    // A failed sync is never retried: the kernel reports a failed write-back once, and a second call would succeed
    // without the data.
    if (errno != EINTR) return sync_error(errno, path_);
  }
  return {};
}

Result<void> PosixFile::allocate(std::uint64_t offset, std::uint64_t length) {
  MENTEDB_TRY(check_size_limit(offset + length));
  while (fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
    if (errno == EINTR) continue;
    if (errno == EOPNOTSUPP) return allocate_by_writing(offset, length);
    return errno_error(errno, "extend", path_);
  }
  return {};
}

// For a file system that cannot reserve space. Only bytes beyond the end of the file are written, so no data is lost.
Result<void> PosixFile::allocate_by_writing(std::uint64_t offset, std::uint64_t length) {
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, size_bytes());
  const std::vector<std::byte> zeros(std::size_t{1} << 16);
  const std::uint64_t end = offset + length;
  for (std::uint64_t at = std::max(offset, size); at < end;) {
    const std::size_t n = std::min<std::uint64_t>(zeros.size(), end - at);
    MENTEDB_TRY(write_at(at, std::span(zeros).first(n)));
    at += n;
  }
  return {};
}

Result<bool> PosixFile::give_back(std::uint64_t offset, std::uint64_t length) {
  // A file of tmpfs takes memory for each hole that a mapping reads, and raises SIGBUS when there is none.
  struct statfs system{};
  if (fstatfs(descriptor_, &system) != 0) return errno_error(errno, "look at the file system of", path_);
  if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) return false;
  std::uint64_t first = base::round_up(offset, base::kBlockBytes);
  std::uint64_t end = (offset + length) / base::kBlockBytes * base::kBlockBytes;
  if (first >= end) {
    if (length != 0) return true;
    // Behind the end of the file, where nothing is.
    MENTEDB_TRY_ASSIGN(const std::uint64_t size, size_bytes());
    first = base::round_up(size, base::kBlockBytes);
    end = first + base::kBlockBytes;
  }
  while (fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first),
                   static_cast<off_t>(end - first)) != 0) {
    if (errno == EINTR) continue;
    if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
    return errno_error(errno, "give back space of", path_);
  }
  return true;
}

Result<std::uint64_t> PosixFile::allocated_bytes() const { return allocated_bytes_of(descriptor_, path_); }

void PosixFile::share_like(const File& other) {
  struct stat theirs{};
  struct stat ours{};
  const auto* const file = dynamic_cast<const PosixFile*>(&other);
  if (file == nullptr || fstat(file->descriptor_, &theirs) != 0) return;
  const uid_t owner = geteuid() == 0 ? theirs.st_uid : static_cast<uid_t>(-1);
  mode_t mode = theirs.st_mode & 0666;
  // A user may give a file to a group of its own only. To another group it must not be readable.
  if (fchown(descriptor_, owner, theirs.st_gid) != 0 &&
      (fstat(descriptor_, &ours) != 0 || ours.st_gid != theirs.st_gid))
    mode &= 0600;
  fchmod(descriptor_, mode);
}

void PosixFile::start_reading(std::uint64_t offset, std::uint64_t length) const {
  posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
}

void PosixFile::start_writeback() { sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE); }

Result<bool> PosixFile::try_lock() {
  while (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return false;
    return errno_error(errno, "lock", path_);
  }
  return true;
}

Result<void> PosixFile::lock() {
  while (flock(descriptor_, LOCK_EX) != 0) {
    if (errno != EINTR) return errno_error(errno, "lock", path_);
  }
  return {};
}

void PosixFile::unlock() { flock(descriptor_, LOCK_UN); }

std::string PosixFile::lock_holder() const {
  struct stat status{};
  if (fstat(descriptor_, &status) != 0) return {};
  const std::string wanted = fmt::format("{:02x}:{:02x}:{}", major(status.st_dev), minor(status.st_dev), status.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, mode, pid, file;
    words >> number >> kind >> advisory >> mode >> pid >> file;
    if (kind != "FLOCK" || file != wanted) continue;
    std::string name;
    std::ifstream comm(fmt::format("/proc/{}/comm", pid));
    std::getline(comm, name);
    return name.empty() ? fmt::format("pid {}", pid) : fmt::format("pid {} ({})", pid, name);
  }
  return {};
}

namespace {

struct flock one_byte(std::uint64_t byte, short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

}  // namespace

Result<bool> PosixFile::try_claim(std::uint64_t byte) {
  struct flock lock = one_byte(byte, F_WRLCK);
  while (fcntl(descriptor_, F_OFD_SETLK, &lock) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EACCES) return false;
    return errno_error(errno, "lock a byte of", path_);
  }
  return true;
}

void PosixFile::give_up_claim(std::uint64_t byte) {
  struct flock lock = one_byte(byte, F_UNLCK);
  fcntl(descriptor_, F_OFD_SETLK, &lock);
}

Result<bool> PosixFile::is_claimed(std::uint64_t byte) const {
  struct flock lock = one_byte(byte, F_WRLCK);
  while (fcntl(descriptor_, F_OFD_GETLK, &lock) != 0) {
    if (errno != EINTR) return errno_error(errno, "look at the locks of", path_);
  }
  return lock.l_type != F_UNLCK;
}

Result<std::unique_ptr<Mapping>> PosixFile::map(std::uint64_t offset, std::size_t length, bool writable) {
  MENTEDB_ASSERT(offset % kMapAlignment == 0);
  void* data = mmap(nullptr, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, descriptor_,
                    static_cast<off_t>(offset));
  if (data == MAP_FAILED) return errno_error(errno, "map", path_);
  madvise(data, length, MADV_DONTDUMP);  // a core file must not hold memories
  try {
    return std::make_unique<PosixMapping>(static_cast<std::byte*>(data), length, writable, path_);
  } catch (...) {
    munmap(data, length);
    throw;
  }
}

}  // namespace mentedb::vfs

#include "vfs/posix_mapping.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.hpp"
#include "vfs/posix_error.hpp"

namespace mentedb::vfs {
namespace {

#ifndef MADV_POPULATE_READ
constexpr int kPopulateRead = 22;
constexpr int kPopulateWrite = 23;
#else
constexpr int kPopulateRead = MADV_POPULATE_READ;
constexpr int kPopulateWrite = MADV_POPULATE_WRITE;
#endif
std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// The errno behind a failed page fault. The kernel says only that a load or store would have raised SIGBUS, so the
// state of the file system has to tell the reason.
int reason_of_a_failed_fault(const std::string& path) {
  constexpr std::uint64_t kLittleBytes = std::uint64_t{1} << 20;
  struct statvfs status{};
  if (statvfs(path.c_str(), &status) != 0) return EIO;
  if ((status.f_flag & ST_RDONLY) != 0) return EROFS;
  return status.f_bavail * status.f_frsize < kLittleBytes ? ENOSPC : EIO;
}

}  // namespace

PosixMapping::PosixMapping(std::byte* data, std::size_t size_bytes, bool writable, std::string path)
    : Mapping(size_bytes), data_(data), writable_(writable), path_(std::move(path)) {}

PosixMapping::~PosixMapping() { munmap(data_, size_bytes()); }

// A fault that misses the page cache reads around itself as much as the disk's read-ahead says, and that may be 8 MiB.
// A scan is glad of it. A first read waits for it. So a short range and the first range of a mapping are read alone.
Result<void> PosixMapping::populate(std::size_t offset, std::size_t length) {
  constexpr std::size_t kShortBytes = 64 * 1024;
  const bool first = !is_populated_.exchange(true, std::memory_order_relaxed);
  if (first || length <= kShortBytes) advise(offset, length, MADV_WILLNEED);  // only a hint
  if (advise(offset, length, kPopulateRead)) return {};
  // EFAULT: a load would have raised SIGBUS, because the disk cannot read a sector or because the file is cut short.
  return errno_error(errno == EFAULT ? EIO : errno, "read", path_);
}

Result<void> PosixMapping::make_writable(std::size_t offset, std::size_t length) {
  MENTEDB_ASSERT(writable_);
  if (advise(offset, length, kPopulateWrite)) return {};
  return errno_error(errno == EFAULT ? reason_of_a_failed_fault(path_) : errno, "write", path_);
}

bool PosixMapping::advise(std::size_t offset, std::size_t length, int advice) const {
  MENTEDB_ASSERT(offset <= size_bytes() && length <= size_bytes() - offset);
  const std::size_t begin = offset / page_bytes() * page_bytes();
  const std::size_t end = offset + length;
  for (int attempt = 1; madvise(data_ + begin, end - begin, advice) != 0; ++attempt) {
    constexpr int kMostAttempts = 1'000;  // EAGAIN: the kernel is short of a resource, for a while
    if (errno == EINTR || (errno == EAGAIN && attempt < kMostAttempts)) continue;
    return errno == EINVAL;  // Linux before 5.14 cannot populate: there the later load or store raises SIGBUS
  }
  return true;
}

void PosixMapping::prefetch(std::size_t offset, std::size_t length) const {
  constexpr std::size_t kLineBytes = 64;
  const std::size_t end = std::min(offset + length, size_bytes());
  for (std::size_t at = offset; at < end; at += kLineBytes) __builtin_prefetch(data_ + at);
}

void PosixMapping::copy(std::size_t offset, std::span<std::byte> out) const {
  MENTEDB_ASSERT(offset <= size_bytes() && out.size() <= size_bytes() - offset);
  // The first fence orders the copy after the load that said where to read. The second fence orders the copy before the
  // load that checks it (R8).
  std::atomic_thread_fence(std::memory_order_acquire);
  std::memcpy(out.data(), data_ + offset, out.size());
  std::atomic_thread_fence(std::memory_order_acquire);
}

std::uint64_t* PosixMapping::word(std::size_t offset) const {
  MENTEDB_ASSERT(offset % sizeof(std::uint64_t) == 0 && offset < size_bytes());
  return reinterpret_cast<std::uint64_t*>(data_ + offset);
}

std::uint64_t PosixMapping::load(std::size_t offset) const {
  return std::atomic_ref<std::uint64_t>(*word(offset)).load(std::memory_order_acquire);
}

void PosixMapping::store(std::size_t offset, std::uint64_t value) {
  MENTEDB_ASSERT(writable_);
  std::atomic_ref<std::uint64_t>(*word(offset)).store(value, std::memory_order_release);
}

bool PosixMapping::compare_exchange(std::size_t offset, std::uint64_t expected, std::uint64_t desired) {
  MENTEDB_ASSERT(writable_);
  return std::atomic_ref<std::uint64_t>(*word(offset)).compare_exchange_strong(expected, desired);
}

void PosixMapping::write(std::size_t offset, std::span<const std::byte> data) {
  MENTEDB_ASSERT(writable_ && offset <= size_bytes() && data.size() <= size_bytes() - offset);
  std::memcpy(data_ + offset, data.data(), data.size());
}

void PosixMapping::wait(std::size_t offset, std::uint32_t expected, std::chrono::microseconds timeout) const {
  const timespec limit{.tv_sec = static_cast<std::time_t>(timeout.count() / 1'000'000),
                       .tv_nsec = static_cast<long>(timeout.count() % 1'000'000 * 1'000)};
  syscall(SYS_futex, word(offset), FUTEX_WAIT, expected, &limit, nullptr, 0);
}

std::size_t PosixMapping::wake(std::size_t offset) const {
  const long woken = syscall(SYS_futex, word(offset), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  return woken > 0 ? static_cast<std::size_t>(woken) : 0;
}

void PosixMapping::keep_in_memory(std::size_t offset, std::size_t length) const {
  MENTEDB_ASSERT(offset <= size_bytes() && length <= size_bytes() - offset);
  static_cast<void>(mlock(data_ + offset, length));
}

std::uint64_t PosixMapping::resident_bytes(std::size_t length) const {
  const std::size_t pages = (std::min(length, size_bytes()) + page_bytes() - 1) / page_bytes();
  std::vector<unsigned char> present(pages);
  if (mincore(data_, pages * page_bytes(), present.data()) != 0) return 0;
  std::uint64_t resident = 0;
  for (const unsigned char page : present) resident += (page & 1U) * page_bytes();
  return resident;
}

}  // namespace mentedb::vfs

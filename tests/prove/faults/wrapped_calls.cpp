#include "wrapped_calls.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/syscall.h>
#include <unistd.h>

namespace mentedb::faults {

thread_local Transfer (*transfer_hook)(WrappedCall, int, off_t, const void*, std::size_t) = nullptr;

namespace {

Transfer ask(WrappedCall call, int descriptor, off_t offset, const void* data, std::size_t bytes) {
  if (transfer_hook == nullptr) return {.bytes = bytes};
  return transfer_hook(call, descriptor, offset, data, bytes);
}

}  // namespace
}  // namespace mentedb::faults

using mentedb::faults::ask;
using mentedb::faults::Transfer;
using mentedb::faults::WrappedCall;

// The program's own definitions come before libc's.
extern "C" {

ssize_t pread(int descriptor, void* data, size_t bytes, off_t offset) {
  const Transfer part = ask(WrappedCall::read, descriptor, offset, nullptr, bytes);
  if (part.os_error != 0) {
    errno = part.os_error;
    return -1;
  }
  return syscall(SYS_pread64, descriptor, data, std::min(bytes, part.bytes), offset);
}

ssize_t pwrite(int descriptor, const void* data, size_t bytes, off_t offset) {
  const Transfer part = ask(WrappedCall::write, descriptor, offset, data, bytes);
  if (part.os_error != 0) {
    errno = part.os_error;
    return -1;
  }
  return syscall(SYS_pwrite64, descriptor, data, std::min(bytes, part.bytes), offset);
}

int fdatasync(int descriptor) {
  const Transfer part = ask(WrappedCall::sync, descriptor, 0, nullptr, 0);
  if (part.os_error != 0) {
    errno = part.os_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fdatasync, descriptor));
}
}

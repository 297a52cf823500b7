// pread, pwrite and fdatasync of this program: the real ones behind a hook that can make them short or interrupt them.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace mentedb::faults {

enum class WrappedCall { read, write, sync };

/// What becomes of a call. `bytes` is how much of a read or write may happen; an errno other than 0 fails it first.
struct Transfer {
  std::size_t bytes;
  int os_error = 0;
};

/// Asked before each call of this thread, with the data of a write; null: nothing is wrapped. Must not allocate.
extern thread_local Transfer (*transfer_hook)(WrappedCall call, int descriptor, off_t offset, const void* data,
                                              std::size_t bytes);

}  // namespace mentedb::faults

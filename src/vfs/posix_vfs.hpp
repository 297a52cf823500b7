// The I/O seam on the operating system. Together with posix_file and posix_mapping it is the only place that calls
// open, pread, pwrite, fdatasync, flock and mmap on a store.
#pragma once

#include "vfs/vfs.hpp"

namespace mentedb::vfs {

/// The process's one POSIX file system. Lives until the process ends.
Vfs& posix_vfs();

}  // namespace mentedb::vfs

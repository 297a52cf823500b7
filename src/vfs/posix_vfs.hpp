// The seam bound to the operating system: the only place that calls open, pread, pwrite, fdatasync, flock and mmap.
#pragma once

#include "vfs/vfs.hpp"

namespace mentedb::vfs {

/// The process's one POSIX file system. Lives until the process ends.
Vfs& posix_vfs();

}  // namespace mentedb::vfs

// What the engine asks about a file while it works: identity and size, and never a time stamp. Since Linux 6.13 a file
// whose time stamps were asked for gets a fine-grained one at its next write. Then the inode is dirty, and each
// fdatasync writes the inode, too. A stat(2) before each commit made a commit a third slower.
#pragma once

#include <cstdint>
#include <string_view>

#include "vfs/vfs.hpp"

namespace mentedb::vfs {

/// As statx(2): `name` relative to `directory`, or "" with AT_EMPTY_PATH for the descriptor itself. `path` is for the
/// error message.
Result<FileId> id_at(int directory, const char* name, int flags, std::string_view path);
Result<std::uint64_t> size_of(int descriptor, std::string_view path);
/// Bytes of the disk that the file takes.
Result<std::uint64_t> allocated_bytes_of(int descriptor, std::string_view path);

}  // namespace mentedb::vfs

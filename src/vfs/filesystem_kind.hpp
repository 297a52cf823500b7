// The file systems that are known not to serve a store: several machines can write their files, and a lock or a shared
// mapping on one machine does not reach the others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace mentedb::vfs {

/// The reason, for the f_type of statfs(2). Nothing when the file system may be tried.
std::optional<std::string> unsupported_filesystem_reason(std::uint64_t f_type);

}  // namespace mentedb::vfs

// Which file systems are known not to carry locks and shared mappings to everyone who can write the files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace mentedb::vfs {

/// A sentence for statfs(2)'s f_type, or nothing for file systems that may be tried.
std::optional<std::string> unsupported_filesystem_reason(std::uint64_t f_type);

}  // namespace mentedb::vfs

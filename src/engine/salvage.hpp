// What is readable of a damaged store into a new one; see mentedb/inspect.hpp.
#pragma once

#include <chrono>
#include <filesystem>

#include <mentedb/inspect.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::engine {

Result<SalvageReport> salvage(vfs::Vfs& vfs, const std::filesystem::path& source,
                              const std::filesystem::path& destination, std::chrono::milliseconds lock_timeout);

}  // namespace mentedb::engine

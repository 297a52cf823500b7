// Salvage on any Vfs. mentedb/inspect.hpp documents the call.
#pragma once

#include <chrono>
#include <filesystem>

#include <mentedb/error.hpp>
#include <mentedb/inspect.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::offline {

Result<SalvageReport> salvage_directory(vfs::Vfs& vfs, const std::filesystem::path& source,
                                        const std::filesystem::path& destination,
                                        std::chrono::milliseconds lock_timeout);

}  // namespace mentedb::offline

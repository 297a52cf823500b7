// Verification on any Vfs. mentedb/inspect.hpp documents the call.
#pragma once

#include <chrono>
#include <filesystem>

#include <mentedb/error.hpp>
#include <mentedb/report.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::offline {

Result<VerifyReport> verify_directory(vfs::Vfs& vfs, const std::filesystem::path& path,
                                      std::chrono::milliseconds lock_timeout);

}  // namespace mentedb::offline

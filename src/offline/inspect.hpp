// Inspection on any Vfs. mentedb/inspect.hpp documents the calls.
#pragma once

#include <filesystem>

#include <mentedb/error.hpp>
#include <mentedb/inspect.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::offline {

Result<PageDump> inspect_page(vfs::Vfs& vfs, const std::filesystem::path& directory, PageId page);
Result<LogDump> inspect_log(vfs::Vfs& vfs, const std::filesystem::path& directory);

}  // namespace mentedb::offline

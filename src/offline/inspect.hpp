// Inspection on any seam; see mentedb/inspect.hpp for the promise.
#pragma once

#include <filesystem>

#include <mentedb/error.hpp>
#include <mentedb/inspect.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::offline {

Result<PageDump> inspect_page(vfs::Vfs& vfs, const std::filesystem::path& directory, PageId page);
Result<LogDump> inspect_log(vfs::Vfs& vfs, const std::filesystem::path& directory);

}  // namespace mentedb::offline

// The directory that backup, restore and salvage fill: made anew, and gone again when they fail, so that the same call
// can be made once more. What a kill leaves stays, and `open` refuses it.
#pragma once

#include <filesystem>
#include <functional>

#include <mentedb/error.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::store {

/// Makes the directory, which must not exist, and calls `fill`; when that fails everything in it is removed.
Result<void> fill_new_directory(vfs::Vfs& vfs, const std::filesystem::path& path,
                                const std::function<Result<void>(vfs::Directory&)>& fill);

}  // namespace mentedb::store

// The directory that backup, restore and salvage fill. They make it, and they remove it when they fail, so that the
// same call can be made again. A kill leaves the directory. `open` refuses an unfinished backup; an unfinished
// salvage is a store with a part of the memories.
#pragma once

#include <filesystem>
#include <functional>

#include <mentedb/error.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::store {

/// Makes the directory, which must not exist, and calls `fill`. When `fill` fails, the directory is removed with its
/// files.
Result<void> fill_new_directory(vfs::Vfs& vfs, const std::filesystem::path& path,
                                const std::function<Result<void>(vfs::Directory&)>& fill);

}  // namespace mentedb::store

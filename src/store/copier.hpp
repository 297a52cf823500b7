// Online backup: makes a clean store of one moment while other processes write.
#pragma once

#include <filesystem>

#include <mentedb/error.hpp>

#include "store/store.hpp"

namespace mentedb::store {

/// See StorageEngine::backup.
Result<void> backup(Store& source, const std::filesystem::path& destination);

}  // namespace mentedb::store

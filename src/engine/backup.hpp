// Online backup: a clean store of one moment, made while others write.
#pragma once

#include <filesystem>

#include <mentedb/error.hpp>

#include "engine/store.hpp"

namespace mentedb::engine {

/// See StorageEngine::backup.
Result<void> backup(Store& source, const std::filesystem::path& destination);

}  // namespace mentedb::engine

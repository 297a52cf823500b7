// A store's files, as the disk has them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace mentedb::prove {

/// What the file takes of the disk: its blocks. Its size would count the room for the directory of a whole region,
/// which is a hole, and space that was given back.
std::uint64_t disk_bytes(const std::filesystem::path& file);

/// The directory holds wal.log, pages.db and one id index. Empty, or what else is there or what is missing. Waits for a
/// process that is replacing the index.
std::string unexpected_files(const std::filesystem::path& store);

}  // namespace mentedb::prove

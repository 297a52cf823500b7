// The process that lives on a full disk.
#pragma once

#include <filesystem>
#include <string>

#include "board.hpp"
#include "full_disk_life.hpp"

namespace mentedb::prove {

/// Where the store is on the mounted disk.
std::filesystem::path store_in(const std::string& mounted);
std::string create_store(const std::string& mounted);
/// Fills the disk, lives there for the rounds of the case, and compares everything at the end. Empty, or what is wrong.
std::string live_as_tenant(const std::string& mounted, const DiskCase& one, Board& board);

}  // namespace mentedb::prove

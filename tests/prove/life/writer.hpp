// The process whose engine stays open for the whole life, and that writes.
#pragma once

#include <filesystem>
#include <string>

#include "board.hpp"
#include "life.hpp"

namespace mentedb::prove {

/// Writes as the case says, looks at files and footprint, and compares everything at the end. Empty, or what is wrong.
std::string write_for_life(const LifeCase& one, const std::filesystem::path& store, Board& board);

}  // namespace mentedb::prove

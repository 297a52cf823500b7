// The other processes of a life. Each works until the board says that the life is over, and tells in a sentence what is
// wrong; an empty string says that all is well.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <mentedb/storage_engine.hpp>

#include "board.hpp"
#include "footprint.hpp"

namespace mentedb::prove {

/// Reads all the time through one engine, by id and with scans, and watches its own footprint.
std::string read_all_the_time(const std::filesystem::path& store, Board& board, std::uint64_t seed);

/// Opens the store now and then, makes a checkpoint, sometimes recovers, closes, and watches its own footprint.
std::string visit_now_and_then(const std::filesystem::path& store, Board& board, std::uint64_t seed);

/// Looks at the footprint of a process with an open engine. Empty, or what has grown.
std::string look_at_footprint(const StorageEngine& engine, const Board& board, Watch& watch);

}  // namespace mentedb::prove

// The second opinion, from the logs that the killed processes left behind: LSN order is version order and does not
// contradict real time, and each backup is of one moment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "board.hpp"

namespace mentedb::prove {

struct LogVerdict {
  std::vector<std::string> violations;
  std::uint64_t records = 0;
  std::uint64_t writes_in_order = 0;  ///< with a known LSN
  std::uint64_t backups = 0;          ///< shown to be of one moment
};

/// When nobody writes any more. O(n log n).
LogVerdict check_logs(Board& board);
/// The last lines of every lane's log, oldest first.
std::string tail_of_logs(Board& board, std::size_t lines);

}  // namespace mentedb::prove

// A file system with exactly so many blocks left: whichever growth step meets the end first answers no_space, nothing
// acknowledged is lost, reads and deletions go on, and so do writes once there is room again.
#pragma once

#include <cstdint>
#include <string>

#include "file_system.hpp"

namespace mentedb::prove {

struct FullCase {
  Kind kind = Kind::ext4;
  std::uint64_t free_blocks = 0;
  std::uint64_t seed = 1;

  std::string text() const;
};

struct FullCounts {
  std::uint64_t cases = 0;
  std::uint64_t operations = 0;
  std::uint64_t refused_stores = 0;  ///< `no_space` of a call that stores, deletes or checkpoints
  std::uint64_t refused_creations = 0;
  std::uint64_t refused_backups = 0;
  std::uint64_t refused_opens = 0;  ///< an existing store that could not be opened for want of space
  std::uint64_t violations = 0;

  FullCounts& operator+=(const FullCounts& other);
};

FullCounts try_full_disk(const Workplace& workplace, const FullCase& full);

}  // namespace mentedb::prove

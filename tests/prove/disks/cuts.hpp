// Power cuts: records what a workload makes the file system write, then opens the store in the crash images that a
// device with a volatile cache may leave.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "altered_vfs.hpp"
#include "file_system.hpp"
#include "script.hpp"

namespace mentedb::prove {

struct Cuts {
  Kind kind = Kind::ext4;
  Scenario scenario = Scenario::mixed;
  std::uint64_t seed = 1;
  std::uint64_t images = 100;
  Breakage breakage = Breakage::none;
  std::string save_to;  ///< directory for the images of violations
};

struct CutCounts {
  std::uint64_t writes = 0;   ///< in the recorded log
  std::uint64_t flushes = 0;  ///< in the recorded log
  std::uint64_t operations = 0;
  std::uint64_t kills = 0;
  std::uint64_t images = 0;
  std::uint64_t deep_images = 0;  ///< of those, cut again during the recovery or after it
  std::uint64_t torn_images = 0;  ///< of those, with single sectors
  std::uint64_t unmountable = 0;  ///< the file system itself did not survive torn sectors
  std::uint64_t violations = 0;

  CutCounts& operator+=(const CutCounts& other);
};

/// Records one workload and replays images of it. Stops at the first violation when the engine is broken on purpose.
CutCounts replay_cuts(const Workplace& workplace, const Cuts& cuts);
/// One saved image again. Empty when all is well.
std::string replay_saved_image(const Workplace& workplace, const std::string& line);

}  // namespace mentedb::prove

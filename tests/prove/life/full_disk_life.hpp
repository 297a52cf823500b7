// A store that lives on a full disk: only `no_space` is answered, never by a deletion or a read, what deletions free is
// used again, and everything acknowledged stays.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "../disks/file_system.hpp"

namespace mentedb::prove {

inline constexpr std::array kDisks = {Kind::tmpfs, Kind::ext4};
/// A budget of operations has a round on each disk for so many of them.
inline constexpr std::uint64_t kOperationsPerRound = 250;
/// A budget has no more rounds than these on a disk.
inline constexpr std::uint64_t kMostRounds = 2'000;

struct DiskCase {
  Kind kind = Kind::tmpfs;
  std::uint64_t seed = 1;
  std::uint64_t rounds = 0;
  double seconds = 0;  ///< 0: the rounds decide
};

struct DiskResult {
  std::uint64_t rounds = 0;
  std::uint64_t operations = 0;
  std::uint64_t violations = 0;
};

/// Why no file system can be mounted here, or nothing.
std::optional<std::string> why_no_full_disk();
/// Lives, prints a line of figures and a line for each violation. A file system that cannot be made here is named.
DiskResult live_on_full_disk(const Workplace& workplace, const DiskCase& one);

}  // namespace mentedb::prove

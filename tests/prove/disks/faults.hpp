// A device that fails under a mounted file system: EIO on reads, writes and flushes, writes that are acknowledged and
// lost. The store says so, never crashes, and has everything acknowledged after it was opened again.
#pragma once

#include <cstdint>
#include <string>

#include "altered_vfs.hpp"
#include "file_system.hpp"

namespace mentedb::prove {

struct FaultCase {
  Kind kind = Kind::ext4;
  Fault fault;
  std::uint64_t seed = 1;
  Breakage breakage = Breakage::none;

  std::string text() const;
};
FaultCase draw_fault_case(Kind kind, std::uint64_t seed);

struct FaultCounts {
  std::uint64_t cases = 0;
  std::uint64_t fired = 0;        ///< cases in which the fault was met
  std::uint64_t errors = 0;       ///< calls of the store that answered an error
  std::uint64_t poisoned = 0;     ///< of those, `poisoned`
  std::uint64_t reopened = 0;     ///< times the store was opened again on the mounted file system, and went on
  std::uint64_t dead = 0;         ///< cases in which the file system had to be mounted again first
  std::uint64_t unmountable = 0;  ///< the file system did not survive
  std::uint64_t violations = 0;

  FaultCounts& operator+=(const FaultCounts& other);
};

FaultCounts try_fault(const Workplace& workplace, const FaultCase& fault);

}  // namespace mentedb::prove

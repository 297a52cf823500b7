// The stretch records (format/stretch.hpp), as the lock holder keeps them.
#pragma once

#include <cstdint>
#include <map>

#include <mentedb/error.hpp>

#include "format/stretch.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"

namespace mentedb::pages {

/// What the operations of one batch do to the records. A record is written once, however many operations touch it.
class StretchChanges {
 public:
  /// An operation with this LSN writes the entries of these pages. `frees`: it frees them.
  void add(std::uint64_t first_page, std::uint64_t count, std::uint64_t lsn, bool frees);
  /// Call it before the entries are written. Every record is written, also one that is high enough: after a failed sync
  /// (R7) it has to reach the disk again.
  /// So is a region word in redo. A commit leaves a word that says "unknown" as it is.
  enum class RegionWords { known, all };
  Result<void> write(const BufferPool& pool, PageFile& file, RegionWords words) const;

 private:
  struct Change {
    std::uint64_t lsn = 0;
    bool frees = false;
  };
  std::map<std::uint64_t, Change> changes_;
};

}  // namespace mentedb::pages

// The live memories of a store, from passes over the directory that writers changed meanwhile. Vectors that are sorted
// in the end, and no maps with a node for each memory: malloc keeps the nodes of a large scan for good.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <mentedb/ids.hpp>

#include "format/page_format.hpp"

namespace mentedb::store {

class LiveSet {
 public:
  struct Place {
    MemoryId id;
    std::uint64_t page = 0;  ///< 0: deleted
    std::uint64_t lsn = 0;
  };

  /// Takes in an entry as a pass sees it. A commit under way wrote the entries above `committed`, and not every process
  /// may see them yet: their ids are kept apart.
  void take(std::uint64_t page, const format::Entry& entry, std::uint64_t committed);
  /// The live memories, one place each. The newest LSN of an id wins. A memory is gone when its page has a newer entry,
  /// since the record of that may be overwritten. Empties the set.
  std::vector<Place> resolve();
  /// Ids that a commit under way is changing, sorted.
  std::vector<MemoryId> pending() const;

 private:
  struct Seen {
    std::uint64_t page;
    std::uint64_t lsn;
  };
  std::vector<Place> places_;
  std::vector<Seen> newer_;  ///< the entries that were written after the first pass had begun
  std::uint64_t first_committed_ = std::numeric_limits<std::uint64_t>::max();
  std::vector<MemoryId> pending_;
};

}  // namespace mentedb::store

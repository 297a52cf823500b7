// The live memories of a store, brought up to date by one pass over the directory after the other.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include <mentedb/ids.hpp>

#include "format/page_format.hpp"

namespace mentedb::store {

class LiveSet {
 public:
  struct Place {
    std::uint64_t page = 0;  ///< 0: deleted
    std::uint64_t lsn = 0;
  };

  /// Takes in an entry as a pass sees it; the newest LSN of an id wins. A commit under way wrote the entries above
  /// `committed`, and not every process may see them yet: their ids are kept apart.
  void take(std::uint64_t page, const format::Entry& entry, std::uint64_t committed);
  const std::unordered_map<MemoryId, Place>& places() const { return places_; }
  std::unordered_map<MemoryId, Place>& places() { return places_; }
  /// Ids that a commit under way is changing.
  const std::vector<MemoryId>& pending() const { return pending_; }

 private:
  std::unordered_map<MemoryId, Place> places_;
  std::unordered_map<std::uint64_t, MemoryId> owners_;  ///< the memory that was last seen on a page
  std::vector<MemoryId> pending_;
};

}  // namespace mentedb::store

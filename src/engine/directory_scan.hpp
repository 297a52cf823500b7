// Walking the directory while others write it.
//
// One pass can miss a memory that moves behind its back: its new place was free when the pass came by, its old place is
// somebody else's when the pass comes there. So whoever wants everything makes passes over what changed since, until
// the committed LSN stood still during one; a few restless passes later it finishes under the lock (Store::passes).
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include <mentedb/error.hpp>

#include "format/page_format.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/shared_words.hpp"

namespace mentedb::engine {

/// One pass. Calls `visit` for every used entry with an LSN above `since`, and `damaged` for every page whose entry
/// does not verify after a few looks. Groups without such an LSN are skipped. When an earlier pass has `verified` the
/// entries up to `since`, those are told by their LSN alone; that is many times faster, so that a pass fits between two
/// commits.
Result<void> scan_directory(pages::BufferPool& pool, const pages::SharedWords& words, std::uint64_t since,
                            bool verified, const std::function<void(std::uint64_t page, const format::Entry&)>& visit,
                            const std::function<void(std::uint64_t page)>& damaged);

/// The live memories of a store, brought up to date by repeated passes.
class LiveSet {
 public:
  struct Place {
    std::uint64_t page = 0;  ///< 0: deleted
    std::uint64_t lsn = 0;
  };

  /// Takes in an entry as a pass sees it; newest LSN of an id wins. Entries above `committed` are not yet everybody's:
  /// their ids are kept apart.
  void take(std::uint64_t page, const format::Entry& entry, std::uint64_t committed);
  const std::unordered_map<MemoryId, Place>& places() const { return places_; }
  std::unordered_map<MemoryId, Place>& places() { return places_; }
  /// Ids that a commit under way is changing.
  std::vector<MemoryId>& pending() { return pending_; }

 private:
  std::unordered_map<MemoryId, Place> places_;
  std::unordered_map<std::uint64_t, MemoryId> owners_;  ///< who was last seen on a page
  std::vector<MemoryId> pending_;
};

}  // namespace mentedb::engine

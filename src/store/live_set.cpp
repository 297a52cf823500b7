#include "store/live_set.hpp"

namespace mentedb::store {

using format::Entry;
using format::EntryType;

void LiveSet::take(std::uint64_t page, const Entry& entry, std::uint64_t committed) {
  // The memory that an earlier pass saw here is gone: deleted or moved, and the record of that may be overwritten.
  if (const auto owner = owners_.find(page); owner != owners_.end()) {
    Place& place = places_[owner->second];
    if (place.page == page && place.lsn < entry.lsn) place = {.page = 0, .lsn = place.lsn};
  }
  const bool live = format::is_memory(entry.type);
  if (!live && entry.type != EntryType::deleted && entry.type != EntryType::moved) return;
  const MemoryId id{entry.id};
  if (entry.lsn > committed) {
    pending_.push_back(id);
    return;
  }
  if (entry.type == EntryType::moved) return;  // its new place says the rest
  Place& place = places_[id];
  if (place.lsn > entry.lsn) return;
  place = {.page = live ? page : 0, .lsn = entry.lsn};
  if (live) owners_[page] = id;
}

}  // namespace mentedb::store

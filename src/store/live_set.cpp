#include "store/live_set.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace mentedb::store {

using format::Entry;
using format::EntryType;

void LiveSet::take(std::uint64_t page, const Entry& entry, std::uint64_t committed) {
  first_committed_ = std::min(first_committed_, committed);
  if (entry.lsn > first_committed_) newer_.push_back({.page = page, .lsn = entry.lsn});
  const bool live = format::is_memory(entry.type);
  if (!live && entry.type != EntryType::deleted && entry.type != EntryType::moved) return;
  const MemoryId id{entry.id};
  if (entry.lsn > committed) {
    pending_.push_back(id);
  } else if (entry.type != EntryType::moved) {  // else: its new place says the rest
    places_.push_back({.id = id, .page = live ? page : 0, .lsn = entry.lsn});
  }
}

std::vector<LiveSet::Place> LiveSet::resolve() {
  const auto by_page = [](const Seen& a, const Seen& b) { return std::tie(a.page, a.lsn) < std::tie(b.page, b.lsn); };
  std::ranges::sort(newer_, by_page);
  const auto is_gone = [&](const Place& place) {
    const auto behind = std::ranges::upper_bound(newer_, place.page, {}, &Seen::page);
    return behind != newer_.begin() && std::prev(behind)->page == place.page && std::prev(behind)->lsn > place.lsn;
  };
  std::ranges::sort(places_,
                    [](const Place& a, const Place& b) { return std::tie(a.id, a.lsn) < std::tie(b.id, b.lsn); });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (i + 1 < places_.size() && places_[i + 1].id == place.id) continue;  // a newer one follows
    if (place.page != 0 && !is_gone(place)) places_[kept++] = place;
  }
  places_.resize(kept);
  newer_ = {};
  return std::exchange(places_, {});
}

std::vector<MemoryId> LiveSet::pending() const {
  std::vector<MemoryId> ids = pending_;
  std::ranges::sort(ids);
  const auto rest = std::ranges::unique(ids);
  ids.erase(rest.begin(), rest.end());
  return ids;
}

}  // namespace mentedb::store

#include "engine/directory_scan.hpp"

#include "base/error.hpp"
#include "pages/entry_reader.hpp"

namespace mentedb::engine {

using format::Entry;
using format::EntryType;
using format::Geometry;

namespace {

constexpr int kLooks = 100;

}  // namespace

Result<void> scan_directory(pages::BufferPool& pool, const pages::SharedWords& words, std::uint64_t since,
                            bool verified, const std::function<void(std::uint64_t, const Entry&)>& visit,
                            const std::function<void(std::uint64_t)>& damaged) {
  const std::uint64_t page_count = pool.page_count();
  pages::EntryReader entries(pool, page_count);
  for (std::uint64_t page = 1; page <= page_count;) {
    if (since != 0 && Geometry::index_in_group(page) == 0 && words.group_lsn(Geometry::group_of(page)) <= since) {
      page = Geometry::last_page_of(Geometry::group_of(page)) + 1;
      continue;
    }
    if (verified) {
      MENTEDB_TRY_ASSIGN(const std::uint64_t newer, entries.newer_than(since, page));
      if (newer != page) {
        page = newer;
        continue;
      }
    }
    MENTEDB_TRY_ASSIGN(auto entry, entries.at(page));
    for (int look = 0; !entry && look < kLooks; ++look) {  // half written just now?
      MENTEDB_TRY_ASSIGN(entry, pool.read_entry(page));
    }
    if (!entry) {
      damaged(page);
    } else if (entry->lsn > since) {
      visit(page, *entry);
    }
    ++page;
  }
  return {};
}

void LiveSet::take(std::uint64_t page, const Entry& entry, std::uint64_t committed) {
  // Whoever was seen here by an earlier pass is gone: deleted or moved, and the record of that may be overwritten.
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

}  // namespace mentedb::engine

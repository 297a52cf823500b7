#include <algorithm>

#include "base/error.hpp"
#include "engine/directory_scan.hpp"
#include "engine/store.hpp"
#include "pages/entry_reader.hpp"

namespace mentedb::engine {

using format::Entry;
using format::EntryType;
using format::Geometry;

namespace {

constexpr int kPasses = 8;
constexpr int kLooks = 100;

Change change_of(std::uint64_t page, const Entry& entry) {
  const bool live = format::is_memory(entry.type);
  return {.id = MemoryId{entry.id},
          .kind = !live                                    ? ChangeKind::deleted
                  : entry.type == EntryType::memory_stored ? ChangeKind::stored
                                                           : ChangeKind::updated,
          .page = PageId{live ? page : 0},
          .lsn = Lsn{entry.lsn}};
}

// Written where, or instead of what, the memory was before.
bool replaces(EntryType type) {
  return type == EntryType::memory_updated || type == EntryType::moved || type == EntryType::deleted;
}

}  // namespace

Result<void> scan_directory(pages::BufferPool& pool, const pages::SharedWords& words, std::uint64_t since,
                            const std::function<Result<void>(std::uint64_t, const Entry&)>& visit,
                            const std::function<Result<void>(std::uint64_t)>& damaged) {
  const std::uint64_t page_count = pool.page_count();
  pages::EntryReader entries(pool, page_count);
  for (std::uint64_t page = 1; page <= page_count; ++page) {
    if (since != 0 && Geometry::index_in_group(page) == 0 && words.group_lsn(Geometry::group_of(page)) <= since) {
      page = Geometry::last_page_of(Geometry::group_of(page));
      continue;
    }
    MENTEDB_TRY_ASSIGN(auto entry, entries.at(page));
    for (int look = 0; !entry && look < kLooks; ++look) {  // half written just now?
      MENTEDB_TRY_ASSIGN(entry, pool.read_entry(page));
    }
    if (!entry) {
      MENTEDB_TRY(damaged(page));
    } else if (entry->lsn > since) {
      MENTEDB_TRY(visit(page, *entry));
    }
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

Result<std::uint64_t> Store::passes(std::uint64_t since, const Visitor& visit) {
  const std::uint64_t everything = since;
  std::vector<std::uint64_t> damaged;
  std::optional<Hold> hold;
  for (int pass = 0;; ++pass) {
    if (!hold && (pass == kPasses || !damaged.empty())) {
      if (options_.read_only && !damaged.empty()) break;
      MENTEDB_TRY_ASSIGN(hold, acquire(options_.lock_timeout));
      if (!damaged.empty()) {
        // The log may still have what the directory lost.
        MENTEDB_TRY_ASSIGN(const Recovered recovered, redo(Redo::normal));
        hold->tail = recovered.tail;
        since = everything;
      }
    }
    damaged.clear();
    const std::uint64_t committed = words_->committed_lsn();
    MENTEDB_TRY(scan_directory(
        *pool_, *words_, since,
        [&](std::uint64_t page, const Entry& entry) -> Result<void> {
          visit(page, entry, committed);
          return {};
        },
        [&](std::uint64_t page) -> Result<void> {
          damaged.push_back(page);
          return {};
        }));
    if (!damaged.empty() && !hold) continue;
    since = committed;
    if (hold || words_->committed_lsn() == committed) break;
  }
  if (!damaged.empty()) {
    return base::failf(ErrorCode::corruption,
                       "the directory entry of page {} is damaged ({} in all) and the log has no copy; run mentedb "
                       "verify, then mentedb salvage",
                       damaged.front(), damaged.size());
  }
  return since;
}

Result<std::vector<std::pair<MemoryId, PageId>>> Store::scan() {
  LiveSet live;
  MENTEDB_TRY(passes(
      0, [&](std::uint64_t page, const Entry& entry, std::uint64_t committed) { live.take(page, entry, committed); }));
  // A commit under way counts as soon as its id leads to the new place.
  for (const MemoryId& id : live.pending()) {
    MENTEDB_TRY_ASSIGN(const auto now, locate(id));
    live.places()[id] = {.page = now ? now->page : 0, .lsn = now ? now->entry.lsn : 0};
  }
  std::vector<std::pair<MemoryId, PageId>> result;
  result.reserve(live.places().size());
  for (const auto& [id, place] : live.places()) {
    if (place.page != 0) result.emplace_back(id, PageId{place.page});
  }
  std::ranges::sort(result, {}, [](const auto& item) { return item.second; });
  return result;
}

Result<Changes> Store::changes_since(Lsn since) {
  if (const std::uint64_t committed = words_->committed_lsn(); since.value > committed) {
    return base::failf(ErrorCode::resync_required,
                       "the store is at LSN {}, before the cursor {}: it was restored; read everything again",
                       committed, since.value);
  }
  std::unordered_map<MemoryId, Change> newest;
  std::unordered_map<MemoryId, std::uint64_t> under_way;
  const auto visit = [&](std::uint64_t page, const Entry& entry, std::uint64_t committed) {
    const MemoryId id{entry.id};
    if (entry.lsn > committed) {
      if (replaces(entry.type)) under_way[id] = entry.lsn;
    } else if (format::is_memory(entry.type) || entry.type == EntryType::deleted) {
      Change& change = newest[id];
      if (change.lsn.value <= entry.lsn) change = change_of(page, entry);
    }
  };
  MENTEDB_TRY_ASSIGN(const std::uint64_t cursor, passes(since.value, visit));
  // What a commit under way has overwritten already may have been acknowledged: its own record stands for both.
  for (const auto& [id, lsn] : under_way) {
    if (newest.contains(id)) continue;
    MENTEDB_TRY_ASSIGN(const auto now, locate(id));
    if (!now) {
      newest[id] = {.id = id, .kind = ChangeKind::deleted, .page = PageId{0}, .lsn = Lsn{lsn}};
    } else if (now->entry.lsn > since.value) {
      newest[id] = change_of(now->page, now->entry);
    }
  }
  // Read after the scan: a deletion that was overwritten before the scan came by has raised it.
  if (since.value < words_->reuse_horizon()) {
    return base::failf(ErrorCode::resync_required,
                       "deletions after LSN {} are no longer on record; read everything again", since.value);
  }
  Changes changes{.changes = {}, .cursor = Lsn{cursor}};
  changes.changes.reserve(newest.size());
  for (const auto& [id, change] : newest) changes.changes.push_back(change);
  std::ranges::sort(changes.changes, {}, &Change::lsn);
  return changes;
}

Result<Stats> Store::stats() {
  const auto hint = words_->hint();
  wal::Tail tail;
  if (hint) {
    tail = *hint;
  } else {
    // A commit is under way, or a writer died: the lock tells.
    MENTEDB_TRY_ASSIGN(const Hold hold, acquire(options_.lock_timeout));
    tail = hold.tail;
  }
  MENTEDB_TRY_ASSIGN(const std::uint64_t pages_bytes, pages_file_->size_bytes());
  MENTEDB_TRY_ASSIGN(const std::uint64_t log_bytes, log_file_->size_bytes());
  const auto residency = pool_->residency();
  return Stats{.page_size_bytes = superblock_.page_bytes,
               .page_count = tail.counters.page_count,
               .used_pages = tail.counters.used_pages,
               .free_pages = tail.counters.page_count - tail.counters.used_pages,
               .memory_count = tail.counters.memory_count,
               .pages_file_bytes = pages_bytes,
               .log_file_bytes = log_bytes,
               .log_used_bytes = tail.offset - format::kLogStart,
               .wal_limit_bytes = options_.wal_limit_bytes,
               .epoch = tail.epoch,
               .committed_lsn = Lsn{tail.next_lsn - 1},
               .index_number = words_->index_number(),
               .index_slots = index_->slot_count(),
               .index_slots_used = index_->used(),
               .checkpoints = checkpoints_,
               .redo_operations = redone_,
               .commits = commits_,
               .mapped_bytes = residency.mapped_bytes,
               .resident_bytes = residency.resident_bytes,
               .access_warnings = directory_->access_warnings(file_names(words_->index_number()))};
}

}  // namespace mentedb::engine

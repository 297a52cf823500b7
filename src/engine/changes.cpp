#include <algorithm>
#include <unordered_map>

#include "base/error.hpp"
#include "engine/store.hpp"

namespace mentedb::engine {

using format::Entry;
using format::EntryType;

namespace {

Change change_of(std::uint64_t page, const Entry& entry) {
  const bool live = format::is_memory(entry.type);
  return {.id = MemoryId{entry.id},
          .kind = !live                                    ? ChangeKind::deleted
                  : entry.type == EntryType::memory_stored ? ChangeKind::stored
                                                           : ChangeKind::updated,
          .page = PageId{live ? page : 0},
          .lsn = Lsn{entry.lsn}};
}

}  // namespace

Result<Changes> Store::changes_since(Lsn since) {
  if (const std::uint64_t committed = words_->committed_lsn(); since.value > committed) {
    return base::failf(ErrorCode::resync_required,
                       "the store is at LSN {}, before the cursor {}: it was restored; read everything again",
                       committed, since.value);
  }
  std::unordered_map<MemoryId, Change> newest;
  std::unordered_map<MemoryId, std::uint64_t> overwritten;
  const auto visit = [&](std::uint64_t page, const Entry& entry, std::uint64_t committed) {
    const MemoryId id{entry.id};
    if (entry.lsn > committed) {
      if (entry.type == EntryType::moved || entry.type == EntryType::deleted) overwritten[id] = entry.lsn;
    } else if (format::is_memory(entry.type) || entry.type == EntryType::deleted) {
      Change& change = newest[id];
      if (change.lsn.value <= entry.lsn) change = change_of(page, entry);
    }
  };
  MENTEDB_TRY_ASSIGN(const std::uint64_t cursor, passes(since.value, visit));
  // What a commit under way has overwritten may have been acknowledged: its own record stands for both.
  for (const auto& [id, lsn] : overwritten) {
    if (lsn <= cursor) continue;  // that commit is done, and a later pass saw it
    MENTEDB_TRY_ASSIGN(const auto now, locate(id));
    newest[id] = now ? change_of(now->page, now->entry)
                     : Change{.id = id, .kind = ChangeKind::deleted, .page = PageId{0}, .lsn = Lsn{lsn}};
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

}  // namespace mentedb::engine

#include <algorithm>

#include "base/error.hpp"
#include "engine/directory_scan.hpp"
#include "engine/store.hpp"

namespace mentedb::engine {

using format::Entry;

namespace {

constexpr int kPasses = 8;

}  // namespace

Result<std::uint64_t> Store::passes(std::uint64_t since, const Visitor& visit) {
  const std::uint64_t everything = since;
  std::vector<std::uint64_t> damaged;
  std::optional<Hold> hold;
  for (int pass = 0;; ++pass) {
    if (!hold && (pass == kPasses || !damaged.empty())) {
      MENTEDB_TRY_ASSIGN(hold, acquire(options_.lock_timeout));
      if (!damaged.empty()) {
        since = everything;
        if (!options_.read_only) {  // the log may still have what the directory lost
          MENTEDB_TRY_ASSIGN(const Recovered recovered, redo(Redo::normal));
          hold->tail = recovered.tail;
        }
      }
    }
    damaged.clear();
    const std::uint64_t committed = words_->committed_lsn();
    MENTEDB_TRY(scan_directory(
        *pool_, *words_, since, since != everything,
        [&](std::uint64_t page, const Entry& entry) { visit(page, entry, committed); },
        [&](std::uint64_t page) { damaged.push_back(page); }));
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

}  // namespace mentedb::engine

// One pass over the directory while writers change it.
//
// A pass can miss a memory that moves during the pass: the new page was free when the pass came by, and another memory
// has the old page when the pass comes there. So a caller that wants every memory makes more passes, each over the
// entries that changed since the pass before, until no commit happens during a pass. After a few passes it makes the
// last one under the lock (Reader::passes).
#pragma once

#include <algorithm>
#include <cstdint>

#include <mentedb/error.hpp>

#include "base/error.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/directory_cursor.hpp"

namespace mentedb::store {

/// Calls `visit(page, entry)` for each entry with an LSN above `since`, and `damaged(page)` for each page whose entry
/// does not verify after a few looks. Stretches without such an LSN are skipped.
/// `verified`: an earlier pass has verified the entries up to `since`, so their LSN alone tells them. That is many
/// times faster, so that a pass fits between two commits.
template <class Visit, class Damaged>
Result<void> pass_over_directory(const pages::BufferPool& pool, std::uint64_t since, bool verified, Visit&& visit,
                                 Damaged&& damaged) {
  constexpr int kLooks = 100;
  format::Entry entry;
  pages::BufferPool::StretchLsns stretch_lsns{};  // of the region that the cursor stands in
  for (pages::DirectoryCursor cursor(pool, pool.page_count()); cursor.next();) {
    if (since != 0 && cursor.begins_stretch()) {
      const std::uint64_t stretch = cursor.stretch();
      if (stretch % format::kStretchesPerRegion == 0) {
        stretch_lsns = pool.stretch_lsns(stretch / format::kStretchesPerRegion);
        if (std::ranges::max(stretch_lsns) <= since) {
          cursor.skip_region();
          continue;
        }
      }
      if (stretch_lsns[stretch % format::kStretchesPerRegion] <= since) {
        cursor.skip_stretch();
        continue;
      }
    }
    if (verified) {
      MENTEDB_TRY_ASSIGN(const bool found, cursor.skip_to_newer_than(since));
      if (!found) continue;
    }
    const std::uint64_t page = cursor.page();
    MENTEDB_TRY_ASSIGN(bool whole, cursor.read(entry));
    for (int look = 0; !whole && look < kLooks; ++look) {  // a writer may be writing it just now
      MENTEDB_TRY_ASSIGN(const auto again, pool.read_entry(page));
      whole = again.has_value();
      if (whole) entry = *again;
    }
    if (!whole) {
      damaged(page);
    } else if (entry.lsn > since) {
      visit(page, entry);
    }
  }
  return {};
}

}  // namespace mentedb::store

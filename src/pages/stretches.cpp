#include "pages/stretches.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace mentedb::pages {

using format::Geometry;

void StretchChanges::add(std::uint64_t first_page, std::uint64_t count, std::uint64_t lsn, bool frees) {
  const std::uint64_t last = Geometry::stretch_of(first_page + count - 1);
  for (std::uint64_t stretch = Geometry::stretch_of(first_page); stretch <= last; ++stretch) {
    Change& change = changes_[stretch];
    change.lsn = std::max(change.lsn, lsn);
    change.frees |= frees;
  }
}

Result<void> StretchChanges::write(const BufferPool& pool, PageFile& file, RegionWords words) const {
  for (const auto& [stretch, change] : changes_) {
    MENTEDB_TRY_ASSIGN(auto record, pool.read_stretch(stretch));
    record.lsn = std::max(record.lsn, change.lsn);
    if (change.frees) record.free_space = 0;
    MENTEDB_TRY(file.write_stretch(stretch, record));
    if (!change.frees) continue;
    const std::uint64_t region = stretch / format::kStretchesPerRegion;
    MENTEDB_TRY_ASSIGN(const std::uint64_t word, pool.read_region_word(region));
    if (word != 0 || words == RegionWords::all) MENTEDB_TRY(file.write_region_word(region, 0));
  }
  return {};
}

}  // namespace mentedb::pages

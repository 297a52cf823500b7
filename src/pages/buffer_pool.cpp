#include "pages/buffer_pool.hpp"

#include <algorithm>
#include <limits>

#include "base/error.hpp"

namespace mentedb::pages {

using format::Geometry;

static_assert(format::kMapAlignment == vfs::kMapAlignment);

BufferPool::BufferPool(vfs::File& file, const shared::SharedState& state, Geometry geometry, std::uint64_t seed)
    : file_(file), state_(state), geometry_(geometry), seed_(seed) {}

BufferPool::~BufferPool() {
  for (auto& segment : segments_) {
    Segment* regions = segment.load();
    if (regions == nullptr) continue;
    for (auto& region : *regions) delete region.load();
    delete regions;
  }
}

Result<BufferPool::Region*> BufferPool::region(std::uint64_t number) const {
  MENTEDB_ASSERT(number < kRegionsPerSegment * kRegionsPerSegment);
  const Segment* segment = segments_[number / kRegionsPerSegment].load(std::memory_order_acquire);
  if (segment != nullptr) [[likely]] {
    Region* found = (*segment)[number % kRegionsPerSegment].load(std::memory_order_acquire);
    if (found != nullptr) [[likely]]
      return found;
  }
  return map_region(number);
}

Result<BufferPool::Region*> BufferPool::map_region(std::uint64_t number) const {
  const base::MutexLock guard(mapping_mutex_);
  auto& segment_place = segments_[number / kRegionsPerSegment];
  Segment* segment = segment_place.load();
  if (segment == nullptr) {
    segment = new Segment{};
    segment_place.store(segment, std::memory_order_release);
  }
  auto& region_place = (*segment)[number % kRegionsPerSegment];
  if (Region* found = region_place.load(); found != nullptr) return found;
  auto created = std::make_unique<Region>();
  const std::uint64_t bytes = geometry_.region_bytes();
  const std::uint64_t pieces = (bytes - format::kRegionHeaderBytes + kPieceBytes - 1) / kPieceBytes;
  created->populated = std::vector<std::atomic<std::uint32_t>>(pieces);
  MENTEDB_TRY_ASSIGN(created->mapping, file_.map(geometry_.region_offset(number), bytes, false));
  region_place.store(created.get(), std::memory_order_release);
  return created.release();
}

std::uint64_t BufferPool::page_count() const {
  const std::uint64_t published = state_.page_count();
  if (published <= pages_in_file_.load(std::memory_order_relaxed)) [[likely]]
    return published;
  const auto size = file_.size_bytes();
  if (!size) return published;  // a failed fstat is no reason to call memories missing
  pages_in_file_ = geometry_.pages_in(*size);
  return std::min(published, pages_in_file_.load());
}

std::uint64_t BufferPool::pages_in_region(std::uint64_t number) const {
  const std::uint64_t pages = page_count();
  const std::uint64_t first = Geometry::first_page_of(number);
  return pages < first ? 0 : std::min(pages - first + 1, format::kPagesPerRegion);
}

Result<void> BufferPool::populate(Region& region, std::uint64_t pages, std::uint64_t offset,
                                  std::uint64_t length) const {
  offset -= format::kRegionHeaderBytes;
  for (std::uint64_t piece = offset / kPieceBytes; piece * kPieceBytes < offset + length; ++piece) {
    const std::uint64_t begin = piece * kPieceBytes;
    const std::uint64_t needed = std::min<std::uint64_t>(offset + length - begin, kPieceBytes);
    auto& done = region.populated[piece];
    if (done.load(std::memory_order_relaxed) >= needed) [[likely]]
      continue;
    // Populate as much of the piece as the file has, so that growth costs one call a piece and not one a page. Do not
    // touch the holes behind the entries in use: on tmpfs a touch of a hole takes space, and a full tmpfs fails it.
    static_assert(format::kDirectoryBytes % kPieceBytes == 0);
    const std::uint64_t end = begin < format::kDirectoryBytes
                                  ? pages * format::kEntryBytes
                                  : format::kDirectoryBytes + pages * geometry_.page_bytes();
    const std::uint64_t most = std::min<std::uint64_t>(end - begin, kPieceBytes);
    MENTEDB_TRY(region.mapping->populate(format::kRegionHeaderBytes + begin, most));
    done.store(static_cast<std::uint32_t>(most), std::memory_order_relaxed);
  }
  return {};
}

Result<void> BufferPool::copy(std::uint64_t number, std::uint64_t offset, std::span<std::byte> out) const {
  const std::uint64_t pages = pages_in_region(number);
  constexpr std::uint64_t kPages = format::kRegionHeaderBytes + format::kDirectoryBytes;
  const std::uint64_t end = offset < kPages ? format::kRegionHeaderBytes + pages * format::kEntryBytes
                                            : kPages + pages * geometry_.page_bytes();
  if (pages == 0 || offset > end || out.size() > end - offset) {
    return base::failf(ErrorCode::corruption,
                       "{} has fewer pages than its log or its shared state says; run mentedb verify, then mentedb "
                       "recover",
                       file_.path());
  }
  MENTEDB_TRY_ASSIGN(Region* const from, region(number));
  MENTEDB_TRY(populate(*from, pages, offset, out.size()));
  from->mapping->copy(offset, out);
  return {};
}

Result<void> BufferPool::read_entries(std::uint64_t first_page, std::span<std::byte> out) const {
  return copy(Geometry::region_of(first_page), Geometry::entry_in_region(first_page), out);
}

Result<format::StretchRecord> BufferPool::read_stretch(std::uint64_t stretch) const {
  MENTEDB_TRY_ASSIGN(Region* const from, region(stretch / format::kStretchesPerRegion));
  if (!from->header_populated.load(std::memory_order_relaxed)) [[unlikely]] {
    MENTEDB_TRY(from->mapping->populate(0, base::kBlockBytes));
    from->header_populated.store(true, std::memory_order_relaxed);
  }
  const std::uint64_t offset = Geometry::record_in_region(stretch);
  return format::StretchRecord{.lsn = from->mapping->load(offset),
                               .free_space = from->mapping->load(offset + sizeof(std::uint64_t))};
}

std::uint64_t BufferPool::stretch_lsn(std::uint64_t stretch) const {
  const auto record = read_stretch(stretch);
  // Above a minimum of this engine the records on disk are older than the pages: an entry may have any LSN up to it.
  return record ? std::max(record->lsn, state_.minimum_lsn()) : std::numeric_limits<std::uint64_t>::max();
}

Result<std::optional<format::Entry>> BufferPool::read_entry(std::uint64_t page) const {
  std::array<std::byte, format::kEntryBytes> bytes;
  MENTEDB_TRY(read_entries(page, bytes));
  return format::decode_entry(bytes, page, seed_);
}

Result<std::optional<format::RunHeader>> BufferPool::read_header(std::uint64_t page) const {
  std::array<std::byte, sizeof(format::RunHeader)> bytes;
  MENTEDB_TRY(copy(Geometry::region_of(page), geometry_.page_in_region(page), bytes));
  return format::parse_run_header(bytes, page, geometry_.page_bytes());
}

Result<std::optional<RunCopy>> BufferPool::read_run(std::uint64_t page, base::AlignedBuffer& buffer) const {
  const std::uint64_t region = Geometry::region_of(page);
  const std::uint64_t offset = geometry_.page_in_region(page);
  return copy_run(
      page, geometry_.page_bytes(), seed_, buffer, [&](std::span<std::byte> out) { return copy(region, offset, out); },
      [&](const format::RunHeader& header) { return page + header.run_pages - 1 <= page_count(); });
}

Result<bool> BufferPool::slack_is_zero(const format::RunHeader& header, base::AlignedBuffer& buffer) const {
  const std::uint64_t used = sizeof(format::RunHeader) + header.payload_bytes;
  const std::uint64_t slack = std::uint64_t{header.run_pages} * geometry_.page_bytes() - used;
  const std::uint64_t offset = geometry_.page_in_region(header.page) + used;
  buffer.reserve(slack);
  MENTEDB_TRY(copy(Geometry::region_of(header.page), offset, buffer.first(slack)));
  return base::is_zero(buffer.first(slack));
}

BufferPool::Residency BufferPool::residency() const {
  Residency sum;
  for (std::uint64_t number = 0;; ++number) {
    const std::uint64_t pages = pages_in_region(number);
    if (pages == 0) return sum;
    const std::uint64_t bytes = format::kRegionHeaderBytes + format::kDirectoryBytes + pages * geometry_.page_bytes();
    const Segment* segment = segments_[number / kRegionsPerSegment].load(std::memory_order_acquire);
    const Region* region = segment == nullptr ? nullptr : (*segment)[number % kRegionsPerSegment].load();
    if (region == nullptr) continue;
    sum.mapped_bytes += bytes;
    sum.resident_bytes += region->mapping->resident_bytes(bytes);
  }
}

}  // namespace mentedb::pages

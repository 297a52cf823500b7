#include "pages/buffer_pool.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace mentedb::pages {

using format::Geometry;

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
  created->populated = std::vector<std::atomic<std::uint32_t>>((bytes + kStretchBytes - 1) / kStretchBytes);
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
  for (std::uint64_t stretch = offset / kStretchBytes; stretch * kStretchBytes < offset + length; ++stretch) {
    const std::uint64_t begin = stretch * kStretchBytes;
    const std::uint64_t needed = std::min<std::uint64_t>(offset + length - begin, kStretchBytes);
    auto& done = region.populated[stretch];
    if (done.load(std::memory_order_relaxed) >= needed) [[likely]]
      continue;
    // Populate as much of the stretch as the file has, so that growth costs one call a stretch and not one a page. Do
    // not touch the holes behind the entries in use: on tmpfs a touch of a hole takes space, and a full tmpfs fails it.
    static_assert(format::kDirectoryBytes % kStretchBytes == 0);
    const std::uint64_t end = begin < format::kDirectoryBytes
                                  ? pages * format::kEntryBytes
                                  : format::kDirectoryBytes + pages * geometry_.page_bytes();
    const std::uint64_t most = std::min<std::uint64_t>(end - begin, kStretchBytes);
    MENTEDB_TRY(region.mapping->populate(begin, most));
    done.store(static_cast<std::uint32_t>(most), std::memory_order_relaxed);
  }
  return {};
}

Result<void> BufferPool::copy(std::uint64_t number, std::uint64_t offset, std::span<std::byte> out) const {
  const std::uint64_t pages = pages_in_region(number);
  const std::uint64_t end = offset < format::kDirectoryBytes ? pages * format::kEntryBytes
                                                             : format::kDirectoryBytes + pages * geometry_.page_bytes();
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
  return copy(Geometry::region_of(first_page), Geometry::index_in_region(first_page) * format::kEntryBytes, out);
}

Result<std::optional<format::Entry>> BufferPool::read_entry(std::uint64_t page) const {
  std::array<std::byte, format::kEntryBytes> bytes;
  MENTEDB_TRY(read_entries(page, bytes));
  return format::decode_entry(bytes, page, seed_);
}

Result<std::optional<format::RunHeader>> BufferPool::read_header(std::uint64_t page) const {
  std::array<std::byte, sizeof(format::RunHeader)> bytes;
  const std::uint64_t offset = format::kDirectoryBytes + Geometry::index_in_region(page) * geometry_.page_bytes();
  MENTEDB_TRY(copy(Geometry::region_of(page), offset, bytes));
  return format::parse_run_header(bytes, page, geometry_.page_bytes());
}

Result<std::optional<RunCopy>> BufferPool::read_run(std::uint64_t page, base::AlignedBuffer& buffer) const {
  const std::uint64_t region = Geometry::region_of(page);
  const std::uint64_t offset = format::kDirectoryBytes + Geometry::index_in_region(page) * geometry_.page_bytes();
  return copy_run(
      page, geometry_.page_bytes(), seed_, buffer, [&](std::span<std::byte> out) { return copy(region, offset, out); },
      [&](const format::RunHeader& header) { return page + header.run_pages - 1 <= page_count(); });
}

Result<bool> BufferPool::slack_is_zero(const format::RunHeader& header, base::AlignedBuffer& buffer) const {
  const std::uint64_t used = sizeof(format::RunHeader) + header.payload_bytes;
  const std::uint64_t slack = std::uint64_t{header.run_pages} * geometry_.page_bytes() - used;
  const std::uint64_t offset =
      format::kDirectoryBytes + Geometry::index_in_region(header.page) * geometry_.page_bytes() + used;
  buffer.reserve(slack);
  MENTEDB_TRY(copy(Geometry::region_of(header.page), offset, buffer.first(slack)));
  return base::is_zero(buffer.first(slack));
}

BufferPool::Residency BufferPool::residency() const {
  Residency sum;
  for (std::uint64_t number = 0;; ++number) {
    const std::uint64_t pages = pages_in_region(number);
    if (pages == 0) return sum;
    const std::uint64_t bytes = format::kDirectoryBytes + pages * geometry_.page_bytes();
    const Segment* segment = segments_[number / kRegionsPerSegment].load(std::memory_order_acquire);
    const Region* region = segment == nullptr ? nullptr : (*segment)[number % kRegionsPerSegment].load();
    if (region == nullptr) continue;
    sum.mapped_bytes += bytes;
    sum.resident_bytes += region->mapping->resident_bytes(bytes);
  }
}

}  // namespace mentedb::pages

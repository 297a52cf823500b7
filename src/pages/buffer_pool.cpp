#include "pages/buffer_pool.hpp"

#include <algorithm>
#include <array>
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

BufferPool::Region* BufferPool::mapped_region(std::uint64_t number) const {
  MENTEDB_ASSERT(number < kRegionsPerSegment * kRegionsPerSegment);
  const Segment* segment = segments_[number / kRegionsPerSegment].load(std::memory_order_acquire);
  return segment == nullptr ? nullptr : (*segment)[number % kRegionsPerSegment].load(std::memory_order_acquire);
}

Result<BufferPool::Region*> BufferPool::region(std::uint64_t number) const {
  if (Region* found = mapped_region(number); found != nullptr) [[likely]]
    return found;
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

Result<BufferPool::Readable> BufferPool::readable(std::uint64_t number, std::uint64_t offset,
                                                  std::size_t length) const {
  const std::uint64_t pages = pages_in_region(number);
  constexpr std::uint64_t kPages = format::kRegionHeaderBytes + format::kDirectoryBytes;
  const std::uint64_t end = offset < kPages ? format::kRegionHeaderBytes + pages * format::kEntryBytes
                                            : kPages + pages * geometry_.page_bytes();
  if (pages == 0 || offset > end || length > end - offset) {
    return base::failf(ErrorCode::corruption,
                       "{} has fewer pages than its log or its shared state says; run mentedb verify, then mentedb "
                       "recover",
                       file_.path());
  }
  MENTEDB_TRY_ASSIGN(Region* const from, region(number));
  return Readable{.region = from, .pages = pages, .bytes = end - offset};
}

Result<void> BufferPool::copy(std::uint64_t number, std::uint64_t offset, std::span<std::byte> out) const {
  MENTEDB_TRY_ASSIGN(const Readable from, readable(number, offset, out.size()));
  MENTEDB_TRY(populate(*from.region, from.pages, offset, out.size()));
  from.region->mapping->copy(offset, out);
  return {};
}

Result<void> BufferPool::read_entries(std::uint64_t first_page, std::span<std::byte> out) const {
  return copy(Geometry::region_of(first_page), Geometry::entry_in_region(first_page), out);
}

Result<BufferPool::Region*> BufferPool::region_with_header(std::uint64_t number) const {
  MENTEDB_TRY_ASSIGN(Region* const found, region(number));
  if (!found->header_populated.load(std::memory_order_relaxed)) [[unlikely]] {
    MENTEDB_TRY(found->mapping->populate(0, base::kBlockBytes));
    found->header_populated.store(true, std::memory_order_relaxed);
  }
  return found;
}

Result<std::uint64_t> BufferPool::read_region_word(std::uint64_t region) const {
  MENTEDB_TRY_ASSIGN(const Region* const from, region_with_header(region));
  return from->mapping->load(format::kRegionWordOffset);
}

Result<format::StretchRecord> BufferPool::read_stretch(std::uint64_t stretch) const {
  MENTEDB_TRY_ASSIGN(const Region* const from, region_with_header(stretch / format::kStretchesPerRegion));
  const std::uint64_t offset = Geometry::record_in_region(stretch);
  return format::StretchRecord{.lsn = from->mapping->load(offset),
                               .free_space = from->mapping->load(offset + sizeof(std::uint64_t))};
}

std::uint64_t BufferPool::stretch_lsn(std::uint64_t stretch) const {
  return stretch_lsns(stretch / format::kStretchesPerRegion)[stretch % format::kStretchesPerRegion];
}

// One copy for all: a load for each would wait for memory again and again. The records are aligned words, and the
// processor copies an aligned word as a whole.
BufferPool::StretchLsns BufferPool::stretch_lsns(std::uint64_t region) const {
  StretchLsns lsns;
  std::array<format::StretchRecord, format::kStretchesPerRegion> records;
  const auto from = region_with_header(region);
  if (!from) {
    lsns.fill(std::numeric_limits<std::uint64_t>::max());
    return lsns;
  }
  (*from)->mapping->copy(Geometry::record_in_region(0), std::as_writable_bytes(std::span(records)));
  // Above a minimum of this engine the records on disk are older than the pages: an entry may have any LSN up to it.
  const std::uint64_t minimum = state_.minimum_lsn();
  for (std::size_t i = 0; i < lsns.size(); ++i) lsns[i] = std::max(records[i].lsn, minimum);
  return lsns;
}

Result<std::optional<format::Entry>> BufferPool::read_entry(std::uint64_t page) const {
  std::array<std::byte, format::kEntryBytes> bytes;
  MENTEDB_TRY(read_entries(page, bytes));
  return format::decode_entry(bytes, page, seed_);
}

Result<std::optional<format::RunHeader>> BufferPool::read_header(std::uint64_t page) const {
  std::array<std::byte, sizeof(format::RunHeader)> bytes;
  MENTEDB_TRY(read_bytes(page, bytes));
  return format::parse_run_header(bytes, page, geometry_.page_bytes());
}

// The first copy takes as many bytes as a run of this store usually has. So it waits for no length that lies in the run
// itself, and the processor fetches all lines of the run at once.
Result<std::optional<RunCopy>> BufferPool::read_run(std::uint64_t page, base::AlignedBuffer& buffer) const {
  const std::uint64_t number = Geometry::region_of(page);
  const std::uint64_t offset = geometry_.page_in_region(page);
  MENTEDB_TRY_ASSIGN(const Readable from, readable(number, offset, geometry_.page_bytes()));
  const std::size_t guess = std::min<std::uint64_t>(usual_run_bytes_.load(std::memory_order_relaxed), from.bytes);
  auto run = copy_run(
      page, geometry_.page_bytes(), seed_, buffer, guess,
      [&](std::uint64_t at, std::span<std::byte> out) -> Result<void> {
        if (at != 0) return copy(number, offset + at, out);
        MENTEDB_TRY(populate(*from.region, from.pages, offset, out.size()));
        from.region->mapping->copy(offset, out);
        return {};
      },
      [&](const format::RunHeader& header) { return page + header.run_pages - 1 <= page_count(); });
  if (run && *run) learn_usual_bytes(page, guess, sizeof(format::RunHeader) + (*run)->header.payload_bytes);
  return run;
}

// Threads that read runs of many lengths would all write the same word, so few pages may change it.
void BufferPool::learn_usual_bytes(std::uint64_t page, std::size_t guess, std::size_t run_bytes) const {
  constexpr std::uint64_t kPagesForOneThatMay = 64;
  constexpr std::size_t kMostBytes = 8 * 1024;
  if (page % kPagesForOneThatMay != 0 || (run_bytes <= guess && run_bytes > guess / 2)) return;
  const std::size_t usual = base::round_up(run_bytes, format::kMinPageBytes);
  usual_run_bytes_.store(std::min(usual, kMostBytes), std::memory_order_relaxed);
}

void BufferPool::prefetch(std::uint64_t page, std::uint64_t offset, std::size_t length) const {
  if (!contains(page)) return;
  const Region* in = mapped_region(Geometry::region_of(page));
  if (in != nullptr) in->mapping->prefetch(offset, length);
}

void BufferPool::prefetch_entries(std::uint64_t first_page, std::uint64_t count) const {
  prefetch(first_page, Geometry::entry_in_region(first_page), count * format::kEntryBytes);
}

void BufferPool::prefetch_run(std::uint64_t page) const {
  prefetch(page, geometry_.page_in_region(page), usual_run_bytes_.load(std::memory_order_relaxed));
}

Result<void> BufferPool::read_bytes(std::uint64_t page, std::span<std::byte> out) const {
  return copy(Geometry::region_of(page), geometry_.page_in_region(page), out);
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
    const Region* region = mapped_region(number);
    if (region == nullptr) continue;
    sum.mapped_bytes += bytes;
    sum.resident_bytes += region->mapping->resident_bytes(bytes);
  }
}

}  // namespace mentedb::pages

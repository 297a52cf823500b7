// The mapping of pages.db. The kernel's page cache is the buffer pool: one warm copy for all processes, coherent with
// every pwrite. The pool maps each region once, on first use, and keeps the mapping as long as the pool lives. It
// touches nothing beyond the published page count.
//
// A reader copies first and verifies the copy. The first touch of a stretch goes through `populate`, so that a bad
// sector is an error and not a signal. After that a read makes no system call. Every read is const: what the pool
// remembers (mappings, populated stretches) is a cache that many threads share.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <mentedb/error.hpp>

#include "base/bytes.hpp"
#include "base/mutex.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"
#include "format/stretch.hpp"
#include "pages/run_copy.hpp"
#include "shared/shared_state.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::pages {

class BufferPool {
 public:
  /// `file` and `state` outlive the pool.
  BufferPool(vfs::File& file, const shared::SharedState& state, format::Geometry geometry, std::uint64_t seed);
  ~BufferPool();

  /// A verified copy of the run that starts at `page`, or nothing when the bytes there do not verify.
  /// @errors `io_error` (the disk cannot read it)
  Result<std::optional<RunCopy>> read_run(std::uint64_t page, base::AlignedBuffer& buffer) const;
  /// True when the bytes behind the payload are zero, to the end of the run. No checksum covers these bytes, and no
  /// reader looks at them. A torn write of the run may have left bytes of another memory there.
  Result<bool> slack_is_zero(const format::RunHeader& header, base::AlignedBuffer& buffer) const;
  /// The run's header alone, when its fields are possible. The checksum is not checked.
  Result<std::optional<format::RunHeader>> read_header(std::uint64_t page) const;
  /// Has the processor fetch entries, or the run that starts at a page, while the caller goes on.
  void prefetch_entries(std::uint64_t first_page, std::uint64_t count) const;
  void prefetch_run(std::uint64_t page) const;
  /// Bytes from the start of `page` on, within its region. Nothing is verified.
  Result<void> read_bytes(std::uint64_t page, std::span<std::byte> out) const;
  /// The entry of `page`, or nothing when it does not verify.
  Result<std::optional<format::Entry>> read_entry(std::uint64_t page) const;
  /// Undecoded entries of consecutive pages of one region.
  Result<void> read_entries(std::uint64_t first_page, std::span<std::byte> out) const;
  Result<format::StretchRecord> read_stretch(std::uint64_t stretch) const;
  Result<std::uint64_t> read_region_word(std::uint64_t region) const;
  /// An LSN that no entry of the stretch exceeds.
  std::uint64_t stretch_lsn(std::uint64_t stretch) const;
  /// The same for each stretch of a region.
  using StretchLsns = std::array<std::uint64_t, format::kStretchesPerRegion>;
  StretchLsns stretch_lsns(std::uint64_t region) const;

  /// The number of pages that may be read: the page count of the shared state, and never more than the file has (I10).
  /// Makes a system call only when the file may have grown.
  std::uint64_t page_count() const;
  bool contains(std::uint64_t page) const { return page != 0 && page <= page_count(); }
  const format::Geometry& geometry() const { return geometry_; }
  std::uint64_t seed() const { return seed_; }

  struct Residency {
    std::uint64_t mapped_bytes = 0;
    std::uint64_t resident_bytes = 0;
  };
  Residency residency() const;

 private:
  static constexpr std::size_t kPieceBytes = 256 * 1024;
  static constexpr std::size_t kRegionsPerSegment = 256;
  struct Region {
    std::unique_ptr<vfs::Mapping> mapping;
    std::atomic<bool> header_populated{false};
    std::vector<std::atomic<std::uint32_t>> populated;  ///< bytes from the start of each piece behind the header
  };
  using Segment = std::array<std::atomic<Region*>, kRegionsPerSegment>;

  /// Null when the region was not used yet.
  Region* mapped_region(std::uint64_t number) const;
  Result<Region*> region(std::uint64_t number) const;
  Result<Region*> region_with_header(std::uint64_t number) const;
  Result<Region*> map_region(std::uint64_t number) const MENTEDB_EXCLUDES(mapping_mutex_);
  /// What may be read of a region. `bytes`: from the offset that was asked for to the end of the directory, or of the
  /// pages.
  struct Readable {
    Region* region;
    std::uint64_t pages;
    std::uint64_t bytes;
  };
  /// `offset`: in the region, behind its header. At least `length` bytes may be read from there on.
  Result<Readable> readable(std::uint64_t region, std::uint64_t offset, std::size_t length) const;
  Result<void> copy(std::uint64_t region, std::uint64_t offset, std::span<std::byte> out) const;
  /// `pages`: the number of pages of the region that may be read.
  Result<void> populate(Region& region, std::uint64_t pages, std::uint64_t offset, std::uint64_t length) const;
  std::uint64_t pages_in_region(std::uint64_t number) const;
  void prefetch(std::uint64_t page, std::uint64_t offset, std::size_t length) const;
  void learn_usual_bytes(std::uint64_t page, std::size_t guess, std::size_t run_bytes) const;

  vfs::File& file_;
  const shared::SharedState& state_;
  format::Geometry geometry_;
  std::uint64_t seed_;
  mutable std::atomic<std::uint64_t> pages_in_file_{0};  ///< at the last look at the file, which never shrinks
  /// What `read_run` copies at first.
  mutable std::atomic<std::size_t> usual_run_bytes_{2 * format::kDefaultPageBytes};
  mutable std::array<std::atomic<Segment*>, kRegionsPerSegment> segments_{};
  mutable base::Mutex mapping_mutex_;
};

}  // namespace mentedb::pages

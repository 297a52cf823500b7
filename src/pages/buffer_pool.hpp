// The mapping of pages.db. The kernel's page cache is the buffer pool: one warm copy for all processes, coherent with
// every pwrite. Each group is mapped once, on first use, and never moved or unmapped while the pool lives; nothing
// beyond the published page count is touched.
//
// Whoever reads copies first and verifies the copy. First touch of a stretch goes through `populate`, so that a bad
// sector is an error and not a signal; after that a read makes no system call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <mentedb/error.hpp>

#include "base/bytes.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"
#include "pages/shared_words.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::pages {

/// A verified copy of a run; `payload` points into the buffer it was read into.
struct RunCopy {
  format::RunHeader header{};
  std::span<const std::byte> payload;
};

class BufferPool {
 public:
  /// `file` and `words` outlive the pool.
  BufferPool(vfs::File& file, const SharedWords& words, format::Geometry geometry, std::uint64_t seed);
  ~BufferPool();

  /// A copy of the run that starts at `page`, or nothing when the bytes there do not verify as one.
  /// @errors `io_error` (the disk cannot read it)
  Result<std::optional<RunCopy>> read_run(std::uint64_t page, base::AlignedBuffer& buffer);
  /// True when the bytes behind the payload are zero, to the end of the run. No checksum covers them: no reader looks
  /// at them, but a run that was cut off while it was written may have left another memory's bytes there.
  Result<bool> slack_is_zero(const format::RunHeader& header, base::AlignedBuffer& buffer);
  /// The run's header alone, when its fields are possible; its checksum is not checked.
  Result<std::optional<format::RunHeader>> read_header(std::uint64_t page);
  /// The entry of `page`, or nothing when it does not verify.
  Result<std::optional<format::Entry>> read_entry(std::uint64_t page);
  /// Undecoded entries of consecutive pages of one group.
  Result<void> read_entries(std::uint64_t first_page, std::span<std::byte> out);

  /// Pages that may be read: what the shared words say, and never more than the file has, whatever they say (I10).
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
  static constexpr std::size_t kStretchBytes = 256 * 1024;
  static constexpr std::size_t kGroupsPerSegment = 256;
  struct Group {
    std::unique_ptr<vfs::Mapping> mapping;
    std::vector<std::atomic<std::uint32_t>> populated;  ///< per stretch, bytes from its start
  };
  using Segment = std::array<std::atomic<Group*>, kGroupsPerSegment>;

  Result<Group*> group(std::uint64_t number);
  Result<Group*> map_group(std::uint64_t number);
  Result<void> copy(std::uint64_t group, std::uint64_t offset, std::span<std::byte> out);
  /// `pages`: of the group, may be read.
  Result<void> populate(Group& group, std::uint64_t pages, std::uint64_t offset, std::uint64_t length);
  std::uint64_t pages_in_group(std::uint64_t number) const;

  vfs::File& file_;
  const SharedWords& words_;
  format::Geometry geometry_;
  std::uint64_t seed_;
  mutable std::atomic<std::uint64_t> pages_in_file_{0};  ///< as far as this pool has looked; files never shrink
  std::array<std::atomic<Segment*>, kGroupsPerSegment> segments_{};
  std::mutex mapping_mutex_;
};

}  // namespace mentedb::pages

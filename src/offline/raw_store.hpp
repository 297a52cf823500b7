// The files of a store as they are, for verify, inspect and salvage. A RawStore needs no open(), reads with pread,
// writes nothing and repairs nothing. Every byte that it reads may be damaged.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/report.hpp>

#include "base/bytes.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"
#include "format/stretch.hpp"
#include "format/superblock.hpp"
#include "pages/run_copy.hpp"
#include "vfs/vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::offline {

class RawStore {
 public:
  /// @errors `not_found`, `incompatible`, `corruption` (a file or the superblock is missing or damaged), ...
  static Result<std::unique_ptr<RawStore>> open(vfs::Vfs& vfs, const std::filesystem::path& path);
  /// The same, but a file may be missing and the superblock may be damaged. `damage()` lists that.
  /// @errors `not_found` (neither file), `incompatible` (another program's files), ...
  static Result<std::unique_ptr<RawStore>> open_damaged(vfs::Vfs& vfs, const std::filesystem::path& path);

  /// The missing file, the damaged superblock or the unreadable shared state. Empty when there is no such damage.
  const std::vector<Problem>& damage() const { return damage_; }
  bool has_log() const { return log_file_ != nullptr; }
  bool has_pages() const { return pages_file_ != nullptr; }
  bool has_superblock() const { return has_superblock_; }
  /// From now on pages are read with the page size and the seed of this superblock. `seed_known` false: no checksum is
  /// compared, and a run is checked only for its own place and for possible lengths.
  void assume(const format::Superblock& superblock, bool seed_known);
  bool seed_known() const { return seed_known_; }

  const format::Superblock& superblock() const { return superblock_; }
  const format::Geometry& geometry() const { return geometry_; }
  vfs::Directory& directory() { return *directory_; }
  vfs::File& log_file() { return *log_file_; }
  vfs::File& pages_file() { return *pages_file_; }
  wal::Log& log() { return *log_; }
  /// The shared state at the last read. While no process holds the lock, its words agree with a valid cached tail.
  struct State {
    std::optional<wal::Tail> cached_tail;  ///< nothing when it does not verify
    std::uint64_t index_number = 0;
    std::uint64_t queue_number = 0;  ///< 0: none
    std::uint64_t committed_lsn = 0;
    std::uint64_t page_count = 0;
    std::uint64_t reuse_horizon = 0;
  };
  const State& state() const { return state_; }
  /// Reads the shared state again.
  Result<void> refresh();

  /// Reads `out.size()` bytes. Bytes beyond the end of the file and unreadable bytes are zero, and then the result is
  /// false.
  bool read(vfs::File& file, std::uint64_t offset, std::span<std::byte> out) const;
  /// True when the page, or a part of it, lies within the file.
  bool contains(std::uint64_t page) const { return page <= last_page(); }
  std::uint64_t last_page() const;
  std::optional<format::Entry> read_entry(std::uint64_t page) const;
  std::optional<format::StretchRecord> read_stretch(std::uint64_t stretch) const;
  /// For a DirectoryCursor. It never fails: an entry that cannot be read is zero and does not verify.
  Result<void> read_entries(std::uint64_t first_page, std::span<std::byte> out) const;
  std::uint64_t seed() const { return superblock_.seed; }
  /// The run's header and, in `buffer`, its payload. Nothing when the run does not verify.
  std::optional<pages::RunCopy> read_run(std::uint64_t page, base::AlignedBuffer& buffer) const;
  /// True when the bytes behind the payload are zero, to the end of the run.
  bool slack_is_zero(const format::RunHeader& header) const;
  /// False when the runs that `read_run` met claim several times the bytes of the file. Then `read_run` finds nothing
  /// until `refresh`. Sound runs do not overlap, so only a forged file reaches this bound (I10).
  bool may_read_runs() const { return run_bytes_left_ > 0; }

 private:
  RawStore() = default;
  Result<void> open_superblock();
  void allow_reads();

  std::unique_ptr<vfs::Directory> directory_;
  std::unique_ptr<vfs::File> log_file_;
  std::unique_ptr<vfs::File> pages_file_;
  std::unique_ptr<wal::Log> log_;
  std::vector<Problem> damage_;
  bool has_superblock_ = false;
  bool seed_known_ = true;
  format::Superblock superblock_{};
  format::Geometry geometry_;
  State state_;
  mutable std::uint64_t run_bytes_left_ = 0;
  mutable std::array<std::byte, base::kBlockBytes> entries_{};  ///< the directory block that was read last
  mutable std::uint64_t entry_block_ = 0;                       ///< its number; 0: none
};

}  // namespace mentedb::offline

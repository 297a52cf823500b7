// A store's files as they are: for verify, inspect and salvage, which bypass open(), read with pread, write nothing and
// repair nothing. Everything may be damaged.
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
#include "format/superblock.hpp"
#include "pages/run_copy.hpp"
#include "vfs/vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::offline {

class RawStore {
 public:
  /// @errors `not_found`, `incompatible`, `corruption` (a file or the superblock is missing or damaged), ...
  static Result<std::unique_ptr<RawStore>> open(vfs::Vfs& vfs, const std::filesystem::path& path);
  /// The same, but a file may be missing, and the superblock damaged. `damage()` says so.
  /// @errors `not_found` (neither file), `incompatible` (another program's files), ...
  static Result<std::unique_ptr<RawStore>> open_damaged(vfs::Vfs& vfs, const std::filesystem::path& path);

  /// What keeps the store from being looked at as a whole.
  const std::vector<Problem>& damage() const { return damage_; }
  bool has_log() const { return log_file_ != nullptr; }
  bool has_pages() const { return pages_file_ != nullptr; }
  bool has_superblock() const { return has_superblock_; }
  /// From now on pages are read as this superblock says. Without the store's seed no checksum is compared: then only
  /// the run's own place and possible lengths are checked.
  void assume(const format::Superblock& superblock, bool seed_known);
  bool seed_known() const { return seed_known_; }

  const format::Superblock& superblock() const { return superblock_; }
  const format::Geometry& geometry() const { return geometry_; }
  vfs::Directory& directory() { return *directory_; }
  vfs::File& log_file() { return *log_file_; }
  vfs::File& pages_file() { return *pages_file_; }
  wal::Log& log() { return *log_; }
  /// The shared state as it was read. While no process holds the lock, its words agree with the cached tail.
  struct State {
    std::optional<wal::Tail> cached_tail;  ///< when it verifies
    std::uint64_t index_number = 0;
    std::uint64_t committed_lsn = 0;
    std::uint64_t page_count = 0;
    std::uint64_t reuse_horizon = 0;
    std::vector<std::uint64_t> region_lsns;  ///< of the regions of the file, modulo their number
  };
  const State& state() const { return state_; }
  /// Reads the shared state again.
  Result<void> refresh();

  /// Up to `out.size()` bytes; what is beyond the end of the file or unreadable reads as zero, and `complete` says so.
  bool read(vfs::File& file, std::uint64_t offset, std::span<std::byte> out) const;
  /// The page lies within the file.
  bool contains(std::uint64_t page) const { return page <= last_page(); }
  std::uint64_t last_page() const;
  std::optional<format::Entry> read_entry(std::uint64_t page) const;
  /// For a DirectoryCursor. Never fails: entries that cannot be read are zero, and do not verify.
  Result<void> read_entries(std::uint64_t first_page, std::span<std::byte> out) const;
  std::uint64_t seed() const { return superblock_.seed; }
  /// The run's header and, in `buffer`, its payload; nothing when it does not verify.
  std::optional<pages::RunCopy> read_run(std::uint64_t page, base::AlignedBuffer& buffer) const;
  /// The bytes behind the payload, to the end of the run, are zero.
  bool slack_is_zero(const format::RunHeader& header) const;
  /// False once `read_run` has read runs that claim more bytes than the file has several times over: then it finds
  /// nothing any more until `refresh`. Runs do not overlap, so only a hostile file comes to this (I10).
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
  mutable std::array<std::byte, base::kBlockBytes> entries_{};  ///< the directory block read last
  mutable std::uint64_t entry_block_ = 0;                       ///< its number; 0: none
};

}  // namespace mentedb::offline

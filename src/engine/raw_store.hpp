// A store's files as they are: for verify and inspect, which bypass open(), read with pread, write nothing and heal
// nothing. Everything may be damaged.
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

#include "base/bytes.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"
#include "format/superblock.hpp"
#include "vfs/vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::engine {

class RawStore {
 public:
  /// @errors `not_found`, `incompatible`, `corruption` (no readable superblock), ...
  static Result<std::unique_ptr<RawStore>> open(vfs::Vfs& vfs, const std::filesystem::path& path);

  const format::Superblock& superblock() const { return superblock_; }
  const format::Geometry& geometry() const { return geometry_; }
  vfs::Directory& directory() { return *directory_; }
  vfs::File& log_file() { return *log_file_; }
  vfs::File& pages_file() { return *pages_file_; }
  wal::Log& log() { return log_; }
  /// The hint in the shared words, when it verifies, and the number of the id index.
  std::optional<wal::Tail> hint() const { return hint_; }
  std::uint64_t index_number() const { return index_number_; }
  /// Reads the shared words again.
  Result<void> refresh();

  /// Up to `out.size()` bytes; what is beyond the end of the file or unreadable reads as zero, and `complete` says so.
  bool read(vfs::File& file, std::uint64_t offset, std::span<std::byte> out) const;
  std::optional<format::Entry> read_entry(std::uint64_t page) const;
  /// The run's header and, in `buffer`, its payload; nothing when it does not verify.
  struct Run {
    format::RunHeader header{};
    std::span<const std::byte> payload;
  };
  std::optional<Run> read_run(std::uint64_t page, base::AlignedBuffer& buffer) const;
  /// False once runs that claim more bytes than the file has several times over were read since `refresh`: then
  /// `read_run` finds nothing any more. Runs do not overlap, so only a hostile file comes to this (I10).
  bool reads_on() const { return run_bytes_left_ > 0; }

 private:
  RawStore(std::unique_ptr<vfs::Directory> directory, std::unique_ptr<vfs::File> log_file,
           std::unique_ptr<vfs::File> pages_file)
      : directory_(std::move(directory)),
        log_file_(std::move(log_file)),
        pages_file_(std::move(pages_file)),
        log_(*log_file_) {}

  std::unique_ptr<vfs::Directory> directory_;
  std::unique_ptr<vfs::File> log_file_;
  std::unique_ptr<vfs::File> pages_file_;
  wal::Log log_;
  format::Superblock superblock_{};
  format::Geometry geometry_;
  std::optional<wal::Tail> hint_;
  std::uint64_t index_number_ = 0;
  mutable std::uint64_t run_bytes_left_ = 0;
  mutable std::array<std::byte, base::kBlockBytes> entries_{};  ///< the directory block read last
  mutable std::uint64_t entry_block_ = 0;                       ///< its number; 0: none
};

}  // namespace mentedb::engine

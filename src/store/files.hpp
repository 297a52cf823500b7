// The files of a store as one engine has them open, and R11: the paths still lead to them. The only place that opens,
// creates and compares the store's files.
//
// Creation, each step durable before the next: wal.log, empty, only to be locked; pages.db with a superblock
// "creating"; the directory; the first copy of the log's header; the superblock "created". So open() can tell what a
// crash leaves from damage:
//   - "creating" or less, without that header: nothing was ever committed, and open() starts over.
//   - "creating" with the header: open() does the last step again. Its "created" may have been in the page cache only.
//   - "created" without a valid header: damage. open() never makes a new log, which would begin at LSN 1 (I8).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/options.hpp>

#include "format/log_format.hpp"
#include "format/superblock.hpp"
#include "store/failure.hpp"
#include "vfs/vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::store {

inline constexpr std::string_view kLogName = "wal.log";
inline constexpr std::string_view kPagesName = "pages.db";

/// The files of a store whose id index and commit queue have these numbers (0: none).
std::vector<std::string> file_names(std::uint64_t index_number, std::uint64_t queue_number);

/// As format::decode_superblock. But beside a log of this version (`log_header`: its newest header, when there is one)
/// an unknown magic or version is damage, and not the file of another program or of a later version.
Result<format::Superblock> read_superblock(std::span<const std::byte> block, const std::string& path,
                                           const format::LogHeader* log_header);

/// Whether `open` creates a store that does not exist. A read-only engine never creates one.
enum class IfAbsent { create, refuse };

class StoreFiles {
 public:
  StoreFiles(vfs::Vfs& vfs, std::filesystem::path path, const Options& options, IfAbsent if_absent);

  /// Step 1, without the lock: the directory and wal.log, which is made when there is no store yet.
  Result<void> open_log();
  /// Step 2, without the lock: pages.db and its superblock, when a finished creation left it. False when it did not, or
  /// when the file cannot be read now: then step 2 with the lock makes the store or names the error. The log is not
  /// read: a mark of a recovery speaks for it, and without a mark recovery reads it.
  Result<bool> find_pages();
  /// Step 2, with the lock: pages.db and its superblock. Creates the store when its creation never ended.
  Result<void> open_pages();
  /// R11: the paths still lead to the files that are open.
  Outcome<void> check_unchanged(FilesReplaced when = FilesReplaced::before_commit) const;

  bool same_files(const StoreFiles& other) const { return log_id_ == other.log_id_ && pages_id_ == other.pages_id_; }
  bool same_store(const StoreFiles& other) const;

  vfs::Vfs& vfs() const { return vfs_; }
  const Options& options() const { return options_; }
  const std::filesystem::path& path() const { return path_; }
  const format::Superblock& superblock() const { return superblock_; }
  const vfs::FileId& pages_id() const { return pages_id_; }
  const vfs::FileId& log_id() const { return log_id_; }
  vfs::Directory& directory() const { return *directory_; }
  vfs::File& log_file() const { return *log_file_; }
  vfs::File& pages_file() const { return *pages_file_; }
  /// For the lock holder.
  wal::Log& log() { return *log_; }

 private:
  Result<std::unique_ptr<vfs::File>> open_log_file();
  Result<void> refuse_another_programs_store() const;
  struct Pages {
    std::unique_ptr<vfs::File> file;
    format::Superblock superblock;
  };
  Result<std::optional<Pages>> created_pages() const;
  vfs::OpenMode open_mode() const { return options_.read_only ? vfs::OpenMode::read_only : vfs::OpenMode::read_write; }
  Result<bool> needs_creation();
  Result<void> create();
  Result<void> finish_creation();
  Result<void> write_superblock();
  Result<void> finish_open();

  vfs::Vfs& vfs_;
  std::filesystem::path path_;
  Options options_;
  bool may_create_;
  std::unique_ptr<vfs::Directory> directory_;
  std::unique_ptr<vfs::File> log_file_;
  std::unique_ptr<vfs::File> pages_file_;
  std::unique_ptr<wal::Log> log_;
  vfs::FileId log_id_;
  vfs::FileId pages_id_;
  format::Superblock superblock_{};
};

}  // namespace mentedb::store

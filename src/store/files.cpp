#include "store/files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "format/geometry.hpp"
#include "format/index_format.hpp"
#include "format/queue_format.hpp"

namespace mentedb::store {

using format::StoreState;
using format::Superblock;

std::vector<std::string> file_names(std::uint64_t index_number, std::uint64_t queue_number) {
  std::vector<std::string> names{std::string(kLogName), std::string(kPagesName)};
  if (index_number != 0) names.push_back(format::index_file_name(index_number));
  if (queue_number != 0) names.push_back(format::queue_file_name(queue_number));
  return names;
}

Result<format::Superblock> read_superblock(std::span<const std::byte> block, const std::string& path,
                                           const format::LogHeader* log_header) {
  auto superblock = format::decode_superblock(block, path);
  const bool foreign = !superblock && superblock.error().code == ErrorCode::incompatible;
  if (!foreign || log_header == nullptr || format::has_known_magic(block)) return superblock;
  return base::failf(ErrorCode::corruption,
                     "the superblock of {} is damaged: magic or version are not those of the log beside it; restore a "
                     "backup, or run mentedb salvage",
                     path);
}

StoreFiles::StoreFiles(vfs::Vfs& vfs, std::filesystem::path path, const Options& options, IfAbsent if_absent)
    : vfs_(vfs),
      path_(std::move(path)),
      options_(options),
      may_create_(if_absent == IfAbsent::create && !options.read_only) {}

bool StoreFiles::same_store(const StoreFiles& other) const {
  return superblock_.store_id == other.superblock_.store_id && superblock_.incarnation == other.superblock_.incarnation;
}

Outcome<void> StoreFiles::check_unchanged(FilesReplaced when) const {
  const auto same = [&](std::string_view name, const vfs::FileId& id) -> Outcome<void> {
    const auto now = directory_->id_of(name);
    if (now && *now == id) return {};
    // A file or a loop of links in the place of a directory of the path: the file is no longer there. Any other error
    // says nothing about the file.
    const auto is_gone = [](const Error& error) {
      return error.code == ErrorCode::not_found || error.os_error == ENOTDIR || error.os_error == ELOOP;
    };
    if (!now && !is_gone(now.error())) return std::unexpected(now.error());
    return std::unexpected(
        Failure(Error{ErrorCode::incompatible, 0,
                      fmt::format("{}/{} was {} while it was open; nothing was acknowledged. Open the store again",
                                  directory_->path(), name, now ? "replaced" : "removed")},
                when));
  };
  MENTEDB_TRY(same(kLogName, log_id_));
  return same(kPagesName, pages_id_);
}

Result<void> StoreFiles::open_log() {
  // Asked first, while the process still has a descriptor for it. A limit on descriptors then fails an open below, and
  // is reported as what it is.
  const bool knows_boot = vfs_.boot_id() != std::array<std::uint8_t, 16>{};
  auto directory = vfs_.open_directory(path_, may_create_);
  if (!directory) {
    if (directory.error().code != ErrorCode::not_found) return std::unexpected(directory.error());
    return base::failf(ErrorCode::not_found, "there is no store in {}: the directory does not exist; check the path",
                       path_.string());
  }
  directory_ = std::move(*directory);
  if (!options_.single_process) {
    if (const auto reason = directory_->unsupported_reason()) {
      return base::failf(
          ErrorCode::unsupported_filesystem,
          "{} cannot be shared safely: {}; use a local directory, or set single_process if no other process uses it",
          directory_->path(), *reason);
    }
    if (!knows_boot) {
      return base::fail(ErrorCode::unsupported_filesystem,
                        "cannot read /proc/sys/kernel/random/boot_id, which tells old index files from new ones; mount "
                        "/proc, or set single_process");
    }
  }
  MENTEDB_TRY_ASSIGN(log_file_, open_log_file());
  MENTEDB_TRY_ASSIGN(log_id_, log_file_->id());
  log_ = std::make_unique<wal::Log>(*log_file_);
  return {};
}

// A lost log is not replaced by a new one: an empty log beside pages in use would hide the loss.
Result<std::unique_ptr<vfs::File>> StoreFiles::open_log_file() {
  auto log_file = directory_->open(kLogName, open_mode(), true);
  if (log_file || log_file.error().code != ErrorCode::not_found) return log_file;
  // Creation makes the log first. So a superblock "created" without a log has two reasons: the log is lost, or another
  // process has just created both files, and then the log is there now.
  MENTEDB_TRY_ASSIGN(const auto in_use, created_pages());
  if (in_use) {
    log_file = directory_->open(kLogName, open_mode(), true);
    if (log_file || log_file.error().code != ErrorCode::not_found) return log_file;
    return base::failf(
        ErrorCode::corruption,
        "{}/{} is missing although the store was in use; restore a backup, or run: mentedb salvage --dir '{}' DEST",
        directory_->path(), kLogName, path_.string());
  }
  if (!may_create_) {
    return base::failf(ErrorCode::not_found, "there is no store in {} (no {}); check the path", directory_->path(),
                       kLogName);
  }
  MENTEDB_TRY(refuse_another_programs_store());
  return directory_->open(kLogName, vfs::OpenMode::create, true);
}

// The original Rust engine, from version 0.45 on, takes a pages.db beside its own files for its own old file, and
// renames it to pages.db.v1. So no store is created where such files lie.
Result<void> StoreFiles::refuse_another_programs_store() const {
  MENTEDB_TRY_ASSIGN(const std::vector<std::string> names, directory_->list());
  for (const std::string& name : names) {
    if (name != "records.db" && name != "records.wal" && name != "LOCK" && !name.ends_with(".v1")) continue;
    return base::failf(ErrorCode::incompatible,
                       "{} holds {}, a file of another program's store, such as the original MenteDB's; choose another "
                       "directory",
                       directory_->path(), name);
  }
  return {};
}

// Nothing when there is no pages.db, or none whose creation has ended.
Result<std::optional<StoreFiles::Pages>> StoreFiles::created_pages() const {
  auto file = directory_->open(kPagesName, open_mode(), false);
  if (!file) {
    if (file.error().code == ErrorCode::not_found) return std::nullopt;
    return std::unexpected(file.error());
  }
  (*file)->start_reading(format::kSharedStateOffset, base::kBlockBytes);  // needed next
  std::array<std::byte, base::kBlockBytes> block{};
  MENTEDB_TRY_ASSIGN(const std::size_t got, (*file)->read_at(0, block));
  const auto superblock = format::decode_superblock(std::span(block).first(got), (*file)->path());
  if (!superblock || superblock->state != StoreState::created) return std::nullopt;
  return Pages{.file = std::move(*file), .superblock = *superblock};
}

Result<bool> StoreFiles::find_pages() {
  auto pages = created_pages();
  if (!pages || !*pages) return false;
  superblock_ = (*pages)->superblock;
  pages_file_ = std::move((*pages)->file);
  MENTEDB_TRY(finish_open());
  return true;
}

Result<void> StoreFiles::finish_open() {
  if (options_.page_size_bytes != 0 && options_.page_size_bytes != superblock_.page_bytes) {
    return base::failf(ErrorCode::incompatible, "{} has pages of {} bytes, not {}; open it with page_size_bytes 0",
                       path_.string(), superblock_.page_bytes, options_.page_size_bytes);
  }
  MENTEDB_TRY_ASSIGN(pages_id_, pages_file_->id());
  return {};
}

// Opens pages.db and reads its superblock. Creates the store when its creation never ended.
Result<void> StoreFiles::open_pages() {
  MENTEDB_TRY_ASSIGN(const bool fresh, needs_creation());
  if (fresh) {
    if (!may_create_)
      return base::failf(ErrorCode::not_found, "there is no store in {}; check the path", directory_->path());
    MENTEDB_TRY(refuse_another_programs_store());
    MENTEDB_TRY(create());
  }
  return finish_open();
}

Result<bool> StoreFiles::needs_creation() {
  MENTEDB_TRY_ASSIGN(const auto headers, log_->read_headers());
  const bool log_is_empty = headers.newest() == nullptr && !headers.any_damaged();
  auto pages_file = directory_->open(kPagesName, open_mode(), false);
  if (!pages_file) {
    if (pages_file.error().code != ErrorCode::not_found) return std::unexpected(pages_file.error());
    if (log_is_empty) return true;
    if (headers.newest() == nullptr) {
      return base::failf(ErrorCode::incompatible, "{} is not a MenteDB log; choose another directory", log_->path());
    }
    return base::failf(ErrorCode::corruption, "{}/{} is missing; restore a backup, or run mentedb salvage",
                       directory_->path(), kPagesName);
  }
  pages_file_ = std::move(*pages_file);
  std::array<std::byte, base::kBlockBytes> block{};
  MENTEDB_TRY_ASSIGN(const std::size_t got, pages_file_->read_at(0, block));
  const auto bytes = std::span(block).first(got);
  // A crash during the creation, before the superblock was on the disk, leaves zeros.
  if (base::is_zero(bytes)) {
    if (log_is_empty && got <= base::kBlockBytes) return true;
    return base::failf(ErrorCode::corruption,
                       "the superblock of {} is gone; restore a backup, or run: mentedb salvage --dir '{}' DEST",
                       pages_file_->path(), path_.string());
  }
  MENTEDB_TRY_ASSIGN(superblock_, read_superblock(bytes, pages_file_->path(), headers.newest()));
  switch (superblock_.state) {
    case StoreState::creating: {
      const format::LogHeader* const header = headers.newest();
      if (header == nullptr || !format::belongs_to(*header, superblock_)) return true;
      // All steps but the last were done. Perhaps the last one was done too and its sync failed: then the store was
      // used.
      if (!options_.read_only) {
        // The process that wrote the header may have died before its sync.
        MENTEDB_TRY(log_->ensure_header_durable(*header));
        MENTEDB_TRY(finish_creation());
      }
      break;
    }
    case StoreState::copying:
      return base::failf(ErrorCode::corruption, "{} is an unfinished backup; remove it and make the backup again",
                         path_.string());
    case StoreState::created:
      break;
  }
  if (headers.newest() == nullptr) {
    return base::failf(ErrorCode::corruption,
                       "{} has no valid header although the store was in use; restore a backup, or run: mentedb "
                       "salvage --dir '{}' DEST",
                       log_->path(), path_.string());
  }
  return false;
}

Result<void> StoreFiles::write_superblock() {
  std::array<std::byte, base::kBlockBytes> block{};
  format::encode_superblock(superblock_, block);
  return pages_file_->write_at(0, block);
}

Result<void> StoreFiles::create() {
  superblock_ = {};
  superblock_.magic = format::kPagesMagic;
  superblock_.version = format::kFormatVersion;
  superblock_.state = StoreState::creating;
  superblock_.page_bytes = options_.page_size_bytes == 0 ? format::kDefaultPageBytes : options_.page_size_bytes;
  vfs_.random_bytes(std::as_writable_bytes(std::span(superblock_.store_id)));
  vfs_.random_bytes(std::as_writable_bytes(std::span(superblock_.incarnation)));
  vfs_.random_bytes(std::as_writable_bytes(std::span(&superblock_.seed, 1)));

  MENTEDB_TRY_ASSIGN(pages_file_, directory_->open(kPagesName, vfs::OpenMode::create, false));
  MENTEDB_TRY(write_superblock());
  const std::array<std::byte, base::kBlockBytes> zeros{};
  MENTEDB_TRY(pages_file_->write_at(format::kSharedStateOffset, zeros));
  MENTEDB_TRY(pages_file_->sync());
  MENTEDB_TRY(directory_->sync());

  MENTEDB_TRY(log_->grow(std::min(wal::kInitialLogBytes, format::kLogStart + options_.wal_limit_bytes)));
  format::LogHeader header{};
  header.epoch = 1;
  header.start_lsn = 1;
  header.store_id = superblock_.store_id;
  header.incarnation = superblock_.incarnation;
  vfs_.random_bytes(std::as_writable_bytes(std::span(&header.seed, 1)));
  // An interrupted creation may have left a header for another superblock.
  MENTEDB_TRY(log_->clear_header(0));
  MENTEDB_TRY(log_->reset(header));
  return finish_creation();
}

Result<void> StoreFiles::finish_creation() {
  superblock_.state = StoreState::created;
  MENTEDB_TRY(write_superblock());
  return pages_file_->sync();
}

}  // namespace mentedb::store

// Opening and creating a store.
//
// Creation (each step durable before the next): wal.log, empty, only to be locked; pages.db with a superblock
// "creating"; the directory; the log's first header slot; the superblock "created". So whatever a crash leaves
// is told apart from damage: "creating" or less without that slot means that nothing was ever committed and open()
// starts over; with it the last step is done again, since it may have been seen in the page cache and not have reached
// the disk; "created" without a valid slot is damage, never a fresh log, because a fresh log would begin at LSN 1 (I8).

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "engine/store.hpp"

namespace mentedb::engine {

namespace {

using format::StoreState;
using format::Superblock;

constexpr std::uint64_t kMinWalLimit = 64 * 1024;
constexpr std::uint64_t kMaxWalLimit = std::uint64_t{4} << 30;

Result<void> check_options(const Options& options) {
  if (options.page_size_bytes != 0 && !format::is_valid_page_bytes(options.page_size_bytes)) {
    return base::failf(ErrorCode::invalid_argument, "page_size_bytes is {}; it is a power of two from {} to {}, or 0",
                       options.page_size_bytes, format::kMinPageBytes, format::kMaxPageBytes);
  }
  if (options.wal_limit_bytes < kMinWalLimit || options.wal_limit_bytes > kMaxWalLimit) {
    return base::failf(ErrorCode::invalid_argument, "wal_limit_bytes is {}; it is from {} to {}",
                       options.wal_limit_bytes, kMinWalLimit, kMaxWalLimit);
  }
  if (options.lock_timeout.count() < 0) return base::fail(ErrorCode::invalid_argument, "lock_timeout is negative");
  return {};
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options,
                                           Missing missing) {
  MENTEDB_TRY(check_options(options));
  // A store that is replaced while it is being opened is opened again; more than a few times is no accident.
  for (int attempt = 0;; ++attempt) {
    std::unique_ptr<Store> store(new Store(vfs, path, options, missing));
    StoreLock::Hold hold;
    auto opened = store->open_files(hold);
    if (opened) return store;
    if (attempt == 3 || !is_replaced(opened.error())) return std::unexpected(opened.error());
  }
}

Result<void> Store::open_files(StoreLock::Hold& hold) {
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
    if (vfs_.boot_id() == std::array<std::uint8_t, 16>{}) {
      return base::fail(ErrorCode::unsupported_filesystem,
                        "cannot read /proc/sys/kernel/random/boot_id, which tells old index files from new ones; mount "
                        "/proc, or set single_process");
    }
  }
  MENTEDB_TRY_ASSIGN(log_file_, open_log());
  MENTEDB_TRY_ASSIGN(log_id_, log_file_->id());
  log_ = std::make_unique<wal::Log>(*log_file_);
  lock_ = std::make_unique<StoreLock>(vfs_, *log_file_);
  MENTEDB_TRY_ASSIGN(hold, lock_->acquire(options_.lock_timeout));
  MENTEDB_TRY(open_pages());
  MENTEDB_TRY(check_files());
  MENTEDB_TRY(map_store());
  if (!options_.single_process) MENTEDB_TRY(self_test());
  MENTEDB_TRY_ASSIGN(const Recovered recovered, redo(options_.read_only ? Redo::check_only : Redo::normal));  // R3
  if (options_.read_only) {
    if (recovered.missing > 0) {
      return base::failf(ErrorCode::busy,
                         "{} operations of {} are not in their pages yet; run: mentedb recover --dir '{}'",
                         recovered.missing, log_->path(), path_.string());
    }
    MENTEDB_TRY(index_->ensure_usable(recovered.tail.counters.page_count, recovered.tail.counters.memory_count));
  }
  poison_generation_ = words_->poison_generation();
  lock_->use_words(options_.read_only ? nullptr : words_.get());
  return {};
}

// A log that was lost is not made anew: an empty one beside pages in use helps nobody, and hides what happened.
Result<std::unique_ptr<vfs::File>> Store::open_log() {
  const vfs::OpenMode mode = options_.read_only ? vfs::OpenMode::read_only : vfs::OpenMode::read_write;
  auto log_file = directory_->open(kLogName, mode, true);
  if (log_file || log_file.error().code != ErrorCode::not_found) return log_file;
  // Creation makes the log first. A superblock that is done without a log: either it is lost, or somebody has just
  // created both, and then it is there now.
  MENTEDB_TRY_ASSIGN(const bool in_use, pages_are_in_use());
  if (in_use) {
    log_file = directory_->open(kLogName, mode, true);
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
  return directory_->open(kLogName, vfs::OpenMode::create, true);
}

Result<bool> Store::pages_are_in_use() {
  const auto file = directory_->open(kPagesName, vfs::OpenMode::read_only, false);
  if (!file) {
    if (file.error().code == ErrorCode::not_found) return false;
    return std::unexpected(file.error());
  }
  std::array<std::byte, base::kBlockBytes> block{};
  MENTEDB_TRY_ASSIGN(const std::size_t got, (*file)->read_at(0, block));
  const auto superblock = format::decode_superblock(std::span(block).first(got), (*file)->path());
  return superblock && superblock->state == StoreState::created;
}

// Opens pages.db and reads its superblock, creating the store when it was never finished.
Result<void> Store::open_pages() {
  MENTEDB_TRY_ASSIGN(const bool fresh, needs_creation());
  if (fresh) {
    if (!may_create_)
      return base::failf(ErrorCode::not_found, "there is no store in {}; check the path", directory_->path());
    MENTEDB_TRY(create());
  }
  if (options_.page_size_bytes != 0 && options_.page_size_bytes != superblock_.page_bytes) {
    return base::failf(ErrorCode::incompatible, "{} has pages of {} bytes, not {}; open it with page_size_bytes 0",
                       path_.string(), superblock_.page_bytes, options_.page_size_bytes);
  }
  MENTEDB_TRY_ASSIGN(pages_id_, pages_file_->id());
  return {};
}

Result<bool> Store::needs_creation() {
  MENTEDB_TRY_ASSIGN(const auto slots, log_->read_slots());
  const bool log_is_empty = !slots.slot[0] && !slots.slot[1] && !slots.damaged[0] && !slots.damaged[1];
  auto pages_file =
      directory_->open(kPagesName, options_.read_only ? vfs::OpenMode::read_only : vfs::OpenMode::read_write, false);
  if (!pages_file) {
    if (pages_file.error().code != ErrorCode::not_found) return std::unexpected(pages_file.error());
    if (log_is_empty) return true;
    if (slots.newest() == nullptr) {
      return base::failf(ErrorCode::incompatible, "{} is not a MenteDB log; choose another directory", log_->path());
    }
    return base::failf(ErrorCode::corruption, "{}/{} is missing; restore a backup", directory_->path(), kPagesName);
  }
  pages_file_ = std::move(*pages_file);
  std::array<std::byte, base::kBlockBytes> block{};
  MENTEDB_TRY_ASSIGN(const std::size_t got, pages_file_->read_at(0, block));
  const auto bytes = std::span(block).first(got);
  // Cut off while it was created, before its superblock was on the disk.
  if (all_zero(bytes)) {
    if (log_is_empty && got <= base::kBlockBytes) return true;
    return base::failf(ErrorCode::corruption,
                       "the superblock of {} is gone; restore a backup, or run: mentedb salvage --dir '{}' DEST",
                       pages_file_->path(), path_.string());
  }
  MENTEDB_TRY_ASSIGN(superblock_, read_superblock(bytes, pages_file_->path(), slots.newest()));
  switch (superblock_.state) {
    case StoreState::creating: {
      const format::LogSlot* const slot = slots.newest();
      if (slot == nullptr || slot->store_id != superblock_.store_id || slot->incarnation != superblock_.incarnation)
        return true;
      // All but the last step was done. Perhaps that one, too, and its sync failed: then the store was used meanwhile.
      if (!options_.read_only) {
        MENTEDB_TRY(log_->ensure_slot_durable(*slot));  // its writer may have died before its sync
        MENTEDB_TRY(finish_creation());
      }
      break;
    }
    case StoreState::copying:
      return base::failf(ErrorCode::corruption, "{} is an unfinished backup; remove it and make it again",
                         path_.string());
    case StoreState::created:
      break;
  }
  if (slots.newest() == nullptr) {
    return base::failf(ErrorCode::corruption,
                       "{} has no valid header although the store was in use; restore a backup, or run: mentedb "
                       "salvage --dir '{}' DEST",
                       log_->path(), path_.string());
  }
  return false;
}

Result<void> Store::create() {
  Superblock superblock{};
  superblock.magic = format::kPagesMagic;
  superblock.version = format::kFormatVersion;
  superblock.state = StoreState::creating;
  superblock.page_bytes = options_.page_size_bytes == 0 ? format::kDefaultPageBytes : options_.page_size_bytes;
  vfs_.random_bytes(std::as_writable_bytes(std::span(superblock.store_id)));
  vfs_.random_bytes(std::as_writable_bytes(std::span(superblock.incarnation)));
  vfs_.random_bytes(std::as_writable_bytes(std::span(&superblock.seed, 1)));

  MENTEDB_TRY_ASSIGN(pages_file_, directory_->open(kPagesName, vfs::OpenMode::create, false));
  std::array<std::byte, base::kBlockBytes> block{};
  format::encode_superblock(superblock, block);
  MENTEDB_TRY(pages_file_->write_at(0, block));
  const std::array<std::byte, base::kBlockBytes> zeros{};
  MENTEDB_TRY(pages_file_->write_at(format::kSharedWordsOffset, zeros));
  MENTEDB_TRY(pages_file_->sync());
  MENTEDB_TRY(directory_->sync());

  MENTEDB_TRY(log_->grow(std::min(wal::kInitialLogBytes, format::kLogStart + options_.wal_limit_bytes)));
  format::LogSlot slot{};
  slot.epoch = 1;
  slot.start_lsn = 1;
  slot.store_id = superblock.store_id;
  slot.incarnation = superblock.incarnation;
  vfs_.random_bytes(std::as_writable_bytes(std::span(&slot.seed, 1)));
  // An interrupted creation may have left a slot for another superblock.
  MENTEDB_TRY(log_->clear_slot(0));
  MENTEDB_TRY(log_->reset(slot));

  superblock_ = superblock;
  return finish_creation();
}

Result<void> Store::finish_creation() {
  superblock_.state = StoreState::created;
  std::array<std::byte, base::kBlockBytes> block{};
  format::encode_superblock(superblock_, block);
  MENTEDB_TRY(pages_file_->write_at(0, block));
  return pages_file_->sync();
}

Result<void> Store::map_store() {
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, pages_file_->size_bytes());
  if (size < format::kFirstGroupOffset) {
    return base::failf(ErrorCode::corruption, "{} is cut short at {} bytes; restore a backup", pages_file_->path(),
                       size);
  }
  MENTEDB_TRY_ASSIGN(auto mapping,
                     pages_file_->map(format::kSharedWordsOffset, base::kBlockBytes, !options_.read_only));
  MENTEDB_TRY(mapping->populate(0, base::kBlockBytes));
  words_ = std::make_unique<pages::SharedWords>(std::move(mapping), superblock_.seed);
  const format::Geometry geometry(superblock_.page_bytes);
  pool_ = std::make_unique<pages::BufferPool>(*pages_file_, *words_, geometry, superblock_.seed);
  page_file_ = std::make_unique<pages::PageFile>(*pages_file_, *words_, geometry, superblock_.seed);
  allocator_ = std::make_unique<pages::Allocator>(*pool_, *page_file_, *words_);
  const index::Identity identity{.store_id = superblock_.store_id,
                                 .incarnation = superblock_.incarnation,
                                 .boot_id = vfs_.boot_id(),
                                 .pages = pages_id_};
  index_ = std::make_unique<index::IdIndex>(*directory_, *words_, *pool_, identity, !options_.read_only);
  applier_ = std::make_unique<Applier>(*page_file_, *pool_, *words_, *index_);
  return {};
}

// Does this file system do what the protocol stands on? Two descriptors must exclude each other, and a write
// must be seen through a mapping at once.
Result<void> Store::self_test() {
  MENTEDB_TRY_ASSIGN(const auto other, directory_->open(kLogName, vfs::OpenMode::read_only, false));
  MENTEDB_TRY_ASSIGN(const bool taken_twice, other->try_lock());
  if (taken_twice) {
    other->unlock();
    return base::failf(
        ErrorCode::unsupported_filesystem,
        "two descriptors of {} can be locked at once on this file system; use a local directory, or set single_process",
        log_->path());
  }
  if (options_.read_only) return {};
  std::uint64_t word = 0;
  vfs_.random_bytes(std::as_writable_bytes(std::span(&word, 1)));
  MENTEDB_TRY(pages_file_->write_at(pages::SharedWords::self_test_offset(), std::as_bytes(std::span(&word, 1))));
  if (words_->self_test_word() == word) return {};
  return base::failf(ErrorCode::unsupported_filesystem,
                     "a write to {} is not seen through a mapping of it on this file system; use a local directory, or "
                     "set single_process",
                     pages_file_->path());
}

}  // namespace mentedb::engine

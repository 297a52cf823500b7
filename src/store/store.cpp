#include "store/store.hpp"

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/checksum.hpp"
#include "base/error.hpp"

namespace mentedb::store {

namespace {

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

Result<std::unique_ptr<vfs::Mapping>> map_shared_state(const StoreFiles& files) {
  vfs::File& file = files.pages_file();
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file.size_bytes());
  if (size < format::kLeastPagesFileBytes) {
    return base::failf(ErrorCode::corruption, "{} is cut short at {} bytes; restore a backup", file.path(), size);
  }
  MENTEDB_TRY_ASSIGN(auto mapping, file.map(format::kSharedStateOffset, base::kBlockBytes, !files.options().read_only));
  MENTEDB_TRY(mapping->populate(0, base::kBlockBytes));
  return mapping;
}

index::Identity identity_of(const StoreFiles& files) {
  return {.store_id = files.superblock().store_id,
          .incarnation = files.superblock().incarnation,
          .boot_id = files.vfs().boot_id(),
          .pages = files.pages_id()};
}

format::Geometry geometry_of(const StoreFiles& files) { return format::Geometry(files.superblock().page_bytes); }

}  // namespace

Store::Store(StoreFiles files, std::unique_ptr<StoreLock> lock, std::unique_ptr<vfs::Mapping> state)
    : files_(std::move(files)),
      lock_(std::move(lock)),
      state_(std::move(state), files_.superblock().seed),
      pool_(files_.pages_file(), state_, geometry_of(files_), files_.superblock().seed),
      index_(files_.directory(), files_.pages_file(), state_, pool_, identity_of(files_), !files_.options().read_only),
      queue_(files_.directory(), files_.pages_file(), state_, identity_of(files_)),
      reader_(pool_, state_, index_, RepairDoor(*this)),
      page_file_(files_.pages_file(), state_, geometry_of(files_), files_.superblock().seed),
      reclaimer_(pool_, page_file_),
      allocator_(pool_, page_file_, reclaimer_),
      applier_(pool_, page_file_, state_, index_),
      poison_(state_) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options,
                                           IfAbsent if_absent) {
  MENTEDB_TRY(check_options(options));
  // Another program may replace the store while this call opens it. Then it is opened again, a few times at most.
  constexpr int kAttempts = 4;
  for (int attempt = 1;; ++attempt) {
    auto opened = open_once(vfs, path, options, if_absent);
    if (opened) return std::move(*opened);
    if (attempt == kAttempts || opened.error().replaced == FilesReplaced::no)
      return std::unexpected(std::move(opened).error());
  }
}

Outcome<std::unique_ptr<Store>> Store::open_once(vfs::Vfs& vfs, const std::filesystem::path& path,
                                                 const Options& options, IfAbsent if_absent) {
  StoreFiles files(vfs, path, options, if_absent);
  MENTEDB_TRY(files.open_log());
  auto lock = std::make_unique<StoreLock>(vfs, files.log_file());
  std::unique_ptr<Store> store;  // before the hold: the lock that is held moves into it
  std::optional<StoreLock::Hold> hold;
  bool recovered = false;
  MENTEDB_TRY_ASSIGN(const bool found, files.find_pages());
  if (!found) {
    MENTEDB_TRY_ASSIGN(hold, lock->acquire(options.lock_timeout));
    MENTEDB_TRY(files.open_pages());
  }
  MENTEDB_TRY(files.check_unchanged());  // R11
  MENTEDB_TRY_ASSIGN(auto state, map_shared_state(files));
  store.reset(new Store(std::move(files), std::move(lock), std::move(state)));
  store->lock_->use_state(options.read_only ? nullptr : &store->state_);
  store->lock_->use_queue(options.read_only ? nullptr : &store->queue_);
  if (!hold) {
    store->poison_.cleared_by_open();  // before the look at the mark, which a poisoned store does not have
    recovered = store->is_recovered();
    if (recovered && !store->is_in_doubt()) return store;
    // A writer is at work, or one died. Who may repair tries to: without a wait, because everything acknowledged can be
    // read already.
    if (recovered && options.read_only) return store;
    if (recovered) {
      MENTEDB_TRY_ASSIGN(hold, store->lock_->try_acquire());
      if (!hold) return store;
    } else {
      MENTEDB_TRY_ASSIGN(hold, store->lock_->acquire(options.lock_timeout));
    }
    MENTEDB_TRY(store->files_.check_unchanged());
    // The writer that was at work has finished. To redo its log would take a new process as long as the log is.
    if (recovered && !store->is_in_doubt()) {
      store->poison_.cleared_by_open();  // the process that repaired meanwhile has read the log
      return store;
    }
  }
  Writer writer(*store, std::move(*hold));
  bool taken_over = false;
  if (recovered) {
    MENTEDB_TRY_ASSIGN(taken_over, writer.take_over());
  }
  if (!taken_over) {
    if (!options.single_process) MENTEDB_TRY(store->self_test());
    MENTEDB_TRY(store->recover_at_open(writer));
  }
  store->poison_.cleared_by_open();
  return store;
}

// R3: everything acknowledged is in the page cache, because a writer acknowledges nothing before (R10). The page cache
// is lost with the boot or with the mount, and files that were copied or replaced are others.
std::uint64_t Store::recovery_mark() const {
  const auto boot_id = vfs().boot_id();
  const std::uint64_t mount = files_.directory().mount_id();
  if (mount == 0 || boot_id == std::array<std::uint8_t, 16>{}) return 0;
  struct Mark {
    std::array<std::uint8_t, 16> boot_id;
    std::uint64_t mount;
    std::uint64_t files[4];
  };
  static_assert(std::has_unique_object_representations_v<Mark>);
  const Mark mark{boot_id,
                  mount,
                  {files_.pages_id().device, files_.pages_id().inode, files_.log_id().device, files_.log_id().inode}};
  return base::checksum(base::bytes_of(mark), files_.superblock().seed);
}

// The files are as long as the shared state says. A shorter one is damage, which the log tells more of.
bool Store::is_recovered() const {
  if (!state_.is_recovered(recovery_mark())) return false;
  const auto pages_bytes = files_.pages_file().size_bytes();
  const auto log_bytes = files_.log_file().size_bytes();
  const auto valid = state_.cached_tail();
  const auto tail = valid ? valid : state_.doubtful_tail();
  const std::uint64_t pages = state_.page_count();
  return pages_bytes && log_bytes && pages <= format::kMaxPageCount &&
         *pages_bytes >= pool_.geometry().file_bytes(pages) && (!tail || *log_bytes >= tail->offset);
}

// R3, without a mark: open() redoes from the checkpoint even when the cached tail is valid.
Result<void> Store::recover_at_open(Writer& writer) {
  const bool read_only = options().read_only;
  const std::uint64_t mark = recovery_mark();
  // An id index that looks right may be one of which the page cache was lost in part.
  const bool new_index = !read_only && mark != 0 && !state_.is_recovered(mark);
  MENTEDB_TRY_ASSIGN(const std::uint64_t missing,
                     writer.recover_from_log(read_only ? RedoMode::check : RedoMode::repair, new_index));
  if (!read_only) {
    MENTEDB_TRY(state_.make_writable());
    state_.note_recovered(mark);
    return {};
  }
  if (missing > 0) {
    return base::failf(ErrorCode::busy,
                       "{} operations of {} are not in their pages yet; run: mentedb recover --dir '{}'", missing,
                       files_.log_file().path(), files_.path().string());
  }
  return index_.ensure_usable(writer.tail().counters.page_count);
}

RecoveryParts Store::recovery_parts() {
  return {.files = files_, .pool = pool_, .state = state_, .index = index_, .applier = applier_, .poison = poison_};
}

// Tests that the file system does what the protocol needs: a lock excludes a second descriptor, and a mapping shows a
// write at once.
Result<void> Store::self_test() {
  const std::string& log_path = files_.log_file().path();
  MENTEDB_TRY_ASSIGN(const auto other, files_.directory().open(kLogName, vfs::OpenMode::read_only, false));
  MENTEDB_TRY_ASSIGN(const bool taken_twice, other->try_lock());
  if (taken_twice) {
    other->unlock();
    return base::failf(
        ErrorCode::unsupported_filesystem,
        "two descriptors of {} can be locked at once on this file system; use a local directory, or set single_process",
        log_path);
  }
  if (options().read_only) return {};
  vfs::File& pages_file = files_.pages_file();
  std::uint64_t word = 0;
  vfs().random_bytes(std::as_writable_bytes(std::span(&word, 1)));
  MENTEDB_TRY(pages_file.write_at(shared::SharedState::self_test_offset(), std::as_bytes(std::span(&word, 1))));
  if (state_.self_test_word() == word) return {};
  return base::failf(ErrorCode::unsupported_filesystem,
                     "a write to {} is not seen through a mapping of it on this file system; use a local directory, or "
                     "set single_process",
                     pages_file.path());
}

Result<Stats> Store::stats() {
  wal::Tail tail;
  if (const auto cached = state_.cached_tail()) {
    tail = *cached;
  } else {
    // A commit is under way, or a writer died. The lock holder finds the tail.
    MENTEDB_TRY_ASSIGN(const Writer locked, writer());
    tail = locked.tail();
  }
  MENTEDB_TRY_ASSIGN(const std::uint64_t pages_bytes, files_.pages_file().size_bytes());
  MENTEDB_TRY_ASSIGN(const std::uint64_t log_bytes, files_.log_file().size_bytes());
  MENTEDB_TRY_ASSIGN(const std::uint64_t pages_allocated, files_.pages_file().allocated_bytes());
  const auto residency = pool_.residency();
  return Stats{.page_size_bytes = files_.superblock().page_bytes,
               .page_count = tail.counters.page_count,
               .used_pages = tail.counters.used_pages,
               .free_pages = tail.counters.page_count - tail.counters.used_pages,
               .memory_count = tail.counters.memory_count,
               .pages_file_bytes = pages_bytes,
               .pages_allocated_bytes = pages_allocated,
               .log_file_bytes = log_bytes,
               .log_used_bytes = tail.offset - format::kLogStart,
               .wal_limit_bytes = options().wal_limit_bytes,
               .epoch = tail.epoch,
               .committed_lsn = Lsn{tail.next_lsn - 1},
               .index_number = state_.index_number(),
               .index_buckets = index_.bucket_count(),
               .index_buckets_used = index_.used(),
               .checkpoints = checkpoints_,
               .redo_operations = reapplied_,
               .commits = commits_,
               .mapped_bytes = residency.mapped_bytes,
               .resident_bytes = residency.resident_bytes,
               .access_warnings = files_.directory().access_warnings(
                   file_names(state_.index_number(), state_.has_queue() ? state_.queue_number() : 0))};
}

// A checkpoint waits for every dirty page. A page that was written back before costs it nothing.
void Store::start_write_back_early(const wal::Tail& tail) {
  constexpr std::uint64_t kSteps = 8;  // of the log's limit, in every epoch
  const std::uint64_t filled = (tail.offset - format::kLogStart) * kSteps / options().wal_limit_bytes;
  const std::uint64_t reached = tail.epoch * kSteps + std::min(filled, kSteps - 1);
  std::uint64_t started = write_back_mark_.load();
  if (reached > started && write_back_mark_.compare_exchange_strong(started, reached)) start_write_back();
}

}  // namespace mentedb::store

#include "engine/store.hpp"

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "format/index_format.hpp"

namespace mentedb::engine {

Store::Store(vfs::Vfs& vfs, std::filesystem::path path, const Options& options, Missing missing)
    : vfs_(vfs),
      path_(std::move(path)),
      options_(options),
      may_create_(missing == Missing::create && !options.read_only) {}

Store::~Store() = default;

std::vector<std::string> file_names(std::uint64_t index_number) {
  std::vector<std::string> names{std::string(kLogName), std::string(kPagesName)};
  if (index_number != 0) names.push_back(format::index_file_name(index_number));
  return names;
}

Result<format::Superblock> read_superblock(std::span<const std::byte> block, const std::string& path,
                                           const format::LogSlot* log_slot) {
  auto superblock = format::decode_superblock(block, path);
  const bool foreign = !superblock && superblock.error().code == ErrorCode::incompatible;
  if (!foreign || log_slot == nullptr || format::says_whose_it_is(block)) return superblock;
  return base::failf(ErrorCode::corruption,
                     "the superblock of {} is damaged: magic or version are not those of the log beside it; restore a "
                     "backup, or run mentedb salvage",
                     path);
}

bool Store::is_replaced(const Error& error) {
  return error.code == ErrorCode::incompatible && (error.os_error == ESTALE || error.os_error == EIDRM);
}

bool Store::is_replaced_after_commit(const Error& error) { return is_replaced(error) && error.os_error == EIDRM; }

Result<void> Store::check_files() const {
  const auto same = [this](std::string_view name, const vfs::FileId& id) -> Result<void> {
    const auto now = directory_->id_of(name);
    if (now && *now == id) return {};
    if (!now && now.error().code != ErrorCode::not_found && now.error().code != ErrorCode::invalid_argument) {
      return std::unexpected(now.error());
    }
    return base::fail(ErrorCode::incompatible,
                      fmt::format("{}/{} was {} while it was open; nothing was acknowledged. Open the store again",
                                  directory_->path(), name, now ? "replaced" : "removed"),
                      ESTALE);
  };
  MENTEDB_TRY(same(kLogName, log_id_));
  return same(kPagesName, pages_id_);
}

Result<Store::Hold> Store::acquire(std::chrono::milliseconds timeout) {
  Hold hold;
  MENTEDB_TRY_ASSIGN(hold.lock, lock_->acquire(timeout));
  MENTEDB_TRY(check_files());  // R11
  if (poisoned_ || words_->poison_generation() != poison_generation_) {
    return base::failf(
        ErrorCode::poisoned,
        "a write to {} failed, so what is on the disk has to be read again: close this engine and open the "
        "store again; everything acknowledged is kept",
        log_->path());
  }
  if (!options_.read_only) MENTEDB_TRY(words_->make_writable());
  MENTEDB_TRY_ASSIGN(hold.tail, tail_from_hint());
  highest_next_lsn_ = std::max(highest_next_lsn_, hold.tail.next_lsn);
  // Whoever holds the lock looks ids up and must not have to wait for it again.
  if (!options_.read_only) {
    MENTEDB_TRY(index_->ensure_usable(hold.tail.counters.page_count, hold.tail.counters.memory_count));
  }
  return hold;
}

// R5: a valid hint says that the last holder finished. The slot tells the epoch's seed; it is read once an epoch.
Result<wal::Tail> Store::tail_from_hint() {
  // A hint older than what this engine has seen is a page of shared words that the kernel lost and read again. One that
  // knows of more pages than there are is made up (I10): whoever believed it would write as many.
  if (const auto hint = words_->hint();
      hint && hint->next_lsn >= highest_next_lsn_ && hint->counters.page_count <= pool_->page_count()) {
    if (hint->epoch == slot_.epoch) return *hint;
    MENTEDB_TRY_ASSIGN(const auto slots, log_->read_slots());
    if (const format::LogSlot* newest = slots.newest(); newest != nullptr && newest->epoch == hint->epoch) {
      slot_ = *newest;
      return *hint;
    }
  }
  // An engine that may not write cannot make the hint valid (nobody has written to a fresh backup, or the last writer
  // died): what counts for it is whether the pages have everything.
  MENTEDB_TRY_ASSIGN(const Recovered recovered, redo(options_.read_only ? Redo::check_only : Redo::normal));
  if (options_.read_only && recovered.missing > 0) {
    return base::failf(ErrorCode::busy,
                       "{} has operations that are not in their pages yet; run: mentedb recover --dir '{}'",
                       log_->path(), path_.string());
  }
  return recovered.tail;
}

std::unexpected<Error> Store::poison(Error error) {
  poisoned_ = true;  // also when a file system that shut down lets nobody be told
  if (words_->make_writable()) words_->raise_poison_generation();
  words_->doubt_pages();
  if (error.code == ErrorCode::no_space) error.code = ErrorCode::io_error;  // no_space: "nothing changed"
  error.message += "; nothing of this write was acknowledged. Close this engine and open the store again";
  return std::unexpected(std::move(error));
}

Result<Stats> Store::stats() {
  const auto hint = words_->hint();
  wal::Tail tail;
  if (hint) {
    tail = *hint;
  } else {
    // A commit is under way, or a writer died: the lock tells.
    MENTEDB_TRY_ASSIGN(const Hold hold, acquire(options_.lock_timeout));
    tail = hold.tail;
  }
  MENTEDB_TRY_ASSIGN(const std::uint64_t pages_bytes, pages_file_->size_bytes());
  MENTEDB_TRY_ASSIGN(const std::uint64_t log_bytes, log_file_->size_bytes());
  const auto residency = pool_->residency();
  return Stats{.page_size_bytes = superblock_.page_bytes,
               .page_count = tail.counters.page_count,
               .used_pages = tail.counters.used_pages,
               .free_pages = tail.counters.page_count - tail.counters.used_pages,
               .memory_count = tail.counters.memory_count,
               .pages_file_bytes = pages_bytes,
               .log_file_bytes = log_bytes,
               .log_used_bytes = tail.offset - format::kLogStart,
               .wal_limit_bytes = options_.wal_limit_bytes,
               .epoch = tail.epoch,
               .committed_lsn = Lsn{tail.next_lsn - 1},
               .index_number = words_->index_number(),
               .index_slots = index_->slot_count(),
               .index_slots_used = index_->used(),
               .checkpoints = checkpoints_,
               .redo_operations = redone_,
               .commits = commits_,
               .mapped_bytes = residency.mapped_bytes,
               .resident_bytes = residency.resident_bytes,
               .access_warnings = directory_->access_warnings(file_names(words_->index_number()))};
}

}  // namespace mentedb::engine

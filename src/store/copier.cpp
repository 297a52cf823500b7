#include "store/copier.hpp"

#include <array>
#include <set>

#include "base/error.hpp"
#include "pages/directory_cursor.hpp"
#include "store/destination.hpp"

namespace mentedb::store {

using format::Entry;
using format::EntryType;
using format::Geometry;

namespace {

// No log is copied. The pages are copied in passes, and each pass takes the pages with a newer LSN than the pass before
// saw. The last, short pass runs under the lock. So checkpoints meanwhile do not matter, and no log has to be redone
// into the copy.
class Copier {
 public:
  Copier(const Store& source, vfs::Directory& directory) : source_(source), directory_(directory) {}

  // Makes a store that no engine opens before `finish`.
  Result<void> begin();
  // Copies the pages that changed after `since` and those that earlier passes could not read. `final`: under the lock,
  // where a page that cannot be read is an error.
  Result<void> pass(std::uint64_t since, std::uint64_t page_count, bool final);
  Result<void> finish(const wal::Tail& tail);

 private:
  Result<bool> copy_entry(std::uint64_t page, const std::optional<Entry>& entry);
  Result<void> write_superblock(format::StoreState state);

  const Store& source_;
  vfs::Directory& directory_;
  format::Superblock superblock_{};
  std::unique_ptr<vfs::File> pages_file_;
  std::unique_ptr<shared::SharedState> state_;
  std::unique_ptr<pages::PageFile> page_file_;
  std::uint64_t page_count_ = 0;
  std::set<std::uint64_t> unread_;
  std::uint64_t run_end_ = 0;  ///< of the run that this pass copied last
  base::AlignedBuffer buffer_;
};

Result<void> Copier::write_superblock(format::StoreState state) {
  std::array<std::byte, base::kBlockBytes> block{};
  superblock_.state = state;
  format::encode_superblock(superblock_, block);
  MENTEDB_TRY(pages_file_->write_at(0, block));
  return pages_file_->sync();
}

Result<void> Copier::begin() {
  superblock_ = source_.files().superblock();
  source_.vfs().random_bytes(std::as_writable_bytes(std::span(superblock_.incarnation)));
  MENTEDB_TRY_ASSIGN(pages_file_, directory_.open(kPagesName, vfs::OpenMode::create, false));
  const std::array<std::byte, base::kBlockBytes> zeros{};
  MENTEDB_TRY(pages_file_->write_at(format::kSharedStateOffset, zeros));
  MENTEDB_TRY(write_superblock(format::StoreState::copying));
  MENTEDB_TRY(directory_.sync());
  MENTEDB_TRY_ASSIGN(auto mapping, pages_file_->map(format::kSharedStateOffset, base::kBlockBytes, true));
  state_ = std::make_unique<shared::SharedState>(std::move(mapping), superblock_.seed);
  page_file_ = std::make_unique<pages::PageFile>(*pages_file_, *state_, source_.pool().geometry(), superblock_.seed);
  return {};
}

// False when the entry or its run does not verify now.
Result<bool> Copier::copy_entry(std::uint64_t page, const std::optional<Entry>& entry) {
  if (!entry) return false;
  if (entry->type == EntryType::interior) return true;  // comes with its head
  if (format::is_free(entry->type)) {
    Entry copied = *entry;
    copied.run_pages = 0;  // the copy has space for every page
    MENTEDB_TRY(page_file_->write_freed_entries(page, 1, copied));
    // Also where the source has none: an earlier pass may have copied a run that has lived on the page meanwhile, and a
    // deleted memory must not come back when the copy is salvaged some day.
    MENTEDB_TRY(page_file_->write_free_header(page, entry->lsn));
    return true;
  }
  if (page < run_end_) return false;  // runs do not overlap
  MENTEDB_TRY_ASSIGN(const auto run, source_.pool().read_run(page, buffer_));
  if (!run || !format::agrees(run->header, *entry) || run->header.run_pages != entry->run_pages) return false;
  run_end_ = page + entry->run_pages;
  MENTEDB_TRY(page_file_->write_run(run->header, run->payload));
  MENTEDB_TRY(page_file_->write_run_entries(page, *entry));
  return true;
}

Result<void> Copier::pass(std::uint64_t since, std::uint64_t page_count, bool final) {
  const std::uint64_t known = page_count_;
  if (page_count > known) {
    pages::NewPages new_pages;
    MENTEDB_TRY(page_file_->grow(known, page_count, new_pages));
    MENTEDB_TRY(page_file_->fill(new_pages));
  }
  page_count_ = std::max(page_count, known);
  const std::set<std::uint64_t> again = std::exchange(unread_, {});
  run_end_ = 0;
  for (pages::DirectoryCursor cursor(source_.pool(), page_count); cursor.next();) {
    const std::uint64_t page = cursor.page();
    const std::uint64_t last = Geometry::last_page_of_stretch(cursor.stretch());
    const auto next_again = again.lower_bound(page);
    if (cursor.begins_stretch() && since != 0 && source_.pool().stretch_lsn(cursor.stretch()) <= since &&
        last <= known && (next_again == again.end() || *next_again > last)) {
      cursor.skip_stretch();
      continue;
    }
    MENTEDB_TRY_ASSIGN(const auto entry, cursor.entry());
    const bool wanted = !entry || entry->lsn > since || again.contains(page);
    if (!wanted || (entry && entry->lsn == 0)) continue;  // never used: grow() has written that
    MENTEDB_TRY_ASSIGN(const bool copied, copy_entry(page, entry));
    if (copied) continue;
    if (final) {
      return base::failf(ErrorCode::corruption,
                         "page {} of {} is damaged, so a backup would not be whole; run mentedb recover, or mentedb "
                         "salvage for the rest",
                         page, source_.files().path().string());
    }
    unread_.insert(page);
  }
  return {};
}

Result<void> Copier::finish(const wal::Tail& tail) {
  // LSNs of the copy begin far above those of its source. So a change cursor from the source is older than everything
  // in the copy, and the horizon says so (`resync_required`) however far both go on. The gap is drawn at random, so
  // that two copies of one store do not share LSNs either.
  std::uint16_t draw = 0;
  source_.vfs().random_bytes(std::as_writable_bytes(std::span(&draw, 1)));
  const std::uint64_t gap = (std::uint64_t{draw} + 1) << 32;
  MENTEDB_TRY_ASSIGN(const auto log_file, directory_.open(kLogName, vfs::OpenMode::create, true));
  wal::Log log(*log_file);
  MENTEDB_TRY(log.grow(wal::kInitialLogBytes));
  format::LogHeader header{};
  header.epoch = 1;
  header.start_lsn = tail.next_lsn + gap;
  header.store_id = superblock_.store_id;
  header.incarnation = superblock_.incarnation;
  header.counters = tail.counters;
  header.counters.page_count = page_count_;
  header.counters.reuse_horizon = header.start_lsn - 1;
  source_.vfs().random_bytes(std::as_writable_bytes(std::span(&header.seed, 1)));
  MENTEDB_TRY(log.reset(header));
  MENTEDB_TRY(page_file_->reset_stretches(page_count_, header.start_lsn - 1));
  MENTEDB_TRY(pages_file_->sync());
  MENTEDB_TRY(directory_.sync());
  auto created = write_superblock(format::StoreState::created);
  // The page cache may hold a superblock that the disk lacks. No engine may open such a copy.
  if (!created) static_cast<void>(write_superblock(format::StoreState::copying));
  return created;
}

Result<void> copy(Store& source, vfs::Directory& directory) {
  Copier copier(source, directory);
  MENTEDB_TRY(copier.begin());
  std::uint64_t since = 0;
  for (int pass = 0; pass < 3; ++pass) {
    const std::uint64_t before = source.state().committed_lsn();
    MENTEDB_TRY(copier.pass(since, source.pool().page_count(), false));
    since = before;
  }
  wal::Tail tail;
  {
    MENTEDB_TRY_ASSIGN(const Writer writer, source.writer());
    // The page count of the log, not the one in the shared state, which nothing verifies: a copy that ends too early
    // would be a silent gap.
    MENTEDB_TRY(copier.pass(since, writer.tail().counters.page_count, true));
    tail = writer.tail();
  }
  return copier.finish(tail);
}

}  // namespace

Result<void> backup(Store& source, const std::filesystem::path& destination) {
  return fill_new_directory(source.vfs(), destination,
                            [&](vfs::Directory& directory) { return copy(source, directory); });
}

}  // namespace mentedb::store

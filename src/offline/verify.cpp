// verify checks every structure on disk, one after the other (I12). On a live store a writer may be at work, so verify
// checks again under the lock before it reports a problem.

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <optional>
#include <unordered_map>
#include <utility>

#include <mentedb/inspect.hpp>

#include "base/error.hpp"
#include "format/index_format.hpp"
#include "format/node_codec.hpp"
#include "format/queue_format.hpp"
#include "offline/raw_store.hpp"
#include "offline/verify.hpp"
#include "pages/directory_cursor.hpp"
#include "pages/page_set.hpp"
#include "store/files.hpp"
#include "store/lock.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb::offline {
namespace {

using format::Entry;
using format::EntryType;
using format::Geometry;

constexpr std::string_view kRepairOrSalvage =
    "run mentedb recover, which repairs it if the log still has it; else restore a backup, or run mentedb salvage";

class Verifier {
 public:
  Verifier(vfs::Vfs& vfs, RawStore& store) : vfs_(vfs), store_(store) {}

  /// An error when the system refuses to let the process look.
  Result<VerifyReport> run();

 private:
  struct Live {
    std::uint64_t page;
    std::uint64_t lsn;
  };

  void check_log();
  void check_pages();
  void check_index();
  void check_counters(std::uint64_t used_pages, std::uint64_t highest_used);
  void check_state();
  void check_names();
  // A page whose entry does not verify: reads the run that the page itself names. Returns the length of the run.
  std::uint64_t check_unlisted(std::uint64_t page);
  // One run and its entries. Returns the length of the run in pages.
  std::uint64_t check_run(std::uint64_t page, const Entry& entry);
  void check_memory(std::uint64_t page, const Entry& entry, const pages::RunCopy& run);
  void check_slack(std::uint64_t page, const format::RunHeader& header);
  void check_freed(std::uint64_t page, const Entry& entry);

  std::string name_of(vfs::File& file) const { return std::filesystem::path(file.path()).filename().string(); }
  void problem(vfs::File& file, std::uint64_t offset, std::uint64_t page, std::string message) {
    report_.problems.push_back(
        {.file = name_of(file), .offset = offset, .page = PageId{page}, .message = std::move(message)});
  }
  // Reports a damaged page. An operation that may not be redone yet explains the damage: then it is only counted.
  void page_problem(std::uint64_t page, std::uint64_t offset, std::uint64_t pages, const std::string& what) {
    if (!redone_ && logged_.overlaps(page, pages)) {
      ++unredone_;
      return;
    }
    problem(store_.pages_file(), offset, page, fmt::format("{}; {}", what, kRepairOrSalvage));
  }

  vfs::Vfs& vfs_;
  RawStore& store_;
  VerifyReport report_;
  wal::Tail tail_;
  bool log_known_ = false;  ///< tail_ is the tail of the log; else nothing is compared with it
  bool redone_ = true;      ///< every operation of the log is known to be in its pages
  std::uint64_t unredone_ = 0;
  pages::PageSet logged_;                ///< pages of operations in the log
  std::uint64_t interiors_checked_ = 0;  ///< the interior entries up to this page were checked
  std::unordered_map<MemoryId, Live> live_;
  std::vector<std::uint64_t> stretch_lsns_;  ///< the highest LSN in the directory of each stretch
  bool this_boot_ = false;  ///< the id index was built in this boot, so the shared state is of this boot, too
  std::array<std::uint8_t, 16> boot_id_ = vfs_.boot_id();  ///< asked before the index takes a descriptor
  std::optional<Error> refused_;
  base::AlignedBuffer buffer_;
};

void Verifier::check_log() {
  const auto headers = store_.log().read_headers();
  if (!headers) {
    problem(store_.log_file(), 0, 0, headers.error().message);
    return;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    if (headers->damaged[i])
      problem(store_.log_file(), i * format::kLogHeaderBytes, 0,
              fmt::format("header copy {} does not verify; {}", i, kRepairOrSalvage));
  }
  const format::LogHeader* newest = headers->newest();
  if (newest == nullptr) {
    problem(store_.log_file(), 0, 0, "no valid header; restore a backup, or run mentedb salvage");
    return;
  }
  if (store_.has_superblock() && !format::belongs_to(*newest, store_.superblock())) {
    problem(store_.log_file(), 0, 0, "the log belongs to another store than pages.db; restore both from one backup");
    return;
  }
  std::uint64_t walked_to = format::kLogStart;
  const auto end = store_.log().walk(
      *newest, [&](std::uint64_t offset, const format::BatchHeader&, std::span<const std::byte> batch) -> Result<void> {
        ++report_.log_batches_checked;
        walked_to = offset + base::round_up(batch.size(), base::kBlockBytes);
        format::OperationReader reader(batch);
        while (const auto operation = reader.next()) {
          logged_.add(operation->header.page, operation->header.run_pages);
          if (!format::is_memory_put(operation->header.type) || operation->is_early()) continue;
          const auto node = format::decode_node(operation->payload);
          if (!node || node->id.bytes != operation->header.memory_id) {
            problem(store_.log_file(), offset, operation->header.page,
                    "a logged memory does not decode; run mentedb salvage");
          }
        }
        if (reader.is_damaged())
          problem(store_.log_file(), offset, 0, "the operations of a batch make no sense; run mentedb salvage");
        return {};
      });
  if (!end) {
    problem(store_.log_file(), walked_to, 0,
            fmt::format("{}; restore a backup, or run mentedb salvage", end.error().message));
    return;
  }
  tail_ = end->tail;
  log_known_ = true;
  const auto& cached = store_.state().cached_tail;
  redone_ = cached && *cached == tail_;
  if (redone_) return;
  const auto behind = store_.log().find_batch_behind(*newest, tail_);
  if (behind && *behind) {
    log_known_ = false;
    problem(
        store_.log_file(), tail_.offset, 0,
        fmt::format("a batch is damaged: a complete one follows at byte {}; restore a backup, or run mentedb salvage",
                    **behind));
  }
  if (cached && (cached->epoch > tail_.epoch || (cached->epoch == tail_.epoch && cached->next_lsn > tail_.next_lsn))) {
    problem(store_.log_file(), tail_.offset, 0,
            fmt::format("the log ends here although operations up to LSN {} were committed; restore a backup, or run "
                        "mentedb salvage",
                        cached->next_lsn - 1));
    // The writer that published the cached tail had finished, so the log should end at the cached tail.
    tail_ = *cached;
    log_known_ = true;
    redone_ = true;
  }
}

void Verifier::check_memory(std::uint64_t page, const Entry& entry, const pages::RunCopy& run) {
  ++report_.memories_checked;
  const auto node = format::decode_node(run.payload);
  if (!node) {
    page_problem(page, store_.geometry().page_offset(page), run.header.run_pages,
                 "the memory does not decode: " + node.error().message);
    return;
  }
  if (node->id.bytes != entry.id) {
    page_problem(page, store_.geometry().page_offset(page), run.header.run_pages,
                 "the page holds another memory than its directory entry says");
  }
}

void Verifier::check_slack(std::uint64_t page, const format::RunHeader& header) {
  if (store_.slack_is_zero(header)) return;
  page_problem(page, store_.geometry().page_offset(page) + sizeof(format::RunHeader) + header.payload_bytes,
               header.run_pages, "the bytes behind the data are not zero");
}

std::uint64_t Verifier::check_run(std::uint64_t page, const Entry& entry) {
  const Geometry& geometry = store_.geometry();
  const auto run = store_.read_run(page, buffer_);
  if (!run) {
    page_problem(page, geometry.page_offset(page), entry.run_pages,
                 store_.may_read_runs() ? "the page's checksum does not hold"
                                        : "the page was not read, because so many runs overlap");
  } else if (run->header.lsn != entry.lsn || run->header.run_pages != entry.run_pages) {
    page_problem(page, geometry.page_offset(page), entry.run_pages,
                 fmt::format("the page has LSN {} and {} pages, its directory entry LSN {} and {}", run->header.lsn,
                             run->header.run_pages, entry.lsn, entry.run_pages));
  } else if (run->header.type != (format::is_memory(entry.type) ? format::RunType::memory : format::RunType::raw)) {
    page_problem(page, geometry.page_offset(page), entry.run_pages,
                 "the page is of another type than its directory entry says");
  } else {
    check_slack(page, run->header);
    if (format::is_memory(entry.type)) check_memory(page, entry, *run);
  }
  if (page + entry.run_pages - 1 > tail_.counters.page_count) {
    page_problem(page, geometry.entry_offset(page), 1, "the entry claims pages that the store does not have");
  }
  // Check each interior entry once. The check of the first of two overlapping runs has reported the overlap.
  const std::uint64_t end = std::min(page + entry.run_pages, tail_.counters.page_count + 1);
  const std::uint64_t first = std::max(page, std::exchange(interiors_checked_, std::max(interiors_checked_, end - 1)));
  for (std::uint64_t i = first + 1 - page; page + i < end; ++i) {
    const auto interior = store_.read_entry(page + i);
    if (!interior) continue;  // reported when the walk comes to this page
    if (interior->type == EntryType::interior && interior->run_pages == i && interior->lsn == entry.lsn) continue;
    page_problem(page + i, geometry.entry_offset(page + i), 1,
                 fmt::format("the page lies inside the run of page {}, but its entry says otherwise", page));
  }
  if (format::is_memory(entry.type)) {
    const auto [place, fresh] = live_.try_emplace(MemoryId{entry.id}, Live{.page = page, .lsn = entry.lsn});
    if (!fresh) {
      page_problem(page, geometry.entry_offset(page), entry.run_pages,
                   fmt::format("memory {} lives on page {} too", MemoryId{entry.id}.to_string(), place->second.page));
      if (place->second.lsn < entry.lsn) place->second = {.page = page, .lsn = entry.lsn};
    }
  }
  return entry.run_pages;
}

// A free page holds any bytes. They may be an older run: it began on this page, a later run covered the page and was
// freed, and a power cut lost the later bytes. Redo does not write a run that was freed since (R4). They may be a part
// of a batch that was never logged (R15). But a run that could come back is damage of the entry.
void Verifier::check_freed(std::uint64_t page, const Entry& entry) {
  const auto run = store_.read_run(page, buffer_);
  if (!run || (run->header.early != 0 && run->header.lsn > entry.lsn)) return;
  const bool says_free = run->header.type == format::RunType::free;
  const bool remembers = entry.type != EntryType::free && !format::lacks_space(entry);
  if (remembers ? says_free && run->header.lsn == entry.lsn : run->header.lsn <= entry.lsn) return;
  page_problem(page, store_.geometry().entry_offset(page), 1,
               fmt::format("the entry of LSN {} says that the page is free, but LSN {} {} there", entry.lsn,
                           run->header.lsn, says_free ? "freed a run" : "wrote a run"));
}

std::uint64_t Verifier::check_unlisted(std::uint64_t page) {
  const auto run = store_.read_run(page, buffer_);
  const bool live = run && run->header.type != format::RunType::free;
  page_problem(
      page, store_.geometry().entry_offset(page), 1,
      live ? fmt::format("the directory entry does not verify; a run with LSN {} begins on its page", run->header.lsn)
           : "the directory entry does not verify");
  if (!live) return 1;
  if (run->header.type == format::RunType::memory) {
    if (const auto id = format::decode_node_id(run->payload))
      live_.try_emplace(*id, Live{.page = page, .lsn = run->header.lsn});
  }
  return run->header.run_pages;
}

void Verifier::check_pages() {
  const auto size = store_.pages_file().size_bytes();
  const std::uint64_t expected = store_.geometry().file_bytes(tail_.counters.page_count);
  if (!size || *size < expected) {
    problem(
        store_.pages_file(), size ? *size : 0, 0,
        fmt::format("the file is cut short: it should have at least {} bytes; restore a backup, or run mentedb salvage",
                    expected));
  }
  std::uint64_t used_pages = 0;
  std::uint64_t highest_used = 0;
  std::uint64_t run_end = 0;
  // A file that is cut short was reported above. Its pages end with the file.
  const std::uint64_t in_file = store_.last_page();
  pages::DirectoryCursor cursor(store_, log_known_ ? std::min(tail_.counters.page_count, in_file) : in_file);
  while (cursor.next()) {
    const std::uint64_t page = cursor.page();
    ++report_.pages_checked;
    const auto entry = cursor.entry().value_or(std::nullopt);
    if (!entry) {
      run_end = std::max(run_end, page + check_unlisted(page));
      continue;
    }
    if (log_known_ && entry->lsn >= tail_.next_lsn) {
      page_problem(page, store_.geometry().entry_offset(page), 1,
                   fmt::format("the entry has LSN {}, but the log ends at {}", entry->lsn, tail_.next_lsn - 1));
    }
    if (entry->lsn != 0) highest_used = page;
    stretch_lsns_.resize(cursor.stretch() + 1);
    stretch_lsns_.back() = std::max(stretch_lsns_.back(), entry->lsn);
    if (format::is_head(entry->type)) {
      run_end = page + check_run(page, *entry);
      used_pages += entry->run_pages;
    } else if (entry->type == EntryType::interior && page >= run_end) {
      page_problem(page, store_.geometry().entry_offset(page), 1,
                   "the entry says that the page lies inside a run, but no run covers it");
    } else if (format::is_free(entry->type) && !(log_known_ && page > tail_.counters.high_water)) {
      check_freed(page, *entry);  // no run was ever written above the high-water mark
    }
  }
  check_counters(used_pages, highest_used);
}

// While no process holds the lock, the words of the shared state agree with the cached tail. A reader that believes a
// damaged word misses memories or changes. A shared state of another boot is not checked: the next open writes it
// again.
void Verifier::check_state() {
  if (!log_known_ || !redone_ || !this_boot_) return;
  const RawStore::State& state = store_.state();
  const auto state_problem = [&](std::size_t at, const std::string& what) {
    problem(store_.pages_file(), format::kSharedStateOffset + at, 0,
            what + "; run mentedb recover, which writes the shared state again");
  };
  if (state.committed_lsn != tail_.next_lsn - 1) {
    state_problem(shared::SharedState::kCommittedOffset, fmt::format("the committed LSN is {}, but the log ends at {}",
                                                                     state.committed_lsn, tail_.next_lsn - 1));
  }
  if (state.page_count != tail_.counters.page_count) {
    state_problem(shared::SharedState::kPageCountOffset, fmt::format("the page count is {}, but that of the log is {}",
                                                                     state.page_count, tail_.counters.page_count));
  }
  if (state.reuse_horizon < tail_.counters.reuse_horizon) {
    state_problem(shared::SharedState::kReuseHorizonOffset,
                  fmt::format("the reuse horizon is {}, but that of the log is {}", state.reuse_horizon,
                              tail_.counters.reuse_horizon));
  }
  for (std::size_t stretch = 0; stretch < stretch_lsns_.size(); ++stretch) {
    const auto record = store_.read_stretch(stretch);
    if (record && record->lsn >= stretch_lsns_[stretch]) continue;
    problem(store_.pages_file(), store_.geometry().record_offset(stretch), 0,
            fmt::format("the record of the pages from {} on has LSN {}, but one of their entries has {}; run mentedb "
                        "recover, which writes the record again",
                        Geometry::first_page_of_stretch(stretch), record ? record->lsn : 0, stretch_lsns_[stretch]));
  }
}

// A file that does not belong to the store is no damage. It takes space, so the report has a note of it.
void Verifier::check_names() {
  const auto names = store_.directory().list();
  if (!names) return;
  const auto ours = store::file_names(store_.state().index_number, store_.state().queue_number);
  for (const std::string& name : *names) {
    if (std::ranges::find(ours, name) != ours.end()) continue;
    if (format::parse_index_file_name(name)) {
      report_.notes.push_back(
          fmt::format("{} is an id index that is not in use; a later rebuild of the index removes it", name));
    } else if (format::parse_queue_file_name(name)) {
      report_.notes.push_back(fmt::format("{} is a commit queue that is not in use; the next one removes it", name));
    } else {
      report_.notes.push_back(fmt::format("{} is no file of the store", name));
    }
  }
  const auto warnings = store_.directory().access_warnings(ours);
  report_.notes.insert(report_.notes.end(), warnings.begin(), warnings.end());
}

void Verifier::check_counters(std::uint64_t used_pages, std::uint64_t highest_used) {
  const auto& counted = tail_.counters;
  if (!log_known_ || !redone_ || !report_.problems.empty()) return;  // a reported problem explains the difference
  if (counted.used_pages != used_pages || counted.memory_count != live_.size() || counted.high_water < highest_used) {
    problem(store_.log_file(), 0, 0,
            fmt::format("the log counts {} used pages, {} memories and a high-water mark of {}; the directory has {}, "
                        "{} and {}; run mentedb salvage",
                        counted.used_pages, counted.memory_count, counted.high_water, used_pages, live_.size(),
                        highest_used));
  }
}

void Verifier::check_index() {
  if (!redone_) return;  // the next open or write brings the index up to date
  const std::string name = format::index_file_name(store_.state().index_number);
  const auto index_problem = [&](std::uint64_t offset, const std::string& what) {
    report_.problems.push_back({.file = name,
                                .offset = offset,
                                .page = PageId{0},
                                .message = what + "; run mentedb recover, which rebuilds it"});
  };
  const auto file = store_.directory().open(name, vfs::OpenMode::read_only, false);
  if (!file) {
    // What the process may not do is no damage.
    const int os_error = file.error().os_error;
    if (os_error == EMFILE || os_error == ENFILE || os_error == ENOMEM || os_error == EACCES || os_error == EPERM) {
      refused_ = file.error();
      return;
    }
    index_problem(0, file.error().code == ErrorCode::not_found ? "the id index is missing" : file.error().message);
    return;
  }
  std::array<std::byte, sizeof(format::IndexHeader)> bytes{};
  store_.read(**file, 0, bytes);
  const auto header = format::decode_index_header(bytes);
  const auto size = (*file)->size_bytes();
  if (!header || !size || *size != format::kIndexBucketsOffset + 8 * header->bucket_count) {
    index_problem(0, "the id index has no valid header or the wrong size");
    return;
  }
  const auto pages_id = store_.pages_file().id();
  if (header->store_id != store_.superblock().store_id || header->incarnation != store_.superblock().incarnation ||
      header->boot_id != boot_id_ || !pages_id || header->pages_device != pages_id->device ||
      header->pages_inode != pages_id->inode) {
    report_.notes.push_back(
        fmt::format("{} is from another boot or directory; the next open rebuilds the index", name));
    return;
  }
  this_boot_ = true;
  std::vector<std::uint64_t> buckets(header->bucket_count);
  store_.read(**file, format::kIndexBucketsOffset, std::as_writable_bytes(std::span(buckets)));
  std::vector<bool> explained(buckets.size());
  // A table of a writer is at most seven eighths full, so a search takes fewer looks than this on average.
  std::uint64_t looks_left = 64 * buckets.size();
  for (const auto& [id, place] : live_) {
    const format::IdHash hash = format::hash_id(id.bytes, store_.superblock().seed);
    const std::uint64_t wanted = format::make_bucket(hash.fingerprint, place.page);
    std::uint64_t at = 0;
    bool there = false;
    for (std::uint64_t i = 0; i < buckets.size() && !there && looks_left > 0; ++i, --looks_left) {
      at = (hash.start + i) & (buckets.size() - 1);
      if (buckets[at] == format::kEmptyBucket) break;
      there = buckets[at] == wanted && !explained[at];
    }
    explained[at] = explained[at] || there;
    if (looks_left == 0) {
      index_problem(format::kIndexBucketsOffset, "the id index has no empty buckets where searches should end");
      break;
    }
    if (!there) {
      index_problem(format::kIndexBucketsOffset + 8 * at,
                    fmt::format("memory {} on page {} is not in the id index: a search for it ends here",
                                id.to_string(), place.page));
    }
  }
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (buckets[i] == format::kEmptyBucket) continue;
    ++filled;
    if (explained[i] || buckets[i] == format::kTombstone) continue;
    index_problem(format::kIndexBucketsOffset + 8 * i,
                  fmt::format("the bucket leads to page {}, and the page does not hold its memory",
                              format::bucket_page(buckets[i])));
  }
  // A kill can leave a bucket that is counted and not filled. A filled bucket that is not counted is damage: the table
  // could fill up unnoticed.
  std::uint64_t used = 0;
  store_.read(**file, format::kIndexUsedOffset, std::as_writable_bytes(std::span(&used, 1)));
  if (used < filled || used > buckets.size()) {
    index_problem(
        format::kIndexUsedOffset,
        fmt::format("the id index counts {} buckets in use of {}, but {} are in use", used, buckets.size(), filled));
  }
}

Result<VerifyReport> Verifier::run() {
  report_.problems = store_.damage();
  if (store_.has_superblock() && store_.superblock().state != format::StoreState::created) {
    problem(store_.pages_file(), 0, 0,
            store_.superblock().state == format::StoreState::copying
                ? "an unfinished backup; remove the directory and make the backup again"
                : "the creation of the store was not finished; run mentedb recover, which finishes it");
    return std::move(report_);
  }
  if (store_.has_log()) check_log();
  if (store_.has_superblock()) {
    check_pages();
    check_index();
    check_state();
  }
  if (refused_) return std::unexpected(*refused_);
  check_names();
  if (store_.has_superblock() && !redone_ && report_.log_batches_checked > 0) {
    report_.notes.push_back(
        fmt::format("the last batch of {} may not be redone yet ({} pages differ); the next open or write completes it",
                    name_of(store_.log_file()), unredone_));
  }
  return std::move(report_);
}

}  // namespace

Result<VerifyReport> verify_directory(vfs::Vfs& vfs, const std::filesystem::path& path,
                                      std::chrono::milliseconds lock_timeout) {
  const auto store = RawStore::open_damaged(vfs, path);
  if (!store) return std::unexpected(store.error());
  MENTEDB_TRY_ASSIGN(VerifyReport report, Verifier(vfs, **store).run());
  if (report.problems.empty() || !(*store)->has_log()) return report;
  // A writer may have changed structures between two of our reads. Under the lock no writer does.
  store::StoreLock lock(vfs, (*store)->log_file());
  const auto hold = lock.acquire(lock_timeout);
  if (!hold) {
    report.notes.push_back(
        fmt::format("the store is busy, so a problem may be a write under way: {}", hold.error().message));
    return report;
  }
  MENTEDB_TRY((*store)->refresh());
  return Verifier(vfs, **store).run();
}

}  // namespace mentedb::offline

namespace mentedb {

Result<VerifyReport> verify_store(const std::filesystem::path& directory, std::chrono::milliseconds lock_timeout) {
  try {
    return offline::verify_directory(vfs::posix_vfs(), directory, lock_timeout);
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

}  // namespace mentedb

// salvage copies every readable memory of a damaged store into a new store, in its newest readable version, and lists
// each loss. Where a directory entry or a batch is damaged, the page alone or the older operations decide whether a
// memory is live. Then a deleted memory may come back, and the report names it.

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <mentedb/inspect.hpp>

#include "base/error.hpp"
#include "format/node_codec.hpp"
#include "offline/lost_superblock.hpp"
#include "offline/raw_store.hpp"
#include "offline/salvage.hpp"
#include "pages/directory_cursor.hpp"
#include "store/batch.hpp"
#include "store/destination.hpp"
#include "store/lock.hpp"
#include "store/store.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb {
namespace {

using format::Entry;
using offline::RawStore;

class Salvager {
 public:
  Salvager(vfs::Vfs& vfs, RawStore& store) : vfs_(vfs), store_(store) {}

  void collect() {
    for (const Problem& problem : store_.damage()) report_.notes.push_back(problem.message);
    if (store_.has_log()) collect_log();
    if (store_.has_pages()) collect_pages();
    compare_with_log_end();
  }
  Result<void> write(const std::filesystem::path& destination, std::chrono::milliseconds lock_timeout);
  SalvageReport report() { return std::move(report_); }

 private:
  // The newest known version of a memory, or its deletion.
  struct Version {
    std::uint64_t lsn = 0;
    std::uint64_t page = 0;        ///< 0: from the log
    std::uint64_t log_offset = 0;  ///< of the batch
    bool deleted = false;
  };

  void collect_log();
  void collect_batch(std::uint64_t offset, std::span<const std::byte> batch);
  void collect_pages();
  // Returns the first page behind the run at `page`, or the next page when no run begins there.
  std::uint64_t collect_page(std::uint64_t page, const std::optional<Entry>& entry);
  bool is_blank(std::uint64_t page);
  void compare_with_log_end();
  Result<void> flush(store::Store& destination);
  void report_damaged();
  void report_missing();

  void offer(const MemoryId& id, const Version& version) {
    Version& known = newest_[id];
    if (version.lsn >= known.lsn) known = version;
  }
  Problem in_pages(std::uint64_t page, std::string what) const {
    return {.file = std::string(store::kPagesName),
            .offset = store_.geometry().page_offset(page),
            .page = PageId{page},
            .message = std::move(what)};
  }
  Problem in_log(std::uint64_t offset, std::string what) const {
    return {.file = std::string(store::kLogName), .offset = offset, .page = PageId{0}, .message = std::move(what)};
  }
  void lose(const MemoryId& id, const Version& version, std::string_view what) {
    std::string message = fmt::format("memory {}: {}", id.to_string(), what);
    report_.lost.push_back(version.page != 0 ? in_pages(version.page, std::move(message))
                                             : in_log(version.log_offset, std::move(message)));
    ++memories_lost_;
  }
  void collect_early(const format::Operation& operation);
  Result<MemoryNode> read(const MemoryId& id, const Version& version);

  vfs::Vfs& vfs_;
  RawStore& store_;
  SalvageReport report_;
  std::unordered_map<MemoryId, Version> newest_;
  std::unordered_map<MemoryId, Version> damaged_;  ///< versions that a directory entry names and whose page is damaged
  std::vector<Problem> doubtful_;                  ///< places where a memory may have begun
  std::uint64_t memories_lost_ = 0;
  std::optional<wal::Tail> log_end_;  ///< where the chain of batches ends
  std::uint64_t log_seed_ = 0;
  std::unordered_set<std::uint64_t> later_lsns_;  ///< of operations behind log_end_ that left a trace
  std::optional<std::uint64_t> memory_count_;     ///< the last count of the store
  bool log_is_whole_ = false;     ///< no operation was committed behind log_end_, so memory_count_ is the last count
  bool pages_are_whole_ = false;  ///< every entry and every memory in pages.db can be read
  std::vector<std::pair<MemoryNode, Version>> batch_;
  base::AlignedBuffer buffer_;
};

// The log has no payload of an early run. The run was in its page before the batch was logged, and is there until a
// later operation frees it.
void Salvager::collect_early(const format::Operation& operation) {
  const MemoryId id{operation.header.memory_id};
  const auto run = store_.read_run(operation.header.page, buffer_);
  if (run && run->header.checksum == operation.run_checksum) {
    offer(id, {.lsn = operation.lsn, .page = operation.header.page});
  } else if (Version& known = damaged_[id]; known.lsn <= operation.lsn) {
    known = {.lsn = operation.lsn, .page = operation.header.page};
  }
}

void Salvager::collect_batch(std::uint64_t offset, std::span<const std::byte> batch) {
  format::OperationReader reader(batch);
  while (const auto operation = reader.next()) {
    const MemoryId id{operation->header.memory_id};
    if (log_end_) later_lsns_.insert(operation->lsn);
    if (operation->is_early()) {
      collect_early(*operation);
    } else if (format::is_memory_put(operation->header.type)) {
      offer(id, {.lsn = operation->lsn, .log_offset = offset});
    }
    if (operation->header.type == format::OperationType::remove && !id.is_nil())
      offer(id, {.lsn = operation->lsn, .deleted = true});
  }
}

void Salvager::collect_log() {
  const auto headers = store_.log().read_headers();
  const format::LogHeader* newest = headers ? headers->newest() : nullptr;
  if (newest == nullptr) {
    report_.notes.emplace_back(
        "wal.log has no valid header: operations after the last checkpoint that are not in their pages are lost");
    return;
  }
  const format::Superblock& superblock = store_.superblock();
  if (store_.has_superblock() && !format::belongs_to(*newest, superblock)) {
    report_.notes.emplace_back("wal.log belongs to another store than pages.db and was not used");
    return;
  }
  log_seed_ = newest->seed;
  const auto end = store_.log().walk(
      *newest, [&](std::uint64_t offset, const format::BatchHeader&, std::span<const std::byte> batch) -> Result<void> {
        collect_batch(offset, batch);
        return {};
      });
  if (!end) {
    report_.lost.push_back(in_log(0, "wal.log cannot be read to its end: " + end.error().message));
    return;
  }
  log_end_ = end->tail;
  memory_count_ = end->tail.counters.memory_count;
  if (headers->any_damaged()) {
    report_.notes.emplace_back(
        "a header of wal.log is damaged: if it was the newest one, operations after the last checkpoint are known only "
        "from their pages");
    return;  // batches behind the end may be old ones
  }
  // A batch behind damage is as good as one before it: each batch verifies on its own.
  for (wal::Tail at = end->tail;;) {
    const auto behind = store_.log().find_batch_behind(*newest, at);
    if (!behind || !*behind) break;
    const auto batch = store_.log().read_batch(**behind, log_seed_);
    if (!batch) break;
    memory_count_ = base::read_struct<format::BatchHeader>(*batch).counters.memory_count;
    at.offset = **behind + base::round_up(batch->size(), base::kBlockBytes);
    collect_batch(**behind, *batch);
  }
}

bool Salvager::is_blank(std::uint64_t page) {
  const std::uint32_t bytes = store_.geometry().page_bytes();
  buffer_.reserve(bytes);
  store_.read(store_.pages_file(), store_.geometry().page_offset(page), buffer_.first(bytes));
  return base::is_zero(buffer_.first(bytes));
}

std::uint64_t Salvager::collect_page(std::uint64_t page, const std::optional<Entry>& entry) {
  const auto run = store_.read_run(page, buffer_);
  std::optional<MemoryId> found;
  // An early run that its entry does not name is of a batch that was never logged, or of one that the log names.
  const bool counts = run && (!entry || format::agrees(run->header, *entry));
  if (counts && run->header.type == format::RunType::memory) {
    if (const auto node = format::decode_node(run->payload)) found = node->id;
  }
  const bool expected = entry && format::is_memory(entry->type);
  if (entry && entry->type == format::EntryType::deleted)
    offer(MemoryId{entry->id}, {.lsn = entry->lsn, .deleted = true});
  // A run with a higher LSN shows that the entry is stale. Then the memory of the entry is not lost.
  const bool entry_is_old = entry && counts && run->header.lsn > entry->lsn;
  if (expected && !entry_is_old && (!found || found->bytes != entry->id || run->header.lsn < entry->lsn)) {
    Version& known = damaged_[MemoryId{entry->id}];
    if (known.lsn <= entry->lsn) known = {.lsn = entry->lsn, .page = page};
  }
  if (!entry || (expected && !found)) pages_are_whole_ = false;
  if (found) {
    offer(*found, {.lsn = run->header.lsn, .page = page});
    if (!(expected && found->bytes == entry->id && run->header.lsn == entry->lsn) && store_.seed_known()) {
      report_.notes.push_back(fmt::format(
          "memory {} was found on page {}, but its directory entry does not name it; the memory may have been deleted "
          "or replaced before",
          found->to_string(), page));
    }
  } else if (!entry && store_.seed_known() && !run && !is_blank(page)) {
    doubtful_.push_back(
        in_pages(page, "neither the directory entry nor the page verifies; a memory that began there is lost"));
  }
  const bool raw = entry ? entry->type == format::EntryType::raw : run && run->header.type == format::RunType::raw;
  if (raw) report_.notes.push_back(fmt::format("page {} is a raw page; raw pages are not salvaged", page));
  if (counts && run->header.type != format::RunType::free) return page + run->header.run_pages;
  return entry && format::is_head(entry->type) ? page + entry->run_pages : page + 1;
}

void Salvager::collect_pages() {
  if (!store_.has_superblock()) report_.notes.push_back(offline::assume_lost_superblock(store_));
  pages_are_whole_ = store_.has_superblock();
  if (const auto& cached = store_.state().cached_tail; cached && (!log_end_ || cached->next_lsn > log_end_->next_lsn))
    memory_count_ = cached->counters.memory_count;
  std::uint64_t run_end = 0;
  for (pages::DirectoryCursor cursor(store_, store_.last_page()); cursor.next();) {
    const std::uint64_t page = cursor.page();
    const auto entry = store_.seed_known() ? cursor.entry().value_or(std::nullopt) : std::nullopt;
    if (entry && log_end_ && entry->lsn >= log_end_->next_lsn) later_lsns_.insert(entry->lsn);
    const bool interior = !entry || entry->type == format::EntryType::interior;
    if (page < run_end && interior) continue;
    run_end = std::max(run_end, collect_page(page, entry));
  }
}

// Some operations may have been committed behind the end of the chain. Looks for a trace of each of them.
void Salvager::compare_with_log_end() {
  if (!log_end_) return;
  std::uint64_t end = log_end_->next_lsn;
  for (const std::uint64_t lsn : later_lsns_) end = std::max(end, lsn + 1);
  const auto& cached = store_.state().cached_tail;
  const bool cached_counts = cached && cached->epoch >= log_end_->epoch && cached->next_lsn >= end;
  if (cached_counts) end = cached->next_lsn;
  const std::uint64_t committed = end - log_end_->next_lsn;
  const auto all_pages_read = [&](const format::Counters& counters) {
    return pages_are_whole_ && store_.contains(std::max<std::uint64_t>(counters.page_count, 1));
  };
  // Without a cached tail the pages decide: when all of them are readable and none has a later LSN, the log ends here.
  log_is_whole_ = cached_counts || (committed == 0 && all_pages_read(log_end_->counters));
  if (committed == 0) return;
  const std::string place = fmt::format("the log cannot be read here, and it had operations up to LSN {}", end - 1);
  // The writer that published the cached tail had written all pages. An operation without a trace in them was replaced
  // by a later one.
  const bool in_pages = cached_counts && all_pages_read(cached->counters);
  if (in_pages || later_lsns_.size() >= committed) {
    report_.notes.push_back(
        fmt::format("wal.log, byte {}: {}; their results were found elsewhere", log_end_->offset, place));
    return;
  }
  report_.lost.push_back(
      in_log(log_end_->offset, fmt::format("{}; {} of {} left no trace: they were replaced later, or they are lost",
                                           place, committed - later_lsns_.size(), committed)));
}

Result<MemoryNode> Salvager::read(const MemoryId& id, const Version& version) {
  if (version.page != 0) {
    const auto run = store_.read_run(version.page, buffer_);
    if (!run) return base::failf(ErrorCode::corruption, "page {} changed between two reads", version.page);
    return format::decode_node(run->payload);
  }
  MENTEDB_TRY_ASSIGN(const auto batch, store_.log().read_batch(version.log_offset, log_seed_));
  format::OperationReader reader(batch);
  while (const auto operation = reader.next()) {
    if (operation->lsn == version.lsn && !operation->is_early()) return format::decode_node(operation->payload);
  }
  return base::failf(ErrorCode::corruption, "the batch of memory {} changed between two reads", id.to_string());
}

Result<void> Salvager::flush(store::Store& destination) {
  if (batch_.empty()) return {};
  MENTEDB_TRY_ASSIGN(store::Writer writer, destination.writer());
  store::Batch batch = writer.begin();
  std::uint64_t put = 0;
  for (const auto& [node, version] : batch_) {
    const auto encoded = store::encode(node);
    if (!encoded) {
      if (encoded.error().code != ErrorCode::invalid_argument) return std::unexpected(encoded.error());
      lose(node.id, version, encoded.error().message);  // one refused memory must not cost the others
      continue;
    }
    MENTEDB_TRY(batch.put(encoded->id, encoded->bytes, store::Batch::Put::any));
    ++put;
  }
  MENTEDB_TRY(writer.commit(batch));
  report_.memories_saved += put;
  batch_.clear();
  return {};
}

// For each version that a directory entry names and whose page is damaged: is a newer version saved, or an older one?
void Salvager::report_damaged() {
  for (const auto& [id, version] : damaged_) {
    const auto known = newest_.find(id);
    if (known == newest_.end() || (known->second.deleted && known->second.lsn < version.lsn)) {
      lose(id, version, "its page is damaged, and the log has no copy");
    } else if (known->second.lsn < version.lsn) {
      report_.lost.push_back(in_pages(
          version.page, fmt::format("memory {}: its newest version is damaged; an older one, of LSN {}, was saved",
                                    id.to_string(), known->second.lsn)));
    }
  }
}

// The store counted its memories. Compares that count with the memories that were saved and those that are reported
// lost.
void Salvager::report_missing() {
  const std::uint64_t accounted = report_.memories_saved + memories_lost_;
  const bool is_last_count = memory_count_ && (log_is_whole_ || !log_end_);
  if (!is_last_count)
    report_.notes.emplace_back("the store's last count of its memories is not known, so there may have been more");
  if (is_last_count && accounted >= *memory_count_) {
    if (!doubtful_.empty()) {
      report_.notes.push_back(fmt::format(
          "{} pages and their directory entries do not verify, the first is page {}; by the store's own count "
          "they held no memory",
          doubtful_.size(), doubtful_.front().page.value));
    }
    return;
  }
  report_.lost.insert(report_.lost.end(), doubtful_.begin(), doubtful_.end());
  if (!memory_count_ || accounted >= *memory_count_) return;
  Problem missing =
      in_log(0, fmt::format("{} memories that the store counted were found nowhere", *memory_count_ - accounted));
  missing.file = std::string(store::kPagesName);
  if (store_.has_pages()) missing.offset = store_.pages_file().size_bytes().value_or(0);
  report_.lost.push_back(std::move(missing));
}

Result<void> Salvager::write(const std::filesystem::path& destination, std::chrono::milliseconds lock_timeout) {
  constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
  Options options;
  options.page_size_bytes = store_.superblock().page_bytes;  // 0, the default, when there is no superblock
  options.lock_timeout = lock_timeout;
  MENTEDB_TRY_ASSIGN(const auto saved, store::Store::open(vfs_, destination, options));
  std::size_t batch_bytes = 0;
  for (const auto& [id, version] : newest_) {
    if (version.deleted) continue;
    auto node = read(id, version);
    if (!node) {
      lose(id, version, node.error().message);
      continue;
    }
    batch_bytes += format::encoded_size_bytes(*node);
    batch_.emplace_back(std::move(*node), version);
    if (batch_bytes < kBatchBytes) continue;
    MENTEDB_TRY(flush(*saved));
    batch_bytes = 0;
  }
  MENTEDB_TRY(flush(*saved));
  report_damaged();
  report_missing();
  MENTEDB_TRY_ASSIGN(store::Writer writer, saved->writer());
  return writer.checkpoint();
}

}  // namespace

Result<SalvageReport> offline::salvage_directory(vfs::Vfs& vfs, const std::filesystem::path& source,
                                                 const std::filesystem::path& destination,
                                                 std::chrono::milliseconds lock_timeout) {
  MENTEDB_TRY_ASSIGN(const auto raw, RawStore::open_damaged(vfs, source));
  // The lock keeps writers out of the source. A source without a log has no writers.
  std::optional<store::StoreLock> lock;
  store::StoreLock::Hold hold;
  if (raw->has_log()) {
    lock.emplace(vfs, raw->log_file());
    MENTEDB_TRY_ASSIGN(hold, lock->acquire(lock_timeout));
    MENTEDB_TRY(raw->refresh());  // a writer may have committed before this process got the lock
  }
  Salvager salvager(vfs, *raw);
  salvager.collect();
  MENTEDB_TRY(store::fill_new_directory(vfs, destination,
                                        [&](vfs::Directory&) { return salvager.write(destination, lock_timeout); }));
  return salvager.report();
}

Result<SalvageReport> salvage(const std::filesystem::path& source, const std::filesystem::path& destination,
                              std::chrono::milliseconds lock_timeout) {
  try {
    return offline::salvage_directory(vfs::posix_vfs(), source, destination, lock_timeout);
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

}  // namespace mentedb

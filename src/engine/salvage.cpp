// salvage: everything readable of a damaged store into a new one, and a list of what is lost. Where the directory or
// the log cannot say what is live, pages and log entries speak for themselves; then a deleted memory may come back, and
// the report says so.

#include <algorithm>
#include <unordered_map>

#include <mentedb/inspect.hpp>
#include <mentedb/storage_engine.hpp>

#include "base/error.hpp"
#include "engine/destination.hpp"
#include "engine/engine_impl.hpp"
#include "engine/raw_store.hpp"
#include "engine/salvage.hpp"
#include "engine/store.hpp"
#include "engine/store_lock.hpp"
#include "format/node_codec.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb {
namespace {

using engine::RawStore;
using format::Entry;

class Salvager {
 public:
  Salvager(vfs::Vfs& vfs, RawStore& store) : vfs_(vfs), store_(store) {}

  void collect() {
    collect_pages();
    collect_log();
  }
  Result<void> write(const std::filesystem::path& destination, std::chrono::milliseconds lock_timeout);
  SalvageReport report() { return std::move(report_); }

 private:
  // The newest that is known of a memory.
  struct Version {
    std::uint64_t lsn = 0;
    std::uint64_t page = 0;        ///< 0: from the log
    std::uint64_t log_offset = 0;  ///< of the batch
    bool deleted = false;
  };

  void collect_pages();
  void collect_log();
  void collect_unlisted_page(std::uint64_t page);
  void offer(const MemoryId& id, const Version& version) {
    Version& known = newest_[id];
    if (version.lsn >= known.lsn) known = version;
  }
  void lose(std::uint64_t page, const std::string& what) {
    report_.lost.push_back({.file = std::string(engine::kPagesName),
                            .offset = store_.geometry().page_offset(page),
                            .page = PageId{page},
                            .message = what});
  }
  Result<MemoryNode> read(const MemoryId& id, const Version& version);

  vfs::Vfs& vfs_;
  RawStore& store_;
  SalvageReport report_;
  std::unordered_map<MemoryId, Version> newest_;
  std::unordered_map<MemoryId, Version> damaged_;  ///< memories whose newest version is unreadable in its page
  std::uint64_t log_seed_ = 0;
  base::AlignedBuffer buffer_;
};

// A page whose directory entry does not verify: its own header is the only witness.
void Salvager::collect_unlisted_page(std::uint64_t page) {
  const auto run = store_.read_run(page, buffer_);
  if (!run || run->header.type != format::RunType::memory) {
    lose(page, "the directory entry does not verify; if a memory began on this page it is lost");
    return;
  }
  const auto id = format::decode_node_id(run->payload);
  if (!id) {
    lose(page, "the memory on this page does not decode");
    return;
  }
  report_.notes.push_back(
      fmt::format("memory {} was found on page {} without its directory entry; it may have been deleted before",
                  id->to_string(), page));
  offer(*id, {.lsn = run->header.lsn, .page = page});
}

void Salvager::collect_pages() {
  const auto size = store_.pages_file().size_bytes();
  if (!size) return;
  for (std::uint64_t page = 1; page <= format::kMaxPageCount && store_.geometry().page_offset(page) < *size; ++page) {
    const auto entry = store_.read_entry(page);
    if (!entry) {
      collect_unlisted_page(page);
      continue;
    }
    const MemoryId id{entry->id};
    if (entry->type == format::EntryType::deleted) offer(id, {.lsn = entry->lsn, .deleted = true});
    if (entry->type == format::EntryType::raw) {
      report_.notes.push_back(fmt::format("page {} is a raw page; raw pages are not salvaged", page));
    }
    if (!format::is_memory(entry->type)) continue;
    const auto run = store_.read_run(page, buffer_);
    const auto found = run ? format::decode_node_id(run->payload) : base::fail(ErrorCode::corruption, "");
    if (run && run->header.lsn == entry->lsn && found && *found == id) {
      offer(id, {.lsn = entry->lsn, .page = page});
    } else {
      damaged_[id] = {.lsn = entry->lsn, .page = page};  // unless the log has it
    }
  }
}

void Salvager::collect_log() {
  const auto slots = store_.log().read_slots();
  const format::LogSlot* newest = slots ? slots->newest() : nullptr;
  if (newest == nullptr) {
    report_.notes.emplace_back(
        "wal.log has no valid header: what was committed after the last checkpoint and is not in its page is lost");
    return;
  }
  log_seed_ = newest->seed;
  const auto end = store_.log().walk(
      *newest, [&](std::uint64_t offset, const format::BatchHeader&, std::span<const std::byte> batch) -> Result<void> {
        format::OperationReader reader(batch);
        while (const auto operation = reader.next()) {
          const MemoryId id{operation->header.memory_id};
          if (format::is_memory_put(operation->header.type)) offer(id, {.lsn = operation->lsn, .log_offset = offset});
          if (operation->header.type == format::OperationType::remove && !id.is_nil())
            offer(id, {.lsn = operation->lsn, .deleted = true});
        }
        return {};
      });
  if (!end) {
    report_.notes.push_back("wal.log cannot be read to its end: " + end.error().message);
    return;
  }
  const auto behind = store_.log().find_batch_behind(*newest, end->tail);
  if (behind && *behind) {
    report_.notes.push_back(
        fmt::format("wal.log is damaged at byte {}; operations from LSN {} on are known only from their pages",
                    end->tail.offset, end->tail.next_lsn));
  }
}

Result<MemoryNode> Salvager::read(const MemoryId& id, const Version& version) {
  if (version.page != 0) {
    const auto run = store_.read_run(version.page, buffer_);
    if (!run) return base::failf(ErrorCode::corruption, "page {} changed while it was read", version.page);
    return format::decode_node(run->payload);
  }
  MENTEDB_TRY_ASSIGN(const auto batch, store_.log().read_batch(version.log_offset, log_seed_));
  format::OperationReader reader(batch);
  while (const auto operation = reader.next()) {
    if (operation->lsn == version.lsn) return format::decode_node(operation->payload);
  }
  return base::failf(ErrorCode::corruption, "the log entry of memory {} changed while it was read", id.to_string());
}

Result<void> Salvager::write(const std::filesystem::path& destination, std::chrono::milliseconds lock_timeout) {
  constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
  Options options;
  options.page_size_bytes = store_.superblock().page_bytes;
  options.lock_timeout = lock_timeout;
  MENTEDB_TRY_ASSIGN(StorageEngine engine, EngineAccess::open(vfs_, destination, options));
  std::vector<MemoryNode> batch;
  std::size_t batch_bytes = 0;
  const auto flush = [&]() -> Result<void> {
    if (batch.empty()) return {};
    MENTEDB_TRY(engine.store_memories(batch));
    report_.memories_saved += batch.size();
    batch.clear();
    batch_bytes = 0;
    return {};
  };
  for (const auto& [id, version] : newest_) {
    if (const auto better = damaged_.find(id); better != damaged_.end()) {
      if (better->second.lsn > version.lsn && !version.deleted) {
        report_.notes.push_back(
            fmt::format("memory {}: its newest version on page {} is damaged; an older one was saved", id.to_string(),
                        better->second.page));
      }
      if (better->second.lsn <= version.lsn || !version.deleted) damaged_.erase(better);
    }
    if (version.deleted) continue;
    auto node = read(id, version);
    if (!node) {
      lose(std::max<std::uint64_t>(version.page, 1),
           fmt::format("memory {}: {}", id.to_string(), node.error().message));
      continue;
    }
    batch_bytes += format::encoded_size_bytes(*node);
    batch.push_back(std::move(*node));
    if (batch_bytes >= kBatchBytes) MENTEDB_TRY(flush());
  }
  MENTEDB_TRY(flush());
  for (const auto& [id, version] : damaged_) lose(version.page, fmt::format("memory {} is damaged", id.to_string()));
  return engine.close();
}

}  // namespace

namespace engine {

Result<SalvageReport> salvage(vfs::Vfs& vfs, const std::filesystem::path& source,
                              const std::filesystem::path& destination, std::chrono::milliseconds lock_timeout) {
  MENTEDB_TRY_ASSIGN(const auto store, RawStore::open(vfs, source));
  // Nobody changes the source meanwhile.
  StoreLock lock(vfs, store->log_file());
  MENTEDB_TRY_ASSIGN(const auto hold, lock.acquire(lock_timeout));
  Salvager salvager(vfs, *store);
  salvager.collect();
  MENTEDB_TRY(fill_new_directory(vfs, destination, [&](vfs::Directory&) { return salvager.write(destination, lock_timeout); }));
  return salvager.report();
}

}  // namespace engine

Result<SalvageReport> salvage(const std::filesystem::path& source, const std::filesystem::path& destination,
                              std::chrono::milliseconds lock_timeout) {
  try {
    return engine::salvage(vfs::posix_vfs(), source, destination, lock_timeout);
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

}  // namespace mentedb

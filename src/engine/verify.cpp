// verify: every structure on disk, one after the other (I12). What looks wrong on a live store is looked at again
// under the lock before it is reported.

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>

#include <mentedb/inspect.hpp>

#include "base/error.hpp"
#include "engine/raw_store.hpp"
#include "engine/store.hpp"
#include "engine/store_lock.hpp"
#include "engine/verify.hpp"
#include "format/index_format.hpp"
#include "format/node_codec.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb::engine {
namespace {

using format::Entry;
using format::EntryType;
using format::Geometry;

constexpr std::string_view kHealOrSalvage =
    "run mentedb recover, which heals it if the log still has it; else restore a backup, or run mentedb salvage";

class Verifier {
 public:
  Verifier(vfs::Vfs& vfs, RawStore& store) : vfs_(vfs), store_(store) {}

  VerifyReport run();

 private:
  struct Live {
    std::uint64_t page;
    std::uint64_t lsn;
  };

  void check_log();
  void check_pages();
  void check_index();
  void check_counters(std::uint64_t used_pages, std::uint64_t highest_used);
  // One run and its entries; returns its length in pages.
  std::uint64_t check_run(std::uint64_t page, const Entry& entry);
  void check_memory(std::uint64_t page, const Entry& entry, const RawStore::Run& run);
  void check_slack(std::uint64_t page, const format::RunHeader& header);
  void check_freed(std::uint64_t page, const Entry& entry);

  std::string name_of(vfs::File& file) const { return std::filesystem::path(file.path()).filename().string(); }
  void problem(vfs::File& file, std::uint64_t offset, std::uint64_t page, std::string message) {
    report_.problems.push_back(
        {.file = name_of(file), .offset = offset, .page = PageId{page}, .message = std::move(message)});
  }
  // Damage of a page, unless an operation that is not redone yet explains it.
  void page_problem(std::uint64_t page, std::uint64_t offset, std::uint64_t pages, const std::string& what) {
    for (std::uint64_t at = page; !redone_ && at < page + pages; ++at) {
      if (!logged_.contains(at)) continue;
      ++unredone_;
      return;
    }
    problem(store_.pages_file(), offset, page, fmt::format("{}; {}", what, kHealOrSalvage));
  }

  vfs::Vfs& vfs_;
  RawStore& store_;
  VerifyReport report_;
  wal::Tail tail_;
  bool log_known_ = false;
  bool redone_ = true;  ///< everything in the log is known to be in the pages
  std::uint64_t unredone_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> logged_;  ///< page -> last LSN in the log
  std::unordered_map<MemoryId, Live> live_;
  base::AlignedBuffer buffer_;
};

void Verifier::check_log() {
  auto slots = store_.log().read_slots();
  if (!slots) {
    problem(store_.log_file(), 0, 0, slots.error().message);
    return;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    if (slots->damaged[i])
      problem(store_.log_file(), i * format::kLogSlotBytes, 0,
              fmt::format("header slot {} does not verify; {}", i, kHealOrSalvage));
  }
  const format::LogSlot* newest = slots->newest();
  if (newest == nullptr) {
    problem(store_.log_file(), 0, 0, "no valid header slot; restore a backup, or run mentedb salvage");
    return;
  }
  if (newest->store_id != store_.superblock().store_id || newest->incarnation != store_.superblock().incarnation) {
    problem(store_.log_file(), 0, 0, "the log belongs to another store than pages.db; restore both from one backup");
    return;
  }
  const auto end = store_.log().walk(
      *newest, [&](std::uint64_t offset, const format::BatchHeader&, std::span<const std::byte> batch) -> Result<void> {
        ++report_.log_batches_checked;
        format::OperationReader reader(batch);
        while (const auto operation = reader.next()) {
          for (std::uint64_t i = 0; i < operation->header.run_pages; ++i)
            logged_[operation->header.page + i] = operation->lsn;
          if (!format::is_memory_put(operation->header.type)) continue;
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
    problem(store_.log_file(), 0, 0, end.error().message);
    return;
  }
  tail_ = end->tail;
  log_known_ = true;
  const auto& hint = store_.hint();
  redone_ = hint && *hint == tail_;
  if (redone_) return;
  if (hint && (hint->epoch > tail_.epoch || (hint->epoch == tail_.epoch && hint->next_lsn > tail_.next_lsn))) {
    problem(store_.log_file(), tail_.offset, 0,
            fmt::format("the log ends here although operations up to LSN {} were committed; restore a backup, or run "
                        "mentedb salvage",
                        hint->next_lsn - 1));
  }
  const auto behind = store_.log().find_batch_behind(*newest, tail_);
  if (behind && *behind) {
    problem(
        store_.log_file(), tail_.offset, 0,
        fmt::format("a batch is damaged: a complete one follows at byte {}; restore a backup, or run mentedb salvage",
                    **behind));
  }
}

void Verifier::check_memory(std::uint64_t page, const Entry& entry, const RawStore::Run& run) {
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
  const std::uint64_t used = sizeof(format::RunHeader) + header.payload_bytes;
  const std::uint64_t total = std::uint64_t{header.run_pages} * store_.geometry().page_bytes();
  // In parts: a header may claim gigabytes that the file does not have (I10).
  std::array<std::byte, base::kBlockBytes> block{};
  for (std::uint64_t at = used; at < total;) {
    const auto part = std::span(block).first(std::min<std::uint64_t>(block.size(), total - at));
    const bool whole = store_.read(store_.pages_file(), store_.geometry().page_offset(page) + at, part);
    if (!whole || std::ranges::any_of(part, [](std::byte b) { return b != std::byte{0}; })) {
      page_problem(page, store_.geometry().page_offset(page) + used, header.run_pages,
                   "the bytes behind the data are not zero");
      return;
    }
    at += part.size();
  }
}

std::uint64_t Verifier::check_run(std::uint64_t page, const Entry& entry) {
  const Geometry& geometry = store_.geometry();
  const auto run = store_.read_run(page, buffer_);
  if (!run) {
    page_problem(page, geometry.page_offset(page), entry.run_pages, "the page's checksum does not hold");
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
  for (std::uint32_t i = 1; i < entry.run_pages; ++i) {
    const auto interior = store_.read_entry(page + i);
    if (!interior) continue;  // reported when its turn comes
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

void Verifier::check_freed(std::uint64_t page, const Entry& entry) {
  const auto run = store_.read_run(page, buffer_);
  if (run && run->header.type == format::RunType::free && run->header.lsn == entry.lsn) return;
  page_problem(page, store_.geometry().page_offset(page), 1,
               "the directory says that the page was freed, the page does not");
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
  for (std::uint64_t page = 1; page <= tail_.counters.page_count; ++page) {
    if (size && store_.geometry().page_offset(page) >= *size) break;  // cut short, as reported
    ++report_.pages_checked;
    const auto entry = store_.read_entry(page);
    if (!entry) {
      page_problem(page, store_.geometry().entry_offset(page), 1, "the directory entry does not verify");
      continue;
    }
    if (entry->lsn >= tail_.next_lsn) {
      page_problem(page, store_.geometry().entry_offset(page), 1,
                   fmt::format("the entry has LSN {}, the log ends at {}", entry->lsn, tail_.next_lsn - 1));
    }
    if (entry->lsn != 0) highest_used = page;
    if (format::is_head(entry->type)) {
      run_end = page + check_run(page, *entry);
      used_pages += entry->run_pages;
    } else if (entry->type == EntryType::interior && page >= run_end) {
      page_problem(page, store_.geometry().entry_offset(page), 1,
                   "the entry says that the page lies inside a run, but no run covers it");
    } else if (entry->type == EntryType::deleted || entry->type == EntryType::moved) {
      check_freed(page, *entry);
    }
  }
  check_counters(used_pages, highest_used);
}

void Verifier::check_counters(std::uint64_t used_pages, std::uint64_t highest_used) {
  const auto& counted = tail_.counters;
  if (!redone_ || !report_.problems.empty()) return;  // explained already
  if (counted.used_pages != used_pages || counted.memory_count != live_.size() || counted.high_water < highest_used) {
    problem(store_.log_file(), 0, 0,
            fmt::format("the log counts {} used pages, {} memories and a high-water mark of {}; the directory has {}, "
                        "{} and {}; run mentedb salvage",
                        counted.used_pages, counted.memory_count, counted.high_water, used_pages, live_.size(),
                        highest_used));
  }
}

void Verifier::check_index() {
  if (!redone_) return;  // the next opener brings it up to date
  const std::string name = format::index_file_name(store_.index_number());
  const auto index_problem = [&](std::uint64_t offset, const std::string& what) {
    report_.problems.push_back({.file = name,
                                .offset = offset,
                                .page = PageId{0},
                                .message = what + "; run mentedb recover, which rebuilds it"});
  };
  const auto file = store_.directory().open(name, vfs::OpenMode::read_only, false);
  if (!file) {
    index_problem(0, file.error().code == ErrorCode::not_found ? "the id index is missing" : file.error().message);
    return;
  }
  std::array<std::byte, sizeof(format::IndexHeader)> bytes{};
  store_.read(**file, 0, bytes);
  const auto header = format::decode_index_header(bytes);
  const auto size = (*file)->size_bytes();
  if (!header || !size || *size != format::kIndexSlotsOffset + 8 * header->slot_count) {
    index_problem(0, "the id index has no valid header or the wrong size");
    return;
  }
  const auto pages_id = store_.pages_file().id();
  if (header->store_id != store_.superblock().store_id || header->incarnation != store_.superblock().incarnation ||
      header->boot_id != vfs_.boot_id() || !pages_id || header->pages_device != pages_id->device ||
      header->pages_inode != pages_id->inode) {
    report_.notes.push_back(fmt::format("{} is from another boot or directory; the next open rebuilds it", name));
    return;
  }
  std::vector<std::uint64_t> slots(header->slot_count);
  store_.read(**file, format::kIndexSlotsOffset, std::as_writable_bytes(std::span(slots)));
  std::uint64_t found = 0;
  for (const auto& [id, place] : live_) {
    const format::IdHash hash = format::hash_id(id.bytes, store_.superblock().seed);
    bool there = false;
    for (std::uint64_t i = 0; i < slots.size() && !there; ++i) {
      const std::uint64_t slot = slots[(hash.start + i) & (slots.size() - 1)];
      if (slot == format::kEmptySlot) break;
      there = slot == format::make_slot(hash.fingerprint, place.page);
    }
    found += there ? 1 : 0;
    if (!there)
      index_problem(0, fmt::format("memory {} on page {} is not in the id index", id.to_string(), place.page));
  }
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] == format::kEmptySlot || format::slot_page(slots[i]) == 0) continue;
    ++filled;
  }
  if (filled > found && found == live_.size()) {
    index_problem(format::kIndexSlotsOffset,
                  fmt::format("{} slots of the id index lead to pages that hold no memory", filled - found));
  }
}

VerifyReport Verifier::run() {
  if (store_.superblock().state != format::StoreState::created) {
    problem(store_.pages_file(), 0, 0,
            store_.superblock().state == format::StoreState::copying
                ? "an unfinished backup; remove the directory and make it again"
                : "an unfinished store without memories; open it, or remove the directory");
    return std::move(report_);
  }
  check_log();
  if (!log_known_) return std::move(report_);
  check_pages();
  check_index();
  if (!redone_ && report_.log_batches_checked > 0) {
    report_.notes.push_back(
        fmt::format("the last batch of {} may not be redone yet ({} pages differ); the next open or write completes it",
                    name_of(store_.log_file()), unredone_));
  }
  return std::move(report_);
}

}  // namespace

Result<VerifyReport> verify_directory(vfs::Vfs& vfs, const std::filesystem::path& path,
                                      std::chrono::milliseconds lock_timeout) {
  const auto damaged_file = [&](const Error& error) {
    const auto directory = vfs.open_directory(path, false);
    const bool no_log = directory && !(*directory)->id_of(kLogName);
    VerifyReport report;
    report.problems.push_back({.file = std::string(no_log ? kLogName : kPagesName),
                               .offset = 0,
                               .page = PageId{0},
                               .message = error.message});
    return report;
  };
  auto store = RawStore::open(vfs, path);
  if (!store) {
    if (store.error().code == ErrorCode::corruption) return damaged_file(store.error());
    return std::unexpected(store.error());
  }
  VerifyReport report = Verifier(vfs, **store).run();
  if (report.problems.empty()) return report;
  // Writers may have moved things while we looked. Nobody moves anything under the lock.
  StoreLock lock(vfs, (*store)->log_file());
  const auto hold = lock.acquire(lock_timeout);
  if (!hold) {
    report.notes.push_back(
        fmt::format("the store is busy, so what was found may be a write under way: {}", hold.error().message));
    return report;
  }
  MENTEDB_TRY((*store)->refresh());
  return Verifier(vfs, **store).run();
}

}  // namespace mentedb::engine

namespace mentedb {

Result<VerifyReport> verify_store(const std::filesystem::path& directory, std::chrono::milliseconds lock_timeout) {
  try {
    return engine::verify_directory(vfs::posix_vfs(), directory, lock_timeout);
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

}  // namespace mentedb

#include "store/reader.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "base/checksum.hpp"
#include "base/error.hpp"
#include "format/node_codec.hpp"
#include "pages/directory_cursor.hpp"
#include "store/directory_pass.hpp"
#include "store/live_set.hpp"

namespace mentedb::store {

using format::Entry;
using format::EntryType;

namespace {

// A writer that overwrites a page or moves a memory needs microseconds. So a reader that still fails after this many
// looks does not race with a writer that works.
constexpr int kSpins = 1'000;
// The same bound in bytes, for large runs: a copy of one takes long.
constexpr std::uint64_t kMaxBytesRead = std::uint64_t{256} << 20;

// One buffer a thread, so that a warm read allocates nothing but its result. Big ones are given back.
class ReadBuffer {
 public:
  base::AlignedBuffer& get() { return buffer_; }
  ReadBuffer() : buffer_(std::move(spare())) {}
  ~ReadBuffer() {
    constexpr std::size_t kKeepBytes = 1 << 20;
    if (buffer_.size_bytes() <= kKeepBytes) spare() = std::move(buffer_);
  }
  ReadBuffer(const ReadBuffer&) = delete;
  ReadBuffer& operator=(const ReadBuffer&) = delete;

 private:
  static base::AlignedBuffer& spare() {
    static thread_local base::AlignedBuffer buffer;
    return buffer;
  }
  base::AlignedBuffer buffer_;
};

std::unexpected<Error> no_memory(const MemoryId& id) {
  return base::fail(ErrorCode::not_found, "there is no memory " + id.to_string());
}

std::unexpected<Error> damaged(std::uint64_t page) {
  return base::failf(
      ErrorCode::corruption,
      "page {} is damaged and the log has no copy of it; restore a backup, or run mentedb salvage for the rest", page);
}

}  // namespace

// ---- by id

// The one place of R8. `look` copies a page and says what it holds. Its answer counts only when the bucket and the
// table are unchanged afterwards. "No page holds the id" is believed only when nothing was committed meanwhile, since a
// memory that moved away and back leaves its bucket as it was.
template <class LookAtPage>
Result<std::optional<std::uint64_t>> Reader::probe_id(const MemoryId& id, std::uint64_t& damaged_page,
                                                      LookAtPage&& look) const {
  const format::IdHash hash = index_.hash(id);
  bool asked = false;  // whether the damage is known
  for (int spin = 0; spin < kSpins; ++spin) {
    const auto table = index_.current();
    if (!table) {
      if (!index::asks_for_a_rebuild(table.error())) return std::unexpected(table.error());
      MENTEDB_TRY(repair_index());
      continue;
    }
    damaged_page = 0;
    bool again = false;
    const std::uint64_t committed = state_.committed_lsn();
    index::Probe probe(**table, hash);
    while (const std::uint64_t page = probe.next_page()) {
      if (!pool_.contains(page)) continue;
      MENTEDB_TRY_ASSIGN(const Seen seen, look(page));
      again = !probe.unchanged() || !index_.is_current(**table);  // R8
      if (again) break;
      if (seen == Seen::wanted) return page;
      if (seen == Seen::damaged) damaged_page = page;  // or a writer is writing this page just now: look again
    }
    if (again || !index_.is_current(**table) || state_.committed_lsn() != committed) continue;
    if (damaged_page == 0) return std::nullopt;
    if (!std::exchange(asked, true) && known_.any() && is_known(sight_of(damaged_page))) break;
  }
  if (damaged_page != 0) return damaged(damaged_page);
  return base::failf(ErrorCode::busy, "memory {} changes all the time; try again", id.to_string());
}

Result<void> Reader::load_once(const MemoryId& id, std::uint64_t& damaged_page, MemoryNode& node) const {
  ReadBuffer buffer;
  std::optional<pages::RunCopy> run;
  std::uint64_t bytes_read = 0;
  MENTEDB_TRY_ASSIGN(const auto page, probe_id(id, damaged_page, [&](std::uint64_t at) -> Result<Seen> {
                       if (bytes_read > kMaxBytesRead) {
                         damaged_page = at;
                         return damaged(at);
                       }
                       pool_.prefetch_run(at);
                       MENTEDB_TRY_ASSIGN(run, pool_.read_run(at, buffer.get()));
                       bytes_read += buffer.get().size_bytes();
                       if (!run) return Seen::damaged;
                       if (run->header.type != format::RunType::memory) return Seen::other;
                       const auto found = format::decode_node_id(run->payload);
                       return found && *found == id ? Seen::wanted : Seen::other;
                     }));
  if (!page) return no_memory(id);
  auto decoded = format::decode_node(run->payload, node);
  if (!decoded) damaged_page = *page;
  return decoded;
}

Result<std::optional<Location>> Reader::locate_once(const MemoryId& id, std::uint64_t& damaged_page) const {
  std::optional<Entry> entry;
  MENTEDB_TRY_ASSIGN(const auto page, probe_id(id, damaged_page, [&](std::uint64_t at) -> Result<Seen> {
                       MENTEDB_TRY_ASSIGN(entry, pool_.read_entry(at));
                       if (!entry) return Seen::damaged;
                       return format::is_memory(entry->type) && entry->id == id.bytes ? Seen::wanted : Seen::other;
                     }));
  if (!page) return std::nullopt;
  return Location{.page = *page, .entry = *entry};
}

Result<void> Reader::load(const MemoryId& id, MemoryNode& node, IfDamaged if_damaged) const {
  return repaired<void>(if_damaged, [&](std::uint64_t& damaged_page) { return load_once(id, damaged_page, node); });
}

Result<MemoryNode> Reader::load(const MemoryId& id, IfDamaged if_damaged) const {
  Result<MemoryNode> node;
  if (auto loaded = load(id, *node, if_damaged); !loaded) node = std::unexpected(std::move(loaded).error());
  return node;
}

Result<std::optional<Location>> Reader::locate(const MemoryId& id, IfDamaged if_damaged) const {
  return repaired<std::optional<Location>>(if_damaged,
                                           [&](std::uint64_t& damaged_page) { return locate_once(id, damaged_page); });
}

// ---- by page

Reader::Look Reader::look_at_page(std::uint64_t page, base::AlignedBuffer& buffer, std::uint64_t& bytes_read) const {
  const auto none = [page] { return base::failf(ErrorCode::not_found, "no run starts at page {}", page); };
  if (!pool_.contains(page)) return {.run = none()};
  pool_.prefetch_entries(page, 1);
  pool_.prefetch_run(page);
  const auto entry = pool_.read_entry(page);
  if (!entry) return {.run = std::unexpected(entry.error())};
  if (*entry && !format::is_head((*entry)->type)) return {.run = none()};
  const auto copy = pool_.read_run(page, buffer);
  if (!copy) return {.run = std::unexpected(copy.error())};
  bytes_read += buffer.size_bytes();
  const auto& run = *copy;
  // The entry says that a run starts here.
  if (!*entry || !run || !format::agrees(run->header, **entry) || run->header.type == format::RunType::free ||
      run->header.run_pages != (*entry)->run_pages) {
    return {.settled = false, .run = damaged(page)};
  }
  return {.run = *run};
}

Result<pages::RunCopy> Reader::read_run(std::uint64_t page, base::AlignedBuffer& buffer) const {
  std::uint64_t bytes_read = 0;
  for (int spin = 0; spin < kSpins && bytes_read <= kMaxBytesRead; ++spin) {
    Look look = look_at_page(page, buffer, bytes_read);
    if (look.settled) return std::move(look.run);
    if (spin == 0 && known_.any() && is_known(sight_of(page))) return std::move(look.run);
  }
  return repair_page(page, buffer);
}

Result<Page> Reader::read_page(PageId page) const {
  ReadBuffer buffer;
  MENTEDB_TRY_ASSIGN(const pages::RunCopy run, read_run(page.value, buffer.get()));
  return Page{.header = {.id = page,
                         .lsn = Lsn{run.header.lsn},
                         .type = run.header.type == format::RunType::memory ? PageType::memory : PageType::raw,
                         .page_count = run.header.run_pages,
                         .data_bytes = run.header.payload_bytes},
              .data = {run.payload.begin(), run.payload.end()}};
}

Result<void> Reader::load(PageId page, MemoryNode& node) const {
  ReadBuffer buffer;
  MENTEDB_TRY_ASSIGN(const pages::RunCopy run, read_run(page.value, buffer.get()));
  if (run.header.type != format::RunType::memory) {
    return base::failf(ErrorCode::invalid_argument, "page {} holds no memory; use read_page", page.value);
  }
  return format::decode_node(run.payload, node);
}

Result<MemoryNode> Reader::load(PageId page) const {
  Result<MemoryNode> node;
  if (auto loaded = load(page, *node); !loaded) node = std::unexpected(std::move(loaded).error());
  return node;
}

// ---- repair

// The exception of I5: a writer died or stopped in the middle of this page, or the page is damaged. Taking the
// lock completes the operations of a dead writer. When the page still does not verify, the log is redone from the
// checkpoint.
Result<pages::RunCopy> Reader::repair_page(std::uint64_t page, base::AlignedBuffer& buffer) const {
  if (!door_.may_repair()) return door_.refuse(fmt::format("page {}", page));
  std::uint64_t bytes_read = 0;
  MENTEDB_TRY_ASSIGN(Writer writer, door_.lock());
  Look look = look_at_page(page, buffer, bytes_read);
  if (look.settled) return std::move(look.run);
  MENTEDB_TRY(writer.redo_log());
  look = look_at_page(page, buffer, bytes_read);
  if (!look.settled) {
    if (const auto sight = sight_of(page)) known_.remember(*sight, writer.tail().epoch);
  }
  return std::move(look.run);
}

// The same for an answer `corruption` to a read by id. Under the lock the bytes that redo leaves stay as they are.
template <class T, class Read>
Result<T> Reader::repaired(IfDamaged if_damaged, Read&& read) const {
  std::uint64_t damaged_page = 0;
  Result<T> result = read(damaged_page);
  if (result || result.error().code != ErrorCode::corruption) return result;
  if (if_damaged == IfDamaged::fail || !door_.may_repair()) return result;
  if (damaged_page != 0 && known_.any() && is_known(sight_of(damaged_page))) return result;
  MENTEDB_TRY_ASSIGN(const Writer writer, door_.lock_and_redo());
  damaged_page = 0;
  result = read(damaged_page);
  if (!result && damaged_page != 0) {
    if (const auto sight = sight_of(damaged_page)) known_.remember(*sight, writer.tail().epoch);
  }
  return result;
}

Result<void> Reader::repair_index() const {
  if (!door_.may_repair()) return door_.refuse("the id index");
  MENTEDB_TRY(door_.lock_and_redo());
  return {};
}

// ---- known damage

// The entry, the first page, and the rest of the run when the header is possible.
Result<Sight> Reader::sight_of(std::uint64_t page) const {
  MENTEDB_TRY_ASSIGN(Sight sight, sight_of_entries({page}));
  MENTEDB_TRY_ASSIGN(const auto header, pool_.read_header(page));
  std::size_t length = pool_.geometry().page_bytes();
  if (header && pool_.contains(page + header->run_pages - 1))
    length = std::max(length, sizeof(format::RunHeader) + header->payload_bytes);
  ReadBuffer buffer;
  buffer.get().reserve(length);
  MENTEDB_TRY(pool_.read_bytes(page, buffer.get().first(length)));
  sight.page = page;
  sight.checksum = base::checksum(buffer.get().first(length), sight.checksum);
  return sight;
}

Result<Sight> Reader::sight_of_entries(const std::vector<std::uint64_t>& pages) const {
  Sight sight;
  for (const std::uint64_t page : pages) {
    std::array<std::byte, format::kEntryBytes> entry;
    MENTEDB_TRY(pool_.read_entries(page, entry));
    sight.checksum = base::checksum(entry, sight.checksum ^ page);
  }
  return sight;
}

bool Reader::is_known(const Result<Sight>& sight) const {
  if (!sight) return false;
  const auto tail = state_.cached_tail();
  return known_.contains(*sight, tail ? std::optional(tail->epoch) : std::nullopt);
}

// ---- all of it

// Visits every entry with an LSN above `since`, then the entries that commits wrote meanwhile, until a pass sees no
// commit. Calls `visit(page, entry, committed)` with the committed LSN at the beginning of the pass. Returns the last
// committed LSN. Every entry up to it was visited, except those that a commit under way overwrote.
template <class Visit>
Result<std::uint64_t> Reader::passes(std::uint64_t since, Visit&& visit) const {
  constexpr int kPasses = 8;
  const std::uint64_t everything = since;
  std::vector<std::uint64_t> damaged_pages;
  std::optional<Writer> writer;  // while this Writer lives, nothing changes
  for (int pass = 0;; ++pass) {
    if (!writer && (pass == kPasses || !damaged_pages.empty())) {
      const bool redo = !damaged_pages.empty() && door_.may_repair();  // the log may still have the lost entry
      MENTEDB_TRY_ASSIGN(writer, redo ? door_.lock_and_redo() : door_.lock());
      if (!damaged_pages.empty()) since = everything;
    }
    damaged_pages.clear();
    const std::uint64_t committed = state_.committed_lsn();
    MENTEDB_TRY(pass_over_directory(
        pool_, since, since != everything,
        [&](std::uint64_t page, const Entry& entry) { visit(page, entry, committed); },
        [&](std::uint64_t page) { damaged_pages.push_back(page); }));
    if (!damaged_pages.empty() && !writer) {
      if (known_.any() && is_known(sight_of_entries(damaged_pages))) break;
      continue;
    }
    if (!damaged_pages.empty() && door_.may_repair()) {
      if (const auto sight = sight_of_entries(damaged_pages)) known_.remember(*sight, writer->tail().epoch);
    }
    since = committed;
    if (writer || state_.committed_lsn() == committed) break;
  }
  if (!damaged_pages.empty()) {
    return base::failf(ErrorCode::corruption,
                       "the directory entry of page {} is damaged ({} in all) and the log has no copy; run mentedb "
                       "verify, then mentedb salvage",
                       damaged_pages.front(), damaged_pages.size());
  }
  return since;
}

// One pass, for a store that no commit changes meanwhile: then the heads of the runs are all that there is to read, and
// each tells how many pages to pass. False when an entry is damaged or newer than the pass, when a commit is under way,
// and when the store counts another number of memories. What was committed when the pass began is found: its entry is
// as it was, or newer. No head hides it, since a run that was live then covers no other.
Result<bool> Reader::scan_quiet_store(std::vector<std::pair<MemoryId, PageId>>& found) const {
  const std::uint64_t committed = state_.committed_lsn();
  const auto tail = state_.cached_tail();
  if (!tail || tail->next_lsn != committed + 1) return false;
  found.reserve(std::min(tail->counters.memory_count, pool_.page_count()));
  Entry entry;
  for (pages::DirectoryCursor cursor(pool_, pool_.page_count()); cursor.next();) {
    MENTEDB_TRY_ASSIGN(const bool whole, cursor.read(entry));
    if (!whole || entry.lsn > committed) return false;
    if (!format::is_head(entry.type)) continue;
    if (format::is_memory(entry.type)) found.emplace_back(MemoryId{entry.id}, PageId{cursor.page()});
    cursor.skip_pages(entry.run_pages - 1);
  }
  return found.size() == tail->counters.memory_count;
}

Result<std::vector<std::pair<MemoryId, PageId>>> Reader::scan() const {
  std::vector<std::pair<MemoryId, PageId>> result;
  MENTEDB_TRY_ASSIGN(const bool was_quiet, scan_quiet_store(result));
  if (was_quiet) return result;
  LiveSet live;
  MENTEDB_TRY(passes(
      0, [&](std::uint64_t page, const Entry& entry, std::uint64_t committed) { live.take(page, entry, committed); }));
  const std::vector<MemoryId> pending = live.pending();
  std::vector<LiveSet::Place> places = live.resolve();
  std::erase_if(places, [&](const LiveSet::Place& place) { return std::ranges::binary_search(pending, place.id); });
  // A commit under way counts as soon as its id leads to the new place.
  for (const MemoryId& id : pending) {
    MENTEDB_TRY_ASSIGN(const auto now, locate(id));
    if (now) places.push_back({.id = id, .page = now->page, .lsn = now->entry.lsn});
  }
  std::ranges::sort(places, {}, &LiveSet::Place::page);
  result.clear();
  result.reserve(places.size());
  for (const LiveSet::Place& place : places) result.emplace_back(place.id, PageId{place.page});
  return result;
}

// ---- changes

namespace {

Change change_of(std::uint64_t page, const Entry& entry) {
  const bool live = format::is_memory(entry.type);
  return {.id = MemoryId{entry.id},
          .kind = !live                                    ? ChangeKind::deleted
                  : entry.type == EntryType::memory_stored ? ChangeKind::stored
                                                           : ChangeKind::updated,
          .page = PageId{live ? page : 0},
          .lsn = Lsn{entry.lsn}};
}

// Sorts by id and LSN, and keeps the last item of each id. `key`: a tuple of both.
template <class Item, class Key>
void keep_newest_of_each(std::vector<Item>& items, Key&& key) {
  std::ranges::sort(items, [&](const Item& a, const Item& b) { return key(a) < key(b); });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool newest = i + 1 == items.size() || std::get<0>(key(items[i + 1])) != std::get<0>(key(items[i]));
    if (newest) items[kept++] = std::move(items[i]);
  }
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(kept), items.end());
}

}  // namespace

Result<Changes> Reader::changes_since(Lsn since) const {
  if (const std::uint64_t committed = state_.committed_lsn(); since.value > committed) {
    return base::failf(ErrorCode::resync_required,
                       "the store is at LSN {}, before the cursor {}: it was restored; read everything again",
                       committed, since.value);
  }
  std::vector<Change> changes;
  std::vector<std::pair<MemoryId, std::uint64_t>> overwritten;
  const auto visit = [&](std::uint64_t page, const Entry& entry, std::uint64_t committed) {
    if (entry.lsn > committed) {
      if (entry.type == EntryType::moved || entry.type == EntryType::deleted)
        overwritten.emplace_back(MemoryId{entry.id}, entry.lsn);
    } else if (format::is_memory(entry.type) || entry.type == EntryType::deleted) {
      changes.push_back(change_of(page, entry));
    }
  };
  MENTEDB_TRY_ASSIGN(const std::uint64_t cursor, passes(since.value, visit));
  // A change that a commit under way has overwritten may have been acknowledged: the commit's record stands for both.
  std::erase_if(overwritten,
                [&](const auto& item) { return item.second <= cursor; });  // ended, and a later pass saw it
  keep_newest_of_each(overwritten, [](const auto& item) { return std::tie(item.first, item.second); });
  std::erase_if(changes, [&](const Change& change) {
    return std::ranges::binary_search(overwritten, change.id, {}, &decltype(overwritten)::value_type::first);
  });
  for (const auto& [id, lsn] : overwritten) {
    MENTEDB_TRY_ASSIGN(const auto now, locate(id));
    changes.push_back(now ? change_of(now->page, now->entry)
                          : Change{.id = id, .kind = ChangeKind::deleted, .page = PageId{0}, .lsn = Lsn{lsn}});
  }
  keep_newest_of_each(changes, [](const Change& change) { return std::tie(change.id, change.lsn); });
  // Read after the scan: a deletion that was overwritten before the scan came by has raised it.
  if (since.value < state_.reuse_horizon()) {
    return base::failf(ErrorCode::resync_required,
                       "deletions after LSN {} are no longer on record; read everything again", since.value);
  }
  std::ranges::sort(changes, {}, &Change::lsn);
  return Changes{.changes = std::move(changes), .cursor = Lsn{cursor}};
}

}  // namespace mentedb::store

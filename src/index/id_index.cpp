#include "index/id_index.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <new>
#include <optional>
#include <ranges>
#include <utility>

#include "base/error.hpp"
#include "pages/directory_cursor.hpp"
#include "shared/pending_sync.hpp"

namespace mentedb::index {

namespace {

// A page holds one memory at most.
constexpr std::uint64_t buckets_for(std::uint64_t pages) {
  return std::max(format::kMinIndexBuckets, std::bit_ceil(2 * pages));
}
constexpr bool has_room(std::uint64_t used, std::uint64_t more, std::uint64_t buckets) {
  return (used + more) * 4 <= buckets * 3;
}

// Redo has no reservation. It may fill the table up to this bound, and beyond it the index is rebuilt.
constexpr bool has_slack(std::uint64_t used, std::uint64_t buckets) { return used * 8 < buckets * 7; }

}  // namespace

IdIndex::IdIndex(vfs::Directory& directory, const vfs::File& pages, shared::SharedState& state,
                 const pages::BufferPool& pool, const Identity& identity, bool writable)
    : directory_(directory), pages_file_(pages), state_(state), pool_(pool), identity_(identity), writable_(writable) {}

Result<std::unique_ptr<Table>> IdIndex::map_table(std::uint64_t number, Read read) const {
  const std::string name = format::index_file_name(number);
  MENTEDB_TRY_ASSIGN(auto file,
                     directory_.open(name, writable_ ? vfs::OpenMode::read_write : vfs::OpenMode::read_only, false));
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file->size_bytes());
  std::array<std::byte, sizeof(format::IndexHeader)> bytes;
  MENTEDB_TRY_ASSIGN(const std::size_t got, file->read_at(0, bytes));
  const auto header = format::decode_index_header(std::span(bytes).first(got));
  const bool fits = header && header->store_id == identity_.store_id && header->incarnation == identity_.incarnation &&
                    header->boot_id == identity_.boot_id && !(header->boot_id == UuidBytes{}) &&
                    header->pages_device == identity_.pages.device && header->pages_inode == identity_.pages.inode &&
                    size == format::kIndexBucketsOffset + 8 * header->bucket_count;
  if (!fits) {
    return base::failf(ErrorCode::not_found, "{} does not belong to this store; run: mentedb recover", file->path());
  }
  MENTEDB_TRY_ASSIGN(auto mapping, file->map(0, size, writable_));
  MENTEDB_TRY(mapping->populate(0, format::kIndexBucketsOffset));
  auto table = std::make_unique<Table>(number, header->bucket_count, std::move(file), std::move(mapping));
  if (read == Read::all) MENTEDB_TRY(table->bring_in_all());
  return table;
}

Table* IdIndex::adopt(std::unique_ptr<Table> table) const {
  retired_.reserve(retired_.size() + 1);  // from here on nothing fails
  auto replaced = std::exchange(table_, std::move(table));
  current_.store(table_.get(), std::memory_order_seq_cst);
  // After the store: a reader that enters from now on does not meet the replaced table.
  if (replaced) retired_.push_back({.table = std::move(replaced), .readers = {}});
  std::erase_if(retired_, [this](Retired& retired) { return readers_.have_left(retired.readers); });
  return table_.get();
}

Result<IdIndex::Pinned> IdIndex::current() const {
  for (;;) {
    auto pass = readers_.enter();
    Table* const known = current_.load(std::memory_order_seq_cst);
    if (known != nullptr && is_current(*known)) [[likely]]
      return Pinned(std::move(pass), known);
    pass.leave();  // a thread that is inside would keep every replaced table
    MENTEDB_TRY(find_current());
  }
}

// Looks at `table_` alone, under the mutex. Without a pass the table in `current_` may be given back at any moment: any
// reader moves on to the published one. A lock holder needs no pass for the table that it gets: while it holds the
// lock, no other process publishes a number.
Result<Table*> IdIndex::find_current() const {
  const base::MutexLock guard(mutex_);
  std::uint64_t number = state_.index_number();
  const bool same = table_ && table_->number() == number;
  if (same && !table_->is_unreadable()) return table_.get();
  if (number == 0) return base::fail(ErrorCode::not_found, "the id index is being rebuilt");
  // A table of which a part could not be read is read as a whole: then this call gets the error.
  const Read read = same ? Read::all : Read::what_is_needed;
  auto table = map_table(number, read);
  for (std::uint64_t moved = state_.index_number(); !table && moved != number && moved != 0;
       moved = state_.index_number()) {
    number = moved;  // the index was rebuilt while this call opened the older file
    table = map_table(number, read);
  }
  if (!table) return std::unexpected(table.error());
  return adopt(std::move(*table));
}

bool asks_for_a_rebuild(const Error& error) {
  return error.code == ErrorCode::not_found || error.code == ErrorCode::corruption ||
         error.code == ErrorCode::invalid_argument || (error.code == ErrorCode::io_error && error.os_error == EIO);
}

Result<Table*> IdIndex::writable() {
  MENTEDB_TRY_ASSIGN(Table* const table, find_current());
  MENTEDB_TRY(table->bring_in_all());
  return table;
}

Result<void> IdIndex::ensure_usable(std::uint64_t page_count) {
  const auto table = writable();
  if (table) return {};
  if (!asks_for_a_rebuild(table.error())) return std::unexpected(table.error());
  return rebuild(page_count);
}

// One pass over the directory: the newest live entry of an id wins.
Result<std::vector<std::uint64_t>> IdIndex::build(std::uint64_t bucket_count, std::uint64_t page_count,
                                                  std::uint64_t& used) {
  std::vector<std::uint64_t> buckets(bucket_count, format::kEmptyBucket);
  const std::uint64_t mask = bucket_count - 1;
  for (pages::DirectoryCursor cursor(pool_, page_count); cursor.next();) {
    const std::uint64_t page = cursor.page();
    // An entry that the disk cannot read ends the build: a table without the entry's id would be a silent gap.
    MENTEDB_TRY_ASSIGN(const auto entry, cursor.entry());
    if (!entry) continue;  // a damaged entry that the log does not have: verify names it, and scans answer `corruption`
    if (!format::is_memory(entry->type)) continue;
    const format::IdHash hashed = hash(MemoryId{entry->id});
    for (std::uint64_t i = 0;; ++i) {
      std::uint64_t& bucket = buckets[(hashed.start + i) & mask];
      if (bucket == format::kEmptyBucket) {
        bucket = format::make_bucket(hashed.fingerprint, page);
        ++used;
        break;
      }
      if (format::bucket_fingerprint(bucket) != hashed.fingerprint) continue;
      MENTEDB_TRY_ASSIGN(const auto other, pool_.read_entry(format::bucket_page(bucket)));
      if (!other || other->id != entry->id) continue;
      if (other->lsn < entry->lsn) bucket = format::make_bucket(hashed.fingerprint, page);
      break;
    }
  }
  return buckets;
}

Result<std::uint64_t> IdIndex::unused_number() const {
  std::uint64_t highest = state_.index_number();
  MENTEDB_TRY_ASSIGN(const auto names, directory_.list());
  for (const std::string& name : names) {
    if (const auto number = format::parse_index_file_name(name)) highest = std::max(highest, *number);
  }
  if (highest == UINT64_MAX)
    return base::fail(ErrorCode::corruption, "the number of the id index is used up; remove ids-*.idx and open again");
  return highest + 1;
}

Result<void> IdIndex::rebuild(std::uint64_t page_count) {
  auto rebuilt = make_table(page_count, page_count, Length::as_long_as_possible);
  if (!rebuilt) base::as_internal_error(rebuilt.error());
  return rebuilt;
}

// Tables that no process will map again: those of writers that died while they built them, and those of other boots.
// On a full disk their space is needed.
Result<void> IdIndex::remove_unused_tables() {
  MENTEDB_TRY_ASSIGN(const auto names, directory_.list());
  const std::uint64_t used = state_.index_number();
  bool removed = false;
  for (const std::string& name : names) {
    const auto number = format::parse_index_file_name(name);
    if (!number) continue;
    if (*number == used) {
      const auto table = map_table(*number, Read::all);
      if (table || !asks_for_a_rebuild(table.error())) continue;
    }
    removed |= directory_.remove(name).has_value();
  }
  if (!removed) return {};
  MENTEDB_TRY_ASSIGN(auto pending, shared::PendingSync::begin(state_));
  MENTEDB_TRY(directory_.sync());  // the space is free only after a sync
  return pending.succeeded();
}

Result<std::unique_ptr<Table>> IdIndex::write_table(std::uint64_t number, std::span<const std::uint64_t> buckets,
                                                    std::uint64_t used) {
  const std::string name = format::index_file_name(number);
  {
    MENTEDB_TRY_ASSIGN(const auto file, directory_.open(name, vfs::OpenMode::create, false));
    file->share_like(pages_file_);
    // All or nothing: a table for which there is no space takes none.
    MENTEDB_TRY(file->allocate(0, format::kIndexBucketsOffset + buckets.size_bytes()));
    // Write the space and do not only reserve it: a store through the mapping must never find the disk full.
    MENTEDB_TRY(file->write_at(format::kIndexBucketsOffset, std::as_bytes(buckets)));
    // A header on the disk promises that the buckets are there, so the buckets are synced first.
    MENTEDB_TRY_ASSIGN(auto pending, shared::PendingSync::begin(state_));
    MENTEDB_TRY(file->sync());
    MENTEDB_TRY(pending.succeeded());
    std::array<std::byte, base::kBlockBytes> block{};
    base::write_struct(block, format::kIndexUsedOffset, used);
    format::encode_index_header({.checksum = 0,
                                 .magic = 0,
                                 .version = 0,
                                 .reserved = 0,
                                 .store_id = identity_.store_id,
                                 .incarnation = identity_.incarnation,
                                 .boot_id = identity_.boot_id,
                                 .pages_device = identity_.pages.device,
                                 .pages_inode = identity_.pages.inode,
                                 .bucket_count = buckets.size()},
                                block);
    MENTEDB_TRY(file->write_at(0, block));
  }
  // A machine without a boot id cannot tell old tables from new ones. So this engine uses its own table, and the next
  // `open` rebuilds the index.
  MENTEDB_TRY_ASSIGN(auto file, directory_.open(name, vfs::OpenMode::read_write, false));
  const std::uint64_t size = format::kIndexBucketsOffset + 8 * buckets.size();
  MENTEDB_TRY_ASSIGN(auto mapping, file->map(0, size, true));
  MENTEDB_TRY(mapping->populate(0, size));
  return std::make_unique<Table>(number, buckets.size(), std::move(file), std::move(mapping));
}

Result<void> IdIndex::make_table(std::uint64_t page_count, std::uint64_t sized_for, Length length) {
  const base::MutexLock guard(mutex_);
  const std::uint64_t old = state_.index_number();
  for (std::uint64_t bucket_count = buckets_for(sized_for);; bucket_count /= 2) {
    std::uint64_t used = 0;
    MENTEDB_TRY_ASSIGN(auto buckets, build(bucket_count, page_count, used));
    if (!writable_) {
      adopt(std::make_unique<Table>(old, std::move(buckets)));
      return {};
    }
    MENTEDB_TRY(remove_unused_tables());
    MENTEDB_TRY_ASSIGN(const std::uint64_t number, unused_number());
    auto table = write_table(number, buckets, used);
    const auto ready = table ? state_.make_writable() : std::unexpected(table.error());
    if (ready) {
      adopt(std::move(*table));
      state_.publish_index_number(number);
      if (old != 0) static_cast<void>(directory_.remove(format::index_file_name(old)));  // it may be gone already
      return {};
    }
    static_cast<void>(directory_.remove(format::index_file_name(number)));
    // Without an index no process can delete. So a full disk gets a shorter one.
    const bool full = ready.error().code == ErrorCode::no_space && length == Length::as_long_as_possible;
    const bool fits = bucket_count / 2 >= format::kMinIndexBuckets && has_room(used, 0, bucket_count / 2);
    if (!full || !fits) return std::unexpected(ready.error());
  }
}

Result<void> IdIndex::try_longer_table(std::uint64_t page_count, std::uint64_t sized_for) {
  try {
    auto made = make_table(page_count, sized_for, Length::whole);
    if (!made) base::as_internal_error(made.error());
    return made;
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

Result<void> IdIndex::reserve(std::uint64_t more, std::uint64_t page_count, std::uint64_t new_page_count) {
  constexpr std::uint64_t kPatience = 256;
  MENTEDB_TRY_ASSIGN(Table* const table, writable());
  const bool grows = new_page_count > page_count && table->bucket_count() < buckets_for(new_page_count);
  if (!grows) {
    if (has_room(table->used(), more, table->bucket_count())) return {};
    // Tombstones fill the table, or it had to be short. A try for each write would cost more than long probes.
    if (has_slack(table->used() + more, table->bucket_count()) && reservations_to_pass_ > 0) {
      --reservations_to_pass_;
      return {};
    }
    // Writers that died may have left the number too high. To count costs less than a longer table.
    MENTEDB_TRY(recount());
    if (has_room(table->used(), more, table->bucket_count())) return {};
  }
  const bool has_place = has_slack(table->used() + more, table->bucket_count());
  auto made = try_longer_table(page_count, new_page_count);
  if (made) return made;
  // A page that has no bucket would be of no use. So a disk without space for the longer table is full.
  if (grows && made.error().code == ErrorCode::no_space) return made;
  // The commit looks itself whether a sync failed here (R7).
  if (!has_place) return made;
  reservations_to_pass_ = kPatience;
  return {};
}

Result<void> IdIndex::recount() {
  MENTEDB_TRY_ASSIGN(Table* const table, writable());
  const std::uint64_t filled = table->count_filled();
  if (table->used() == filled) return {};
  MENTEDB_TRY(table->make_used_writable());
  table->set_used(filled);
  return {};
}

Result<void> IdIndex::sync() {
  MENTEDB_TRY_ASSIGN(Table* const table, writable());
  if (table->file() == nullptr) return {};
  MENTEDB_TRY_ASSIGN(auto pending, shared::PendingSync::begin(state_));
  MENTEDB_TRY(table->file()->sync());
  return pending.succeeded();
}

Result<void> IdIndex::make_writable(std::span<const MemoryId> ids) {
  MENTEDB_TRY_ASSIGN(Table* const table, writable());
  if (ids.empty()) return {};
  MENTEDB_TRY(table->make_used_writable());
  return make_buckets_writable(*table, ids);
}

// A batch that stores to a quarter of the blocks needs all of them soon, and one call for all costs less.
template <class Ids>
Result<void> IdIndex::make_buckets_writable(Table& table, const Ids& ids) {
  constexpr std::uint64_t kPart = 4;
  // Other ids of the batch may take the empty bucket that ends the way of this one, and some behind it.
  constexpr std::uint64_t kMore = 64;
  const std::uint64_t count = std::ranges::size(ids);
  if (count > 1 && count * kPart >= table.bucket_count() / Table::kBucketsPerBlock) return table.make_all_writable();
  for (const MemoryId& id : ids) MENTEDB_TRY(table.make_writable(hash(id).start, count > 1 ? kMore : 0));
  return {};
}

bool IdIndex::leads_to(const MemoryId& id, std::uint64_t page) const {
  const auto table = current();
  if (!table) return true;
  Probe probe(**table, hash(id));
  std::uint64_t found = probe.next_page();
  while (found != 0 && found != page) found = probe.next_page();
  return found == page || !is_current(**table);
}

Result<std::size_t> IdIndex::set(std::span<const Lead> leads) {
  MENTEDB_TRY_ASSIGN(Table* const table, writable());
  MENTEDB_TRY(make_buckets_writable(*table, leads | std::views::transform(&Lead::id)));
  std::size_t changed = 0;
  bool may_count = false;
  for (const Lead& lead : leads) {
    MENTEDB_TRY_ASSIGN(const bool set_now, set(*table, lead, may_count));
    if (set_now) ++changed;
  }
  return changed;
}

// `may_count`: the number of used buckets may be stored to.
Result<bool> IdIndex::set(Table& table, const Lead& lead, bool& may_count) {
  const format::IdHash hashed = hash(lead.id);
  const std::uint64_t wanted = format::make_bucket(hashed.fingerprint, lead.page);
  std::optional<std::uint64_t> tombstone;
  for (std::uint64_t i = 0; i < table.bucket_count(); ++i) {
    const std::uint64_t bucket = table.load(hashed.start + i);
    if (bucket == wanted) return false;
    if (bucket == format::kTombstone && !tombstone) tombstone = hashed.start + i;
    if (bucket == format::kEmptyBucket) {
      if (!tombstone) {
        if (!has_slack(table.used(), table.bucket_count())) break;
        if (!may_count) MENTEDB_TRY(table.make_used_writable());
        may_count = true;
        table.set_used(table.used() + 1);
      }
      table.store(tombstone.value_or(hashed.start + i), wanted);
      return true;
    }
    const std::uint64_t other = format::bucket_page(bucket);
    if (format::bucket_fingerprint(bucket) != hashed.fingerprint || !pool_.contains(other)) continue;
    MENTEDB_TRY_ASSIGN(const auto entry, pool_.read_entry(other));
    if (!entry || entry->id != lead.id.bytes) continue;
    table.store(hashed.start + i, wanted);
    return true;
  }
  return base::fail(ErrorCode::capacity_exceeded, "the id index is full; run: mentedb recover");
}

// Redo takes away the bucket of a memory that has left its page. A newer memory may have the page by now. When the
// fingerprints of both ids collide, the newer memory's bucket is the same word.
Result<bool> IdIndex::belongs_to_another(const MemoryId& id, std::uint64_t page) const {
  if (!pool_.contains(page)) return false;
  MENTEDB_TRY_ASSIGN(const auto entry, pool_.read_entry(page));
  return entry && format::is_memory(entry->type) && entry->id != id.bytes &&
         hash(MemoryId{entry->id}).fingerprint == hash(id).fingerprint;
}

Result<bool> IdIndex::erase(const MemoryId& id, std::uint64_t page) {
  MENTEDB_TRY_ASSIGN(Table* const table, writable());
  const format::IdHash hashed = hash(id);
  const std::uint64_t wanted = format::make_bucket(hashed.fingerprint, page);
  for (std::uint64_t i = 0; i < table->bucket_count(); ++i) {
    const std::uint64_t bucket = table->load(hashed.start + i);
    if (bucket == format::kEmptyBucket) return false;
    if (bucket != wanted) continue;
    MENTEDB_TRY_ASSIGN(const bool others, belongs_to_another(id, page));
    if (others) return false;
    MENTEDB_TRY(make_buckets_writable(*table, std::span(&id, 1)));
    MENTEDB_TRY(free_bucket(*table, hashed.start, hashed.start + i));
    return true;
  }
  return false;
}

// The tombstones before and behind `position`, that bucket counted as one, that no probe needs: from the back. A probe
// for an id passes the buckets from where the id begins to where it lies, so a tombstone is needed only in front of an
// id that begins at it or before it. `start`: looks no further back than the block that this bucket lies in.
IdIndex::Unneeded IdIndex::find_unneeded(const Table& table, std::uint64_t start, std::uint64_t position) const {
  Unneeded found;
  std::uint64_t end = position + 1;
  while (end - position < Unneeded::kReach && table.load(end) != format::kEmptyBucket) ++end;
  if (table.load(end) != format::kEmptyBucket) return found;
  const std::uint64_t mask = table.bucket_count() - 1;
  const std::uint64_t first = start - (start & mask) % Table::kBucketsPerBlock;
  std::uint64_t passed = 0;  // so many buckets, from the one that is looked at back, are passed by probes for later ids
  std::size_t looks = 0;
  for (std::uint64_t at = end; at-- > first && looks < found.positions.size(); ++looks) {
    const std::uint64_t bucket = at == position ? format::kTombstone : table.load(at);
    if (bucket == format::kEmptyBucket) break;
    std::uint64_t passed_before = passed > 0 ? passed - 1 : 0;
    if (bucket == format::kTombstone) {
      if (passed == 0) found.positions[found.count++] = at;
    } else {
      const std::uint64_t page = format::bucket_page(bucket);
      if (!pool_.contains(page)) break;
      const auto entry = pool_.read_entry(page);
      if (!entry || !*entry || !format::is_memory((*entry)->type))
        break;  // the entry does not tell where its id begins
      const format::IdHash begins = hash(MemoryId{(*entry)->id});
      if (begins.fingerprint != format::bucket_fingerprint(bucket)) break;
      passed_before = std::max(passed_before, (at - begins.start) & mask);
    }
    passed = passed_before;
  }
  return found;
}

// Emptying a bucket that no probe needs hides no id, whatever a reader is doing. The id's own bucket goes first: until
// then the tombstones before it are needed.
Result<void> IdIndex::free_bucket(Table& table, std::uint64_t start, std::uint64_t position) {
  const Unneeded unneeded = find_unneeded(table, start, position);
  const auto all = std::span(unneeded.positions).first(unneeded.count);
  const bool empty = std::ranges::find(all, position) != all.end();
  table.store(position, empty ? format::kEmptyBucket : format::kTombstone);
  for (const std::uint64_t other : all) {
    if (other != position) table.store(other, format::kEmptyBucket);
  }
  if (all.empty()) return {};
  MENTEDB_TRY(table.make_used_writable());
  table.set_used(table.used() - std::min<std::uint64_t>(table.used(), all.size()));
  return {};
}

Result<void> IdIndex::rewrite() {
  MENTEDB_TRY_ASSIGN(Table* const table, writable());
  return table->rewrite();
}

std::uint64_t IdIndex::bucket_count() const {
  const auto table = current();
  return table ? (*table)->bucket_count() : 0;
}

std::uint64_t IdIndex::used() const {
  const auto table = current();
  return table ? (*table)->used() : 0;
}

}  // namespace mentedb::index

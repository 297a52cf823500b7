#include "index/id_index.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.hpp"
#include "pages/entry_reader.hpp"

namespace mentedb::index {

using format::Geometry;

namespace {

constexpr std::uint64_t slots_for(std::uint64_t ids) {
  return std::max(format::kMinIndexSlots, std::bit_ceil(2 * ids));  // at most half full when new
}
constexpr bool has_room(std::uint64_t used, std::uint64_t more, std::uint64_t slots) {
  return (used + more) * 4 <= slots * 3;
}

// What redo may use up without a reservation; beyond that it rebuilds.
constexpr bool has_slack(std::uint64_t used, std::uint64_t slots) { return used * 8 < slots * 7; }

}  // namespace

std::uint64_t Probe::next_page() {
  while (left_ > 0) {
    slot_ = table_->load(hash_.start + position_);
    ++position_;
    --left_;
    if (slot_ == format::kEmptySlot) break;
    if (format::slot_fingerprint(slot_) == hash_.fingerprint && format::slot_page(slot_) != 0)
      return format::slot_page(slot_);
  }
  left_ = 0;
  return 0;
}

Result<void> Table::store(std::uint64_t position, std::uint64_t slot) {
  const std::uint64_t offset = format::kIndexSlotsOffset + 8 * (position & mask_);
  MENTEDB_TRY(mapping_->make_writable(offset, sizeof(slot)));
  mapping_->store(offset, slot);
  return {};
}

Result<void> Table::set_used(std::uint64_t used) {
  MENTEDB_TRY(mapping_->make_writable(format::kIndexUsedOffset, sizeof(used)));
  mapping_->store(format::kIndexUsedOffset, used);
  return {};
}

Result<void> Table::make_writable(std::uint64_t position) {
  std::uint64_t length = 1;
  while (length < slot_count() && load(position + length - 1) != format::kEmptySlot) ++length;
  const std::uint64_t first = position & mask_;
  const std::uint64_t until_end = std::min(length, slot_count() - first);
  MENTEDB_TRY(mapping_->make_writable(format::kIndexSlotsOffset + 8 * first, 8 * until_end));
  if (length == until_end) return {};
  return mapping_->make_writable(format::kIndexSlotsOffset, 8 * (length - until_end));
}

std::uint64_t Table::count_filled() const {
  std::array<std::uint64_t, 8192> some{};
  std::uint64_t filled = 0;
  for (std::uint64_t at = 0; at < slot_count(); at += some.size()) {
    const auto part = std::span(some).first(std::min<std::uint64_t>(some.size(), slot_count() - at));
    mapping_->copy(format::kIndexSlotsOffset + 8 * at, std::as_writable_bytes(part));
    filled += part.size() - static_cast<std::uint64_t>(std::ranges::count(part, format::kEmptySlot));
  }
  return filled;
}

IdIndex::IdIndex(vfs::Directory& directory, pages::SharedWords& words, pages::BufferPool& pool,
                 const Identity& identity, bool writable)
    : directory_(directory), words_(words), pool_(pool), identity_(identity), writable_(writable) {}

Result<std::unique_ptr<Table>> IdIndex::map_table(std::uint64_t number) {
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
                    size == format::kIndexSlotsOffset + 8 * header->slot_count;
  if (!fits) {
    return base::failf(ErrorCode::not_found, "{} does not belong to this store; run: mentedb recover", file->path());
  }
  MENTEDB_TRY_ASSIGN(auto mapping, file->map(0, size, writable_));
  MENTEDB_TRY(mapping->populate(0, size));
  return std::make_unique<Table>(number, header->slot_count, std::move(file), std::move(mapping));
}

const Table* IdIndex::adopt(std::unique_ptr<Table> table) {
  tables_.push_back(std::move(table));
  current_.store(tables_.back().get(), std::memory_order_release);
  return tables_.back().get();
}

Result<const Table*> IdIndex::current() {
  const Table* known = current_.load(std::memory_order_acquire);
  if (known != nullptr && is_current(*known)) [[likely]]
    return known;
  const std::lock_guard guard(mutex_);
  std::uint64_t number = words_.index_number();
  if (private_ != nullptr && number == private_replaces_) return private_;
  for (const auto& table : tables_) {
    if (table->number() != number) continue;
    current_.store(table.get(), std::memory_order_release);
    return table.get();
  }
  if (number == 0) return base::fail(ErrorCode::not_found, "the id index is being rebuilt");
  auto table = map_table(number);
  for (std::uint64_t moved = words_.index_number(); !table && moved != number && moved != 0;
       moved = words_.index_number()) {
    number = moved;  // replaced and removed while it was being opened
    table = map_table(number);
  }
  if (!table) return std::unexpected(table.error());
  private_ = nullptr;
  return adopt(std::move(*table));
}

Result<void> IdIndex::ensure_usable(std::uint64_t page_count, std::uint64_t memory_count) {
  if (const auto table = current(); table || table.error().code == ErrorCode::out_of_memory) {
    if (table) return {};
    return std::unexpected(table.error());
  }
  return rebuild(page_count, memory_count);
}

// One pass over the directory: the newest live entry of an id wins. Also brings the group LSNs up to date, which
// are in doubt whenever the index is.
Result<std::vector<std::uint64_t>> IdIndex::build(std::uint64_t slot_count, std::uint64_t page_count,
                                                  std::uint64_t& used) {
  std::vector<std::uint64_t> slots(slot_count, format::kEmptySlot);
  const std::uint64_t mask = slot_count - 1;
  pages::EntryReader entries(pool_, page_count);
  for (std::uint64_t page = 1; page <= page_count; ++page) {
    // An entry that the disk cannot read ends the build: a table without its id would be a silent gap.
    MENTEDB_TRY_ASSIGN(const auto entry, entries.at(page));
    if (!entry) continue;  // damaged and not in the log: verify names it, scans answer `corruption`
    if (writable_) words_.raise_group_lsn(Geometry::group_of(page), entry->lsn);
    if (!format::is_memory(entry->type)) continue;
    const format::IdHash hashed = hash(MemoryId{entry->id});
    for (std::uint64_t i = 0;; ++i) {
      if (i == slot_count) return base::fail(ErrorCode::capacity_exceeded, "the id index is too small");
      std::uint64_t& slot = slots[(hashed.start + i) & mask];
      if (slot == format::kEmptySlot) {
        slot = format::make_slot(hashed.fingerprint, page);
        ++used;
        break;
      }
      if (format::slot_fingerprint(slot) != hashed.fingerprint) continue;
      MENTEDB_TRY_ASSIGN(const auto other, pool_.read_entry(format::slot_page(slot)));
      if (!other || other->id != entry->id) continue;
      if (other->lsn < entry->lsn) slot = format::make_slot(hashed.fingerprint, page);
      break;
    }
  }
  return slots;
}

Result<std::uint64_t> IdIndex::unused_number() {
  std::uint64_t highest = words_.index_number();
  MENTEDB_TRY_ASSIGN(const auto names, directory_.list());
  for (const std::string& name : names) {
    if (const auto number = format::parse_index_file_name(name)) highest = std::max(highest, *number);
  }
  if (highest == UINT64_MAX)
    return base::fail(ErrorCode::corruption, "the number of the id index is used up; remove ids-*.idx and open again");
  return highest + 1;
}

Result<void> IdIndex::rebuild(std::uint64_t page_count, std::uint64_t memory_count) {
  auto rebuilt = make_table(page_count, memory_count);
  if (!rebuilt) base::not_about_the_argument(rebuilt.error());
  return rebuilt;
}

Result<void> IdIndex::make_table(std::uint64_t page_count, std::uint64_t memory_count) {
  const std::lock_guard guard(mutex_);
  const std::uint64_t slot_count = slots_for(memory_count);
  std::uint64_t used = 0;
  auto slots = build(slot_count, page_count, used);
  // A directory with more memories than were counted (a damaged store) needs a larger table.
  if (!slots && slots.error().code == ErrorCode::capacity_exceeded) {
    used = 0;
    slots = build(slots_for(page_count), page_count, used);
  }
  if (!slots) return std::unexpected(slots.error());
  if (!writable_) {
    private_replaces_ = words_.index_number();
    private_ = adopt(std::make_unique<Table>(0, std::move(*slots)));
    return {};
  }
  // Tables of another boot serve nobody, and on a full disk their space is needed.
  MENTEDB_TRY_ASSIGN(const auto names, directory_.list());
  bool removed = false;
  for (const std::string& name : names) {
    const auto old_number = format::parse_index_file_name(name);
    if (!old_number) continue;
    if (const auto table = map_table(*old_number); !table && table.error().code == ErrorCode::not_found) {
      removed |= directory_.remove(name).has_value();
    }
  }
  if (removed) {  // only after a sync is the space free
    MENTEDB_TRY(words_.announce_sync([this] { return directory_.sync(); }));
  }
  MENTEDB_TRY_ASSIGN(const std::uint64_t number, unused_number());
  const std::uint64_t old = words_.index_number();
  const std::string name = format::index_file_name(number);
  const auto build_file = [&]() -> Result<std::unique_ptr<Table>> {
    {
      MENTEDB_TRY_ASSIGN(const auto file, directory_.open(name, vfs::OpenMode::create, false));
      // Written, not only reserved: a store through the mapping must never find the disk full.
      MENTEDB_TRY(file->write_at(format::kIndexSlotsOffset, std::as_bytes(std::span(*slots))));
      // A header on the disk says that the slots are there.
      MENTEDB_TRY(words_.announce_sync([&] { return file->sync(); }));
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
                                   .slot_count = slots->size()},
                                  block);
      MENTEDB_TRY(file->write_at(0, block));
    }
    // A machine without a boot id cannot tell old tables from new ones: this one is used, the next opener builds anew.
    MENTEDB_TRY_ASSIGN(auto file, directory_.open(name, vfs::OpenMode::read_write, false));
    const std::uint64_t size = format::kIndexSlotsOffset + 8 * slots->size();
    MENTEDB_TRY_ASSIGN(auto mapping, file->map(0, size, true));
    MENTEDB_TRY(mapping->populate(0, size));
    return std::make_unique<Table>(number, slots->size(), std::move(file), std::move(mapping));
  };
  auto table = build_file();
  if (!table) {
    static_cast<void>(directory_.remove(name));
    return std::unexpected(table.error());
  }
  if (auto writable = words_.make_writable(); !writable) {
    static_cast<void>(directory_.remove(name));
    return std::unexpected(std::move(writable).error());
  }
  adopt(std::move(*table));
  words_.publish_index_number(number);
  if (old != 0) static_cast<void>(directory_.remove(format::index_file_name(old)));  // may be gone already
  return {};
}

Result<void> IdIndex::reserve(std::uint64_t more, std::uint64_t page_count, std::uint64_t memory_count) {
  MENTEDB_TRY_ASSIGN(const Table* const table, current());
  if (has_room(table->used(), more, table->slot_count())) return {};
  return rebuild(page_count, memory_count + more);
}

Result<void> IdIndex::recount() {
  MENTEDB_TRY_ASSIGN(const Table* const table, current());
  const std::uint64_t filled = table->count_filled();
  if (table->used() >= filled) return {};
  return const_cast<Table&>(*table).set_used(filled);
}

Result<void> IdIndex::sync() {
  MENTEDB_TRY_ASSIGN(const Table* const table, current());
  return const_cast<Table&>(*table).sync();
}

Result<void> IdIndex::make_writable(std::span<const MemoryId> ids) {
  MENTEDB_TRY_ASSIGN(const Table* const table, current());
  Table& writable = const_cast<Table&>(*table);
  if (!ids.empty()) MENTEDB_TRY(writable.set_used(table->used()));
  for (const MemoryId& id : ids) MENTEDB_TRY(writable.make_writable(hash(id).start));
  return {};
}

bool IdIndex::leads_to(const MemoryId& id, std::uint64_t page) {
  const auto table = current();
  if (!table) return true;
  Probe probe(**table, hash(id));
  std::uint64_t found = probe.next_page();
  while (found != 0 && found != page) found = probe.next_page();
  return found == page;
}

Result<bool> IdIndex::set(const MemoryId& id, std::uint64_t page) {
  MENTEDB_TRY_ASSIGN(const Table* const table, current());
  Table& writable = const_cast<Table&>(*table);
  const format::IdHash hashed = hash(id);
  const std::uint64_t wanted = format::make_slot(hashed.fingerprint, page);
  for (std::uint64_t i = 0; i < table->slot_count(); ++i) {
    const std::uint64_t slot = table->load(hashed.start + i);
    if (slot == wanted) return false;
    if (slot == format::kEmptySlot) {
      if (!has_slack(table->used(), table->slot_count())) break;
      MENTEDB_TRY(writable.set_used(table->used() + 1));
      MENTEDB_TRY(writable.store(hashed.start + i, wanted));
      return true;
    }
    const std::uint64_t other = format::slot_page(slot);
    if (format::slot_fingerprint(slot) != hashed.fingerprint || !pool_.contains(other)) continue;
    MENTEDB_TRY_ASSIGN(const auto entry, pool_.read_entry(other));
    if (!entry || entry->id != id.bytes) continue;
    MENTEDB_TRY(writable.store(hashed.start + i, wanted));
    return true;
  }
  return base::fail(ErrorCode::capacity_exceeded, "the id index is full; run: mentedb recover");
}

// Redo takes away the slot of a memory that has left its page. The page may be a newer memory's by now, and when the
// fingerprints collide, that memory's slot is the same word.
Result<bool> IdIndex::belongs_to_another(const MemoryId& id, std::uint64_t page) {
  if (!pool_.contains(page)) return false;
  MENTEDB_TRY_ASSIGN(const auto entry, pool_.read_entry(page));
  return entry && format::is_memory(entry->type) && entry->id != id.bytes &&
         hash(MemoryId{entry->id}).fingerprint == hash(id).fingerprint;
}

Result<bool> IdIndex::erase(const MemoryId& id, std::uint64_t page) {
  MENTEDB_TRY_ASSIGN(const Table* const table, current());
  const format::IdHash hashed = hash(id);
  const std::uint64_t wanted = format::make_slot(hashed.fingerprint, page);
  for (std::uint64_t i = 0; i < table->slot_count(); ++i) {
    const std::uint64_t slot = table->load(hashed.start + i);
    if (slot == format::kEmptySlot) return false;
    if (slot != wanted) continue;
    MENTEDB_TRY_ASSIGN(const bool others, belongs_to_another(id, page));
    if (others) return false;
    MENTEDB_TRY(const_cast<Table&>(*table).store(hashed.start + i, format::kTombstoneSlot));
    return true;
  }
  return false;
}

std::uint64_t IdIndex::slot_count() {
  const auto table = current();
  return table ? (*table)->slot_count() : 0;
}

std::uint64_t IdIndex::used() {
  const auto table = current();
  return table ? (*table)->used() : 0;
}

}  // namespace mentedb::index

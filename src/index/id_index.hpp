// MemoryId -> page, shared by all processes through ids-N.idx. Slots are single words that only the lock holder
// stores; readers load them without a lock. Slots never move and a deletion leaves a tombstone, so a probe never
// misses an id that was there all the time; tombstones vanish when the table is rebuilt into file N+1.
//
// R8 is the reader's side of the bargain: load the slot, copy the page, validate the copy, load the slot again, and
// believe it only when the slot and N are unchanged. `Probe` leads through that.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>

#include "format/index_format.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/shared_words.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::index {

/// What an index file has to agree with.
struct Identity {
  UuidBytes store_id{};
  UuidBytes incarnation{};
  UuidBytes boot_id{};
  vfs::FileId pages;
};

/// One table: a mapped file, or private memory for an engine that may not write.
class Table {
 public:
  Table(std::uint64_t number, std::uint64_t slot_count, std::unique_ptr<vfs::File> file,
        std::unique_ptr<vfs::Mapping> mapping)
      : number_(number), mask_(slot_count - 1), file_(std::move(file)), mapping_(std::move(mapping)) {}
  Table(std::uint64_t number, std::vector<std::uint64_t> slots)
      : number_(number), mask_(slots.size() - 1), memory_(std::move(slots)) {}

  std::uint64_t number() const { return number_; }
  std::uint64_t slot_count() const { return mask_ + 1; }
  std::uint64_t load(std::uint64_t position) const {
    return mapping_ ? mapping_->load(format::kIndexSlotsOffset + 8 * (position & mask_)) : memory_[position & mask_];
  }
  /// @errors as vfs::Mapping::make_writable
  Result<void> store(std::uint64_t position, std::uint64_t slot);
  /// Slots that are not empty, counted.
  std::uint64_t count_filled() const;
  std::uint64_t used() const { return mapping_ ? mapping_->load(format::kIndexUsedOffset) : 0; }
  Result<void> sync() { return file_ ? file_->sync() : Result<void>{}; }
  Result<void> set_used(std::uint64_t used);
  /// Slots from `position` to the next that is empty: all that `set` and `erase` of an id may store to.
  Result<void> make_writable(std::uint64_t position);

 private:
  std::uint64_t number_;
  std::uint64_t mask_;
  std::unique_ptr<vfs::File> file_;
  std::unique_ptr<vfs::Mapping> mapping_;
  std::vector<std::uint64_t> memory_;
};

/// A reader's way along the slots that may belong to an id.
class Probe {
 public:
  Probe(const Table& table, format::IdHash hash) : table_(&table), hash_(hash), left_(table.slot_count()) {}

  /// The page of the next slot with the id's fingerprint; 0 at the end.
  std::uint64_t next_page();
  /// R8: true when the slot still holds what `next_page` returned.
  bool unchanged() const { return table_->load(hash_.start + position_ - 1) == slot_; }

 private:
  const Table* table_;
  format::IdHash hash_;
  std::uint64_t left_;
  std::uint64_t position_ = 0;
  std::uint64_t slot_ = 0;
};

class IdIndex {
 public:
  /// References outlive the index. `writable` false: a table that does not fit is rebuilt in private memory.
  IdIndex(vfs::Directory& directory, pages::SharedWords& words, pages::BufferPool& pool, const Identity& identity,
          bool writable);

  /// The current table. @errors `io_error`; `not_found` when there is none that fits (only a lock holder can help)
  Result<const Table*> current();
  /// True when another process has moved on to another table.
  bool is_current(const Table& table) const {
    return private_ != nullptr ? words_.index_number() == private_replaces_ : words_.index_number() == table.number();
  }
  format::IdHash hash(const MemoryId& id) const { return format::hash_id(id.bytes, pool_.seed()); }

  // For the holder of the lock.

  /// Makes the current table durable.
  Result<void> sync();

  /// Maps the current table, or rebuilds it when it does not fit the store (another boot, a copied directory, a file
  /// that is missing or damaged). `page_count`: entries up to there are scanned.
  Result<void> ensure_usable(std::uint64_t page_count, std::uint64_t memory_count);
  /// Rebuilds from the directory into ids-(N+1), sized for `memory_count` ids. @errors `no_space`, `corruption`
  Result<void> rebuild(std::uint64_t page_count, std::uint64_t memory_count);
  /// Makes sure that `more` ids fit; decided before the log append, so that publishing cannot fail.
  Result<void> reserve(std::uint64_t more, std::uint64_t page_count, std::uint64_t memory_count);
  /// Finds out whether the ids' slots can be stored to; before the log append, so that publishing does not fail.
  /// @errors as vfs::Mapping::make_writable
  Result<void> make_writable(std::span<const MemoryId> ids);
  /// Brings the number of used slots up to what is there: a cache lost within one boot may leave an older one, and the
  /// table could fill up unnoticed.
  Result<void> recount();
  /// Points the id to the page: replaces its slot or takes a free one. True when something changed.
  /// @errors `capacity_exceeded` without a reservation: rebuild
  Result<bool> set(const MemoryId& id, std::uint64_t page);
  /// Leaves a tombstone if the id's slot points to this page. True when something changed.
  Result<bool> erase(const MemoryId& id, std::uint64_t page);

  /// Whether the id's slot points to this page. True without a table that fits: the next one is made of the directory.
  bool leads_to(const MemoryId& id, std::uint64_t page);

  std::uint64_t slot_count();
  std::uint64_t used();

 private:
  Result<void> make_table(std::uint64_t page_count, std::uint64_t memory_count);
  Result<std::unique_ptr<Table>> map_table(std::uint64_t number);
  Result<std::vector<std::uint64_t>> build(std::uint64_t slot_count, std::uint64_t page_count, std::uint64_t& used);
  Result<std::uint64_t> unused_number();
  Result<bool> belongs_to_another(const MemoryId& id, std::uint64_t page);
  const Table* adopt(std::unique_ptr<Table> table);

  vfs::Directory& directory_;
  pages::SharedWords& words_;
  pages::BufferPool& pool_;
  Identity identity_;
  bool writable_;
  std::mutex mutex_;                            ///< guards tables_
  std::vector<std::unique_ptr<Table>> tables_;  ///< all that were ever current: a reader may still be in an old one
  std::atomic<const Table*> current_{nullptr};
  const Table* private_ = nullptr;      ///< set once, before the engine is shared
  std::uint64_t private_replaces_ = 0;  ///< the number that the shared words had then
};

}  // namespace mentedb::index

// MemoryId -> page, shared by all processes through ids-N.idx. A bucket is a single word that only the lock holder
// stores to, and that readers load without a lock. An id never changes its bucket while it is in the table, and a
// deletion leaves a tombstone, so a probe never misses an id that stays in the table.
//
// A new id takes the first tombstone on its way, and a tombstone that no probe needs becomes empty. A table has two
// buckets or more for each page, so it is at most half full of ids, and only a longer pages.db needs a longer table:
// what a deletion frees can be used on a full disk, too. (A table that has to be made on a full disk may be shorter.)
//
// A growing index is rebuilt into file N+1. The table that it replaces gives back its mapping and its descriptor as
// soon as no thread of this process is inside a read that may use it.
//
// R8 is the reader's side: load the bucket, copy the page, validate the copy, load the bucket again, and believe the
// copy only when bucket and N are unchanged. `Probe` (index/table.hpp) leads through that.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>

#include "base/lanes.hpp"
#include "base/mutex.hpp"
#include "format/index_format.hpp"
#include "index/table.hpp"
#include "pages/buffer_pool.hpp"
#include "shared/identity.hpp"
#include "shared/shared_state.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::index {

/// The header of an index file has to agree with it.
using shared::Identity;

/// What an error of `IdIndex::current` means. False when the table may be sound, and this process lacks something to
/// map it: a rebuild would not help, and it would keep the writers waiting.
bool asks_for_a_rebuild(const Error& error);

/// Where an id leads to.
struct Lead {
  MemoryId id;
  std::uint64_t page = 0;
};

/// Const methods are for readers, on any thread, without the lock. The others are for the lock holder.
class IdIndex {
 public:
  /// References outlive the index. Its files may be read and written by those who may read and write `pages`.
  /// `writable` false: when no table fits, the index is rebuilt in private memory.
  IdIndex(vfs::Directory& directory, const vfs::File& pages, shared::SharedState& state, const pages::BufferPool& pool,
          const Identity& identity, bool writable);

  // ---- for readers

  /// A table that stays mapped as long as this object lives.
  class Pinned {
   public:
    Pinned(base::Lanes::Pass pass, const Table* table) : pass_(std::move(pass)), table_(table) {}
    const Table& operator*() const { return *table_; }
    const Table* operator->() const { return table_; }

   private:
    base::Lanes::Pass pass_;
    const Table* table_;
  };
  /// The current table.
  /// @errors `not_found` when no table fits the store: then a lock holder has to rebuild the index. Any other error
  /// says what this process lacks to map the table: descriptors, memory, the right to read it
  Result<Pinned> current() const;
  /// False when another process has moved on to another table, or when the disk could not read a part of this one.
  bool is_current(const Table& table) const {
    return state_.index_number() == table.number() && !table.is_unreadable();
  }
  format::IdHash hash(const MemoryId& id) const { return format::hash_id(id.bytes, pool_.seed()); }
  /// Whether the id's bucket points to this page. True when no table fits: the next table is made from the directory.
  bool leads_to(const MemoryId& id, std::uint64_t page) const;
  /// 0 when no table fits.
  std::uint64_t bucket_count() const;
  std::uint64_t used() const;

  // ---- for the lock holder

  /// Whether there is a table that fits the store and can be read.
  bool is_usable() { return writable().has_value(); }
  /// Makes the current table durable.
  Result<void> sync();
  /// Maps the current table, or rebuilds the index when its table does not fit the store (another boot, a copied
  /// directory, a file that is missing or damaged). `page_count`: entries up to there are scanned.
  Result<void> ensure_usable(std::uint64_t page_count);
  /// Rebuilds the index from the directory into ids-(N+1), with two buckets or more for each page.
  /// @errors `no_space`, `corruption`
  /// On a full disk the table may be shorter, as long as all ids fit.
  Result<void> rebuild(std::uint64_t page_count);
  /// Makes sure that `more` ids fit. When the batch makes pages.db longer, also that each of its pages finds a bucket.
  /// Called before the log append, so that publishing cannot fail.
  Result<void> reserve(std::uint64_t more, std::uint64_t page_count, std::uint64_t new_page_count);
  /// Makes the ids' buckets ready to be stored to. Called before the log append, so that publishing does not fail.
  /// @errors as vfs::Mapping::make_writable
  Result<void> make_writable(std::span<const MemoryId> ids);
  /// Sets the number of used buckets to the counted number. A writer that died leaves a number that may be too high,
  /// and a page cache that was lost within one boot leaves any number.
  Result<void> recount();
  /// Points each id to its page: replaces its bucket or takes a free one. @return how many buckets changed
  /// @errors `capacity_exceeded` without a reservation: rebuild
  Result<std::size_t> set(std::span<const Lead> leads);
  /// R7: writes the whole table again as it is, so that the next sync covers it. A failed sync may have lost buckets
  /// that look right in the page cache, among them buckets of no id: empty ones.
  Result<void> rewrite();
  /// Frees the id's bucket if it points to this page. True when something changed.
  Result<bool> erase(const MemoryId& id, std::uint64_t page);

 private:
  Result<bool> set(Table& table, const Lead& lead, bool& may_count);
  template <class Ids>
  Result<void> make_buckets_writable(Table& table, const Ids& ids);
  Result<Table*> find_current() const MENTEDB_EXCLUDES(mutex_);
  Result<Table*> writable();
  enum class Length { whole, as_long_as_possible };
  Result<void> make_table(std::uint64_t page_count, std::uint64_t sized_for, Length length) MENTEDB_EXCLUDES(mutex_);
  Result<void> try_longer_table(std::uint64_t page_count, std::uint64_t sized_for);
  enum class Read { what_is_needed, all };
  Result<std::unique_ptr<Table>> map_table(std::uint64_t number, Read read) const;
  Result<std::vector<std::uint64_t>> build(std::uint64_t bucket_count, std::uint64_t page_count, std::uint64_t& used);
  Result<void> remove_unused_tables();
  Result<std::unique_ptr<Table>> write_table(std::uint64_t number, std::span<const std::uint64_t> buckets,
                                             std::uint64_t used);
  Result<std::uint64_t> unused_number() const;
  struct Unneeded {
    static constexpr std::uint64_t kReach = 64;
    std::array<std::uint64_t, 3 * kReach> positions;
    std::size_t count = 0;
  };
  Unneeded find_unneeded(const Table& table, std::uint64_t start, std::uint64_t position) const;
  Result<void> free_bucket(Table& table, std::uint64_t start, std::uint64_t position);
  Result<bool> belongs_to_another(const MemoryId& id, std::uint64_t page) const;
  Table* adopt(std::unique_ptr<Table> table) const MENTEDB_REQUIRES(mutex_);

  vfs::Directory& directory_;
  const vfs::File& pages_file_;
  shared::SharedState& state_;
  const pages::BufferPool& pool_;
  Identity identity_;
  bool writable_;
  std::uint64_t reservations_to_pass_ = 0;  ///< before the next try of a longer table
  mutable base::Mutex mutex_;
  mutable std::unique_ptr<Table> table_ MENTEDB_GUARDED_BY(mutex_);
  mutable std::atomic<Table*> current_{nullptr};  ///< table_, for readers
  /// A table that was replaced while a reader may still probe it.
  struct Retired {
    std::unique_ptr<Table> table;
    base::Lanes::Departure readers;
  };
  mutable std::vector<Retired> retired_ MENTEDB_GUARDED_BY(mutex_);
  mutable base::Lanes readers_;
};

}  // namespace mentedb::index

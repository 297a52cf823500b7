// One table of the id index: the mapped file ids-N.idx, or private memory of an engine that may not write.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <mentedb/error.hpp>

#include "format/index_format.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::index {

/// A reader has a const table. Only the lock holder has one that takes stores.
class Table {
 public:
  /// A table in a mapped file. `number`: the N of the file's name.
  Table(std::uint64_t number, std::uint64_t bucket_count, std::unique_ptr<vfs::File> file,
        std::unique_ptr<vfs::Mapping> mapping)
      : number_(number),
        mask_(bucket_count - 1),
        file_(std::move(file)),
        mapping_(std::move(mapping)),
        pieces_(mapping_->size_bytes() / kPieceBytes + 1) {}
  /// A table in private memory. It takes the place of the file with this number.
  Table(std::uint64_t number, std::vector<std::uint64_t> buckets)
      : number_(number), mask_(buckets.size() - 1), memory_(std::move(buckets)) {}

  /// The table is current as long as the shared state names this number.
  std::uint64_t number() const { return number_; }
  std::uint64_t bucket_count() const { return mask_ + 1; }
  /// The bucket. A reader brings the piece of the table that it lies in into memory first. When the disk cannot read
  /// that piece, the bucket seems empty, and the table is no longer current (IdIndex::is_current).
  std::uint64_t load(std::uint64_t position) const {
    if (!mapping_) return memory_[position & mask_];
    const std::uint64_t offset = format::kIndexBucketsOffset + 8 * (position & mask_);
    if (!pieces_[offset / kPieceBytes].load(std::memory_order_relaxed) && !bring_in(offset / kPieceBytes)) [[unlikely]]
      return format::kEmptyBucket;
    return mapping_->load(offset);
  }
  bool is_unreadable() const { return unreadable_.load(std::memory_order_acquire); }
  /// Brings all of it into memory. The lock holder does so before it looks at buckets. @errors as
  /// vfs::Mapping::populate
  Result<void> bring_in_all() const;
  /// Buckets that are not empty, as the lock holders have counted them.
  std::uint64_t used() const { return mapping_ ? mapping_->load(format::kIndexUsedOffset) : 0; }
  /// Buckets that are not empty, counted now.
  std::uint64_t count_filled() const;

  // ---- for the lock holder, and for tables of files

  // The caller has made the place writable just before: the kernel makes a block read-only when it writes it back, and
  // then a store may find a full disk (ADR 10).
  void store(std::uint64_t position, std::uint64_t bucket);
  void set_used(std::uint64_t used);
  /// Writes every bucket again as it is.
  Result<void> rewrite();
  /// Makes the buckets from `position` to the next empty one ready for stores, and with them the others of their
  /// blocks. `set` and `erase` of an id store to no other bucket. `more`: so many behind them, too.
  /// @errors as vfs::Mapping::make_writable
  Result<void> make_writable(std::uint64_t position, std::uint64_t more);
  Result<void> make_used_writable();
  Result<void> make_all_writable();
  static constexpr std::uint64_t kBucketsPerBlock = base::kBlockBytes / 8;
  /// The file, to be synced. Nothing for a table in private memory.
  vfs::File* file() { return file_.get(); }

 private:
  bool bring_in(std::uint64_t piece) const;

  static constexpr std::uint64_t kPieceBytes = 64 * 1024;
  std::uint64_t number_;
  std::uint64_t mask_;
  std::unique_ptr<vfs::File> file_;
  std::unique_ptr<vfs::Mapping> mapping_;
  mutable std::vector<std::atomic<bool>> pieces_;  ///< in memory
  mutable std::atomic<bool> all_pieces_{false};
  mutable std::atomic<bool> unreadable_{false};
  std::vector<std::uint64_t> memory_;
};

/// A reader's way along the buckets that may belong to an id.
class Probe {
 public:
  Probe(const Table& table, format::IdHash hash) : table_(&table), hash_(hash), left_(table.bucket_count()) {}

  /// The page of the next bucket with the id's fingerprint; 0 at the end.
  std::uint64_t next_page();
  /// R8: true when the bucket still holds what `next_page` returned.
  bool unchanged() const { return table_->load(hash_.start + position_ - 1) == bucket_; }

 private:
  const Table* table_;
  format::IdHash hash_;
  std::uint64_t left_;
  std::uint64_t position_ = 0;
  std::uint64_t bucket_ = 0;
};

}  // namespace mentedb::index

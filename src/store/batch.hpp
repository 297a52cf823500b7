// A batch in the making: the operations that one commit will log. A look-up asks the batch first and the store then, so
// later operations see the earlier ones. A batch can be rolled back to a mark. Writer::begin makes it, and it lives no
// longer than that hold of the lock.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>
#include <mentedb/memory_node.hpp>

#include "base/bytes.hpp"
#include "format/log_format.hpp"
#include "format/page_format.hpp"
#include "pages/allocator.hpp"
#include "pages/buffer_pool.hpp"
#include "wal/log.hpp"

namespace mentedb::store {

/// A memory that was validated and encoded before the lock was taken.
struct EncodedNode {
  MemoryId id;
  std::vector<std::byte> bytes;
};
/// @errors as `validate`
Result<EncodedNode> encode(const MemoryNode& node);

class Reader;

class Batch {
 public:
  /// References outlive the batch. The batch reads and allocates pages. It writes only the growth of the file.
  Batch(const Reader& reader, const pages::BufferPool& pool, pages::Allocator& allocator, const wal::Tail& tail);

  enum class Put { any, only_new, only_existing };
  /// @errors `already_exists`, `not_found` (by `mode`), `capacity_exceeded`, `no_space`
  Result<PageId> put(const EncodedNode& node, Put mode);
  Result<void> erase(const MemoryId& id);
  Result<PageId> allocate_raw(std::size_t min_bytes);
  Result<void> write_raw(PageId page, std::span<const std::byte> data);
  Result<void> free_page(PageId page);

  Result<std::optional<std::uint64_t>> find(const MemoryId& id);
  Result<MemoryNode> load(const MemoryId& id);

  struct Mark {
    std::size_t operations;
    std::size_t bytes;
    std::size_t undo;
    std::uint64_t payload_bytes;
    std::uint64_t new_ids;
    format::Counters counters;
  };
  Mark mark() const;
  void rollback(const Mark& mark);

  bool empty() const { return operations_.empty(); }
  std::uint64_t payload_bytes() const { return payload_bytes_; }

  // For commit.

  std::uint64_t new_ids() const { return new_ids_; }
  std::vector<MemoryId> changed_ids() const;
  const format::Counters& counters() const { return counters_; }
  /// The finished file image, padded to whole blocks, for this place in the log.
  std::span<const std::byte> seal(const wal::Tail& tail, std::uint64_t seed);
  std::uint64_t padded_bytes() const { return base::round_up(bytes_, base::kBlockBytes); }
  /// The operations; their payloads point into the image. Valid until the batch changes.
  std::vector<format::Operation> operations(std::uint64_t first_lsn) const;
  bool overlapping() const { return overlapping_; }

 private:
  /// The head of a run as this batch sees it.
  struct Head {
    format::EntryType type = format::EntryType::free;
    std::uint32_t run_pages = 0;
    MemoryId id;
  };
  struct Planned {
    format::OperationHeader header;
    std::size_t payload_offset;  ///< in image_
  };
  /// Where this batch put a memory.
  struct Place {
    std::uint64_t page = 0;     ///< 0: erased
    std::size_t operation = 0;  ///< the put, in operations_
  };
  struct Undo {
    bool is_id;
    MemoryId id;
    std::uint64_t page;
    std::optional<Place> old_place;  ///< is_id: the overlay's value; nothing: no overlay
    std::optional<Head> old_head;    ///< else
    bool untake = false;
  };

  Result<void> check_room(std::uint64_t payload_bytes) const;
  Result<Head> head_of(std::uint64_t page);
  Result<std::uint64_t> allocate(std::uint64_t pages);
  void add(const format::OperationHeader& header, std::span<const std::byte> payload);
  void set_head(std::uint64_t page, const Head& head);
  void set_id(const MemoryId& id, const Place& place);
  void free_run(std::uint64_t page, const Head& head, format::OperationType type);

  std::uint32_t page_bytes() const { return pool_.geometry().page_bytes(); }

  const Reader& reader_;
  const pages::BufferPool& pool_;
  pages::Allocator& allocator_;
  format::Counters counters_;
  base::AlignedBuffer image_;
  std::size_t bytes_ = sizeof(format::BatchHeader);
  std::uint64_t payload_bytes_ = 0;
  std::uint64_t new_ids_ = 0;
  std::vector<Planned> operations_;
  std::unordered_map<MemoryId, Place> ids_;
  std::unordered_map<std::uint64_t, Head> heads_;
  std::vector<Undo> undo_;
  pages::TakenRuns taken_;
  bool overlapping_ = false;
};

}  // namespace mentedb::store

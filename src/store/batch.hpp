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
  /// `early_bytes`: see `writes_early`. `spare`: a buffer that the batch may use, and gives back.
  Batch(const Reader& reader, const pages::BufferPool& pool, pages::Allocator& allocator, const wal::Tail& tail,
        std::uint64_t early_bytes, base::AlignedBuffer& spare);
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  enum class Put { any, only_new, only_existing };
  /// `bytes`: the encoded memory. @errors `already_exists`, `not_found` (by `mode`), `capacity_exceeded`, `no_space`
  Result<PageId> put(const MemoryId& id, std::span<const std::byte> bytes, Put mode);
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
  /// Announces a put of so many bytes. One growth of the file and one buffer serve all that were announced.
  void expect_put(std::size_t payload_bytes);
  void rollback(const Mark& mark);

  bool empty() const { return operations_.empty(); }
  std::uint64_t payload_bytes() const { return payload_bytes_; }

  // For commit.

  std::uint64_t new_ids() const { return new_ids_; }
  std::vector<MemoryId> changed_ids() const;
  const format::Counters& counters() const { return counters_; }
  /// True when its runs are written before it is logged, so that the log has no payload (R15). A raw page is
  /// overwritten in place, and of operations that overlap some are never applied: then the log has everything.
  bool writes_early() const;
  /// Bytes in the log, padded to whole blocks.
  std::uint64_t padded_bytes() const;
  /// The operations; their payloads point into the image. Valid until the batch changes.
  std::vector<format::Operation> operations(std::uint64_t first_lsn) const;
  /// The finished file image, padded to whole blocks, for this place in the log. `operations`: as above, and of early
  /// runs with their checksums.
  std::span<const std::byte> seal(const wal::Tail& tail, std::uint64_t seed,
                                  std::span<const format::Operation> operations);
  bool overlapping() const { return overlapping_; }
  /// The next batch of this engine finds free pages the sooner.
  void committed(std::uint64_t next_lsn);
  pages::NewPages& new_pages() { return taken_.new_pages(); }

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
  void make_room(std::size_t bytes);
  void add(const format::OperationHeader& header, std::span<const std::byte> payload);
  void set_head(std::uint64_t page, const Head& head);
  void set_id(const MemoryId& id, const Place& place);
  void free_run(std::uint64_t page, const Head& head, format::OperationType type);

  std::uint32_t page_bytes() const { return pool_.geometry().page_bytes(); }

  const Reader& reader_;
  const pages::BufferPool& pool_;
  pages::Allocator& allocator_;
  format::Counters counters_;
  std::uint64_t early_bytes_;
  base::AlignedBuffer& spare_;
  base::AlignedBuffer image_;
  std::size_t bytes_ = sizeof(format::BatchHeader);
  std::uint64_t payload_bytes_ = 0;
  std::uint64_t new_ids_ = 0;
  std::uint64_t expected_pages_ = 0;  ///< still to come
  std::uint64_t expected_bytes_ = 0;  ///< in all
  std::uint64_t lowest_freed_ = 0;
  bool has_raw_ = false;
  base::AlignedBuffer early_image_;
  std::vector<Planned> operations_;
  std::unordered_map<MemoryId, Place> ids_;
  std::unordered_map<std::uint64_t, Head> heads_;
  std::vector<Undo> undo_;
  pages::TakenRuns taken_;
  bool overlapping_ = false;
};

}  // namespace mentedb::store

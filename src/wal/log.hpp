// wal.log: append, walk, reset. The chain of batches from the newest header copy decides which operations are
// committed. The cached tail and the id index only save work: each can be made again from the log and the pages.
//
// Definitions
//   epoch        the time between two checkpoints. Each epoch has its own random seed, so no batch of an older epoch
//                continues the chain.
//   header copy  one of the two header blocks. Checkpoints write them in turn. The valid copy with the higher epoch
//                counts.
//   tail         the place of the next batch, and the LSN and checksum that it has to continue (struct Tail)
// Invariants
//   I7  Nothing overwrites a committed batch before `reset`, except R2 with the same bytes.
//   I8  LSNs go on across resets.
// Only the lock holder writes. verify and inspect read without the lock, so a batch may change while they read it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mentedb/error.hpp>

#include "base/bytes.hpp"
#include "format/log_format.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::wal {

/// The end of the chain of batches. The cached tail is one that the shared state keeps.
struct Tail {
  std::uint64_t epoch = 0;
  std::uint64_t offset = 0;
  std::uint64_t next_lsn = 0;
  std::uint64_t previous_checksum = 0;
  format::Counters counters;
  friend bool operator==(const Tail&, const Tail&) = default;
};
/// The tail of an epoch that has no batch yet.
Tail start_of_epoch(const format::LogHeader& header);

inline constexpr std::uint64_t kInitialLogBytes = std::uint64_t{1} << 20;

/// Where a walk found the end of the chain, and the last batch before it.
struct WalkEnd {
  Tail tail;
  std::uint64_t last_batch_offset = 0;  ///< 0: the epoch has no batch
  std::uint64_t last_batch_bytes = 0;
};

class Log {
 public:
  using Visitor =
      std::function<Result<void>(std::uint64_t offset, const format::BatchHeader&, std::span<const std::byte>)>;

  /// `file` outlives the log.
  explicit Log(vfs::File& file) : file_(file) {}

  /// Both header copies. An invalid copy is nothing; it is `damaged` when its block is not all zero.
  struct Headers {
    std::optional<format::LogHeader> copy[2];
    bool damaged[2] = {false, false};
    const format::LogHeader* newest() const;
    bool any_damaged() const { return damaged[0] || damaged[1]; }
  };
  Result<Headers> read_headers();

  /// Visits the batches of the header's epoch in order and tells where the chain ends. Reads only.
  Result<WalkEnd> walk(const format::LogHeader& header, const Visitor& visit);
  /// The same for the batches behind `tail`, which is of the header's epoch.
  Result<WalkEnd> walk_behind(const Tail& tail, const format::LogHeader& header, const Visitor& visit);
  /// The offset of a complete batch of the epoch behind the end of the chain. Such a batch proves that synced bytes
  /// before it were damaged, because a writer appends nothing behind a torn end. Looks at `most_bytes` at most.
  static constexpr std::uint64_t kWholeFile = UINT64_MAX;
  Result<std::optional<std::uint64_t>> find_batch_behind(const format::LogHeader& header, const Tail& tail,
                                                         std::uint64_t most_bytes = kWholeFile);
  /// True when a complete batch continues the chain at this tail: then the tail is not the end of it.
  Result<bool> goes_on_behind(const Tail& tail, std::uint64_t seed);
  /// One verified batch. The bytes stay valid until the next call. @errors `corruption`
  Result<std::span<const std::byte>> read_batch(std::uint64_t offset, std::uint64_t seed);

  /// R1: writes and syncs the epoch's header copy, unless this Log has seen it synced.
  Result<void> ensure_header_durable(const format::LogHeader& header);
  /// R2: writes a complete batch again with the same bytes and syncs it.
  Result<void> rewrite_batch(std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed);
  /// Writes one padded batch at the tail and syncs it. When it returns, the batch is durable (I1).
  Result<void> append(std::uint64_t offset, std::span<const std::byte> padded_batch);
  /// Zeroes the first block of a batch whose write failed for want of space, and syncs. The short write may have left a
  /// complete batch without its padding, and a walk would take that for a committed one.
  Result<void> erase_unwritten(std::uint64_t offset);
  /// Begins the epoch of `next`: writes its header copy and syncs it. From then on the older batches do not count.
  Result<void> reset(const format::LogHeader& next);
  /// Zeroes a header copy that does not verify and does not count, so that no later check takes it for damage.
  Result<void> clear_header(std::size_t index);

  /// The written bytes of the file, as far as this Log has looked: overwriting them allocates nothing. Another process
  /// may have made the file longer. No process makes it shorter.
  std::uint64_t known_capacity_bytes() const { return known_capacity_; }
  Result<std::uint64_t> capacity_bytes();
  /// Reserves the space for a growth to `bytes`, all or nothing: what is left of a full disk is for pages.
  /// @errors `no_space`
  Result<void> reserve(std::uint64_t bytes);
  /// Writes zeros up to `bytes` and syncs. @errors `no_space`: no batch was touched
  Result<void> grow(std::uint64_t bytes);
  /// Writes zeros over [offset, offset + length), as far as the file goes, and syncs. `offset` is the tail or behind
  /// it.
  Result<void> erase(std::uint64_t offset, std::uint64_t length);

  const std::string& path() const { return file_.path(); }

 private:
  // Reads [offset, offset + length) into buffer_ and returns it. The result is shorter at the end of the file.
  Result<std::span<const std::byte>> read(std::uint64_t offset, std::uint64_t length,
                                          std::uint64_t ahead = kReadAheadBytes);
  static constexpr std::uint64_t kReadAheadBytes = 256 * 1024;
  static constexpr std::uint64_t kClaimsPerFile = 4;  ///< in sizes of the file; see `find_batch_behind`
  Result<void> write_header(const format::LogHeader& header);
  Result<void> write_zeros(std::uint64_t offset, std::uint64_t end);

  vfs::File& file_;
  base::AlignedBuffer buffer_;
  std::uint64_t buffered_offset_ = 0;
  std::uint64_t buffered_bytes_ = 0;
  std::uint64_t epoch_seen_synced_ = 0;
  std::uint64_t known_capacity_ = 0;
};

}  // namespace mentedb::wal

// wal.log: append, walk, reset. The chain of batches from the newest header slot is the truth about what was
// committed; everything quicker is a hint (docs/architecture.md "Idea 4").
//
// Definitions
//   epoch  the time between two checkpoints; each has its own random seed, so no old batch continues a new chain.
//   slot   one of two header blocks, written in turn, at checkpoints only. The valid one with the higher epoch counts.
//   tail   where the next batch goes, and what it has to continue (struct Tail).
// Invariants
//   I7 committed batches are not overwritten before `reset`, except by R2 with the same bytes;
//   I8 LSNs go on across resets. Only the holder of the store's lock calls anything here.
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

/// The end of the chain of batches. The cached tail in the shared state holds one.
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

/// What a walk found behind the last batch of the chain.
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

  /// Both copies of the header as they are; an invalid one is nothing. `damaged` tells invalid from never written.
  struct Headers {
    std::optional<format::LogHeader> copy[2];
    bool damaged[2] = {false, false};
    const format::LogHeader* newest() const;
    bool any_damaged() const { return damaged[0] || damaged[1]; }
  };
  Result<Headers> read_headers();

  /// Visits the batches of the slot's epoch in order and tells where the chain ends. Reads only.
  Result<WalkEnd> walk(const format::LogHeader& header, const Visitor& visit);
  /// The offset of a complete batch of the epoch behind the end of the chain. Its existence proves that
  /// synced bytes between were damaged: a torn end is never followed by anything.
  Result<std::optional<std::uint64_t>> find_batch_behind(const format::LogHeader& header, const Tail& tail);
  /// One verified batch; valid until the next call. @errors `corruption`
  Result<std::span<const std::byte>> read_batch(std::uint64_t offset, std::uint64_t seed);

  /// R1: makes the slot of the epoch durable unless this process has already seen it synced.
  Result<void> ensure_header_durable(const format::LogHeader& header);
  /// R2: writes a complete batch again with the same bytes and syncs it.
  Result<void> rewrite_batch(std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed);
  /// Writes one padded batch at the tail and syncs it. The durability of everything acknowledged hangs on this call.
  Result<void> append(std::uint64_t offset, std::span<const std::byte> padded_batch);
  /// Makes sure that nothing of a batch whose write failed for want of space is ever taken for a batch: a short write
  /// may have left all of its bytes but the padding.
  Result<void> erase_unwritten(std::uint64_t offset);
  /// Begins the epoch of `next`: writes its slot and syncs it. The batches of the epoch before are gone.
  Result<void> reset(const format::LogHeader& next);
  /// Zeroes the other slot, which a power cut left torn, so that damage and history can be told apart.
  Result<void> clear_header(std::size_t index);

  /// Bytes of the file that were written, so that overwriting them allocates nothing.
  /// What this process knows of it: others may have made the file longer, never shorter.
  std::uint64_t known_capacity_bytes() const { return known_capacity_; }
  Result<std::uint64_t> capacity_bytes();
  /// Writes zeros up to `bytes` and syncs. @errors `no_space`: nothing changed
  Result<void> grow(std::uint64_t bytes);

  const std::string& path() const { return file_.path(); }

 private:
  // Makes [offset, offset + length) available in buffer_ and returns it; shorter at the end of the file.
  Result<std::span<const std::byte>> read(std::uint64_t offset, std::uint64_t length,
                                          std::uint64_t ahead = kReadAheadBytes);
  static constexpr std::uint64_t kReadAheadBytes = 256 * 1024;
  static constexpr std::uint64_t kClaimsPerFile = 4;  ///< sizes of the file, for claims in `find_batch_behind`
  Result<void> write_header(const format::LogHeader& header);
  Result<void> sync();

  vfs::File& file_;
  base::AlignedBuffer buffer_;
  std::uint64_t buffered_offset_ = 0;
  std::uint64_t buffered_bytes_ = 0;
  std::uint64_t epoch_seen_synced_ = 0;
  std::uint64_t known_capacity_ = 0;
};

}  // namespace mentedb::wal

// wal.log (docs/format.md "wal.log"): two header copies of one block each, then batches.
//
// A batch is the unit of atomicity: a header and its operations, padded with zeros to whole blocks. The checksum of a
// batch is seeded with the epoch's random seed. It covers the batch's own offset, its length, its LSNs and the checksum
// of the batch before it. So bytes of another epoch, another place or another store never continue the chain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include <mentedb/ids.hpp>
#include <mentedb/memory_node.hpp>

#include "base/bytes.hpp"
#include "format/superblock.hpp"

namespace mentedb::format {

inline constexpr std::uint64_t kLogMagic = 0x6C42'4465'746E'654D;  // "MenteDBl"
inline constexpr std::uint64_t kLogHeaderBytes = base::kBlockBytes;
inline constexpr std::uint64_t kLogStart = 2 * kLogHeaderBytes;

/// The counts of the store as of an LSN. Every batch, header copy and cached tail carries them, so no process has to
/// count again.
struct Counters {
  std::uint64_t page_count = 0;     ///< pages that have space and entries in pages.db
  std::uint64_t high_water = 0;     ///< no page above it was ever used
  std::uint64_t used_pages = 0;     ///< pages of live runs
  std::uint64_t memory_count = 0;   ///< live memories
  std::uint64_t reuse_horizon = 0;  ///< highest LSN of a `deleted` entry that was overwritten
  friend bool operator==(const Counters&, const Counters&) = default;
};
static_assert(sizeof(Counters) == 40 && std::has_unique_object_representations_v<Counters>);
bool counters_possible(const Counters& counters);
/// LSNs, epochs and offsets in a log stay below this. So sums of them never overflow, and forged ones are refused.
inline constexpr std::uint64_t kMostLsn = std::uint64_t{1} << 62;

/// One copy of the log's header. A checkpoint writes it, and an epoch begins with it. It lies within one sector, so a
/// write of it is old or new as a whole after a power cut.
struct LogHeader {
  std::uint64_t checksum;
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint64_t epoch;      ///< 1 for a new store, plus one at every checkpoint; copy = epoch % 2
  std::uint64_t seed;       ///< random; seeds the checksum of every batch of the epoch
  std::uint64_t start_lsn;  ///< of the first operation of the epoch
  UuidBytes store_id;
  UuidBytes incarnation;
  Counters counters;  ///< at the checkpoint
};
static_assert(sizeof(LogHeader) == 120 && std::has_unique_object_representations_v<LogHeader>);

void encode_log_header(const LogHeader& header, std::span<std::byte> block);
std::optional<LogHeader> decode_log_header(std::span<const std::byte> block);
/// True when the log belongs to this pages.db: both name the same store and the same incarnation.
bool belongs_to(const LogHeader& header, const Superblock& superblock);

struct BatchHeader {
  std::uint64_t checksum;  ///< of the rest of the header and the operations
  std::uint64_t offset;    ///< own offset in wal.log
  std::uint64_t first_lsn;
  std::uint64_t previous_checksum;  ///< of the batch before, or of the header copy
  std::uint32_t operation_count;    ///< operation i has LSN first_lsn + i
  std::uint32_t bytes;              ///< header and operations, without the padding
  Counters counters;                ///< after the batch
};
static_assert(sizeof(BatchHeader) == 80 && std::has_unique_object_representations_v<BatchHeader>);

enum class OperationType : std::uint8_t {
  store = 1,   ///< a memory's run, first version of its id
  update = 2,  ///< a memory's run, later version
  raw = 3,     ///< a raw run
  remove = 4,  ///< frees a run; a memory in it is deleted
  move = 5,    ///< frees a run whose memory an operation of the same batch stored elsewhere
};

constexpr bool is_put(OperationType type) { return type <= OperationType::raw; }
constexpr bool is_memory_put(OperationType type) { return type <= OperationType::update; }

/// Followed by the payload and zeros to a multiple of 8.
struct OperationHeader {
  OperationType type;
  std::uint8_t early = 0;  ///< 1: pages.db has the run already. The log has the checksum of the run, not its payload
  std::uint8_t reserved[2];
  std::uint32_t run_pages;
  std::uint64_t page;
  UuidBytes memory_id;  ///< nil for raw runs
  std::uint32_t payload_bytes;
  std::uint32_t reserved2;
};
static_assert(sizeof(OperationHeader) == 40 && std::has_unique_object_representations_v<OperationHeader>);

constexpr std::size_t operation_bytes(std::size_t payload_bytes) {
  return sizeof(OperationHeader) + base::round_up(payload_bytes, 8);
}
/// What the log has of an operation.
constexpr std::size_t logged_bytes(const OperationHeader& header) {
  return operation_bytes(header.early != 0 ? sizeof(std::uint64_t) : header.payload_bytes);
}

/// The largest batch in the log: a writer makes no larger one, and a reader refuses a larger one. Headers and padding
/// come on top of the payloads, hence the factor.
inline constexpr std::uint64_t kMaxBatchFileBytes = 2 * kMaxBatchBytes;

/// An operation of a batch. The payload points into the batch.
struct Operation {
  OperationHeader header{};
  std::uint64_t lsn = 0;
  std::span<const std::byte> payload;
  std::uint64_t run_checksum = 0;  ///< of an early run: then the log has no payload

  bool is_early() const { return header.early != 0; }
};

/// Fills in the checksum over `batch` (header and operations, header.bytes long).
void seal_batch(std::span<std::byte> batch, std::uint64_t seed);
/// The header when its fields are possible at this place. The checksum is not checked.
std::optional<BatchHeader> parse_batch_header(std::span<const std::byte> block, std::uint64_t offset);
bool batch_verifies(std::span<const std::byte> batch, std::uint64_t seed);

/// Reads the operations of a batch one after the other. A forged batch can pass the checksum, so the reader checks
/// every length and every page number (I10).
class OperationReader {
 public:
  /// `batch` is header.bytes long.
  explicit OperationReader(std::span<const std::byte> batch);
  /// The next operation. Nothing at the end, and nothing when the bytes are impossible: then `is_damaged()` is true.
  std::optional<Operation> next();
  bool is_damaged() const { return damaged_; }

 private:
  std::span<const std::byte> batch_;
  std::size_t position_;
  std::uint64_t lsn_;
  std::uint32_t remaining_;
  std::uint64_t page_count_;
  bool damaged_ = false;
};

}  // namespace mentedb::format

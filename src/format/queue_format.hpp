// queue-N.shm (docs/format.md "queue-N.shm"): the commit queue, a file of slots that the processes of a store map. It
// is never needed after the boot that made it. src/queue/ has the protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include <mentedb/ids.hpp>

#include "base/bytes.hpp"

namespace mentedb::format {

inline constexpr std::uint64_t kQueueMagic = 0x7142'4465'746E'654D;  // "MenteDBq"
inline constexpr std::size_t kQueueSlots = 64;
/// In the first block, one word: no slot from this number on was ever claimed.
inline constexpr std::uint64_t kQueueUsedOffset = 2048;
inline constexpr std::uint64_t kQueueRecordsOffset = base::kBlockBytes;
inline constexpr std::uint64_t kQueueRecordBytes = 1024;
inline constexpr std::uint64_t kQueueBodiesOffset = kQueueRecordsOffset + kQueueSlots * kQueueRecordBytes;
inline constexpr std::uint64_t kQueueBodyBytes = 32 * 1024;
inline constexpr std::uint64_t kQueueFileBytes = kQueueBodiesOffset + kQueueSlots * kQueueBodyBytes;
static_assert(kQueueBodiesOffset % base::kBlockBytes == 0);

/// As IndexHeader: a queue of another boot or of copied files is not used.
struct QueueHeader {
  std::uint64_t checksum;
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  UuidBytes store_id;
  UuidBytes incarnation;
  UuidBytes boot_id;
  std::uint64_t pages_device;
  std::uint64_t pages_inode;
};
static_assert(sizeof(QueueHeader) == 88 && std::has_unique_object_representations_v<QueueHeader>);

void encode_queue_header(const QueueHeader& header, std::span<std::byte> block);
std::optional<QueueHeader> decode_queue_header(std::span<const std::byte> block);

std::string queue_file_name(std::uint64_t number);
/// The N of "queue-N.shm".
std::optional<std::uint64_t> parse_queue_file_name(const std::string& name);

// The record of a slot: four words, then the answer.
inline constexpr std::uint64_t kQueueStateWord = 0;
inline constexpr std::uint64_t kQueueGivenUpWord = 8;
inline constexpr std::uint64_t kQueueMarkWord = 16;
inline constexpr std::uint64_t kQueueWakeWord = 24;
inline constexpr std::uint64_t kQueueAnswerOffset = 32;

/// The answer: this head, then a word for the page of each edit, then the text of an error.
struct QueueAnswerHead {
  std::uint32_t code;  ///< 0: success; else the number of the ErrorCode, plus one
  std::uint32_t flags;
  std::int32_t os_error;
  std::uint32_t page_count;
  std::uint32_t text_bytes;
  std::uint32_t reserved;
};
static_assert(sizeof(QueueAnswerHead) == 24 && std::has_unique_object_representations_v<QueueAnswerHead>);
inline constexpr std::uint32_t kQueueAnswerDurable = 1;               ///< the log has the write
inline constexpr std::uint32_t kQueueAnswerReplacedBeforeCommit = 2;  ///< R11
inline constexpr std::uint32_t kQueueAnswerReplacedAfterCommit = 4;
inline constexpr std::size_t kQueueAnswerRoom = kQueueRecordBytes - kQueueAnswerOffset - sizeof(QueueAnswerHead);
/// So that pages and a text of some lines fit.
inline constexpr std::size_t kQueueMostEdits = 48;

/// The body of a slot: this header, then the edits (store/edit.hpp). The checksum is seeded with the slot's word.
struct QueueRequestHeader {
  std::uint64_t checksum;  ///< of the rest of the header and the edits
  std::uint32_t bytes;     ///< header and edits
  std::uint32_t edit_count;
};
static_assert(sizeof(QueueRequestHeader) == 16 && std::has_unique_object_representations_v<QueueRequestHeader>);

}  // namespace mentedb::format

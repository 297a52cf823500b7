// Runs and directory entries (docs/format.md "Runs", "Directory"). A run and an entry each carry a
// checksum. The store's seed and the page's own number go into it, so torn or misplaced bytes and bytes of another
// store do not verify. Stale bytes show themselves by their LSN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include <mentedb/ids.hpp>

#include "format/geometry.hpp"

namespace mentedb::format {

enum class RunType : std::uint8_t { free = 1, memory = 2, raw = 3 };

/// At the start of a run's first page. The payload follows, then zeros to the end of the run.
struct RunHeader {
  std::uint64_t checksum;  ///< of the rest of the header and the payload
  std::uint64_t page;      ///< own number: a run at another place does not verify
  std::uint64_t lsn;       ///< of the operation that wrote this image
  std::uint32_t payload_bytes;
  std::uint32_t run_pages;
  RunType type;
  std::uint8_t early = 0;  ///< 1: written before its batch was logged; it counts when an entry has its LSN
  std::uint8_t reserved[6];
};
static_assert(sizeof(RunHeader) == 40 && std::has_unique_object_representations_v<RunHeader>);

constexpr std::uint64_t pages_for_payload(std::uint64_t payload_bytes, std::uint32_t page_bytes) {
  return (sizeof(RunHeader) + payload_bytes + page_bytes - 1) / page_bytes;
}

/// Fills in the checksum. `payload` is header.payload_bytes long.
void seal_run_header(RunHeader& header, std::span<const std::byte> payload, std::uint64_t seed);
/// The header when its fields are possible for a run that starts at `page`. The checksum is not checked.
std::optional<RunHeader> parse_run_header(std::span<const std::byte> bytes, std::uint64_t page,
                                          std::uint32_t page_bytes);
bool run_verifies(const RunHeader& header, std::span<const std::byte> payload, std::uint64_t seed);

enum class EntryType : std::uint8_t {
  free = 1,            ///< no run; nothing to remember
  deleted = 2,         ///< free; a memory was deleted here: its id, and the LSN of the deletion
  moved = 3,           ///< free; an update moved a memory from here to other pages: its id, and the LSN of the move
  memory_stored = 4,   ///< head of a memory's run, first version
  memory_updated = 5,  ///< head of a memory's run, later version
  raw = 6,             ///< head of a raw run
  interior = 7,        ///< inside a run; run_pages is the distance to the head
};

constexpr bool is_free(EntryType type) { return type <= EntryType::moved; }
constexpr bool is_memory(EntryType type) {
  return type == EntryType::memory_stored || type == EntryType::memory_updated;
}
constexpr bool is_head(EntryType type) { return is_memory(type) || type == EntryType::raw; }

/// One page's entry in the directory, decoded.
struct Entry {
  UuidBytes id{};               ///< of the memory, also of one deleted or moved; nil for raw, interior and free
  std::uint64_t lsn = 0;        ///< of the operation that wrote the entry; 0: never used
  std::uint32_t run_pages = 0;  ///< head: length; interior: distance to the head; free: 1 when it lacks space, else 0
  EntryType type = EntryType::free;
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// A free page whose space the file system has, or may have. Its bytes say nothing.
constexpr bool lacks_space(const Entry& entry) { return is_free(entry.type) && entry.run_pages != 0; }

/// Whether the image may be that of the entry. An older one is stale. A newer one is of a commit under way, or of a
/// batch that may never be logged: an early one.
constexpr bool agrees(const RunHeader& header, const Entry& entry) {
  return header.early != 0 ? header.lsn == entry.lsn : header.lsn >= entry.lsn;
}

void encode_entry(const Entry& entry, std::uint64_t page, std::uint64_t seed, std::span<std::byte, kEntryBytes> out);
/// Nothing when the entry does not verify.
std::optional<Entry> decode_entry(std::span<const std::byte, kEntryBytes> bytes, std::uint64_t page,
                                  std::uint64_t seed);
/// The same for loops over many entries. False when the entry does not verify; then `entry` means nothing.
bool decode_entry(std::span<const std::byte, kEntryBytes> bytes, std::uint64_t page, std::uint64_t seed, Entry& entry);
/// The LSN alone, unverified. The LSN is an aligned word, and the kernel copies an aligned word as a whole, also from
/// an entry that another process is writing.
std::uint64_t raw_entry_lsn(std::span<const std::byte, kEntryBytes> bytes);

}  // namespace mentedb::format

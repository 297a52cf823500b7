// The superblock, the first block of pages.db: identity, page size and seed of the store (docs/format.md "Superblock").
// It is written when the store is made, and never after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>

namespace mentedb::format {

inline constexpr std::uint32_t kFormatVersion = 2;
inline constexpr std::uint64_t kPagesMagic = 0x7042'4465'746E'654D;     // "MenteDBp"
inline constexpr std::uint64_t kOriginalMagic = 0x4D45'4E54'4544'4231;  // pages.db of the Rust engine

enum class StoreState : std::uint32_t {
  creating = 1,  ///< no header of this store in the log: nothing was committed, and open() starts over
  created = 2,
  copying = 3,  ///< the destination of an unfinished backup
};

/// Lies within one 512-byte sector, so a write of it is old or new as a whole after a power cut.
struct Superblock {
  std::uint64_t checksum;
  std::uint64_t magic;
  std::uint32_t version;
  StoreState state;
  std::uint32_t page_bytes;
  std::uint32_t reserved;
  UuidBytes store_id;     ///< for the life of the store and of its copies
  UuidBytes incarnation;  ///< of this copy
  std::uint64_t seed;     ///< random; seeds every checksum in pages.db and that of the cached tail
};
static_assert(sizeof(Superblock) == 72 && std::has_unique_object_representations_v<Superblock>);

/// Writes a whole block.
void encode_superblock(const Superblock& superblock, std::span<std::byte> block);
/// True when magic and version can be believed: the checksum holds, or the block begins like the Rust engine's
/// pages.db.
bool has_known_magic(std::span<const std::byte> block);
/// @errors `incompatible` (another program's file, the original engine's, a newer format), `corruption`.
/// `path` is for the message.
Result<Superblock> decode_superblock(std::span<const std::byte> block, const std::string& path);

}  // namespace mentedb::format

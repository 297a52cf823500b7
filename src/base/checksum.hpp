// XXH3, 64 bits, seeded: the checksum of every structure on disk (docs/format.md "Checksums").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <xxhash.h>

namespace mentedb::base {

/// The same for many bytes. Takes the widest vectors that the processor has.
std::uint64_t checksum_of_many(std::span<const std::byte> bytes, std::uint64_t seed);

inline std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  constexpr std::size_t kFew = 240;  // XXH3 takes vectors only above this length
  if (bytes.size() > kFew) return checksum_of_many(bytes, seed);
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace mentedb::base

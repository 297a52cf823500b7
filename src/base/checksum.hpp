// XXH3, 64 bits, seeded: the checksum of every structure on disk (docs/format.md "Checksums").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <xxhash.h>

namespace mentedb::base {

inline std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace mentedb::base

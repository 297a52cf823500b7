#include "base/checksum.hpp"

#include "base/avx2.hpp"

namespace mentedb::base {

std::uint64_t checksum_of_many(std::span<const std::byte> bytes, std::uint64_t seed) {
  if (avx2::usable()) return avx2::checksum(bytes.data(), bytes.size(), seed);
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace mentedb::base

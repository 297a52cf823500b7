#include "base/checksum.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"

namespace mentedb::base {
namespace {

TEST(Checksum, ZerosNeverCarryTheirOwnChecksum) {
  // A checksum field of a block that was never written is 0: no length and no seed of ours may give that.
  const std::vector<std::byte> zeros(65'536);
  for (std::size_t n = 0; n <= zeros.size(); n = n < 600 ? n + 1 : n * 2) {
    for (const std::uint64_t seed : {0ULL, 1ULL, 0x6D656E746501ULL, 0x6D656E746502ULL, 0x6D656E746503ULL, ~0ULL}) {
      EXPECT_NE(checksum(std::span(zeros).first(n), seed), 0U) << n << " bytes, seed " << seed;
    }
  }
}

TEST(Checksum, DependsOnSeedLengthAndEveryBit) {
  std::vector<std::byte> bytes(300, std::byte{0x5A});
  const std::uint64_t whole = checksum(bytes, 7);
  EXPECT_NE(checksum(bytes, 8), whole);
  EXPECT_NE(checksum(std::span(bytes).first(299), 7), whole);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_NE(checksum(bytes, 7), whole) << "bit " << bit;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_EQ(checksum(bytes, 7), whole);
}

// The loops for wide vectors give what the plain ones give, at every length and wherever the bytes lie.
TEST(Checksum, IsTheSameWithEveryKindOfVector) {
  std::vector<std::byte> bytes(5'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 2'654'435'761U >> 24);
  for (std::size_t n = 0; n < bytes.size() - 8; n = n < 1'100 ? n + 1 : n + 97) {
    for (const std::uint64_t seed : {0ULL, 7ULL, ~0ULL}) {
      const auto some = std::span(bytes).subspan(n % 8, n);
      EXPECT_EQ(checksum(some, seed), XXH3_64bits_withSeed(some.data(), some.size(), seed)) << n << ' ' << seed;
    }
  }
}

TEST(Checksum, IsXxh3) {
  // The format rests on this function: docs/format.md "Checksums". Values of the reference implementation 0.8.
  EXPECT_EQ(checksum({}, 0), 0x2D06800538D394C2ULL);
}

}  // namespace
}  // namespace mentedb::base

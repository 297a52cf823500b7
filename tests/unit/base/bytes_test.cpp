#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace mentedb::base {
namespace {

struct Pair {
  std::uint32_t first;
  std::uint32_t second;
};

TEST(Bytes, IntegersAreLittleEndian) {
  std::array<std::byte, 12> bytes{};
  write_struct(std::span(bytes), 4, Pair{.first = 0x04030201, .second = 0x08070605});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(bytes[i], std::byte{0});
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(bytes[4 + i], static_cast<std::byte>(i + 1));
  const auto back = read_struct<Pair>(bytes, 4);
  EXPECT_EQ(back.first, 0x04030201U);
  EXPECT_EQ(back.second, 0x08070605U);
  EXPECT_EQ(bytes_of(back, 4).size(), 4U);
  EXPECT_EQ(bytes_of(back, 4)[0], std::byte{5});
}

TEST(BytesDeathTest, ReadingBeyondTheEndIsAProgrammingError) {
  std::array<std::byte, 12> bytes{};
  EXPECT_DEATH(static_cast<void>(read_struct<Pair>(bytes, 5)), "assertion failed");
  EXPECT_DEATH(static_cast<void>(read_struct<Pair>(bytes, SIZE_MAX)), "assertion failed");
  EXPECT_DEATH(write_struct(std::span(bytes), 5, Pair{}), "assertion failed");
}

TEST(Bytes, RoundsUp) {
  EXPECT_EQ(round_up(0, 4096), 0U);
  EXPECT_EQ(round_up(1, 4096), 4096U);
  EXPECT_EQ(round_up(4096, 4096), 4096U);
  EXPECT_EQ(round_up(4097, 4096), 8192U);
}

TEST(AlignedBuffer, IsAlignedAndNeverShrinks) {
  AlignedBuffer buffer;
  EXPECT_EQ(buffer.size_bytes(), 0U);
  for (const std::size_t n : {1U, 4096U, 4097U, 100'000U, 5U}) {
    const std::size_t before = buffer.size_bytes();
    buffer.reserve(n);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kBlockBytes, 0U);
    EXPECT_GE(buffer.size_bytes(), std::max(n, before));
    EXPECT_EQ(buffer.size_bytes() % kBlockBytes, 0U);
  }
}

TEST(AlignedBuffer, IsEmptyAfterAMove) {
  // It once kept its size: a thread that had read a memory above 1 MiB crashed at its next read.
  AlignedBuffer buffer(5000);
  AlignedBuffer other = std::move(buffer);
  EXPECT_EQ(buffer.size_bytes(), 0U);  // NOLINT(bugprone-use-after-move)
  buffer.reserve(10);
  EXPECT_NE(buffer.data(), nullptr);
  buffer = std::move(other);
  EXPECT_EQ(other.size_bytes(), 0U);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(buffer.size_bytes(), 8192U);
}

}  // namespace
}  // namespace mentedb::base

// What the fuzzer made up, taken apart from the front. At the end everything reads as zero.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>

#include "base/bytes.hpp"

namespace mentedb::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(std::as_bytes(std::span(data, size))) {}
  explicit Input(std::span<const std::byte> bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

  template <base::DiskStruct T>
  T take() {
    T value{};
    const std::size_t n = std::min(sizeof(T), rest_.size());
    if (n > 0) std::memcpy(&value, rest_.data(), n);
    rest_ = rest_.subspan(n);
    return value;
  }
  std::uint8_t byte() { return take<std::uint8_t>(); }
  bool flag() { return (byte() & 1) != 0; }
  /// 0 to count - 1, from two bytes.
  std::uint64_t below(std::uint64_t count) { return count == 0 ? 0 : take<std::uint16_t>() % count; }
  /// A number of the kind that goes wrong: small, near a power of two, near the largest, or any.
  std::uint64_t number() {
    const std::uint8_t kind = byte();
    if (kind < 128) return kind;
    if (kind < 192) return (std::uint64_t{1} << (kind & 63)) - 1 + byte() % 3;
    if (kind < 208) return std::numeric_limits<std::uint64_t>::max() - (kind & 15);
    if (kind < 224) return take<std::uint16_t>();
    if (kind < 240) return take<std::uint32_t>();
    return take<std::uint64_t>();
  }
  std::span<const std::byte> bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::span<const std::byte> rest() { return bytes(rest_.size()); }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace mentedb::fuzz

/// What must hold whatever the bytes are. Ends the program: the fuzzer keeps the input.
#define FUZZ_REQUIRE(condition)                                                                  \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      std::fprintf(stderr, "fuzz: does not hold: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                              \
    }                                                                                            \
  } while (false)

// The ids of memories in tests: each follows from a number, and tells it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <mentedb/ids.hpp>

namespace mentedb::test {

/// Never nil. The first half is scattered, so that ids are in no order; the second half is the number.
inline MemoryId memory_id(std::uint64_t number) {
  const std::uint64_t scattered = (number + 1) * 0x9E37'79B9'7F4A'7C15U;
  MemoryId id;
  for (std::size_t i = 0; i < 8; ++i) {
    id.bytes[7 - i] = static_cast<std::uint8_t>(scattered >> (8 * i));
    id.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  return id;
}

inline std::uint64_t number_of(const MemoryId& id) {
  std::uint64_t number = 0;
  for (std::size_t i = 8; i < 16; ++i) number = number << 8 | id.bytes[i];
  return number;
}

}  // namespace mentedb::test

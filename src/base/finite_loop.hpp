// The loop of `all_finite`, which is compiled twice (floats.cpp, avx2.cpp). C headers only: see avx2.cpp.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace mentedb::base {
namespace {

/// There is no early exit, so that the compiler handles several floats at a time.
inline bool all_finite_in(const float* floats, size_t count) {
  constexpr uint32_t kExponent = 0x7F800000;
  constexpr uint32_t kLowestOfExponent = 0x00800000;
  uint32_t carried = 0;  // only the highest exponent, plus one, carries into the bit of the sign
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, &floats[i], sizeof bits);
    carried |= (bits & kExponent) + kLowestOfExponent;
  }
  return (carried & 0x80000000) == 0;
}

}  // namespace
}  // namespace mentedb::base

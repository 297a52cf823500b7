// Loops over many bytes that are compiled for AVX2 (avx2.cpp). C headers only, and no inline functions.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mentedb::base::avx2 {

/// Whether the processor has AVX2 and the library is built with this code (avx2_usable.cpp).
bool usable();
uint64_t checksum(const void* bytes, size_t size_bytes, uint64_t seed);
bool all_finite(const float* floats, size_t count);

}  // namespace mentedb::base::avx2

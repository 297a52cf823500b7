// Loops over many bytes, compiled for AVX2. Other files call them only on a processor that has it.
//
// This file includes nothing but C headers: an inline function of another header would be compiled for AVX2 here, and
// the linker could keep that copy for a processor without AVX2.
#ifdef __AVX2__
#include "base/avx2.hpp"

#include <xxhash.h>

#include "base/finite_loop.hpp"

namespace mentedb::base::avx2 {

uint64_t checksum(const void* bytes, size_t size_bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, size_bytes, seed);
}

bool all_finite(const float* floats, size_t count) { return base::all_finite_in(floats, count); }

}  // namespace mentedb::base::avx2
#endif

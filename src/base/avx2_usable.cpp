#include "base/avx2.hpp"

#include <stdlib.h>

namespace mentedb::base::avx2 {

#ifdef MENTEDB_HAS_AVX2_CODE
bool usable() {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}
#else
bool usable() { return false; }
uint64_t checksum(const void* /*bytes*/, size_t /*size_bytes*/, uint64_t /*seed*/) { abort(); }
bool all_finite(const float* /*floats*/, size_t /*count*/) { abort(); }
#endif

}  // namespace mentedb::base::avx2

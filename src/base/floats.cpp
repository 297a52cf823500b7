#include "base/floats.hpp"

#include "base/avx2.hpp"
#include "base/finite_loop.hpp"

namespace mentedb::base {

bool all_finite(std::span<const float> floats) {
  if (avx2::usable()) return avx2::all_finite(floats.data(), floats.size());
  return all_finite_in(floats.data(), floats.size());
}

}  // namespace mentedb::base

#include "base/floats.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/finite_loop.hpp"

namespace mentedb::base {
namespace {

using Limits = std::numeric_limits<float>;

bool both(const std::vector<float>& floats) {
  const bool finite = all_finite(floats);
  EXPECT_EQ(finite, all_finite_in(floats.data(), floats.size())) << "the loop that every processor has";
  return finite;
}

TEST(Floats, TheOddestFiniteOnesAreFinite) {
  EXPECT_TRUE(both({}));
  EXPECT_TRUE(both({0.0F, -0.0F, Limits::max(), Limits::lowest(), Limits::min(), Limits::denorm_min(), -1.0F}));
}

TEST(Floats, FindsANumberThatIsNotFiniteAtEveryPlace) {
  for (const float odd : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::signaling_NaN()}) {
    for (std::size_t length = 1; length < 70; ++length) {
      std::vector<float> floats(length, Limits::max());
      ASSERT_TRUE(both(floats));
      for (std::size_t i = 0; i < length; ++i) {
        floats[i] = odd;
        ASSERT_FALSE(both(floats)) << length << ' ' << i;
        floats[i] = -1.5F;
      }
    }
  }
}

}  // namespace
}  // namespace mentedb::base

// Looks at many floats at a time.
#pragma once

#include <span>

namespace mentedb::base {

/// True when no float is infinite or not a number.
bool all_finite(std::span<const float> floats);

}  // namespace mentedb::base

// The goals of issue 12, and whether a run reached them.
#pragma once

#include <string>
#include <vector>

#include "results.hpp"

namespace mentedb::compare {

struct Verdict {
  std::string goal;     ///< for example "store: stores/s >= 1.4 x sqlite"
  double measured = 0;  ///< the median of the figure, or of the pair-wise ratio
  double limit = 0;
  bool reached = false;
};

/// @return one verdict for each goal whose figures the run has
std::vector<Verdict> judge(const Results& results);

}  // namespace mentedb::compare

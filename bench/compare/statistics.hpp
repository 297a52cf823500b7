// Median and spread of a few measurements.
#pragma once

#include <vector>

namespace mentedb::compare {

struct Summary {
  double median = 0;
  double min = 0;
  double max = 0;
  double mad = 0;  ///< median of the absolute distances from the median
};

/// @param values may be empty; then there is no median, and it is NaN
double median(std::vector<double> values);
Summary summarize(const std::vector<double>& values);

}  // namespace mentedb::compare

#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mentedb::compare {

double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Summary summarize(const std::vector<double>& values) {
  Summary summary;
  summary.median = median(values);
  if (values.empty()) return summary;
  summary.min = *std::ranges::min_element(values);
  summary.max = *std::ranges::max_element(values);
  std::vector<double> distances;
  distances.reserve(values.size());
  for (const double value : values) distances.push_back(std::abs(value - summary.median));
  summary.mad = median(distances);
  return summary;
}

}  // namespace mentedb::compare

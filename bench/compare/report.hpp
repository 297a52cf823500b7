// What a run leaves: a table for people, JSON for programs, a chart for the README.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "results.hpp"

namespace mentedb::compare {

/// A block of lines for each row: an engine on each line, medians, the spread of the first metric, and ours / engine.
std::string table(const Results& results);
/// The goals of the issue beside what was measured.
std::string goal_table(const Results& results);
nlohmann::json to_json(const Results& results, const nlohmann::json& environment, const Workload& workload);
/// An SVG file: a small bar chart of the first metric of each row.
std::string chart(const Results& results, const nlohmann::json& environment);

/// A number with at least three digits, for example "1.48" or "15300"; "" for NaN.
std::string short_number(double value);

}  // namespace mentedb::compare

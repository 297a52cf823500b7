// A row of the comparison: what it measures, and how.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "stores.hpp"

namespace mentedb::compare {

inline constexpr double kEmpty = std::numeric_limits<double>::quiet_NaN();

struct Metric {
  std::string name;   ///< for the JSON and for --goals, for example "p50"
  std::string label;  ///< for people, with the unit
  bool higher_is_better = false;
};

/// A value for each metric of the row; kEmpty where there is none.
using Values = std::vector<double>;

struct Row {
  std::string name;
  std::string title;
  std::vector<Metric> metrics;  ///< the chart shows the first one
  std::function<bool(const EngineKind&)> applies;
  std::function<Values(Stores&, const EngineKind&)> run;
  std::size_t most_rounds = std::numeric_limits<std::size_t>::max();
  bool raw = false;  ///< measures disk or memory instead of an engine
};

/// All rows, in the order of the table.
std::vector<Row> all_rows(const Workload& workload);

std::vector<Row> raw_rows();
std::vector<Row> write_rows(const Workload& workload);
std::vector<Row> read_rows(const Workload& workload);
std::vector<Row> life_rows(const Workload& workload);
Row growth_row(const Workload& workload);

/// Numbers of records that no filled store has. Each call gives room for a million.
std::uint64_t unused_numbers();

inline bool every_engine(const EngineKind&) { return true; }
inline bool shared_engine(const EngineKind& kind) { return kind.many_processes; }

}  // namespace mentedb::compare

#include "goals.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace mentedb::compare {
namespace {

struct Goal {
  const char* row;
  const char* metric;
  bool at_least;  ///< the figure may not be less than the limit; else it may not be more
  double limit;
  const char* peer;      ///< the limit is a ratio to this engine; nullptr: the limit is absolute
  const char* peer_row;  ///< nullptr: the same row
};

constexpr Goal kGoals[] = {
    {"store", "rate", true, 1.4, "sqlite", nullptr},       {"store", "p50", false, 1.2, kRaw, "raw_sync"},
    {"store", "p99", false, 1.0, "sqlite", nullptr},       {"store", "max", false, 1.0, "sqlite", nullptr},
    {"threads8", "rate", true, 2.0, "leveldb", nullptr},   {"processes4", "rate", true, 3.0, "sqlite", nullptr},
    {"processes4", "p999", false, 2000, nullptr, nullptr}, {"processes4", "max", false, 10'000, nullptr, nullptr},
    {"processes4", "fair", true, 0.8, nullptr, nullptr},   {"processes8", "rate", true, 5.0, "sqlite", nullptr},
    {"processes16", "rate", true, 8.0, "sqlite", nullptr}, {"bulk", "rate", true, 1.2, "leveldb", nullptr},
    {"disk", "bytes", false, 2200, nullptr, nullptr},      {"load_page", "time", false, 0.9 / 0.95, "lmdb", nullptr},
    {"load_id", "time", false, 1 / 2.2, "lmdb", nullptr},  {"readers", "reads", true, 1.2, "lmdb", nullptr},
    {"readers", "stores", true, 2.5, "lmdb", nullptr},     {"readers", "kept", true, 0.9, nullptr, nullptr},
    {"ids", "time", false, 1.0, "lmdb", nullptr},          {"for_each", "time", false, 1 / 1.5, "lmdb", nullptr},
    {"open_warm", "time", false, 0.4, nullptr, nullptr},   {"open_cold", "time", false, 10, nullptr, nullptr},
    {"recovery", "store", false, 3, nullptr, nullptr},     {"changes", "time", false, 50, nullptr, nullptr},
    {"memory", "idle", false, 2, nullptr, nullptr},        {"memory", "scanned", false, 2, nullptr, nullptr},
    {"growth", "store", false, 1.3, nullptr, nullptr},     {"growth", "load", false, 1.3, nullptr, nullptr},
    {"growth", "scan", false, 1.3, nullptr, nullptr},      {"growth", "changes", false, 1.3, nullptr, nullptr},
    {"growth", "open", false, 1.3, nullptr, nullptr},      {"growth", "max", false, 10, nullptr, nullptr},
};

std::string describe(const Goal& goal, const Results& results) {
  const Row& row = *std::ranges::find(results.rows, goal.row, &Row::name);
  const Metric& metric = *std::ranges::find(row.metrics, goal.metric, &Metric::name);
  const std::string text =
      fmt::format("{}: {} {} {:.4g}", goal.row, metric.label, goal.at_least ? ">=" : "<=", goal.limit);
  return goal.peer == nullptr ? text : fmt::format("{} x {}", text, goal.peer);
}

}  // namespace

std::vector<Verdict> judge(const Results& results) {
  std::vector<Verdict> verdicts;
  for (const Goal& goal : kGoals) {
    const std::vector<double> figures =
        goal.peer == nullptr
            ? results.values(goal.row, kOurs, goal.metric)
            : results.ratios(goal.row, kOurs, goal.metric, goal.peer_row == nullptr ? goal.row : goal.peer_row,
                             goal.peer, goal.metric);
    if (figures.empty()) continue;
    const double measured = median(figures);
    verdicts.push_back({.goal = describe(goal, results),
                        .measured = measured,
                        .limit = goal.limit,
                        .reached = goal.at_least ? measured >= goal.limit : measured <= goal.limit});
  }
  return verdicts;
}

}  // namespace mentedb::compare

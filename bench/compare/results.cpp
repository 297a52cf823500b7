#include "results.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <stdexcept>

#include "process.hpp"

namespace mentedb::compare {
namespace {

void run_one(Stores& stores, Results& results, const Row& row, const EngineKind& kind, std::size_t round) {
  Rounds& rounds = results.measured[row.name][kind.name];
  rounds.resize(results.rounds);
  try {
    rounds[round] = row.run(stores, kind);
  } catch (const std::exception& error) {
    if (interrupted()) throw std::runtime_error("interrupted");
    fmt::print(stderr, "compare: {} of {}, round {}: {}\n", row.name, kind.name, round + 1, error.what());
    ++results.failures;
  }
  if (interrupted()) throw std::runtime_error("interrupted");
}

}  // namespace

std::optional<double> Results::value(const std::string& row, const std::string& engine, const std::string& metric,
                                     std::size_t round) const {
  const auto of_row = measured.find(row);
  if (of_row == measured.end()) return std::nullopt;
  const auto of_engine = of_row->second.find(engine);
  if (of_engine == of_row->second.end() || of_engine->second[round].empty()) return std::nullopt;
  const std::vector<Metric>& metrics = std::ranges::find(rows, row, &Row::name)->metrics;
  const auto found = std::ranges::find(metrics, metric, &Metric::name);
  if (found == metrics.end()) return std::nullopt;
  const double number = of_engine->second[round][static_cast<std::size_t>(found - metrics.begin())];
  return std::isnan(number) ? std::nullopt : std::optional(number);
}

std::vector<double> Results::values(const std::string& row, const std::string& engine,
                                    const std::string& metric) const {
  std::vector<double> all;
  for (std::size_t round = 0; round < rounds; ++round) {
    if (const auto number = value(row, engine, metric, round)) all.push_back(*number);
  }
  return all;
}

std::vector<double> Results::ratios(const std::string& row, const std::string& engine, const std::string& metric,
                                    const std::string& peer_row, const std::string& peer,
                                    const std::string& peer_metric) const {
  std::vector<double> all;
  for (std::size_t round = 0; round < rounds; ++round) {
    const auto ours = value(row, engine, metric, round);
    const auto theirs = value(peer_row, peer, peer_metric, round);
    if (ours && theirs && *theirs != 0) all.push_back(*ours / *theirs);
  }
  return all;
}

void run_all(Stores& stores, Results& results) {
  EngineKind raw;
  raw.name = kRaw;
  for (std::size_t round = 0; round < results.rounds; ++round) {
    for (const Row& row : results.rows) {
      if (round >= row.most_rounds) continue;
      fmt::print(stderr, "round {}/{}: {}\n", round + 1, results.rounds, row.name);
      if (row.raw) {
        run_one(stores, results, row, raw, round);
        continue;
      }
      for (std::size_t i = 0; i < results.engines.size(); ++i) {
        const EngineKind& kind = results.engines[(i + round) % results.engines.size()];
        if (row.applies(kind)) run_one(stores, results, row, kind, round);
      }
    }
  }
}

}  // namespace mentedb::compare

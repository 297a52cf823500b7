// Runs the rows, and keeps what they measured.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "row.hpp"
#include "statistics.hpp"

namespace mentedb::compare {

inline constexpr const char* kOurs = "mentedb";
inline constexpr const char* kRaw = "raw";  ///< the engine's name in rows of disk and memory

/// For each round, the values of one row and one engine. A round without values is empty.
using Rounds = std::vector<Values>;

class Results {
 public:
  std::vector<EngineKind> engines;
  std::vector<Row> rows;
  std::size_t rounds = 0;
  std::size_t failures = 0;                                       ///< measurements that failed
  std::map<std::string, std::map<std::string, Rounds>> measured;  ///< by row, by engine

  /// The values of one metric, without those of empty rounds.
  std::vector<double> values(const std::string& row, const std::string& engine, const std::string& metric) const;
  /// One metric divided by another one, round by round.
  std::vector<double> ratios(const std::string& row, const std::string& engine, const std::string& metric,
                             const std::string& peer_row, const std::string& peer,
                             const std::string& peer_metric) const;

 private:
  std::optional<double> value(const std::string& row, const std::string& engine, const std::string& metric,
                              std::size_t round) const;
};

/// Runs each row with each engine, one engine after the other, round after round. The order of the engines turns with
/// the rounds. A measurement that fails is reported on stderr, and its round stays empty. Throws
/// when a signal asks for the end.
void run_all(Stores& stores, Results& results);

}  // namespace mentedb::compare

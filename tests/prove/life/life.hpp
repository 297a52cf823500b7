// One long life: a writer whose engine stays open, a reader, a visitor, and the oracles of all three.
#pragma once

#include <cstdint>
#include <string>

#include "churn.hpp"

namespace mentedb::prove {

struct LifeCase {
  Churn churn = Churn::rewrite;
  std::uint64_t seed = 1;
  std::uint64_t operations = 0;
  double seconds = 0;  ///< 0: the operations decide
};

struct LifeResult {
  std::uint64_t operations = 0;
  std::uint64_t violations = 0;
};

/// Lives, prints a line of figures and a line for each violation.
LifeResult live(const LifeCase& one);
/// The heads of the figures' columns.
void print_heads();

}  // namespace mentedb::prove

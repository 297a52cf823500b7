// What the parts of this campaign share: how long to go on, what was tried, and how a failure is told.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <mentedb/error.hpp>

namespace mentedb::faults {

/// One injected fault as words that replay it: "seam writer 12 EIO once none".
using Case = std::vector<std::string>;

struct Budget {
  std::uint64_t faults = ~std::uint64_t{0};
  std::chrono::seconds time = std::chrono::hours(24 * 365);
};

class Campaign {
 public:
  Campaign(std::string part, Budget budget, std::uint64_t seed);

  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  /// Runs the cases in an order that the seed decides, until the budget is spent. A case answers with what it found
  /// wrong, one sentence each.
  void run(std::vector<Case> cases, const std::function<std::vector<std::string>(const Case&)>& run_case);
  /// Prints counts and the summary line; the exit status.
  int finish();
  /// A line of details for the report, e.g. faults for each role.
  void count(const std::string& name);

 private:
  void report(const Case& one, const std::string& what);

  std::string part_;
  Budget budget_;
  std::uint64_t seed_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::uint64_t faults_ = 0;
  std::uint64_t possible_ = 0;
  std::uint64_t violations_ = 0;
  std::vector<std::pair<std::string, std::uint64_t>> counts_;
};

std::string join(std::span<const std::string> words);

/// A part: its cases in full, and how one of them runs.
int run_seam(Campaign& campaign, const Case* replay);
int run_allocations(Campaign& campaign, const Case* replay);
int run_transfers(Campaign& campaign, const Case* replay);
int run_command(Campaign& campaign, const Case* replay, const std::string& command);

}  // namespace mentedb::faults

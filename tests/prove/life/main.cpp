// Campaign "life": see docs/prove/life.md. Called by run.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "full_disk_life.hpp"
#include "life.hpp"

namespace mentedb::prove {
namespace {

constexpr const char* kUsage =
    R"(usage: prove_life --budget B --seed S   or   prove_life --replay LINE

  --budget   slice (50,000 operations, about 20 s), full (1,000,000), N operations, or Ns (seconds)
)";

constexpr std::uint64_t kSliceOperations = 50'000;
constexpr std::uint64_t kFullOperations = 1'000'000;

struct Budget {
  std::uint64_t operations = 0;
  double seconds = 0;  ///< 0: the operations decide
};

Budget parse_budget(const std::string& text) {
  if (text == "slice") return {.operations = kSliceOperations};
  if (text == "full") return {.operations = kFullOperations};
  const std::uint64_t number = std::stoull(text);
  if (text.ends_with('s')) return {.seconds = static_cast<double>(number)};
  return {.operations = number};
}

struct Sum {
  std::uint64_t lives = 0;
  std::uint64_t operations = 0;
  std::uint64_t disks = 0;
  std::uint64_t rounds = 0;
  std::uint64_t violations = 0;

  void add(const LifeResult& life) {
    ++lives;
    operations += life.operations;
    violations += life.violations;
  }
  void add(const DiskResult& disk) {
    ++disks;
    rounds += disk.rounds;
    operations += disk.operations;
    violations += disk.violations;
  }
};

int finish(const Sum& sum, std::uint64_t seed, std::chrono::steady_clock::time_point begin) {
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("life: {} operations in {} lives and on {} full disks ({} rounds), seed {}, {:.0f} s, {} violations\n",
             sum.operations, sum.lives, sum.disks, sum.rounds, seed, took, sum.violations);
  return sum.violations == 0 ? 0 : 1;
}

int campaign(const Budget& budget, std::uint64_t seed) {
  const auto begin = std::chrono::steady_clock::now();
  constexpr double kParts = kChurns.size() + kDisks.size();
  Sum sum;
  print_heads();
  for (const Churn churn : kChurns) {
    const std::uint64_t operations = std::max<std::uint64_t>(budget.operations * share_of(churn) / 1'000, 100);
    sum.add(live({.churn = churn, .seed = seed, .operations = operations, .seconds = budget.seconds / kParts}));
  }
  if (const auto reason = why_no_full_disk()) {
    fmt::print("  no full disk: {}\n", *reason);
    return finish(sum, seed, begin);
  }
  const Workplace workplace;
  for (const Kind kind : kDisks) {
    const std::uint64_t rounds = std::clamp<std::uint64_t>(budget.operations / kOperationsPerRound, 20, kMostRounds);
    sum.add(live_on_full_disk(workplace,
                              {.kind = kind, .seed = seed, .rounds = rounds, .seconds = budget.seconds / kParts}));
  }
  return finish(sum, seed, begin);
}

// One case again. 0 when all is well, 1 when it is not, 2 for a line that makes no sense.
int replay(const std::string& line) {
  const auto begin = std::chrono::steady_clock::now();
  std::istringstream words(line);
  std::string what, name;
  std::uint64_t seed = 0, count = 0;
  words >> what >> name >> seed >> count;
  const auto churn = parse_churn(name);
  const auto kind = parse_kind(name);
  Sum sum;
  if (words.fail() || count == 0) {
    fmt::print(stderr, "life: cannot replay '{}'\n", line);
    return 2;
  }
  if (what == "churn" && churn) {
    print_heads();
    sum.add(live({.churn = *churn, .seed = seed, .operations = count}));
  } else if (what == "disk" && kind) {
    if (const auto reason = why_no_full_disk()) {
      fmt::print(stderr, "life: cannot run here: {}\n", *reason);
      return 77;
    }
    const Workplace workplace;
    sum.add(live_on_full_disk(workplace, {.kind = *kind, .seed = seed, .rounds = count}));
  } else {
    fmt::print(stderr, "life: cannot replay '{}'\n", line);
    return 2;
  }
  return finish(sum, seed, begin);
}

}  // namespace
}  // namespace mentedb::prove

int main(int count, char** arguments) {
  using namespace mentedb::prove;
  std::string budget = "slice", line;
  std::uint64_t seed = 1;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    const std::string value = arguments[i + 1];
    if (name == "--budget") {
      budget = value;
    } else if (name == "--seed") {
      seed = std::stoull(value);
    } else if (name == "--replay") {
      line = value;
    } else {
      std::fputs(kUsage, stderr);
      return 2;
    }
  }
  if (count % 2 == 0) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  return line.empty() ? campaign(parse_budget(budget), seed) : replay(line);
}

// Campaign "kills": see docs/prove/kills.md. Usage: mentedb_prove_kills BUDGET SEED, or mentedb_prove_kills --replay
// LINE
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>

#include <sys/prctl.h>
#include <sys/resource.h>

#include <fmt/format.h>

#include "round.hpp"

namespace mentedb::prove {
namespace {

constexpr std::uint64_t kSliceKills = 2'000;
constexpr std::uint64_t kSliceSeconds = 150;  // ten are enough on two cores with nothing else to do
constexpr std::uint64_t kFullKills = 100'000;
constexpr std::uint64_t kChecksPerKill = 1'000;  // of a full run
constexpr std::uint64_t kKillsOfARound = 400;
constexpr std::uint64_t kPoints = static_cast<std::uint64_t>(Point::count);
constexpr std::uint64_t kPointsARound = 6;

struct Plan {
  std::uint64_t kills = 0;         ///< 0: as many as the time allows
  std::uint64_t deadline_ns = 0;   ///< 0: none
  std::uint64_t checks = 0;        ///< go on until so many values were compared
  std::uint64_t point_stride = 1;  ///< every how many-th system call is a point to kill at
  std::uint64_t passes = 1;        ///< over all operations to be killed at their system calls
};

Plan plan_of(const std::string& budget) {
  if (budget == "slice")
    return {.kills = kSliceKills, .deadline_ns = now_ns() + kSliceSeconds * 1'000'000'000, .point_stride = 5};
  if (budget == "full") return {.kills = kFullKills, .checks = kFullKills * kChecksPerKill, .passes = 2};
  const std::uint64_t number = std::stoull(budget);
  if (budget.ends_with('s')) return {.deadline_ns = now_ns() + number * 1'000'000'000, .point_stride = 5};
  return {.kills = number, .point_stride = number < 20'000 ? 5U : 1U};
}

std::string counts(const auto& numbers, const auto& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", names[i], numbers[i]);
  return text;
}

void print(const Totals& totals) {
  fmt::print("kills by role: {}\n", counts(totals.kills, kRoleNames));
  fmt::print(
      "kills by moment: opening {}, in a write {}, in a transaction {}, stopped {}, parent of a living fork {}, at a "
      "chosen system call {}, on the disk {}\n",
      totals.kills_while_opening, totals.kills_in_a_call, totals.kills_in_a_transaction, totals.kills_while_stopped,
      totals.kills_of_parents, totals.kills_at_system_calls, totals.kills_on_disk);
  fmt::print("stops: {}, of them lock holders {}; least live peers at a kill: {}\n", totals.stops,
             totals.stops_of_lock_holders, totals.least_live_peers == UINT64_MAX ? 0 : totals.least_live_peers);
  fmt::print("operations: {}\n", counts(totals.operations, kOpNames));
  fmt::print("history: {} values compared, {} log records, {} writes in LSN order, {} backups of one moment\n",
             totals.checks, totals.log_records, totals.lsns_in_order, totals.backups_of_one_moment);
}

int finish(const Totals& totals, std::uint64_t seed, std::uint64_t begin_ns) {
  print(totals);
  for (const std::string& violation : totals.violations) fmt::print("{}\n", violation);
  fmt::print(
      "kills: {} processes killed in {} rounds, {} checked operations, at least {} live peers, seed {}, {} s, "
      "{} violations\n",
      totals.kills_in_all, totals.rounds, totals.checks,
      totals.least_live_peers == UINT64_MAX ? 0 : totals.least_live_peers, seed, (now_ns() - begin_ns) / 1'000'000'000,
      totals.violations.size());
  return totals.violations.empty() ? 0 : 1;
}

int campaign(const std::string& budget, std::uint64_t seed) {
  const std::uint64_t begin = now_ns();
  const Plan plan = plan_of(budget);
  Totals totals;
  const auto over = [&] {
    if (!totals.violations.empty()) return true;
    if (plan.deadline_ns != 0 && now_ns() >= plan.deadline_ns) return true;
    return plan.kills != 0 && totals.kills_in_all >= plan.kills && totals.checks >= plan.checks;
  };
  if (!strace_works()) fmt::print("strace is missing or may not trace here: no kills at chosen system calls\n");
  for (std::uint64_t round = 0; !over(); ++round) {
    // In a short run each operation has its turn once, between two random rounds.
    if (const std::uint64_t point = round * kPointsARound; strace_works()) {
      for (std::uint64_t i = point; i < point + kPointsARound && !over(); ++i) {
        const std::uint64_t pass = i / kPoints;
        if (pass >= plan.passes) break;
        const bool point_on_disk = pass % 2 == 1;
        Config config = config_of(seed, i, point_on_disk);
        config.bulk = 8;  // each memory of a batch makes the same calls
        config.content_bytes = 3'000;
        totals.add(system_call_round(config, static_cast<Point>(i % kPoints), seed,
                                     point_on_disk ? 7 : plan.point_stride, plan.deadline_ns));
      }
    }
    // Each eighth round is on the disk, where a sync takes its time: fewer kills.
    const bool on_disk = round % 8 == 3;
    const std::uint64_t left = plan.kills > totals.kills_in_all ? plan.kills - totals.kills_in_all : kKillsOfARound;
    const std::uint64_t kills = std::min(left, on_disk ? kKillsOfARound / 4 : kKillsOfARound);
    totals.add(random_round(config_of(seed, round, on_disk), kills, plan.deadline_ns));
    if (budget == "full") {
      fmt::print("... {} kills, {} checked operations, {} s\n", totals.kills_in_all, totals.checks,
                 (now_ns() - begin) / 1'000'000'000);
      std::fflush(stdout);
    }
  }
  if (totals.violations.empty() && totals.kills_in_all < plan.kills)
    fmt::print("the time was over before {} kills: this machine has other things to do\n", plan.kills);
  return finish(totals, seed, begin);
}

// The same configuration and seed; the moments are the kernel's choice, so it is tried a few times.
int replay(const std::string& line) {
  std::map<std::string, std::uint64_t> values;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) return 2;
    if (word.starts_with("call=")) continue;  // for the reader: all calls of the operation are tried again
    values[word.substr(0, equals)] = std::stoull(word.substr(equals + 1));
  }
  const std::uint64_t begin = now_ns();
  Totals totals;
  for (int attempt = 0; attempt < 20 && totals.violations.empty(); ++attempt) {
    const Config config = config_of(values["seed"], values["round"], values["disk"] != 0);
    if (values.contains("point")) {
      Config small = config;
      small.bulk = 8;
      small.content_bytes = 3'000;
      totals.add(system_call_round(small, static_cast<Point>(values["point"]), 0, 1, 0));
    } else {
      totals.add(random_round(config, values["kills"], 0));
    }
  }
  return finish(totals, values["seed"], begin);
}

}  // namespace
}  // namespace mentedb::prove

int main(int argc, char** argv) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // forked children of killed actors come to us
  const int priority = ::getpriority(PRIO_PROCESS, 0);
  ::setpriority(PRIO_PROCESS, 0, priority - mentedb::prove::kConductorsLead);
  if (argc != 3) {
    std::fputs(
        "usage: mentedb_prove_kills BUDGET SEED | --replay LINE; BUDGET is slice, full, a number of kills, or "
        "seconds (60s)\n",
        stderr);
    return 2;
  }
  if (std::string(argv[1]) == "--replay") return mentedb::prove::replay(argv[2]);
  return mentedb::prove::campaign(argv[1], std::stoull(argv[2]));
}

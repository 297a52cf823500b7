// Campaign of simulated crashes (tests/support/crash/campaign.hpp). Called by run; see its usage.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "support/crash/campaign.hpp"
#include "support/crash/workloads.hpp"

namespace mentedb::test {
namespace {

constexpr std::string_view kUsage =
    "usage: prove_crash (--states N | --seconds N) [--seed S] [--threads T] [--only WORKLOAD]\n"
    "       prove_crash --replay LINE\n"
    "The budget counts crash states: disks after an accident that were recovered and compared with the oracle.\n";

int replay_line(const std::vector<Workload>& workloads, const std::string& line) {
  const auto crash = parse_crash_case(line);
  if (!crash) {
    fmt::print(stderr, "not a crash case: '{}'\n", line);
    return 2;
  }
  for (const Workload& workload : workloads) {
    if (workload.name != crash->workload) continue;
    const auto violations = replay(workload, *crash);
    for (const std::string& what : violations)
      fmt::print("VIOLATION {} | replay: tools/prove crash --replay '{}'\n", what, line);
    fmt::print("crash: 1 case replayed, {} violations\n", violations.size());
    return violations.empty() ? 0 : 1;
  }
  fmt::print(stderr, "there is no workload '{}'\n", crash->workload);
  return 2;
}

int explore(const std::vector<Workload>& workloads, const CampaignOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const auto results = run_campaign(workloads, options);
  fmt::print("{:14} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>8} {:>10}\n", "workload", "states", "depth 1",
             "depth 2", "depth 3", "cuts", "kills", "EIO", "races", "sessions", "steps");
  Tally sum;
  const auto print = [](std::string_view name, const Tally& tally) {
    fmt::print("{:14} {:9} {:9} {:9} {:9} {:9} {:9} {:7} {:7} {:8} {:10}\n", name, tally.states, tally.by_depth[0],
               tally.by_depth[1], tally.by_depth[2], tally.cuts, tally.kills, tally.failed_syncs, tally.races,
               tally.sessions, tally.steps);
  };
  for (std::size_t i = 0; i < workloads.size(); ++i) {
    print(workloads[i].name, results[i]);
    sum += results[i];
  }
  print("all", sum);
  for (const std::string& text : sum.violations) {
    const std::size_t bar = text.rfind(" | ");
    fmt::print("VIOLATION {} | replay: tools/prove crash --replay '{}'\n", text.substr(0, bar), text.substr(bar + 3));
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("crash: {} states, {} kills, {} steps, seed {}, {:.0f} s, {} violations\n", sum.states, sum.kills,
             sum.steps, options.seed, took, sum.violations.size());
  return sum.violations.empty() ? 0 : 1;
}

int run(int argc, char** argv) {
  std::vector<Workload> workloads = crash_workloads();
  CampaignOptions options{.threads = 2};
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) {
      fmt::print(stderr, "{}", kUsage);
      return 2;
    }
    const std::string value = argv[i + 1];
    if (name == "--replay") return replay_line(workloads, value);
    if (name == "--only") {
      std::erase_if(workloads, [&](const Workload& workload) { return workload.name != value; });
    } else if (name == "--states") {
      options.states = std::stoull(value);
    } else if (name == "--seconds") {
      options.time = std::chrono::seconds(std::stoull(value));
    } else if (name == "--seed") {
      options.seed = std::stoull(value);
    } else if (name == "--threads") {
      options.threads = std::stoull(value);
    } else {
      fmt::print(stderr, "{}", kUsage);
      return 2;
    }
  }
  if (workloads.empty() || options.threads == 0 || (options.states == 0) == (options.time.count() == 0)) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  return explore(workloads, options);
}

}  // namespace
}  // namespace mentedb::test

int main(int argc, char** argv) { return mentedb::test::run(argc, argv); }

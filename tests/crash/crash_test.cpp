// Power cuts, kills and failing calls at every step of every kind of commit (I1, I2, I3, I8, I9, I11). The long runs
// are tools/prove; this is the slice that every build runs.

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "support/crash/explorer.hpp"

namespace mentedb::test {
namespace {

Options small_log() {
  Options options;
  options.wal_limit_bytes = 64 * 1024;
  options.page_size_bytes = 512;
  options.lock_timeout = std::chrono::seconds(5);
  return options;
}

std::vector<Scenario> scenarios() {
  const Options options = small_log();
  const Script three = Script().store(1, 1).store(2, 1).store(3, 1);
  return {
      {"create", options, Script(), Script().store(1, 1)},
      {"store", options, three, Script().store(4, 1).store(5, 1, 2'000)},
      {"batch", options, three, Script().batch(10, 5, 1).batch(1, 3, 2, 900)},
      {"update", options, three, Script().store(1, 2).store(1, 3).store(2, 2, 1'500)},
      {"erase", options, three, Script().erase(2).store(6, 1).erase(6)},
      {"transact", options, three, Script().transact(1, 2, 7, 5).transact(7, 3, 2, 9)},
      {"checkpoint", options, three, Script().store(1, 2).checkpoint().store(2, 2).checkpoint().store(3, 2)},
      {"reopen", options, three, Script().store(1, 2).reopen().erase(3).reopen().recover().store(3, 5)},
      {"raw", options, three,
       Script().allocate(700).write_raw(0, 7, 700).write_raw(0, 9, 984).allocate(10).free_raw(0).store(8, 1, 900)},
      {"full-log", options, Script().batch(1, 10, 1, 4'000),
       Script().batch(1, 10, 2, 4'000).store(20, 1, 3'000).batch(1, 3, 3, 4'000)},
      {"reuse", options, Script().batch(1, 6, 1, 700).erase(2).erase(4).checkpoint(),
       Script().store(7, 1, 600).store(8, 1, 100).erase(7).store(2, 3, 300)},
      {"space", options, Script().batch(1, 5, 1, 6'000).erase(2).erase(3).checkpoint(),
       Script().store(7, 1, 5'000).erase(4).erase_deleted().store(8, 1, 3'000)},
  };
}

class Crash : public ::testing::TestWithParam<Scenario> {};

std::string name_of(const ::testing::TestParamInfo<Scenario>& info) {
  std::string name = info.param.name;
  std::erase(name, '-');
  return name;
}

void report(const char* what, const Scenario& scenario, const ExploreResult& result) {
  std::printf("%s %s: %llu states (%llu nested), %llu steps\n", what, scenario.name.c_str(),
              static_cast<unsigned long long>(result.states), static_cast<unsigned long long>(result.nested),
              static_cast<unsigned long long>(result.steps));
  for (const std::string& violation : result.violations) ADD_FAILURE() << violation;
  EXPECT_GT(result.states, 1U);
}

TEST_P(Crash, PowerCutAtEveryStep) {
  report("power cuts in", GetParam(), explore_power_cuts(GetParam(), {.fates_per_kind = 4, .depth = 1}));
}

TEST(CrashInRecovery, PowerCutAtEveryStep) {
  const Scenario update = scenarios().at(3);
  report("power cuts in the recovery of", update,
         explore_power_cuts(update, {.fates_per_kind = 2, .nested_every = 3'001}));
}

TEST_P(Crash, KillAtEveryStep) { report("kills in", GetParam(), explore_kills(GetParam())); }

TEST_P(Crash, EveryCallFailsOnce) {
  for (const int os_error : {EIO, ENOSPC}) report("failures in", GetParam(), explore_failures(GetParam(), os_error));
}

TEST_P(Crash, EveryCallFailsFromThenOn) {
  for (const int os_error : {EIO, ENOSPC})
    report("failures in", GetParam(), explore_failures(GetParam(), os_error, true));
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Crash, ::testing::ValuesIn(scenarios()), name_of);

}  // namespace
}  // namespace mentedb::test

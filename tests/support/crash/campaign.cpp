#include "support/crash/campaign.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "support/sim/sim_random.hpp"

namespace mentedb::test {
namespace {

constexpr std::uint64_t kStatesPerTask = 1'000;
constexpr std::size_t kMaxViolations = 10;  // of a workload
constexpr double kCutShare = 0.35;          // of a task: cuts of the schedule without kills
constexpr double kNested = 0.22;            // images that meet another accident
constexpr double kImagesAfterKill = 4;
constexpr double kImagesInRecovery = 3;

/// A machine after an accident, not recovered yet.
struct Image {
  std::unique_ptr<SimDisk> disk;
  std::shared_ptr<const History> history;
  CrashCase crash;
};

class Task {
 public:
  Task(const Workload& workload, const Machine& base, std::uint64_t schedule_seed, std::uint64_t seed,
       std::uint64_t quota)
      : workload_(workload),
        base_(base),
        schedule_seed_(schedule_seed),
        quota_(quota),
        random_(seed * 0x1'0000 + schedule_seed) {}

  Tally run() {
    const Session first{.schedule_seed = schedule_seed_};
    const SessionRun plain = run_first(first, 0, 1, 0);  // how long is it?
    if (!plain.violations.empty()) return std::move(tally_);
    run_first(first, static_cast<double>(quota_) * kCutShare, static_cast<double>(plain.changes), 0);
    // The golden ratio spreads the steps evenly, however many there will be.
    double place = static_cast<double>(random_.next() >> 11U) * 0x1.0p-53;
    for (std::uint64_t round = 0; !done(); ++round) {
      place += 0.6180339887498949;
      place -= static_cast<double>(static_cast<std::uint64_t>(place));
      Session session = first;
      // One in five a failing sync; two in five a kill just before a sync, when most is undecided; else a kill
      // anywhere.
      const bool at_sync = round % 5 > 1 && !plain.syncs.empty();
      const std::uint64_t step =
          at_sync ? plain.syncs[static_cast<std::size_t>(place * static_cast<double>(plain.syncs.size()))]
                  : static_cast<std::uint64_t>(place * static_cast<double>(plain.steps));
      if (at_sync && round % 5 == 4) {
        session.accidents.push_back({.kind = Accident::Kind::fail_sync, .step = step, .detail = random_.below(3)});
      } else {
        session.accidents.push_back({.step = step});
      }
      const std::uint64_t begin = session.accidents.back().step;
      const double left = 1 - static_cast<double>(begin) / static_cast<double>(plain.steps);
      if (random_.chance(0.25)) {  // and a kill later on
        const std::uint64_t later = begin + 1 + random_.below(plain.steps);
        session.accidents.push_back({.step = later});
      }
      run_first(session, kImagesAfterKill, std::max(1.0, left * static_cast<double>(plain.changes)), begin + 1);
    }
    return std::move(tally_);
  }

 private:
  [[nodiscard]] bool done() const { return tally_.states >= quota_ || tally_.violations.size() >= kMaxViolations; }

  void violation(const std::string& what, const CrashCase& crash) {
    tally_.violations.push_back(what + " | " + to_string(crash));
  }

  void note(const SessionRun& run, const CrashCase& crash) {
    ++tally_.sessions;
    tally_.steps += run.steps;
    tally_.kills += run.kills;
    tally_.failed_syncs += run.failed_syncs;
    if (!run.violations.empty()) violation(run.violations.front(), crash);
  }

  /// Copies `machine` now and then: about `images` times in `changes` chances.
  Probe sampler(Machine& machine, const CrashCase& crash, double images, double changes, std::uint64_t from,
                std::vector<Image>& taken) {
    return [=, this, &machine, &taken, history = std::shared_ptr<const History>()](std::uint64_t step,
                                                                                   unsigned weight) mutable {
      if (weight == 0 || step < from || images <= 0) return;
      const double wanted = images * weight / changes;
      auto count = static_cast<std::uint64_t>(wanted);
      if (random_.chance(wanted - static_cast<double>(count))) ++count;
      if (count == 0) return;
      if (!history || history->changes() != machine.history.changes())
        history = std::make_shared<const History>(machine.history);
      const FateNumbers fates = fate_numbers(machine.disk->pending());
      for (std::uint64_t i = 0; i < count; ++i) {
        Accident accident{.kind = Accident::Kind::cut, .step = step};
        if (random_.chance(0.12)) {
          accident.kind = Accident::Kind::kill_all;
        } else {
          accident.detail = random_.chance(0.15) ? random_.below(2) : random_.below(fates.general);
          if (fates.by_file > 0 && random_.chance(0.3)) accident.detail = fates.general + random_.below(fates.by_file);
          accident.same_boot = random_.chance(0.1);
        }
        Image image{.disk = disk_after(*machine.disk, accident), .history = history, .crash = crash};
        image.crash.sessions.back().accidents.push_back(accident);
        taken.push_back(std::move(image));
      }
    };
  }

  SessionRun run_first(const Session& session, double images, double changes, std::uint64_t from) {
    Machine machine{.disk = base_.disk->clone(), .history = base_.history};
    const CrashCase crash{.workload = workload_.name, .sessions = {session}};
    std::vector<Image> taken;
    SessionRun run = run_session(machine, workload_, 0, session, sampler(machine, crash, images, changes, from, taken));
    note(run, crash);
    explore(taken);
    if (!session.accidents.empty() && run.violations.empty()) check(machine, crash);
    return run;
  }

  void explore(std::vector<Image>& images) {
    for (Image& image : images) {
      if (done()) return;
      Machine machine{.disk = std::move(image.disk), .history = *image.history};
      if (image.crash.sessions.size() < kMaxDepth && random_.chance(kNested)) {
        recover_with_accidents(machine, image.crash);
      } else {
        check(machine, image.crash);
      }
    }
  }

  void recover_with_accidents(Machine& machine, CrashCase crash) {
    const bool race = random_.chance(0.4);
    Session session{.cast = race ? Session::Cast::two_openers : Session::Cast::one_opener};
    if (race) session.schedule_seed = random_.below(100'000);
    Length& length = lengths_[race ? 1 : 0];
    if (random_.chance(0.6)) session.accidents.push_back({.step = random_.below(length.steps)});
    crash.sessions.push_back(session);
    std::vector<Image> taken;
    const SessionRun run = run_session(machine, workload_, crash.sessions.size() - 1, session,
                                       sampler(machine, crash, kImagesInRecovery, length.changes, 0, taken));
    if (run.kills == 0) length = {.steps = run.steps + 1, .changes = static_cast<double>(run.changes + 1)};
    tally_.races += race ? 1 : 0;
    note(run, crash);
    explore(taken);
    if (!done() && run.violations.empty()) check(machine, crash);
  }

  void check(Machine& machine, const CrashCase& crash) {
    ++tally_.states;
    ++tally_.by_depth[crash.sessions.size() - 1];
    const auto& accidents = crash.sessions.back().accidents;
    if (!accidents.empty() && accidents.back().kind == Accident::Kind::cut) ++tally_.cuts;
    if (const std::string wrong = check_store(machine, workload_); !wrong.empty()) violation(wrong, crash);
  }

  struct Length {
    std::uint64_t steps = 300;
    double changes = 80;
  };

  const Workload& workload_;
  const Machine& base_;
  std::uint64_t schedule_seed_;
  std::uint64_t quota_;
  SimRandom random_;
  std::array<Length, 2> lengths_;  ///< of the last recovery by one opener, by two
  Tally tally_;
};

// Simulated processes take the core of the thread that runs them: give each thread one.
void take_core(std::size_t thread) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(static_cast<std::size_t>(core), &allowed)) cores.push_back(core);
  if (cores.empty()) return;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  CPU_SET(static_cast<std::size_t>(cores[thread % cores.size()]), &mine);
  static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof mine, &mine));
}

}  // namespace

Tally& Tally::operator+=(const Tally& other) {
  states += other.states;
  for (std::size_t i = 0; i < by_depth.size(); ++i) by_depth[i] += other.by_depth[i];
  cuts += other.cuts;
  races += other.races;
  kills += other.kills;
  failed_syncs += other.failed_syncs;
  sessions += other.sessions;
  steps += other.steps;
  violations.insert(violations.end(), other.violations.begin(), other.violations.end());
  return *this;
}

std::vector<Tally> run_campaign(const std::vector<Workload>& workloads, const CampaignOptions& options) {
  const std::size_t count = workloads.size();
  const std::uint64_t share = (options.states + count - 1) / count;
  const std::uint64_t schedules =
      options.states == 0 ? ~std::uint64_t{0} / count : (share + kStatesPerTask - 1) / kStatesPerTask;
  const std::uint64_t quota = options.states == 0 ? kStatesPerTask / 4 : (share + schedules - 1) / schedules;

  std::array<std::vector<Machine>, 2> bases;
  for (std::size_t closed = 0; closed < 2; ++closed)
    for (const Workload& workload : workloads) bases[closed].push_back(set_up(workload, closed == 1));

  const auto end = std::chrono::steady_clock::now() + options.time;
  const auto time_is_up = [&] { return options.states == 0 && std::chrono::steady_clock::now() >= end; };
  std::vector<std::vector<Tally>> results(options.threads, std::vector<Tally>(count));
  std::atomic<std::uint64_t> next = 0;
  const auto work = [&](std::size_t thread) {
    take_core(thread);
    for (std::uint64_t task = next++; task < schedules * count && !time_is_up(); task = next++) {
      const std::size_t at = task % count;
      if (results[thread][at].violations.size() >= kMaxViolations) continue;
      const std::uint64_t schedule_seed = options.seed * 10'000 + task / count;
      results[thread][at] +=
          Task(workloads[at], bases[schedule_seed % 2][at], schedule_seed, options.seed, quota).run();
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < options.threads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  std::vector<Tally> sums(count);
  for (const auto& result : results)
    for (std::size_t i = 0; i < count; ++i) sums[i] += result[i];
  return sums;
}

}  // namespace mentedb::test

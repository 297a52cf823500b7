#include "support/crash/crash_session.hpp"

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "engine/engine_impl.hpp"
#include "offline/verify.hpp"
#include "support/crash/script.hpp"
#include "support/sim/sim_scheduler.hpp"

namespace mentedb::test {
namespace {

constexpr std::uint64_t kFirstOpenerNumber = 2'000;  // openers store memories of their own
constexpr std::uint64_t kLastNumber = 2'900;
constexpr std::uint64_t kMaxSteps = 1'000'000;  // of a session: more is a livelock

SimVfsOptions vfs_options(const Workload& workload) { return {.support_direct = workload.direct_log}; }

// What a new process does after a crash.
Program opener(std::size_t session, std::size_t number) {
  const std::uint64_t own = kFirstOpenerNumber + session * 10 + number;
  return Program().settle().store(own).read(own);
}

class Accidents {
 public:
  Accidents(const Session& session, SessionRun& run, const Probe& probe)
      : session_(session), run_(run), probe_(probe) {}

  StepAction operator()(const Step& step) {
    const std::uint64_t index = run_.steps++;
    const unsigned weight = step.kind == StepKind::sync ? 4 : changed_ ? 1 : 0;
    run_.changes += weight;
    if (probe_) probe_(index, weight);
    changed_ = changes_something(step.kind);
    if (step.kind == StepKind::sync) run_.syncs.push_back(index);
    for (const Accident& accident : session_.accidents) {
      if (accident.step != index) continue;
      if (accident.kind == Accident::Kind::kill) {
        ++run_.kills;
        // Writes of several blocks are also cut in the middle, as SIGKILL cuts them between pages.
        const bool torn = step.kind == StepKind::write && step.length > kSectorBytes && index % 2 == 1;
        return StepAction::kill(torn ? step.length / 2 : 0);
      }
      if (accident.kind == Accident::Kind::fail_sync && step.kind == StepKind::sync) {
        ++run_.failed_syncs;
        return StepAction::fail(EIO, static_cast<Effect>(accident.detail % 3));
      }
    }
    return StepAction::proceed();
  }
  void end() {
    if (probe_) probe_(run_.steps, 1);
  }

 private:
  const Session& session_;
  SessionRun& run_;
  const Probe& probe_;
  bool changed_ = true;
};

std::string check_backup(SimVfs& vfs, const History& history, const History::Backup& backup, const Options& options) {
  Options reading = options;
  reading.read_only = true;
  auto copy = EngineAccess::open(vfs, backup.path, reading);
  if (!copy) {
    if (!backup.acknowledged && copy.error().code != ErrorCode::io_error) return {};
    return fmt::format("backup {}: {}", backup.path, copy.error().message);
  }
  std::string problem;
  const History::Found found = read_store(*copy, history, 1, problem);
  if (!problem.empty()) return fmt::format("backup {}: {}", backup.path, problem);
  if (auto wrong = history.explain_moment(found, backup.begin_time, backup.end_time); !wrong.empty()) return wrong;
  const auto report = offline::verify_directory(vfs, backup.path, std::chrono::seconds(1));
  if (!report) return fmt::format("verify of backup {}: {}", backup.path, report.error().message);
  if (!report->problems.empty())
    return fmt::format("verify of backup {}: {}", backup.path, report->problems.front().message);
  return {};
}

}  // namespace

Machine set_up(const Workload& workload, bool closed) {
  Machine machine{.disk = std::make_unique<SimDisk>(SimDiskOptions{.tear_bytes = workload.tear_bytes}), .history = {}};
  if (workload.create) return machine;
  std::vector<std::string> violations;
  SimVfs vfs(*machine.disk, vfs_options(workload));
  Process process{.vfs = vfs,
                  .options = workload.options,
                  .history = machine.history,
                  .violations = violations,
                  .engine = std::nullopt,
                  .cursor = {},
                  .cache = {}};
  workload.setup.run(process);
  if (!violations.empty()) {
    fmt::print(stderr, "{}: setup: {}\n", workload.name, violations.front());
    std::abort();
  }
  if (!closed) vfs.kill();
  process.engine.reset();
  return machine;
}

SessionRun run_session(Machine& machine, const Workload& workload, std::size_t number, const Session& session,
                       const Probe& probe) {
  SessionRun run;
  SimDisk& disk = *machine.disk;
  const bool faults = std::ranges::any_of(
      session.accidents, [](const Accident& accident) { return accident.kind == Accident::Kind::fail_sync; });
  std::vector<Program> openers;
  if (session.cast != Session::Cast::workload) {
    machine.history.next_session();
    openers.push_back(opener(number, 0));
    if (session.cast == Session::Cast::two_openers) openers.push_back(opener(number, 1));
  }
  const std::vector<Program>& programs = openers.empty() ? workload.programs : openers;
  const auto body = [&](const Program& program, SimVfs& vfs) {
    Process process{.vfs = vfs,
                    .options = workload.options,
                    .history = machine.history,
                    .violations = run.violations,
                    .faults = faults,
                    .engine = std::nullopt,
                    .cursor = {},
                    .cache = {}};
    program.run(process);
  };
  Accidents accidents(session, run, probe);
  if (programs.size() == 1) {
    disk.set_hook(std::ref(accidents));
    SimVfs vfs(disk, vfs_options(workload));
    try {
      body(programs.front(), vfs);
    } catch (const ProcessKilled&) {
    }
    disk.set_hook({});
  } else {
    // Rare switches let operations run through, frequent ones mix their steps.
    static constexpr double kSwitching[] = {0.02, 0.25, 0.08};
    SimScheduler scheduler(disk, {.seed = session.schedule_seed,
                                  .switch_probability = kSwitching[session.schedule_seed % 3],
                                  .max_steps = kMaxSteps,
                                  .vfs = vfs_options(workload)});
    for (const Program& program : programs) scheduler.add([&](SimVfs& vfs) { body(program, vfs); });
    disk.set_hook(std::ref(accidents));
    scheduler.run();
    disk.set_hook({});
    for (std::size_t i = 0; i < programs.size(); ++i) {
      if (scheduler.outcome(i) == Outcome::deadlocked || scheduler.outcome(i) == Outcome::step_limit)
        run.violations.push_back(fmt::format("process {} never ended", i));
    }
  }
  accidents.end();
  return run;
}

std::unique_ptr<SimDisk> disk_after(const SimDisk& disk, const Accident& accident) {
  if (accident.kind == Accident::Kind::kill_all) return disk.clone();
  return disk.after_power_cut(pick_fate(disk.pending(), accident.detail, accident.same_boot));
}

std::string check_store(Machine& machine, const Workload& workload) {
  const History& history = machine.history;
  SimVfs vfs(*machine.disk, vfs_options(workload));
  auto engine = EngineAccess::open(vfs, kStorePath, workload.options);
  if (!engine) return "open: " + engine.error().message;
  std::string problem;
  const History::Found found = read_store(*engine, history, workload.filler_stride, problem);
  if (!problem.empty()) return problem;
  if (auto wrong = history.explain(found); !wrong.empty()) return wrong;
  if (engine->committed_lsn().value < history.lsn())
    return fmt::format("LSN went back from {} to {} (I8)", history.lsn(), engine->committed_lsn().value);
  const auto report = offline::verify_directory(vfs, kStorePath, std::chrono::seconds(1));
  if (!report) return "verify: " + report.error().message;
  if (!report->problems.empty()) {
    const Problem& first = report->problems.front();
    return fmt::format("verify: {} byte {} page {}: {}", first.file, first.offset, first.page.value, first.message);
  }
  const auto again = engine->recover();
  if (!again) return "recover: " + again.error().message;
  if (*again != 0) return fmt::format("a second recovery redid {} operations (I9)", *again);
  if (read_store(*engine, history, workload.filler_stride, problem) != found || !problem.empty())
    return "a second recovery changed the store (I9): " + problem;
  const MemoryNode more = make_memory(kLastNumber, 1);
  if (const auto stored = engine->store_memory(more); !stored)
    return "a store after the recovery: " + stored.error().message;
  if (const auto loaded = engine->load_memory(more.id); !loaded || *loaded != more)
    return "a memory stored after the recovery is not there";
  for (const History::Backup& backup : history.backups) {
    if (auto wrong = check_backup(vfs, history, backup, workload.options); !wrong.empty()) return wrong;
  }
  return {};
}

std::vector<std::string> replay(const Workload& workload, const CrashCase& crash) {
  Machine machine = set_up(workload, crash.sessions.front().schedule_seed % 2 == 1);
  for (std::size_t number = 0; number < crash.sessions.size(); ++number) {
    const Session& session = crash.sessions[number];
    const auto last = std::ranges::find_if(session.accidents, &Accident::ends_session);
    Machine next;
    const auto probe = [&](std::uint64_t step, unsigned) {
      if (last == session.accidents.end() || next.disk || step != last->step) return;
      next = {.disk = disk_after(*machine.disk, *last), .history = machine.history};
    };
    const SessionRun run = run_session(machine, workload, number, session, probe);
    if (!run.violations.empty()) return run.violations;
    if (last != session.accidents.end() && !next.disk)
      next = {.disk = disk_after(*machine.disk, *last), .history = machine.history};
    if (next.disk) machine = std::move(next);
  }
  if (auto wrong = check_store(machine, workload); !wrong.empty()) return {wrong};
  return {};
}

}  // namespace mentedb::test

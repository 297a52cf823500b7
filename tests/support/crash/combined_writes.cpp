#include "support/crash/combined_writes.hpp"

#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "engine/engine_impl.hpp"
#include "format/queue_format.hpp"
#include "offline/verify.hpp"
#include "queue/area.hpp"
#include "support/crash/script.hpp"
#include "support/sim/sim_random.hpp"
#include "support/sim/sim_scheduler.hpp"

namespace mentedb::test {
namespace {

constexpr std::uint64_t kOwn = 3;           // memories of each process
constexpr std::uint64_t kRaced = 1'000;     // the memory of round r is kRaced + r
constexpr std::uint64_t kErased = 1 << 30;  // added to a version: the memory is gone

std::size_t size_of(std::uint64_t version) { return 40 + version % 5 * 300; }

// What one memory may be. Only its process writes it.
struct Known {
  std::uint64_t version = kErased;  ///< acknowledged, or seen
  std::set<std::uint64_t> maybe;    ///< of writes whose outcome their process was not told
  std::set<std::uint64_t> never;    ///< of writes that were answered `busy`
  std::uint64_t next = 1;

  bool allows(std::uint64_t found) const { return found == version || maybe.contains(found); }
};

struct Ledger {
  std::vector<std::array<Known, kOwn>> own;
  std::map<std::uint64_t, std::uint64_t> winners;  ///< raced memory -> process
  std::set<std::uint64_t> unsure;                  ///< raced memories of which a process was not told
  CombinedWritesResult result;

  void violation(std::string text) {
    if (result.violations.size() < 5) result.violations.push_back(std::move(text));
  }
};

Result<StorageEngine> open(SimVfs& vfs, const CombinedWritesOptions& options) {
  Options engine_options;
  engine_options.page_size_bytes = 512;
  engine_options.wal_limit_bytes = options.wal_limit_bytes;
  engine_options.lock_timeout = options.lock_timeout;
  return EngineAccess::open(vfs, kStorePath, engine_options);
}

// 0: the memory cannot be read.
std::uint64_t version_of(StorageEngine& engine, std::uint64_t number, std::string& why) {
  const auto loaded = engine.load_memory(memory_id(number));
  if (!loaded && loaded.error().code == ErrorCode::not_found) return kErased;
  if (!loaded) {
    why = loaded.error().message;
    return 0;
  }
  const std::uint64_t version = loaded->access_count;
  if (*loaded == make_memory(number, version, size_of(version))) return version;
  why = "it is torn";
  return 0;
}

class Writer {
 public:
  Writer(SimVfs& vfs, std::size_t process, const CombinedWritesOptions& options, Ledger& ledger)
      : vfs_(vfs), process_(process), options_(options), ledger_(ledger), random_(options.seed * 31 + process) {}

  void run() {
    auto engine = open(vfs_, options_);
    if (!engine) return fail("open", engine.error());
    for (std::size_t round = 0; round < options_.rounds && vfs_.is_alive(); ++round) {
      race(*engine, round);
      const std::uint64_t which = random_.next() % kOwn;
      check(*engine, which);
      change(*engine, which);
      check(*engine, which);
    }
    if (!vfs_.is_alive()) throw ProcessKilled{};
  }

 private:
  bool allowed(const Error& error) const {
    if (error.message.ends_with("process is dead")) return true;
    const bool unknown = error.code == ErrorCode::io_error && error.message.contains("may appear");
    return (unknown && options_.stop_at) ||
           (error.code == ErrorCode::busy && options_.lock_timeout != std::chrono::milliseconds::max());
  }
  void fail(const char* what, const Error& error) {
    if (!allowed(error)) ledger_.violation(fmt::format("process {}: {}: {}", process_, what, error.message));
  }

  // The process that is told "stored" is the only one, and what it stored stays.
  void race(StorageEngine& engine, std::uint64_t round) {
    ++ledger_.result.writes;
    const std::uint64_t number = kRaced + round;
    const bool known = ledger_.winners.contains(number);
    ledger_.unsure.insert(number);
    const auto stored = engine.store_memory_if_absent(make_memory(number, process_ + 1, size_of(process_ + 1)));
    if (stored) {
      if (ledger_.winners.contains(number)) ledger_.violation(fmt::format("memory {} was stored twice", number));
      ledger_.winners[number] = process_;
    } else if (stored.error().code == ErrorCode::already_exists) {
      std::string why;
      if (version_of(engine, number, why) == kErased)
        ledger_.violation(fmt::format("memory {} was there, and is not", number));
    } else {
      if (known && stored.error().code == ErrorCode::not_found) ledger_.violation("a raced memory is gone");
      fail("store_memory_if_absent", stored.error());
    }
  }

  void change(StorageEngine& engine, std::uint64_t which) {
    ++ledger_.result.writes;
    const std::uint64_t number = process_ * kOwn + which;
    Known& known = ledger_.own[process_][which];
    const bool there = known.maybe.empty() && known.version < kErased;
    const std::uint64_t version = known.next++;
    const bool erase = there && version % 4 == 0;
    const std::uint64_t left = erase ? kErased + version : version;
    known.maybe.insert(left);
    Result<void> done;
    if (random_.next() % 5 == 0 && !erase) {
      // Holds the lock without leading.
      done = engine.transact([&](Transaction& transaction) -> Result<void> {
        MENTEDB_TRY(transaction.store(make_memory(number, version, size_of(version))));
        return {};
      });
    } else if (erase) {
      done = engine.delete_memory(memory_id(number));
    } else if (there) {
      const auto updated = engine.update_memory(make_memory(number, version, size_of(version)));
      if (!updated) done = std::unexpected(updated.error());
    } else {
      const auto stored = engine.store_memory(make_memory(number, version, size_of(version)));
      if (!stored) done = std::unexpected(stored.error());
    }
    if (done) {
      known.version = erase ? kErased : version;
      known.maybe.clear();
      return;
    }
    if (done.error().code == ErrorCode::busy) {
      ++ledger_.result.timeouts;
      known.maybe.erase(left);
      known.never.insert(version);
    }
    fail("write", done.error());
  }

  void check(StorageEngine& engine, std::uint64_t which) {
    if (!vfs_.is_alive()) throw ProcessKilled{};
    ledger_look(engine, process_, which, ledger_);
  }

 public:
  static void ledger_look(StorageEngine& engine, std::size_t process, std::uint64_t which, Ledger& ledger) {
    const std::uint64_t number = process * kOwn + which;
    Known& known = ledger.own[process][which];
    std::string why;
    const std::uint64_t found = version_of(engine, number, why);
    bool allowed = known.allows(found);
    if (found == kErased) {
      for (const std::uint64_t maybe : known.maybe) allowed |= maybe > kErased;
    }
    if (allowed) return;
    if (why.ends_with("process is dead")) return;
    ledger.violation(fmt::format("memory {} of process {} is version {} ({}); acknowledged {}, {} perhaps{}", which,
                                 process, found, why, known.version, known.maybe.size(),
                                 known.never.contains(found) ? "; it was answered busy" : ""));
  }

 private:
  SimVfs& vfs_;
  std::size_t process_;
  const CombinedWritesOptions& options_;
  Ledger& ledger_;
  SimRandom random_;
};

void check_end(SimDisk& disk, const CombinedWritesOptions& options, Ledger& ledger) {
  SimVfs vfs(disk);
  CombinedWritesOptions patient = options;
  patient.lock_timeout = std::chrono::seconds(1);
  auto engine = open(vfs, patient);
  if (!engine) return ledger.violation("the last open: " + engine.error().message);
  // A lock holder settles what the dead left, and its write may complete what they had logged.
  if (const auto stored = engine->store_memory(make_memory(5'000, 1)); !stored)
    return ledger.violation("the last write: " + stored.error().message);
  for (std::size_t process = 0; process < options.processes; ++process) {
    for (std::uint64_t which = 0; which < kOwn; ++which) Writer::ledger_look(*engine, process, which, ledger);
  }
  for (const std::uint64_t number : ledger.unsure) {
    std::string why;
    const std::uint64_t found = version_of(*engine, number, why);
    const auto winner = ledger.winners.find(number);
    if (found == 0) ledger.violation(fmt::format("raced memory {}: {}", number, why));
    if (winner != ledger.winners.end() && found != winner->second + 1)
      ledger.violation(
          fmt::format("raced memory {} is of process {}, {} was told so", number, found - 1, winner->second));
  }
  const auto report = offline::verify_directory(vfs, kStorePath, std::chrono::seconds(1));
  if (!report) return ledger.violation("verify: " + report.error().message);
  for (const Problem& problem : report->problems)
    ledger.violation(fmt::format("verify: {} page {}: {}", problem.file, problem.page.value, problem.message));
}

}  // namespace

bool on_queue(const Step& step, StepKind kind) {
  return step.kind == kind && format::parse_queue_file_name(std::string(step.file)).has_value();
}

CombinedWritesResult run_combined_writes(const CombinedWritesOptions& options) {
  SimDisk disk({.seed = options.seed, .capacity_bytes = 0, .tear_bytes = 0, .tracing = false});
  Ledger ledger;
  ledger.own.resize(options.processes);
  {
    SimVfs vfs(disk);
    static_cast<void>(open(vfs, options));
  }
  SimScheduler scheduler(disk, {.seed = options.seed, .switch_probability = options.switch_probability});
  for (std::size_t process = 0; process < options.processes; ++process) {
    scheduler.add([&, process](SimVfs& vfs) { Writer(vfs, process, options, ledger).run(); });
  }
  SimRandom random(options.seed * 77 + 1);
  const auto draw = [&] {
    return static_cast<double>(random.next() >> 11) / static_cast<double>(std::uint64_t{1} << 53);
  };
  std::optional<std::size_t> stopped;
  std::uint64_t resume_at = 0;
  disk.set_hook([&](const Step& step) {
    if (on_queue(step, StepKind::store) && step.offset % format::kQueueRecordBytes == format::kQueueMarkWord)
      ++ledger.result.marks;
    if (ledger.result.kills < options.kills && (!options.kill_at || options.kill_at(step)) &&
        draw() < options.kill_probability) {
      ++ledger.result.kills;
      return StepAction::kill(step.kind == StepKind::write ? random.next() % (step.length + 1) : 0);
    }
    if (stopped && options.resume_after != 0 && step.index >= resume_at) scheduler.resume(*std::exchange(stopped, {}));
    const bool may_stop = !stopped && (ledger.result.stops == 0 || options.resume_after != 0);
    if (options.stop_at && may_stop && options.stop_at(step) && draw() < options.stop_probability) {
      ++ledger.result.stops;
      for (std::size_t i = 0; i < options.processes; ++i) {
        if (scheduler.vfs(i).process() == step.process) stopped = i;
      }
      resume_at = step.index + options.resume_after;
      return StepAction::stop();
    }
    return StepAction::proceed();
  });
  SimVfs clock(disk);
  const auto begin = clock.now();
  const std::uint64_t first_step = disk.step_count();
  scheduler.run();
  disk.set_hook({});
  ledger.result.microseconds_a_step =
      static_cast<double>((clock.now() - begin).count()) / static_cast<double>(disk.step_count() - first_step);
  for (std::size_t process = 0; process < options.processes; ++process) {
    const Outcome outcome = scheduler.outcome(process);
    if (outcome == Outcome::deadlocked || outcome == Outcome::step_limit)
      ledger.violation(fmt::format("process {} waits for ever", process));
  }
  check_end(disk, options, ledger);
  for (std::string& text : ledger.result.violations) text = fmt::format("seed {}: {}", options.seed, text);
  return ledger.result;
}

}  // namespace mentedb::test

#include "support/crash/schedules.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "engine/engine_impl.hpp"
#include "offline/verify.hpp"
#include "support/crash/script.hpp"
#include "support/sim/sim_random.hpp"
#include "support/sim/sim_scheduler.hpp"

namespace mentedb::test {
namespace {

constexpr std::uint64_t kCounters = 3;
constexpr std::uint64_t kTwin = 100;  // counter n has its twin at n + kTwin

// What all processes of a run agree that happened. Only the process that runs touches it.
struct Ledger {
  struct Counter {
    std::uint64_t attempted = 0;  ///< highest value that anybody tried to commit
    std::uint64_t acknowledged = 0;
  };
  std::array<Counter, kCounters> counters;
  std::set<std::uint64_t> stored;   ///< one-off memories, acknowledged
  std::set<std::uint64_t> erased;   ///< of those, erasure acknowledged
  std::set<std::uint64_t> erasing;  ///< erasure attempted
  std::set<std::uint64_t> storing;  ///< store attempted
  std::uint64_t next_one_off = 1'000;
  std::vector<std::string> violations;
  ScheduleResult result;

  void violation(std::string text) {
    if (violations.size() < 5) violations.push_back(std::move(text));
  }
};

Result<StorageEngine> open(SimVfs& vfs, const ScheduleOptions& options) {
  Options engine_options;
  engine_options.page_size_bytes = 512;
  engine_options.wal_limit_bytes = options.wal_limit_bytes;
  engine_options.lock_timeout = std::chrono::milliseconds::max();
  if (options.stop_probability > 0) engine_options.lock_timeout = std::chrono::milliseconds(200);
  return EngineAccess::open(vfs, kStorePath, engine_options);
}

bool expected(const ScheduleOptions& options, const Error& error) {
  if (error.message.ends_with("process is dead")) return true;
  // A stopped process keeps the lock, and may have taken the write of another.
  const bool unknown = error.code == ErrorCode::io_error && error.message.contains("may appear");
  return options.stop_probability > 0 && (error.code == ErrorCode::busy || unknown);
}

std::size_t size_of(std::uint64_t version) { return 40 + version % 5 * 300; }

void raise_counter(StorageEngine& engine, std::uint64_t counter, const ScheduleOptions& options, Ledger& ledger) {
  Ledger::Counter& known = ledger.counters[counter];
  std::uint64_t value = 0;
  const auto done = engine.transact([&](Transaction& tx) -> Result<void> {
    const auto now = tx.load(memory_id(counter));
    const auto twin = tx.load(memory_id(counter + kTwin));
    if (!now || !twin) return std::unexpected(now ? twin.error() : now.error());
    if (now->access_count != twin->access_count) {
      ledger.violation(fmt::format("half a batch: counter {} is {}, its twin {} (I2)", counter, now->access_count,
                                   twin->access_count));
    }
    if (now->access_count < known.acknowledged) {
      ledger.violation(fmt::format("counter {} is {} under the lock, {} was acknowledged (I1)", counter,
                                   now->access_count, known.acknowledged));
    }
    value = now->access_count + 1;
    known.attempted = std::max(known.attempted, value);
    if (auto r = tx.update(make_memory(counter, value, size_of(value))); !r) return r;
    return tx.update(make_memory(counter + kTwin, value, size_of(value)));
  });
  if (done) {
    known.acknowledged = std::max(known.acknowledged, value);
    const auto mine = engine.load_memory(memory_id(counter));
    if ((!mine && !expected(options, mine.error())) || (mine && mine->access_count < value)) {
      ledger.violation(fmt::format("a writer does not see its own write {} of counter {} (I4): {}", value, counter,
                                   mine ? fmt::format("{}", mine->access_count) : mine.error().message));
    }
  } else if (!expected(options, done.error())) {
    ledger.violation("transact: " + done.error().message);
  }
}

void one_off(StorageEngine& engine, const ScheduleOptions& options, Ledger& ledger) {
  const std::uint64_t number = ledger.next_one_off++;
  ledger.storing.insert(number);
  const auto stored = engine.store_memory(make_memory(number, 1, size_of(number)));
  if (!stored) {
    if (!expected(options, stored.error())) ledger.violation("store: " + stored.error().message);
    return;
  }
  ledger.stored.insert(number);
  if (number % 2 == 0) return;
  ledger.erasing.insert(number);
  const auto erased = engine.delete_memory(memory_id(number));
  if (erased) {
    ledger.erased.insert(number);
  } else if (!expected(options, erased.error())) {
    ledger.violation("delete: " + erased.error().message);
  }
}

void write(SimVfs& vfs, const ScheduleOptions& options, std::uint64_t seed, Ledger& ledger) {
  SimRandom random(seed);
  auto engine = open(vfs, options);
  if (!engine) {
    if (!expected(options, engine.error())) ledger.violation("open: " + engine.error().message);
    return;
  }
  for (std::size_t round = 0; round < options.rounds; ++round) {
    if (!vfs.is_alive()) throw ProcessKilled{};  // killed in a call that may not throw
    ++ledger.result.operations;
    switch (random.next() % 8) {
      case 0:
        if (const auto done = engine->checkpoint(); !done && !expected(options, done.error()))
          ledger.violation("checkpoint: " + done.error().message);
        break;
      case 1:
        static_cast<void>(engine->close());
        engine = open(vfs, options);
        if (!engine) {
          if (!expected(options, engine.error())) ledger.violation("reopen: " + engine.error().message);
          return;
        }
        break;
      case 2:
      case 3:
        one_off(*engine, options, ledger);
        break;
      default:
        raise_counter(*engine, random.next() % kCounters, options, ledger);
    }
  }
}

void read(SimVfs& vfs, const ScheduleOptions& options, std::uint64_t seed, const bool& writers_done, Ledger& ledger) {
  SimRandom random(seed);
  auto engine = open(vfs, options);
  if (!engine) {
    if (!expected(options, engine.error())) ledger.violation("open: " + engine.error().message);
    return;
  }
  std::array<std::uint64_t, 2 * kCounters> shown{};
  for (std::size_t round = 0; round < 400 && !writers_done; ++round) {
    ++ledger.result.reads;
    const std::uint64_t counter = random.next() % kCounters;
    const bool twin = random.next() % 2 == 0;
    std::uint64_t& last = shown[2 * counter + (twin ? 1 : 0)];
    const std::uint64_t acknowledged = ledger.counters[counter].acknowledged;
    const auto loaded = engine->load_memory(memory_id(counter + (twin ? kTwin : 0)));
    if (!loaded) {
      if (!vfs.is_alive()) throw ProcessKilled{};
      ledger.violation(fmt::format("a read failed: {} (I5)", loaded.error().message));
      continue;
    }
    if (*loaded != make_memory(counter + (twin ? kTwin : 0), loaded->access_count, size_of(loaded->access_count)))
      ledger.violation("a torn read");
    if (loaded->access_count < std::max(last, acknowledged)) {
      ledger.violation(fmt::format("counter {} read as {}, {} was acknowledged and {} shown (I3, I4)", counter,
                                   loaded->access_count, acknowledged, last));
    }
    if (loaded->access_count > ledger.counters[counter].attempted) ledger.violation("a value from nowhere");
    last = loaded->access_count;
    if (round % 16 != 7) continue;
    const std::set<std::uint64_t> there = ledger.stored;
    const std::set<std::uint64_t> gone = ledger.erased;
    const auto scanned = engine->scan_all_memories();
    if (!scanned) {
      if (!expected(options, scanned.error())) ledger.violation("scan: " + scanned.error().message);
      continue;
    }
    std::set<MemoryId> seen;
    for (const auto& [id, page] : *scanned) {
      if (!seen.insert(id).second) ledger.violation("a scan shows a memory twice");
    }
    for (std::uint64_t i = 0; i < kCounters; ++i) {
      if (!seen.contains(memory_id(i)) || !seen.contains(memory_id(i + kTwin)))
        ledger.violation(fmt::format("a scan misses counter {} (I4)", i));
    }
    for (const std::uint64_t number : there) {
      if (!ledger.erasing.contains(number) && !seen.contains(memory_id(number)))
        ledger.violation("a scan misses an acknowledged memory (I4)");
    }
    for (const std::uint64_t number : gone) {
      if (seen.contains(memory_id(number))) ledger.violation("a scan shows a deleted memory");
    }
  }
}

void check_end(SimDisk& disk, const ScheduleOptions& options, Ledger& ledger) {
  SimVfs vfs(disk);
  ScheduleOptions patient = options;
  patient.stop_probability = 0;
  const auto engine = open(vfs, patient);
  if (!engine) return ledger.violation("the last open: " + engine.error().message);
  for (std::uint64_t i = 0; i < kCounters; ++i) {
    const auto now = engine->load_memory(memory_id(i));
    const auto twin = engine->load_memory(memory_id(i + kTwin));
    const Ledger::Counter& known = ledger.counters[i];
    if (!now || !twin) {
      ledger.violation(fmt::format("counter {} is gone: {}", i, (now ? twin : now).error().message));
    } else if (now->access_count != twin->access_count || now->access_count < known.acknowledged ||
               now->access_count > known.attempted) {
      ledger.violation(fmt::format("counter {} ends as {} and {}; acknowledged {}, attempted {} (I1, I2)", i,
                                   now->access_count, twin->access_count, known.acknowledged, known.attempted));
    }
  }
  for (const std::uint64_t number : ledger.storing) {
    const auto loaded = engine->load_memory(memory_id(number));
    if (!loaded && loaded.error().code != ErrorCode::not_found)
      ledger.violation("at the end: " + loaded.error().message);
    if (!loaded && ledger.stored.contains(number) && !ledger.erasing.contains(number))
      ledger.violation("an acknowledged memory is lost (I1)");
    if (loaded && ledger.erased.contains(number)) ledger.violation("a deleted memory came back");
  }
  const auto report = offline::verify_directory(vfs, kStorePath, std::chrono::seconds(1));
  if (!report) return ledger.violation("verify: " + report.error().message);
  for (const Problem& problem : report->problems)
    ledger.violation(fmt::format("verify: {} page {}: {}", problem.file, problem.page.value, problem.message));
}

}  // namespace

ScheduleResult run_schedule(const ScheduleOptions& options) {
  SimDisk disk({.seed = options.seed, .capacity_bytes = 0, .tear_bytes = options.tear_bytes, .tracing = false});
  Ledger ledger;
  {
    SimVfs vfs(disk);
    auto engine = open(vfs, options);
    for (std::uint64_t i = 0; engine && i < kCounters; ++i) {
      static_cast<void>(engine->store_memory(make_memory(i, 0, size_of(0))));
      static_cast<void>(engine->store_memory(make_memory(i + kTwin, 0, size_of(0))));
    }
  }
  SimRandom random(options.seed * 77 + 1);
  SimScheduler scheduler(disk, {.seed = options.seed, .switch_probability = 0.15});
  std::size_t writers_left = options.writers + options.spares;
  bool writers_done = false;
  const auto writer = [&](std::uint64_t number) {
    scheduler.add([&, number](SimVfs& vfs) {
      struct Leave {
        std::size_t& left;
        bool& done;
        ~Leave() { done = --left == 0; }
      };
      const Leave leave{writers_left, writers_done};
      write(vfs, options, options.seed * 31 + number, ledger);
    });
  };
  for (std::size_t i = 0; i < options.writers + options.spares; ++i) writer(i);
  for (std::size_t i = 0; i < options.readers; ++i) {
    scheduler.add([&, i](SimVfs& vfs) { read(vfs, options, options.seed * 131 + i, writers_done, ledger); });
  }
  std::set<std::uint32_t> writer_processes;
  for (std::size_t i = 0; i < options.writers + options.spares; ++i)
    writer_processes.insert(scheduler.vfs(i).process());
  bool stopped_one = false;
  disk.set_hook([&](const Step& step) {
    ++ledger.result.steps;
    if (!writer_processes.contains(step.process)) return StepAction::proceed();
    const double draw = static_cast<double>(random.next() >> 11) / static_cast<double>(std::uint64_t{1} << 53);
    if (draw < options.kill_probability) {
      ++ledger.result.kills;
      return StepAction::kill(step.kind == StepKind::write ? random.next() % (step.length + 1) : 0);
    }
    if (!stopped_one && draw > 1 - options.stop_probability) {
      stopped_one = true;
      return StepAction::stop();
    }
    return StepAction::proceed();
  });
  scheduler.run();
  disk.set_hook({});
  check_end(disk, options, ledger);
  for (const std::string& text : ledger.violations) {
    ledger.result.violations.push_back(fmt::format("seed {} (tear {}, stop {}): {}", options.seed, options.tear_bytes,
                                                   options.stop_probability, text));
  }
  return ledger.result;
}

}  // namespace mentedb::test

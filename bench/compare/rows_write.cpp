// Rows that store: one thread, eight threads, several processes, bulk.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <thread>

#include "clock.hpp"
#include "process.hpp"
#include "row.hpp"

namespace mentedb::compare {
namespace {

constexpr std::size_t kMostRunners = 16;

struct Runner {
  Histogram times;
  std::uint64_t in_time = 0;  ///< stores that ended before the deadline
};

struct Run {
  StartLine line;
  std::array<Runner, kMostRunners> runners;
};

/// Stores single records until the deadline.
void store_until_deadline(Session& session, Records& records, const Workload& workload, std::uint64_t number,
                          StartLine& line, Runner& runner) {
  for (std::size_t i = 0; i < workload.warm_up_stores; ++i) session.store(records.record(number++));
  const std::uint64_t end = line.wait();
  std::uint64_t now = now_ns();
  while (now < end) {
    const Record record = records.record(number++);
    const std::uint64_t begin = now_ns();
    session.store(record);
    now = now_ns();
    runner.times.add(now - begin);
    runner.in_time += now < end ? 1 : 0;
  }
}

Values single_store(Stores& stores, const EngineKind& kind) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.fresh();
  const Shared<Run> run;
  Children child;
  child.start([&] {
    const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
    store_until_deadline(*engine->session(), stores.records(), workload, 0, run->line, run->runners[0]);
  });
  child.start_together(run->line, workload.write_seconds);
  child.wait();
  Stores::remove(directory);
  const Runner& runner = run->runners[0];
  return {static_cast<double>(runner.in_time) / workload.write_seconds, runner.times.percentile_us(0.5),
          runner.times.percentile_us(0.99), runner.times.max_us()};
}

Values thread_stores(Stores& stores, const EngineKind& kind, std::size_t threads) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.fresh();
  const Shared<Run> run;
  run_in_child([&] {
    const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
    std::vector<std::jthread> running;
    for (std::size_t i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        Records records = stores.records();
        store_until_deadline(*engine->session(), records, workload, i * 10'000'000, run->line, run->runners[i]);
      });
    }
    while (run->line.waiting() < threads) std::this_thread::yield();
    run->line.start(workload.write_seconds);
  });
  Stores::remove(directory);
  Runner all;
  for (const Runner& runner : run->runners) {
    all.times.add(runner.times);
    all.in_time += runner.in_time;
  }
  return {static_cast<double>(all.in_time) / workload.write_seconds, all.times.percentile_us(0.5),
          all.times.percentile_us(0.99), all.times.max_us()};
}

Values process_stores(Stores& stores, const EngineKind& kind, std::size_t processes) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.fresh();
  const Shared<Run> run;
  run_in_child([&] { kind.open(directory, Layout::by_id)->session(); });
  Children children;
  for (std::size_t i = 0; i < processes; ++i) {
    children.start([&, i] {
      const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
      store_until_deadline(*engine->session(), stores.records(), workload, i * 10'000'000, run->line, run->runners[i]);
    });
  }
  children.start_together(run->line, workload.write_seconds);
  children.wait();
  Stores::remove(directory);
  Runner all;
  std::uint64_t slowest = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t fastest = 1;
  for (std::size_t i = 0; i < processes; ++i) {
    const Runner& runner = run->runners[i];
    all.times.add(runner.times);
    all.in_time += runner.in_time;
    slowest = std::min(slowest, runner.in_time);
    fastest = std::max(fastest, runner.in_time);
  }
  return {static_cast<double>(all.in_time) / workload.write_seconds, all.times.percentile_us(0.5),
          all.times.percentile_us(0.999), all.times.max_us(),
          static_cast<double>(slowest) / static_cast<double>(fastest)};
}

Values bulk(Stores& stores, const EngineKind& kind) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.fresh();
  const Shared<std::array<double, 2>> result;
  run_in_child([&] {
    const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
    const std::unique_ptr<Session> session = engine->session();
    std::uint64_t longest = 0;
    std::uint64_t total = 0;
    for (std::size_t first = 0; first < workload.bulk_records; first += workload.batch) {
      const Batch batch = stores.records().batch(first, std::min(workload.batch, workload.bulk_records - first));
      const std::uint64_t begin = now_ns();
      session->store_batch(batch);
      const std::uint64_t took = now_ns() - begin;
      longest = std::max(longest, took);
      total += took;
    }
    const auto bytes = static_cast<double>(workload.bulk_records * workload.encoded_bytes);
    *result = {bytes * 1e3 / static_cast<double>(total), static_cast<double>(longest) / 1e6};
  });
  Stores::remove(directory);
  return {(*result)[0], (*result)[1]};
}

Row process_row(std::size_t processes) {
  return {
      .name = fmt::format("processes{}", processes),
      .title = fmt::format("single durable stores, {} processes", processes),
      .metrics = {{"rate", "stores/s", true},
                  {"p50", "p50 us"},
                  {"p999", "p99.9 us"},
                  {"max", "worst wait us"},
                  {"fair", "slowest / fastest", true}},
      .applies = shared_engine,
      .run = [processes](Stores& stores, const EngineKind& kind) { return process_stores(stores, kind, processes); }};
}

}  // namespace

std::uint64_t unused_numbers() {
  static std::uint64_t next = 1'000'000'000;
  return next += 1'000'000;
}

std::vector<Row> write_rows(const Workload& workload) {
  const std::vector<Metric> metrics = {
      {"rate", "stores/s", true}, {"p50", "p50 us"}, {"p99", "p99 us"}, {"max", "max us"}};
  return {{.name = "store",
           .title = "single durable stores, 1 thread",
           .metrics = metrics,
           .applies = every_engine,
           .run = single_store},
          {.name = "threads8",
           .title = "single durable stores, 8 threads of one process",
           .metrics = metrics,
           .applies = every_engine,
           .run = [](Stores& stores, const EngineKind& kind) { return thread_stores(stores, kind, 8); }},
          process_row(4),
          process_row(8),
          process_row(16),
          {.name = "bulk",
           .title = fmt::format("durable batches of {}", workload.batch),
           .metrics = {{"rate", "MB/s", true}, {"longest", "longest batch ms"}},
           .applies = every_engine,
           .run = bulk}};
}

}  // namespace mentedb::compare

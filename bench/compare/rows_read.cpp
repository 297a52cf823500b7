// Rows that read: loads, readers beside a writer, scans.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "clock.hpp"
#include "process.hpp"
#include "row.hpp"
#include "statistics.hpp"

namespace mentedb::compare {
namespace {

constexpr std::size_t kReaders = 2;
constexpr std::size_t kBetweenLooks = 64;  // loads between two looks at the clock

/// Calls `load(i)` with i = 0, 1, .. until the deadline.
template <class Load>
std::uint64_t load_until(std::uint64_t end, Load load) {
  std::uint64_t done = 0;
  while (now_ns() < end) {
    for (std::size_t i = 0; i < kBetweenLooks; ++i) load(done++);
  }
  return done;
}

/// Loads random records for `read_seconds`, after one pass over all of them that warms caches.
Values load(Stores& stores, const EngineKind& kind, Layout layout) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.filled(kind, layout, workload.records, "read");
  const Shared<double> us;
  run_in_child([&] {
    const std::unique_ptr<Engine> engine = kind.open(directory, layout);
    const std::unique_ptr<Session> session = engine->session();
    // The places stand in memory in random order before the clock starts, so that making ids costs nothing.
    std::vector<Place> places;
    if (layout == Layout::by_number) {
      session->list(places);
    } else {
      for (std::size_t i = 0; i < workload.records; ++i) places.push_back({stores.records().id(i), 0});
    }
    if (places.size() != workload.records) throw std::runtime_error(kind.name + ": the store lacks records");
    for (std::size_t i = places.size() - 1; i > 0; --i) std::swap(places[i], places[mix(i) % (i + 1)]);
    std::uint64_t sum = 0;
    const auto one = [&](std::uint64_t i) {
      const Place& place = places[i % places.size()];
      sum += layout == Layout::by_number ? session->load_number(place.number) : session->load_id(place.id);
    };
    for (std::size_t i = 0; i < places.size(); ++i) one(i);
    const std::uint64_t begin = now_ns();
    const std::uint64_t done = load_until(begin + static_cast<std::uint64_t>(workload.read_seconds * 1e9), one);
    *us = sum == 0 ? kEmpty : static_cast<double>(now_ns() - begin) / 1e3 / static_cast<double>(done);
  });
  return {*us};
}

struct Mixed {
  StartLine line;
  std::array<std::uint64_t, kReaders> reads;
  std::array<std::uint64_t, kReaders> cpu;
  std::uint64_t stores = 0;
  std::uint64_t sum = 0;
};

/// Two reader processes, and one writer when asked for.
void run_mixed(Stores& stores, const EngineKind& kind, const std::filesystem::path& directory, bool with_writer,
               Mixed& mixed) {
  const Workload& workload = stores.workload();
  Children children;
  for (std::size_t r = 0; r < kReaders; ++r) {
    children.start([&, r] {
      const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_number);
      const std::unique_ptr<Session> session = engine->session();
      std::vector<Place> places;
      session->list(places);
      std::uint64_t sum = 0;
      const auto one = [&](std::uint64_t i) { sum += session->load_number(places[mix(i + r) % places.size()].number); };
      for (std::size_t i = 0; i < places.size(); ++i) one(i);
      const std::uint64_t end = mixed.line.wait();
      const std::uint64_t cpu_before = cpu_ns();
      mixed.reads[r] = load_until(end, one);
      mixed.cpu[r] = cpu_ns() - cpu_before;
      mixed.sum += sum;
    });
  }
  const std::uint64_t first = unused_numbers();
  if (with_writer) {
    children.start([&, first] {
      const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_number);
      const std::unique_ptr<Session> session = engine->session();
      std::uint64_t number = first;
      const std::uint64_t end = mixed.line.wait();
      for (; now_ns() < end; ++mixed.stores) session->store(stores.records().record(number++));
    });
  }
  children.start_together(mixed.line, workload.write_seconds);
  children.wait();
}

Values readers(Stores& stores, const EngineKind& kind) {
  const double seconds = stores.workload().write_seconds;
  const std::filesystem::path directory =
      stores.filled(kind, Layout::by_number, stores.workload().mixed_records, "mixed");
  const Shared<Mixed> alone;
  const Shared<Mixed> beside;
  run_mixed(stores, kind, directory, false, *alone);
  run_mixed(stores, kind, directory, true, *beside);
  const auto reads = [](const Mixed& mixed) { return static_cast<double>(mixed.reads[0] + mixed.reads[1]); };
  const auto per_cpu = [&](const Mixed& mixed) {
    return reads(mixed) / static_cast<double>(mixed.cpu[0] + mixed.cpu[1]);
  };
  return {reads(*beside) / seconds / 1e6, static_cast<double>(beside->stores) / seconds, reads(*alone) / seconds / 1e6,
          per_cpu(*beside) / per_cpu(*alone)};
}

/// The median time of some scans in one process, after one that warms caches.
template <class Scan>
Values scan_time(Stores& stores, const EngineKind& kind, Layout layout, Scan scan) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.filled(kind, layout, workload.records, "read");
  const Shared<double> ms;
  run_in_child([&] {
    const std::unique_ptr<Engine> engine = kind.open(directory, layout);
    const std::unique_ptr<Session> session = engine->session();
    std::vector<double> times;
    for (std::size_t i = 0; i <= workload.scan_repeats; ++i) {
      const std::uint64_t begin = now_ns();
      const std::size_t found = scan(*session);
      if (i > 0) times.push_back(static_cast<double>(now_ns() - begin) / 1e6);
      if (found != workload.records) throw std::runtime_error(kind.name + ": a scan did not find all records");
    }
    *ms = median(times);
  });
  return {*ms};
}

}  // namespace

std::vector<Row> read_rows(const Workload& workload) {
  return {{.name = "load_page",
           .title = "load by PageId (peers: by a number), warm",
           .metrics = {{"time", "us"}},
           .applies = every_engine,
           .run = [](Stores& stores, const EngineKind& kind) { return load(stores, kind, Layout::by_number); }},
          {.name = "load_id",
           .title = "load by MemoryId, warm",
           .metrics = {{"time", "us"}},
           .applies = every_engine,
           .run = [](Stores& stores, const EngineKind& kind) { return load(stores, kind, Layout::by_id); }},
          {.name = "readers",
           .title = "2 reader processes (load by PageId) beside 1 durable writer process",
           .metrics = {{"reads", "M reads/s", true},
                       {"stores", "stores/s", true},
                       {"alone", "M reads/s without writer", true},
                       {"kept", "reads per CPU second, with / without", true}},
           .applies = shared_engine,
           .run = readers},
          {.name = "ids",
           .title = fmt::format("all (MemoryId, PageId) of {}", workload.records),
           .metrics = {{"time", "ms"}},
           .applies = every_engine,
           .run =
               [](Stores& stores, const EngineKind& kind) {
                 return scan_time(stores, kind, Layout::by_number, [](Session& session) {
                   std::vector<Place> places;
                   session.list(places);
                   return places.size();
                 });
               }},
          {.name = "for_each",
           .title = fmt::format("every memory of {}, decoded", workload.records),
           .metrics = {{"time", "ms"}},
           .applies = every_engine,
           .run = [](Stores& stores, const EngineKind& kind) {
             return scan_time(stores, kind, Layout::by_id, [](Session& session) { return session.decode_all(); });
           }}};
}

}  // namespace mentedb::compare

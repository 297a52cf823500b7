// Rows about the life of a store: its size, opening, recovery, changes, memory of a process.
#include <fmt/core.h>

#include <array>
#include <atomic>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "clock.hpp"
#include "process.hpp"
#include "row.hpp"
#include "statistics.hpp"

namespace mentedb::compare {
namespace {

Values disk(Stores& stores, const EngineKind& kind) {
  const std::size_t count = stores.workload().records;
  const auto bytes = [&](Layout layout) {
    return Stores::disk_bytes(stores.filled(kind, layout, count, "read")) / static_cast<double>(count);
  };
  return {bytes(Layout::by_id), bytes(Layout::by_number)};
}

/// Each open is in a process of its own.
double open_ms(Stores& stores, const EngineKind& kind, const std::filesystem::path& directory, bool cold) {
  std::vector<double> times;
  const Shared<double> ms;
  for (std::size_t i = 0; i <= stores.workload().open_repeats; ++i) {
    if (cold) Stores::drop_from_cache(directory);
    run_in_child([&] {
      const MemoryId id = stores.records().id(0);
      const std::uint64_t begin = now_ns();
      const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
      engine->session()->load_id(id);
      *ms = static_cast<double>(now_ns() - begin) / 1e6;
    });
    if (i > 0) times.push_back(*ms);  // the first one warms caches, and may find a log to read
  }
  return median(times);
}

Values open_row(Stores& stores, const EngineKind& kind, bool cold) {
  return {open_ms(stores, kind, stores.filled(kind, Layout::by_id, stores.workload().records, "read"), cold)};
}

struct Recovered {
  std::atomic<std::uint64_t> acknowledged;
  double read_ms = 0;
  double store_ms = 0;
};

/// A process stores without pause and is killed. The next one opens, reads what was acknowledged last, and stores.
void kill_and_recover(Stores& stores, const EngineKind& kind, Recovered& result) {
  const std::filesystem::path directory = stores.fresh();
  Children writer;
  writer.start([&] {
    const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
    const std::unique_ptr<Session> session = engine->session();
    for (std::uint64_t number = 0;; ++number) {
      session->store(stores.records().record(number));
      result.acknowledged.store(number + 1);
    }
  });
  while (result.acknowledged.load() < stores.workload().recovery_stores) {
    writer.look();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  writer.kill_all();
  run_in_child([&] {
    Records& records = stores.records();
    const std::uint64_t count = result.acknowledged.load();
    const MemoryId last = records.id(count - 1);
    const Record next = records.record(unused_numbers());
    const std::uint64_t begin = now_ns();
    const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
    const std::unique_ptr<Session> session = engine->session();
    session->load_id(last);
    result.read_ms = static_cast<double>(now_ns() - begin) / 1e6;
    session->store(next);
    result.store_ms = static_cast<double>(now_ns() - begin) / 1e6;
    for (std::uint64_t number = 0; number < count; ++number) session->load_id(records.id(number));  // throws if missing
  });
  Stores::remove(directory);
}

Values recovery(Stores& stores, const EngineKind& kind) {
  std::vector<double> read;
  std::vector<double> store;
  for (std::size_t i = 0; i < stores.workload().recovery_repeats; ++i) {
    const Shared<Recovered> result;
    kill_and_recover(stores, kind, *result);
    read.push_back(result->read_ms);
    store.push_back(result->store_ms);
  }
  return {median(store), median(read)};
}

Values changes(Stores& stores, const EngineKind& kind) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.filled(kind, Layout::by_id, workload.changes_records, "changes");
  const std::uint64_t first = unused_numbers();
  const Shared<double> us;
  run_in_child([&] {
    const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
    const std::unique_ptr<Session> session = engine->session();
    std::vector<double> times;
    for (std::size_t i = 0; i < workload.changes_repeats; ++i) {
      session->store(stores.records().record(first + i));
      const std::uint64_t begin = now_ns();
      const std::size_t found = session->changes();
      times.push_back(static_cast<double>(now_ns() - begin) / 1e3);
      if (found != 1) throw std::runtime_error(kind.name + ": one commit is not one change");
    }
    *us = median(times);
  });
  return {*us};
}

/// Memory of this process that belongs to no file, in MiB. Pages of mapped files are the kernel's cache.
double private_mib() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    double kib = 0;
    if (word == "Anonymous:" && rollup >> kib) return kib / 1024;
  }
  return kEmpty;
}

Values memory(Stores& stores, const EngineKind& kind) {
  const std::size_t count = stores.workload().records;
  const std::filesystem::path directory = stores.filled(kind, Layout::by_number, count, "read");
  const Shared<std::array<double, 3>> mib;
  run_in_child([&] {
    const double before = private_mib();
    const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_number);
    const std::unique_ptr<Session> session = engine->session();
    // The first place; a list would be the scan. Records have the numbers 0, 1, .. or 1, 2, ..
    session->load_number(1);
    (*mib)[0] = private_mib() - before;
    session->decode_all();
    (*mib)[1] = private_mib() - before;
    {
      std::vector<Place> places;
      session->list(places);
    }
    (*mib)[2] = private_mib() - before;
  });
  return {(*mib)[0], (*mib)[1], (*mib)[2]};
}

}  // namespace

std::vector<Row> life_rows(const Workload& workload) {
  return {{.name = "disk",
           .title = fmt::format("bytes on disk for each record of {} bytes", workload.encoded_bytes),
           .metrics = {{"bytes", "bytes, found by id"}, {"bytes_both", "bytes, found by number and id"}},
           .applies = every_engine,
           .run = disk},
          {.name = "open_warm",
           .title = "open and first read, warm",
           .metrics = {{"time", "ms"}},
           .applies = every_engine,
           .run = [](Stores& stores, const EngineKind& kind) { return open_row(stores, kind, false); }},
          {.name = "open_cold",
           .title = "open and first read, the files not in the page cache",
           .metrics = {{"time", "ms"}},
           .applies = every_engine,
           .run = [](Stores& stores, const EngineKind& kind) { return open_row(stores, kind, true); }},
          {.name = "recovery",
           .title = fmt::format("open after kill -9 of a writer ({} stores)", workload.recovery_stores),
           .metrics = {{"store", "ms to the first store"}, {"read", "ms to the first read"}},
           .applies = every_engine,
           .run = recovery},
          {.name = "changes",
           .title = fmt::format("changes_since after one commit at {}", workload.changes_records),
           .metrics = {{"time", "us"}},
           .applies = [](const EngineKind& kind) { return kind.has_changes; },
           .run = changes},
          {.name = "memory",
           .title = fmt::format("private memory of a process at {}", workload.records),
           .metrics = {{"idle", "MiB after one read"},
                       {"scanned", "MiB after for_each"},
                       {"listed", "MiB after a list of ids"}},
           .applies = every_engine,
           .run = memory},
          growth_row(workload)};
}

std::vector<Row> all_rows(const Workload& workload) {
  std::vector<Row> rows = raw_rows();
  for (auto part : {write_rows(workload), read_rows(workload), life_rows(workload)}) {
    rows.insert(rows.end(), part.begin(), part.end());
  }
  return rows;
}

}  // namespace mentedb::compare

// The row growth: the same figures of a small store and of a large one, and the longest store on the way.
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

constexpr std::size_t kStores = 1000;
constexpr std::size_t kLoads = 100'000;

struct Figures {
  double store_us = kEmpty;   ///< median of single stores
  double load_us = kEmpty;    ///< mean of loads by id
  double scan_ns = kEmpty;    ///< decoding of all records, for each record
  double change_us = kEmpty;  ///< median of `changes` after one commit
  double open_ms = kEmpty;
};

struct Growth {
  Figures small;
  Figures large;
  std::uint64_t longest_store_ns = 0;
  std::uint64_t longest_batch_ns = 0;
};

void measure(Session& session, Stores& stores, const EngineKind& kind, std::size_t count, std::uint64_t unused,
             Figures& figures) {
  Records& records = stores.records();
  std::vector<double> store_times;
  std::vector<double> change_times;
  for (std::size_t i = 0; i < std::min(kStores, count); ++i) {
    const Record record = records.record(unused + i);
    const std::uint64_t begin = now_ns();
    session.store(record);
    const std::uint64_t stored = now_ns();
    session.changes();
    store_times.push_back(static_cast<double>(stored - begin) / 1e3);
    change_times.push_back(static_cast<double>(now_ns() - stored) / 1e3);
  }
  figures.store_us = median(store_times);
  if (kind.has_changes) figures.change_us = median(change_times);

  std::vector<MemoryId> ids;
  for (std::size_t i = 0; i < kLoads; ++i) ids.push_back(records.id(mix(i) % count));
  for (const MemoryId& id : ids) session.load_id(id);
  std::uint64_t begin = now_ns();
  for (const MemoryId& id : ids) session.load_id(id);
  figures.load_us = static_cast<double>(now_ns() - begin) / 1e3 / static_cast<double>(kLoads);

  session.decode_all();
  begin = now_ns();
  const std::size_t found = session.decode_all();
  figures.scan_ns = static_cast<double>(now_ns() - begin) / static_cast<double>(found);
}

/// Stores records from `first` to the end: a batch, then a few single ones, and so on.
void grow(Session& session, Stores& stores, std::size_t first, std::size_t end, Growth& growth) {
  Records& records = stores.records();
  const Workload& workload = stores.workload();
  while (first < end) {
    const Batch batch = records.batch(first, std::min(workload.batch, end - first));
    std::uint64_t begin = now_ns();
    session.store_batch(batch);
    growth.longest_batch_ns = std::max(growth.longest_batch_ns, now_ns() - begin);
    first += batch.bytes.size();
    for (std::size_t i = 0; i < workload.growth_singles && first < end; ++i) {
      const Record record = records.record(first++);
      begin = now_ns();
      session.store(record);
      growth.longest_store_ns = std::max(growth.longest_store_ns, now_ns() - begin);
    }
  }
}

double open_ms(const EngineKind& kind, const std::filesystem::path& directory, const MemoryId& id) {
  std::vector<double> times;
  const Shared<double> ms;
  for (int i = 0; i < 5; ++i) {
    run_in_child([&] {
      const std::uint64_t begin = now_ns();
      const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
      engine->session()->load_id(id);
      *ms = static_cast<double>(now_ns() - begin) / 1e6;
    });
    times.push_back(*ms);
  }
  return median(times);
}

Values growth_values(Stores& stores, const EngineKind& kind) {
  const Workload& workload = stores.workload();
  const std::filesystem::path directory = stores.fresh();
  const Shared<Growth> growth;
  const auto stage = [&](std::size_t first, std::size_t end, Figures& figures) {
    const std::uint64_t unused = unused_numbers();
    run_in_child([&] {
      const std::unique_ptr<Engine> engine = kind.open(directory, Layout::by_id);
      const std::unique_ptr<Session> session = engine->session();
      grow(*session, stores, first, end, *growth);
      measure(*session, stores, kind, end, unused, figures);
    });
    figures.open_ms = open_ms(kind, directory, stores.records().id(0));
  };
  stage(0, workload.growth_small, growth->small);
  stage(workload.growth_small, workload.growth_large, growth->large);
  Stores::remove(directory);
  const Figures& small = growth->small;
  const Figures& large = growth->large;
  return {large.store_us / small.store_us,
          large.load_us / small.load_us,
          large.scan_ns / small.scan_ns,
          large.change_us / small.change_us,
          large.open_ms / small.open_ms,
          static_cast<double>(growth->longest_store_ns) / 1e6,
          static_cast<double>(growth->longest_batch_ns) / 1e6,
          large.store_us,
          large.load_us,
          large.open_ms};
}

}  // namespace

Row growth_row(const Workload& workload) {
  return {.name = "growth",
          .title = fmt::format("{} memories against {}", workload.growth_large, workload.growth_small),
          .metrics = {{"store", "store p50 x"},
                      {"load", "load x"},
                      {"scan", "scan/record x"},
                      {"changes", "changes x"},
                      {"open", "open x"},
                      {"max", "longest store ms"},
                      {"batch", "longest batch ms"},
                      {"store_large", "store p50 us"},
                      {"load_large", "load us"},
                      {"open_large", "open ms"}},
          .applies = every_engine,
          .run = growth_values,
          .most_rounds = workload.growth_rounds};
}

}  // namespace mentedb::compare

// Several simulated processes on one store under a seeded schedule, with kills, a stopped lock holder and torn writes.
//
// Every memory is a counter in two copies that each transaction raises together; the ledger remembers what was
// acknowledged, attempted and shown. So lost updates, half batches, reads that go back and deletions that come back all
// show (I1, I2, I3, I4, I6). A failing run replays with its seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mentedb::test {

struct ScheduleOptions {
  std::uint64_t seed = 1;
  std::size_t writers = 2;
  std::size_t readers = 1;
  std::size_t spares = 2;           ///< processes that begin when another was killed
  std::size_t rounds = 6;           ///< operations of each writer
  double kill_probability = 0.002;  ///< before each step of a writer
  double stop_probability = 0.0;    ///< a writer is stopped for good (readers must go on)
  std::uint64_t tear_bytes = 0;
  std::uint64_t wal_limit_bytes = 64 * 1024;
};

struct ScheduleResult {
  std::uint64_t steps = 0;
  std::uint64_t operations = 0;
  std::uint64_t reads = 0;
  std::uint64_t kills = 0;
  std::vector<std::string> violations;
};

ScheduleResult run_schedule(const ScheduleOptions& options);

}  // namespace mentedb::test

#include "support/crash/workloads.hpp"

namespace mentedb::test {
namespace {

// Memories 10.. belong to the first process, 30.. to the second, 50.. to the third.
constexpr std::uint64_t kA = kFirstOwnNumber;
constexpr std::uint64_t kB = 30;
constexpr std::uint64_t kC = 50;
constexpr std::uint64_t kRaw = kFirstRawNumber;

Options small() {
  Options options;
  options.page_size_bytes = 512;
  options.wal_limit_bytes = 64 * 1024;
  options.lock_timeout = std::chrono::milliseconds::max();
  return options;
}

Program reader() { return Program().read_all().scan().read_all().repeat(3); }

Program shared_memories() { return Program().transact({0, 1, 2, 3}).batch(kA, 3).batch(kB, 3).batch(kC, 2); }

// Store, update and delete one by one.
Workload single() {
  return {.name = "single",
          .options = small(),
          .setup = shared_memories(),
          .programs = {Program().store(kA + 5).update(kA, 700).erase(kA + 1).store(kA + 1).read_all(),
                       Program().update(kB, 40).store(kB + 7, 1'900).erase(kB + 7).erase(kB).store(kB + 3), reader()}};
}

// Batches of several runs, atomic.
Workload batch() {
  return {.name = "batch",
          .options = small(),
          .setup = shared_memories(),
          .programs = {Program().batch(kA, 5, 400).batch(kA + 2, 5, 90).erase(kA + 3).batch(kA, 3, 1'200),
                       Program().batch(kB, 3, 900).batch(kB, 8, 30).checkpoint().batch(kB + 4, 3, 600), reader()}};
}

// Batches that are written to their pages before they are logged (R15), some of them over holes.
Workload large() {
  return {.name = "large",
          .options = small(),
          .setup = shared_memories().batch(kA + 5, 4, 2'000).erase(kA + 6),
          .programs = {
              Program().batch(kA, 4, 2'500).erase(kA + 1).batch(kA + 5, 6, 1'900).store(kA + 1).batch(kA, 5, 3'000),
              Program().batch(kB, 3, 200).batch(kB, 5, 2'200).checkpoint().erase(kB + 2).batch(kB + 1, 3, 4'000),
              reader()}};
}

// Read-modify-write of the same memories by three processes.
Workload transact() {
  return {.name = "transact",
          .options = small(),
          .setup = shared_memories(),
          .programs = {Program().transact({0, 1}).transact({2}, {0}).give_up(1).transact({0, 1, 2, 3}, {}, 500),
                       Program().transact({1, 2}, {3}, 700).transact({3, 0}).read_all().transact({1}, {2}),
                       Program().transact({0, 3}, {}, 200).scan().transact({2, 3}, {1}).transact({1})}};
}

// A checkpointer among writers.
Workload checkpoint() {
  return {.name = "checkpoint",
          .options = small(),
          .setup = shared_memories(),
          .programs = {Program().store(kA).transact({0, 1}).store(kA + 1, 800).transact({0}),
                       Program().checkpoint().transact({1, 2}).checkpoint().update(kB).checkpoint(),
                       Program().store(kC).checkpoint().erase(kC).scan().checkpoint().store(kC + 1)}};
}

// Openers, recoveries and takeovers all the time.
Workload reopen() {
  return {.name = "reopen",
          .options = small(),
          .setup = shared_memories(),
          .programs = {Program().store(kA).reopen().transact({0, 1}).reopen().erase(kA).recover().store(kA, 300),
                       Program().recover().update(kB).reopen().transact({1, 2}, {0}).recover().reopen().update(kB),
                       Program().read_all().reopen().scan().reopen().read_all().recover().read_all()}};
}

// Several processes create the store at once.
Workload create() {
  return {.name = "create",
          .options = small(),
          .setup = {},
          .create = true,
          .programs = {Program().store(kA).transact({0, 1}), Program().batch(kB, 2).transact({0}),
                       Program().read_all().scan().store(kC)}};
}

// Holes of all sizes between live runs, filled by runs of other sizes.
Workload fragments() {
  Program setup;
  for (std::uint64_t i = 0; i < 8; ++i) setup.store(kA + i, 100 + 450 * (i % 4)).store(kB + i, 300 + 400 * (i % 3));
  for (std::uint64_t i = 0; i < 8; i += 2) setup.erase(kA + i).erase(kB + i + 1);
  setup.checkpoint().erase(kA + 1).store(kA, 100);
  return {.name = "fragments",
          .options = small(),
          .setup = setup,
          .programs = {Program().store(kA, 900).batch(kA + 2, 3, 60).erase(kA + 3).store(kA + 10, 1'700).update(kA, 50),
                       Program().update(kB, 1'300).erase(kB + 2).batch(kB + 1, 3, 350).store(kB + 2, 20).erase(kB + 4),
                       Program().scan().follow().repeat(3)}};
}

// The id index is full of tombstones and is replaced by one of the same size.
Workload index_rebuild() {
  Program round;
  round.batch(kFirstOwnNumber + 100, 20, 20);
  for (std::uint64_t i = 0; i < 20; ++i) round.erase(kFirstOwnNumber + 100 + i);
  Program setup = shared_memories();
  setup.then(round.repeat(37)).batch(kFirstOwnNumber + 150, 12);
  return {.name = "index-rebuild",
          .options = small(),
          .setup = setup,
          .programs = {Program().store(kA + 5).batch(kA + 6, 4).erase(kA).read_all(),
                       Program().store(kB + 5).transact({4, 5, 6}).store(kB + 6).scan(), reader()}};
}

// pages.db has to grow, and the id index with it: two buckets for each page.
Workload index_growth() {
  Program setup = shared_memories();
  for (std::uint64_t i = 0; i < 500; i += 50) setup.batch(kFirstFillerNumber + i, 50, 8);
  return {.name = "index-growth",
          .options = small(),
          .setup = setup,
          .programs = {Program().batch(kA + 5, 4).erase(kA).store(kA + 9),
                       Program().store(kB + 5).transact({4, 5, 6}).update(kB),
                       Program().read_all().read_all().read_all().scan().read_all()},
          .filler_stride = 61};
}

// pages.db has to grow.
Workload page_growth() {
  Program setup = shared_memories();
  for (std::uint64_t i = 0; i < 9; ++i) setup.store(kA + i, 24'000);
  return {.name = "page-growth",
          .options = small(),
          .setup = setup,
          .programs = {Program().store(kA + 12, 30'000).erase(kA + 2).store(kA + 13, 26'000),
                       Program().store(kB + 4, 12'000).batch(kB, 2, 9'000).transact({0, 1}), reader()}};
}

// Batches longer than the log, which grows past its limit; checkpoints inside commits.
Workload log_growth() {
  return {.name = "log-growth",
          .options = small(),
          .setup = shared_memories().allocate(kRaw, 90'000).allocate(kRaw + 1, 40'000),
          .programs = {Program().write_raw(kRaw, 80'000).store(kA + 5).store(kA, 14'000),
                       Program().write_raw(kRaw + 1, 30'000).transact({0, 1}).write_raw(kRaw + 1, 35'000), reader()}};
}

// The log is full every few commits.
Workload full_log() {
  return {.name = "full-log",
          .options = small(),
          .setup = Program()
                       .transact({0, 1, 2, 3}, {}, 1'500)
                       .batch(kA, 3, 2'300)
                       .batch(kB, 2, 3'400)
                       .store(kC, 7'000)
                       .repeat(2),
          .programs = {Program().batch(kA, 2, 3'600).transact({0, 1}, {}, 3'000).store(kA, 7'500),
                       Program().store(kB, 7'600).transact({1, 2}, {3}, 3'400).batch(kB, 2, 3'500), reader()}};
}

// Raw pages, which are overwritten in place.
Workload raw() {
  return {
      .name = "raw",
      .options = small(),
      .setup = shared_memories().allocate(kRaw, 700).allocate(kRaw + 1, 1'400).write_raw(kRaw, 600),
      .programs = {
          Program().write_raw(kRaw, 650).store(kA).write_raw(kRaw, 80).read_all(),
          // No allocation after the free: nobody could tell whose empty page that is.
          Program().write_raw(kRaw + 1, 1'300).allocate(kRaw + 2, 300).transact({0, 1}).free_raw(kRaw + 1).checkpoint(),
          reader()}};
}

// Space goes back to the file system and is taken again. A batch stands on pages that have lain in a hole.
Workload space() {
  return {
      .name = "space",
      .options = small(),
      .setup = shared_memories().batch(kA + 10, 4, 6'000).batch(kB + 10, 3, 9'000).erase(kA + 11).erase(kA + 12),
      .programs = {Program().checkpoint().store(kA + 11, 5'000).erase(kA + 10).erase_deleted().store(kA + 12, 7'000),
                   Program().erase(kB + 10).checkpoint().batch(kB, 2, 4'000).erase(kB + 11).transact({0, 1}),
                   Program().scan().follow().read_all().repeat(2)}};
}

// Backups while others write.
Workload backup() {
  return {.name = "backup",
          .options = small(),
          .setup = shared_memories(),
          .programs = {Program().store(kA).update(kA + 1, 900).erase(kA + 2).transact({0, 1}),
                       Program().transact({1, 2}).checkpoint().batch(kB, 3, 200).erase(kB),
                       Program().backup("/backup-1").read_all().backup("/backup-2")}};
}

// Whoever follows changes: deletions, and pages used again.
Workload follow() {
  const Program follower = Program().follow().repeat(6);
  return {.name = "follow",
          .options = small(),
          .setup = shared_memories().erase(kA).store(kA, 300).erase(kB),
          .programs = {Program().erase(kA).store(kA + 4).transact({0, 1}, {2}).update(kA + 1, 600).erase(kA + 4),
                       Program().store(kB).erase(kB).transact({2, 3}, {0}).store(kB + 4).update(kB + 1), follower}};
}

// Every write and copy happens in parts, and others run between the parts.
Workload torn() {
  return {
      .name = "torn",
      .options = small(),
      .tear_bytes = 512,
      .setup = shared_memories().allocate(kRaw, 1'400),
      .programs = {Program().store(kA, 1'500).transact({0, 1}, {}, 700).write_raw(kRaw, 1'300).checkpoint(),
                   Program().transact({1, 2}, {3}, 900).update(kB, 1'200).transact({0, 3}).store(kB + 4), reader()}};
}

// The log goes through the page cache: after a failed sync it shows what the disk does not have.
Workload buffered() {
  Workload workload = transact();
  workload.name = "buffered";
  workload.direct_log = false;
  return workload;
}

}  // namespace

std::vector<Workload> crash_workloads() {
  return {single(),        batch(),        transact(),    checkpoint(), reopen(),   create(), fragments(),
          index_rebuild(), index_growth(), page_growth(), log_growth(), full_log(), raw(),    space(),
          backup(),        follow(),       torn(),        buffered(),   large()};
}

}  // namespace mentedb::test

// The id index (H11): killed writers, and a page cache that was lost without a reboot.

#include <vector>

#include <gtest/gtest.h>

#include "format/index_format.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// A store with a memory in every page, so that one more makes pages.db and the smallest table grow.
constexpr std::uint64_t kFull = 512;
void fill_the_index(SimDisk& disk) {
  Process process(disk);
  for (std::uint64_t i = 0; i < kFull; ++i) must(process->store_memory(make_memory(i, 1, 4)));
  const Stats stats = must(process->stats());
  ASSERT_EQ(stats.free_pages, 0U);
  ASSERT_EQ(stats.index_buckets, 1'024U);
}

// H11. The id index grows into a new file; its writer is killed at every step of that. Peers that have the old one
// mapped and new openers find every id, all the time.
TEST(Index, MayBeKilledAnywhereInItsGrowth) {
  SimDisk full;
  fill_the_index(full);
  bool killed = true;
  for (std::uint64_t last_step = 1; killed; ++last_step) {
    const auto disk = full.clone();
    auto [writer, peer] = open_processes<2>(*disk);
    ASSERT_EQ(version_of(peer, 5), 1U);
    Trace trace(*disk);
    const Event growth = trace.watch(writer, opening_of(kIdIndex));
    const Moment steps_of_growth =
        any_step().except(step(StepKind::load).or_at(step(StepKind::copy))).after(opening_of(kIdIndex));
    const Moment first_or_later = opening_of(kIdIndex).or_at(steps_of_growth);
    killed =
        trace.kill(writer, first_or_later.nth(last_step), [&] { return writer->store_memory(make_memory(9'000, 1)); });
    ASSERT_TRUE(growth.came());

    const std::uint64_t from = last_step - 1;  // other ids every time
    for (std::uint64_t i = from % 7; i < kFull; i += 7) ASSERT_EQ(version_of(peer, i), 1U) << i;
    must(peer->store_memory(make_memory(9'001, 1)));
    EXPECT_EQ(must(peer->stats()).index_buckets, 2'048U);
    Process opener(*disk);
    for (std::uint64_t i = from % 5; i < kFull; i += 5) ASSERT_EQ(version_of(opener, i), 1U) << i;
    EXPECT_EQ(version_of(opener, 9'001), 1U);
    if (!killed) {
      EXPECT_EQ(version_of(opener, 9'000), 1U);
      EXPECT_GT(last_step, 21U);
    }
  }
}

// H11. A memory moved, its old page was used again, and then the page cache was lost without a reboot: the index came
// back with the slot from before. Redo gave the memory a second slot and left the first for ever, as damage.
TEST(Index, ABucketFromBeforeAMoveDoesNotOutliveRedo) {
  SimDisk disk;
  {
    Process process(disk);
    const PageId old_page = must(process->store_memory(make_memory(1, 1)));
    must(process->store_memory(make_memory(2, 1)));
    must(process->checkpoint());
    must(process->update_memory(make_memory(1, 2)));
    ASSERT_TRUE(reuse(*process, old_page, 10));
    process.kill();
  }
  const auto found = power_cut(disk, all_but(in(kIdIndex)).in_the_same_boot());
  Process after(*found);
  EXPECT_EQ(version_of(after, 1), 2U);
  expect_sound(*found);
}

// H11. The same, when what was lost is the word that counts the slots: a table that counts too few fills up.
TEST(Index, BucketsWhoseCountWasLostAreCountedByRedo) {
  SimDisk disk;
  {
    Process process(disk);
    must(process->store_memory(make_memory(0, 1)));
    must(process->checkpoint());
    store_memories(*process, 1, 19);
    process.kill();
  }
  constexpr std::uint64_t kSector = format::kIndexUsedOffset / 512 * 512;
  const Sectors count_of_slots = in(kIdIndex).from(kSector).below(kSector + 512);
  ASSERT_EQ(not_durable(disk, count_of_slots), 1U);
  const auto found = power_cut(disk, all_but(count_of_slots).in_the_same_boot());
  Process after(*found);
  EXPECT_EQ(must(after->stats()).index_buckets_used, 20U);
}

}  // namespace
}  // namespace mentedb::test

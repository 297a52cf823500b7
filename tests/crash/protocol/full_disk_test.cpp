// A full disk (I11): reading and deleting go on, and what a deletion frees can be used at once.

#include <vector>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// A log that begins with 1 MiB and would like to grow.
Options growing_log() {
  Options options = small_options();
  options.wal_limit_bytes = std::uint64_t{16} << 20;
  return options;
}

// The log had no room for the next deletion and wanted to double, although a checkpoint would have emptied it without
// one more byte. Every deletion answered `no_space` until somebody made a checkpoint by hand.
TEST(FullDisk, DeletionsGoOnAndTheirSpaceIsUsedAtOnce) {
  SimDisk disk;
  Process process(disk, growing_log());
  leave_room(disk, 400 * 1024);
  std::uint64_t stored = 0;
  for (;; ++stored) {
    const auto page = process->store_memory(make_memory(stored, 1, 2'000));
    if (page) continue;
    ASSERT_TRUE(is_error(page, ErrorCode::no_space));
    break;
  }
  ASSERT_GT(stored, 50U);
  // The last bytes go to another program.
  leave_room(disk, 0);
  constexpr std::uint64_t kPairs = 400;  // three logs of 1 MiB
  for (std::uint64_t i = 0; i < kPairs; ++i) {
    ASSERT_TRUE(ok(process->delete_memory(memory_id(i)))) << i;
    ASSERT_TRUE(ok(process->store_memory(make_memory(stored + i, 1, 2'000)))) << i;
  }
  for (std::uint64_t i = 0; i < stored + kPairs; ++i) EXPECT_EQ(version_of(process, i), i < kPairs ? 0U : 1U) << i;
  expect_sound(disk);
}

// An update needs a free run beside the one that it replaces. After one deletion there is one.
TEST(FullDisk, UpdatesGoOnAfterADeletion) {
  SimDisk disk;
  Process process(disk, growing_log());
  store_memories(*process, 0, 100);
  leave_room(disk, 0);
  must(process->delete_memory(memory_id(0)));
  for (std::uint32_t version = 2; version < 8; ++version) {
    for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(ok(process->update_memory(make_memory(i, version)))) << i;
  }
  for (std::uint64_t i = 1; i <= 100; ++i) EXPECT_EQ(version_of(process, i), 7U) << i;
}

/// A memory of one page.
MemoryNode tiny_memory(std::uint64_t number) {
  MemoryNode node;
  node.id = memory_id(number);
  node.content = "x";
  return node;
}

// Large memories are deleted, and as many small ones as there are pages come in their place. The id index has buckets
// for all of them: it grew with the pages. Then each deletion makes room for one more, however long that goes on.
// (Found by the campaign `life`: a new id was refused when the index was full of tombstones.)
TEST(FullDisk, TheIdIndexHasRoomForAMemoryInEachPage) {
  SimDisk disk;
  Process process(disk, growing_log());
  constexpr std::uint64_t kLarge = 100'000;
  for (std::uint64_t i = 0; i < 8; ++i) must(process->store_memory(make_memory(kLarge + i, 1, 100'000)));
  leave_room(disk, 0);
  for (std::uint64_t i = 0; i < 8; ++i) must(process->delete_memory(memory_id(kLarge + i)));
  const std::uint64_t pages = must(process->stats()).page_count;
  ASSERT_GT(pages, 1'500U);
  for (std::uint64_t i = 0; i < pages; ++i) ASSERT_TRUE(ok(process->store_memory(tiny_memory(i)))) << i;
  ASSERT_TRUE(is_error(process->store_memory(tiny_memory(pages)), ErrorCode::no_space));
  const std::uint64_t index = must(process->stats()).index_number;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(ok(process->delete_memory(memory_id(i)))) << i;
    ASSERT_TRUE(ok(process->store_memory(tiny_memory(pages + i)))) << i;
  }
  EXPECT_EQ(must(process->stats()).index_number, index);
  for (std::uint64_t i = 0; i < pages; ++i) ASSERT_TRUE(ok(process->load_memory(memory_id(20'000 + i)))) << i;
  expect_sound(disk);
}

}  // namespace
}  // namespace mentedb::test

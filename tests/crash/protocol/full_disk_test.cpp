// A full disk (I11): reading and deleting go on, and what a deletion frees can be used at once.

#include <vector>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// From now on the disk has room for so many bytes more.
void leave_room(SimDisk& disk, std::uint64_t bytes) {
  constexpr std::uint64_t kPlenty = std::uint64_t{1} << 30;
  disk.set_capacity(kPlenty);
  disk.set_capacity(kPlenty - disk.free_bytes() + bytes);
}

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

// The id index wants a larger file, and there is no space for it. There are free pages and free buckets, so stores go
// on.
TEST(FullDisk, StoresGoOnInAnIndexThatCannotGrow) {
  SimDisk disk;
  Process process(disk, growing_log());
  constexpr std::uint64_t kLarge = 5'000;
  must(process->store_memory(make_memory(kLarge, 1, 100'000)));
  std::vector<MemoryNode> nodes;
  for (std::uint64_t i = 0; i < 760; ++i) nodes.push_back(make_memory(i, 1, 4));
  must(process->store_memories(nodes));
  must(process->delete_memory(memory_id(kLarge)));
  leave_room(disk, 0);
  ASSERT_EQ(must(process->stats()).index_buckets, 1'024U);
  for (std::uint64_t i = 760; i < 860; ++i) ASSERT_TRUE(ok(process->store_memory(make_memory(i, 1, 4)))) << i;
  EXPECT_EQ(must(process->stats()).index_buckets, 1'024U);
  for (std::uint64_t i = 0; i < 860; ++i) ASSERT_EQ(version_of(process, i), 1U) << i;
  expect_sound(disk);
}

}  // namespace
}  // namespace mentedb::test

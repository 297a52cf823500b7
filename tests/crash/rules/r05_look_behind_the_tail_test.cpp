// R5. Every holder of the lock looks behind the tail first. A valid cached tail says that nothing is there.

#include <vector>

#include <gtest/gtest.h>

#include "engine/engine_impl.hpp"
#include "format/geometry.hpp"
#include "format/log_format.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R5, H8. A writer dies between log and pages. A checkpointer that has the store open resets nothing before it has
// brought the batch into the pages.
TEST(R5, ACheckpointLooksBehindTheTailFirst) {
  SimDisk disk;
  auto [writer, peer] = open_processes<2>(disk);
  store_memories(*peer, 0, 2);
  std::vector<MemoryNode> batch;
  for (std::uint64_t i = 0; i < 3; ++i) batch.push_back(make_memory(i, 2));
  ASSERT_TRUE(Trace(disk).kill(writer, batch_durable(), [&] { return writer->store_memories(batch); }));

  must(peer->checkpoint());
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(version_of(peer, i), 2U) << i;
  const auto found = power_cut(disk);
  Process rebooted(*found);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(version_of(rebooted, i), 2U) << i;
}

// R5 for a backup: it is a holder of the lock like any other.
TEST(R5, ABackupLooksBehindTheTailFirst) {
  SimDisk disk;
  auto [writer, peer] = open_processes<2>(disk);
  must(peer->store_memory(make_memory(1, 1)));
  ASSERT_TRUE(Trace(disk).kill(writer, batch_durable(), [&] { return writer->store_memory(make_memory(2, 1)); }));

  must(peer->backup("/copy"));
  EXPECT_EQ(version_of(peer, 2), 1U);
  const auto copy = must(EngineAccess::open(peer.vfs(), "/copy", small_options()));
  EXPECT_EQ(version_of(copy, 2), 1U) << "the backup lacks what its source has";
}

// R5. The process that redoes may die of it, half way through the pages: a cached tail from before must not speak for
// them.
TEST(R5, AKilledRecoveryLeavesNoCachedTail) {
  SimDisk disk;
  auto [recovering, next] = open_processes<2>(disk);
  must(next->store_memory(make_memory(1, 1)));
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(recovering, store_to(kPagesDb).nth(2), [&] { return recovering->recover(); }));

  const Event looked = trace.watch(next, read_of(kWalLog).from_byte(format::kLogStart));
  must(next->store_memory(make_memory(2, 1)));
  EXPECT_TRUE(looked.came());
}

// R5, R3. An engine that found the store recovered has read no log. The page of the shared state may be one that the
// kernel could not write back, dropped, and read again: then its cached tail is valid and old, and an append there
// would overwrite a committed batch. So the engine looks once whether the log goes on.
TEST(R5, AnEngineThatHasReadNoLogLooksBehindItsFirstTail) {
  SimDisk disk;
  Process writer(disk);
  must(writer->store_memory(make_memory(1, 1)));
  const auto pages = disk.content("/store/pages.db");
  const auto old_state = std::span(pages).subspan(format::kSharedStateOffset, base::kBlockBytes);
  must(writer->store_memory(make_memory(2, 1)));
  const auto directory = must(writer.vfs().open_directory(kStorePath, false));
  const auto file = must(directory->open(kPagesDb, vfs::OpenMode::read_write, false));
  must(file->write_at(format::kSharedStateOffset, old_state));

  Process next(disk);
  must(next->store_memory(make_memory(3, 1)));
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(version_of(next, i), 1U) << i;
  const auto found = power_cut(disk);
  const Process rebooted(*found);
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
}

}  // namespace
}  // namespace mentedb::test

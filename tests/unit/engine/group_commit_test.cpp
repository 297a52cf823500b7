// Writes of several threads that one batch takes to the log together.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include <mentedb/storage_engine.hpp>

#include "support/results.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using namespace std::chrono_literals;

MemoryNode node() { return MemoryNode::create(AgentId::nil(), MemoryType::Semantic, "text"); }

// What a member of the group planned before it failed is taken back, its counters too.
TEST(GroupCommitThreads, AWriteThatFailsLeavesNothingToItsNeighbours) {
  const test::TempDirectory directory;
  auto engine = test::must(StorageEngine::open(directory / "store"));
  std::vector<MemoryNode> too_many(4, node());
  for (MemoryNode& large : too_many) {
    large.id = node().id;
    large.attributes["x"] = Bytes(std::size_t{20} << 20);
  }
  std::atomic<bool> inside{false};
  std::atomic<int> begun{0};
  std::thread holder([&] {
    EXPECT_TRUE(test::ok(engine.transact([&](Transaction&) -> Result<void> {
      inside = true;
      while (begun < 3) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(1s);  // they encode, and queue
      return {};
    })));
  });
  while (!inside) std::this_thread::sleep_for(1ms);
  std::vector<std::thread> writers;
  for (int i = 0; i < 2; ++i) {
    writers.emplace_back([&] {
      ++begun;
      EXPECT_TRUE(test::ok(engine.store_memory(node())));
    });
  }
  writers.emplace_back([&] {
    ++begun;
    EXPECT_TRUE(test::is_error(engine.store_memories(too_many), ErrorCode::capacity_exceeded));
  });
  for (std::thread& writer : writers) writer.join();
  holder.join();
  EXPECT_EQ(test::must(engine.scan_all_memories()).size(), 2U);
  EXPECT_EQ(test::must(engine.stats()).memory_count, 2U);
  EXPECT_EQ(test::must(engine.stats()).used_pages, 2U);
  EXPECT_TRUE(test::must(engine.verify()).problems.empty());
}

}  // namespace
}  // namespace mentedb

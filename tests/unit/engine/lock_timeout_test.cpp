// lock_timeout between the threads of one engine: group commit queues them before any of them asks for the lock.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include <mentedb/storage_engine.hpp>

#include "support/results.hpp"
#include "support/sample_nodes.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using namespace std::chrono_literals;

MemoryNode node() { return MemoryNode::create(AgentId::nil(), MemoryType::Semantic, "text"); }

// A write behind a transaction of another thread waited as long as that took, whatever lock_timeout said.
TEST(LockTimeout, BoundsTheWaitBehindManyThreads) {
  const test::TempDirectory directory;
  Options options;
  options.lock_timeout = 100ms;
  auto engine = test::must(StorageEngine::open(directory / "store", options));
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::thread holder([&] {
    EXPECT_TRUE(test::ok(engine.transact([&](Transaction& tx) -> Result<void> {
      inside = true;
      while (!leave) std::this_thread::sleep_for(1ms);
      if (auto stored = tx.store(node()); !stored) return std::unexpected(stored.error());
      return {};
    })));
  });
  while (!inside) std::this_thread::sleep_for(1ms);
  std::vector<std::thread> writers;
  for (int i = 0; i < 3; ++i) {
    writers.emplace_back(
        [&] { EXPECT_TRUE(test::is_error(engine.store_memory(node()), ErrorCode::busy, "lock_timeout")); });
  }
  for (std::thread& writer : writers) writer.join();
  leave = true;
  holder.join();
  EXPECT_TRUE(test::ok(engine.store_memory(node())));
  EXPECT_EQ(test::must(engine.scan_all_memories()).size(), 2U) << "what was refused is not there";
}

}  // namespace
}  // namespace mentedb

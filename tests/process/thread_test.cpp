// Threads of one process, on one engine and on two engines of one directory: I1, I4, I6. These run under the thread
// sanitizer, too: --gtest_filter='Threads.*'.
#include <atomic>
#include <functional>
#include <thread>

#include "process/process_test.hpp"

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Threads : public testing::Test {
 protected:
  StorageEngine open(const Options& options = {}) {
    auto engine = StorageEngine::open(store_, options);
    EXPECT_TRUE(ok(engine));
    return std::move(*engine);
  }

  const ScratchDirectory scratch_;
  const std::filesystem::path store_ = scratch_ / "store";
};

void run_all(const std::vector<std::function<void()>>& bodies) {
  std::vector<std::thread> threads;
  for (const auto& body : bodies) threads.emplace_back(body);
  for (std::thread& thread : threads) thread.join();
}

constexpr std::uint64_t kThreads = 6;
constexpr std::uint32_t kRounds = 25;

// Each thread owns one memory and reads back what it wrote; readers watch all of them.
void write_and_watch(std::vector<StorageEngine*> engines) {
  std::vector<std::function<void()>> bodies;
  std::atomic<std::uint64_t> writing{kThreads};
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    bodies.emplace_back([&, i] {
      StorageEngine& engine = *engines[i % engines.size()];
      StorageEngine& other = *engines[(i + 1) % engines.size()];
      for (std::uint32_t version = 1; version <= kRounds; ++version) {
        EXPECT_TRUE(ok(engine.store_memory(versioned_memory(1 + i, version))));
        EXPECT_EQ(version_in(other, 1 + i), version) << "I4";
        const std::vector pair{versioned_memory(100 + 2 * i, version), versioned_memory(101 + 2 * i, version)};
        EXPECT_TRUE(ok(engine.store_memories(pair)));
        EXPECT_TRUE(ok(engine.transact([&](Transaction& tx) -> Result<void> {
          auto node = tx.load(memory_id(200));
          const std::uint32_t last = node ? version_of(*node) : 0;
          const auto stored = tx.store(versioned_memory(200, last + 1));
          return stored ? Result<void>{} : std::unexpected(stored.error());
        })));
        if (version % 8 == 0) {
          EXPECT_TRUE(ok(engine.checkpoint()));
        }
        if (version % 5 == 0) {
          EXPECT_TRUE(ok(engine.delete_memory(memory_id(1 + i))));
          EXPECT_EQ(version_in(other, 1 + i), 0U) << "I4";
        }
      }
      --writing;
    });
  }
  for (std::size_t reader = 0; reader < 2; ++reader) {
    bodies.emplace_back([&, reader] {
      const StorageEngine& engine = *engines[reader % engines.size()];
      std::vector<std::uint32_t> seen(kThreads + 1);
      Lsn cursor;
      while (writing > 0) {
        for (std::uint64_t key = 1; key <= kThreads; ++key) {
          const std::uint32_t version = version_in(engine, key);
          if (version == 0) continue;
          EXPECT_GE(version, seen[key]) << "I3";
          seen[key] = version;
        }
        EXPECT_TRUE(ok(engine.scan_all_memories()));
        const auto committed = engine.wait_for_change(cursor, milliseconds(5));
        ASSERT_TRUE(ok(committed));
        EXPECT_GE(*committed, cursor);
        cursor = *committed;
        EXPECT_TRUE(ok(engine.stats()));
      }
    });
  }
  run_all(bodies);
  for (StorageEngine* const engine : engines) {
    EXPECT_EQ(version_in(*engine, 200), kThreads * kRounds) << "I6: an increment was lost";
    for (std::uint64_t i = 0; i < kThreads; ++i) {
      EXPECT_EQ(version_in(*engine, 1 + i), kRounds % 5 == 0 ? 0 : kRounds);
      EXPECT_EQ(version_in(*engine, 100 + 2 * i), kRounds);
      EXPECT_EQ(version_in(*engine, 101 + 2 * i), kRounds);
    }
    expect_healthy(*engine);
  }
}

TEST_F(Threads, OnOneEngine) {
  StorageEngine engine = open({.wal_limit_bytes = 256 << 10});
  write_and_watch({&engine});
}

TEST_F(Threads, OnTwoEnginesOfOneDirectory) {
  StorageEngine one = open({.wal_limit_bytes = 256 << 10});
  StorageEngine two = open({.wal_limit_bytes = 128 << 10});
  write_and_watch({&one, &two});
}

// Threads that write at the same time share one sync.
TEST_F(Threads, CommitTogether) {
  StorageEngine engine = open();
  constexpr std::uint64_t kWriters = 16;
  constexpr std::uint64_t kEach = 20;
  const std::uint64_t before = engine.stats()->commits;
  std::vector<std::function<void()>> bodies;
  for (std::uint64_t i = 0; i < kWriters; ++i) {
    bodies.emplace_back([&, i] {
      for (std::uint64_t n = 0; n < kEach; ++n) {
        EXPECT_TRUE(ok(engine.store_memory(versioned_memory(1 + i * kEach + n, 1))));
      }
    });
  }
  run_all(bodies);
  const std::uint64_t commits = engine.stats()->commits - before;
  EXPECT_LT(commits, kWriters * kEach / 2) << "of " << kWriters * kEach << " writes";
  EXPECT_EQ(engine.stats()->memory_count, kWriters * kEach);
  expect_healthy(engine);
}

// One that fails in a group does not take the others with it.
TEST_F(Threads, AFailingWriteLeavesTheOthersOfItsGroupAlone) {
  StorageEngine engine = open();
  std::vector<std::function<void()>> bodies;
  for (std::uint64_t i = 0; i < 8; ++i) {
    bodies.emplace_back([&, i] {
      for (std::uint32_t n = 1; n <= 20; ++n) {
        if (i % 2 == 0) {
          EXPECT_TRUE(ok(engine.store_memory(versioned_memory(1 + i, n))));
        } else {
          EXPECT_TRUE(is_error(engine.update_memory(versioned_memory(500 + i, n)), ErrorCode::not_found));
          EXPECT_TRUE(is_error(engine.delete_memory(memory_id(500 + i)), ErrorCode::not_found));
        }
      }
    });
  }
  run_all(bodies);
  EXPECT_EQ(engine.stats()->memory_count, 4U);
  expect_healthy(engine);
}

// Whatever was acknowledged before close() is there; calls that come later answer `closed`.
TEST_F(Threads, CloseDuringCalls) {
  for (int round = 0; round < 5; ++round) {
    std::vector<std::uint32_t> acknowledged(4);
    {
      StorageEngine engine = open();
      std::atomic<int> started{0};
      std::vector<std::function<void()>> bodies;
      for (std::uint64_t i = 0; i < acknowledged.size(); ++i) {
        bodies.emplace_back([&, i] {
          const std::uint32_t first = static_cast<std::uint32_t>(round) * 10'000 + 1;
          for (std::uint32_t version = first;; ++version) {
            const auto stored = engine.store_memory(versioned_memory(1 + i, version));
            if (!stored) {
              EXPECT_TRUE(is_error(stored, ErrorCode::closed));
              return;
            }
            acknowledged[i] = version;
            if (version == first) ++started;
          }
        });
      }
      bodies.emplace_back([&] {
        for (;;) {
          const auto all = engine.for_each_memory([](const MemoryNode& node, PageId) {
            EXPECT_EQ(what_is_wrong(node), "");
            return true;
          });
          if (all) continue;
          EXPECT_TRUE(is_error(all, ErrorCode::closed));
          return;
        }
      });
      bodies.emplace_back([&] {
        while (started < 4) std::this_thread::yield();
        EXPECT_TRUE(ok(engine.close()));
        EXPECT_TRUE(is_error(engine.load_memory(memory_id(1)), ErrorCode::closed));
        EXPECT_TRUE(ok(engine.close())) << "idempotent";
      });
      run_all(bodies);
    }
    const StorageEngine again = open();
    for (std::uint64_t i = 0; i < acknowledged.size(); ++i)
      EXPECT_EQ(version_in(again, 1 + i), acknowledged[i]) << "I1";
  }
}

// Somebody who waits for news does not keep close() waiting.
TEST_F(Threads, CloseEndsWaitForChange) {
  StorageEngine engine = open();
  std::atomic<bool> waiting{false};
  std::thread waiter([&] {
    waiting = true;
    static_cast<void>(engine.wait_for_change(engine.committed_lsn(), milliseconds(4'000)));
  });
  while (!waiting) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(50));  // into the wait; when it is late, there is nothing to test
  const auto begin = steady_clock::now();
  EXPECT_TRUE(ok(engine.close()));
  EXPECT_LT(milliseconds_since(begin), milliseconds(1'500));
  waiter.join();
}

// Threads that read by id, while another engine, which stands for another process, rebuilds the id index all the time.
// Each of them moves on to the new table, and gives the old one back when the others have left it. An engine that may
// not write does the same. (A data race on the table was found this way.)
TEST_F(Threads, ReadWhileAnotherEngineRebuildsTheIdIndex) {
  constexpr std::uint64_t kMemories = 50;
  constexpr int kRebuilds = 60;
  StorageEngine writer = open();
  for (std::uint64_t i = 0; i < kMemories; ++i) ASSERT_TRUE(ok(writer.store_memory(versioned_memory(i, 1))));
  StorageEngine reader = open();
  Options read_only;
  read_only.read_only = true;
  StorageEngine looker = open(read_only);
  std::atomic<bool> rebuilding{true};
  std::vector<std::function<void()>> bodies;
  for (int i = 0; i < 3; ++i) {
    for (StorageEngine* const engine : {&reader, &looker}) {
      bodies.emplace_back([&rebuilding, engine] {
        for (std::uint64_t n = 0; rebuilding; n = (n + 1) % kMemories) {
          EXPECT_NE(version_in(*engine, n), 0U) << "an id that is there is found, whichever table is current";
        }
      });
    }
  }
  bodies.emplace_back([&] {
    for (std::uint32_t i = 0; i < kRebuilds; ++i) {
      EXPECT_TRUE(ok(writer.recover()));
      EXPECT_TRUE(ok(writer.store_memory(versioned_memory(i % kMemories, 2 + i))));
    }
    rebuilding = false;
  });
  run_all(bodies);
  EXPECT_GE(reader.stats()->index_number, static_cast<std::uint64_t>(kRebuilds));
}

// Many engines come and go while others of the same process work.
TEST_F(Threads, OpenAndCloseAllTheTime) {
  StorageEngine keeper = open();
  ASSERT_TRUE(ok(keeper.store_memory(versioned_memory(1, 1))));
  std::vector<std::function<void()>> bodies;
  for (std::uint64_t i = 0; i < 4; ++i) {
    bodies.emplace_back([&, i] {
      for (std::uint32_t n = 1; n <= 10; ++n) {
        auto engine = StorageEngine::open(store_);
        ASSERT_TRUE(ok(engine));
        EXPECT_EQ(version_in(*engine, 1), 1U);
        EXPECT_TRUE(ok(engine->store_memory(versioned_memory(10 + i, n))));
        EXPECT_EQ(version_in(keeper, 10 + i), n);
      }
    });
  }
  run_all(bodies);
  EXPECT_EQ(keeper.stats()->memory_count, 5U);
  expect_healthy(keeper);
}

}  // namespace
}  // namespace mentedb::test

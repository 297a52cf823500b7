// committed_lsn, changes_since, wait_for_change: how caches above the engine learn what others did.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "engine/wake_pause.hpp"
#include "support/store_fixture.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using std::chrono::milliseconds;
using test::is_error;
using test::memory;
using test::memory_id;
using test::must;

class ChangesTest : public test::StoreFixture {
 protected:
  StorageEngine engine = open();
};

TEST_F(ChangesTest, TellWhatHappenedToEachMemory) {
  must(engine.store_memory(memory(1)));
  must(engine.store_memory(memory(2)));
  must(engine.store_memory(memory(3)));
  const Lsn start = engine.committed_lsn();
  must(engine.update_memory(memory(2, "new")));
  must(engine.delete_memory(memory_id(3)));
  must(engine.store_memory(memory(4)));
  const auto changes = must(engine.changes_since(start));
  EXPECT_EQ(changes.cursor, engine.committed_lsn());
  ASSERT_EQ(changes.changes.size(), 3U);
  EXPECT_EQ(changes.changes[0].id, memory_id(2));
  EXPECT_EQ(changes.changes[0].kind, ChangeKind::updated);
  EXPECT_EQ(changes.changes[0].page, must(engine.find(memory_id(2))));
  EXPECT_EQ(changes.changes[1].id, memory_id(3));
  EXPECT_EQ(changes.changes[1].kind, ChangeKind::deleted);
  EXPECT_EQ(changes.changes[1].page, PageId{0});
  EXPECT_EQ(changes.changes[2].id, memory_id(4));
  EXPECT_EQ(changes.changes[2].kind, ChangeKind::stored);
  EXPECT_TRUE(std::ranges::is_sorted(changes.changes, {}, &Change::lsn));
  for (const Change& change : changes.changes) {
    EXPECT_GT(change.lsn, start);
    EXPECT_LE(change.lsn, changes.cursor);
  }
  EXPECT_TRUE(must(engine.changes_since(changes.cursor)).changes.empty());
  EXPECT_EQ(must(engine.changes_since(Lsn{0})).changes.size(), 4U);
}

TEST_F(ChangesTest, OnlyTheNewestChangeOfAMemoryCounts) {
  must(engine.store_memory(memory(1)));
  must(engine.update_memory(memory(1, "b")));
  must(engine.delete_memory(memory_id(1)));
  must(engine.store_memory(memory(1, "c")));
  const auto changes = must(engine.changes_since(Lsn{0})).changes;
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, ChangeKind::stored);
  EXPECT_EQ(changes[0].lsn, engine.committed_lsn());
}

TEST_F(ChangesTest, RawPagesAreNoChangesOfMemories) {
  const PageId page = must(engine.allocate_page());
  must(engine.free_page(page));
  EXPECT_TRUE(must(engine.changes_since(Lsn{0})).changes.empty());
  EXPECT_EQ(must(engine.changes_since(Lsn{0})).cursor, engine.committed_lsn());
}

TEST_F(ChangesTest, AFollowerThatAppliesChangesHasTheSameMemories) {
  // Sequential use: each change exactly once, and nothing missed. A cursor that became too old says so.
  auto follower = open();
  std::mt19937_64 random(5);
  std::map<MemoryId, PageId> copy;
  Lsn cursor{0};
  int resyncs = 0;
  for (int round = 0; round < 400; ++round) {
    for (std::uint64_t n = 1 + random() % 3; n-- > 0;) {
      const std::uint64_t number = random() % 30;
      if (random() % 3 == 0) {
        static_cast<void>(!engine.delete_memory(memory_id(number)));
      } else {
        must(engine.store_memory(memory(number, std::string(random() % 3000, 'x'))));
      }
    }
    const auto changes = follower.changes_since(cursor);
    if (!changes) {
      ASSERT_EQ(changes.error().code, ErrorCode::resync_required);
      ++resyncs;
      cursor = follower.committed_lsn();
      const auto all = must(follower.scan_all_memories());
      copy = {all.begin(), all.end()};
    } else {
      ASSERT_EQ(changes->cursor, follower.committed_lsn());
      for (const Change& change : changes->changes) {
        ASSERT_GT(change.lsn, cursor);
        if (change.kind == ChangeKind::deleted) {
          copy.erase(change.id);
        } else {
          copy[change.id] = change.page;
        }
      }
      cursor = changes->cursor;
    }
    const auto all = must(engine.scan_all_memories());
    ASSERT_EQ(copy, (std::map<MemoryId, PageId>(all.begin(), all.end()))) << "round " << round;
  }
  EXPECT_LT(resyncs, 400);
}

TEST_F(ChangesTest, ADeletionThatIsNoLongerOnRecordAsksForAResync) {
  must(engine.store_memory(memory(1)));
  const Lsn old = engine.committed_lsn();
  must(engine.delete_memory(memory_id(1)));
  const Lsn after = engine.committed_lsn();
  EXPECT_EQ(must(engine.changes_since(old)).changes.size(), 1U);
  // The freed page is used again: the record of the deletion is gone.
  for (std::uint64_t i = 2; entry(PageId{1})->type == format::EntryType::deleted; ++i) {
    ASSERT_LT(i, 500U);
    must(engine.store_memory(memory(i)));
  }
  EXPECT_TRUE(is_error(engine.changes_since(old), ErrorCode::resync_required, "read everything again"));
  EXPECT_TRUE(is_error(open().changes_since(old), ErrorCode::resync_required));
  EXPECT_TRUE(test::ok(engine.changes_since(after)));
  // The horizon survives a checkpoint and a power cut.
  must(engine.checkpoint());
  const auto cut = disk.after_power_cut(mentedb::test::Fate::nothing_kept());
  mentedb::test::SimVfs rebooted(*cut);
  auto recovered = must(EngineAccess::open(rebooted, kDirectory, {}));
  EXPECT_TRUE(is_error(recovered.changes_since(old), ErrorCode::resync_required));
  EXPECT_TRUE(test::ok(recovered.changes_since(after)));
}

TEST_F(ChangesTest, CursorsOfAnotherLifeAskForAResync) {
  must(engine.store_memory(memory(1)));
  must(engine.backup("/copy"));
  const Lsn at_backup = engine.committed_lsn();
  must(engine.store_memory(memory(2)));
  const Lsn later = engine.committed_lsn();
  EXPECT_TRUE(is_error(engine.changes_since(Lsn{later.value + 1}), ErrorCode::resync_required));
  auto copy = open({}, "/copy");
  EXPECT_TRUE(is_error(copy.changes_since(at_backup), ErrorCode::resync_required));
  EXPECT_TRUE(is_error(copy.changes_since(later), ErrorCode::resync_required));
  for (std::uint64_t i = 10; i < 20; ++i) must(copy.store_memory(memory(i)));
  EXPECT_TRUE(is_error(copy.changes_since(later), ErrorCode::resync_required));
  const Lsn own = copy.committed_lsn();
  must(copy.store_memory(memory(30)));
  EXPECT_EQ(must(copy.changes_since(own)).changes.size(), 1U);
}

TEST_F(ChangesTest, SurviveAPowerCut) {
  // The group's LSN mark lies in memory that a power cut may lose.
  must(engine.store_memory(memory(1)));
  must(engine.checkpoint());
  const Lsn cursor = engine.committed_lsn();
  must(engine.update_memory(memory(1, "two")));
  const auto cut = disk.after_power_cut(mentedb::test::Fate::nothing_kept());
  mentedb::test::SimVfs rebooted(*cut);
  auto recovered = must(EngineAccess::open(rebooted, kDirectory, {}));
  const auto changes = must(recovered.changes_since(cursor)).changes;
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, ChangeKind::updated);
}

class WaitTest : public ::testing::Test {
 protected:
  test::TempDirectory temp;
  StorageEngine engine = must(StorageEngine::open(temp / "store"));
};

TEST_F(WaitTest, ReturnsAtOnceWhenThereIsSomething) {
  must(engine.store_memory(memory(1)));
  EXPECT_EQ(must(engine.wait_for_change(Lsn{0}, milliseconds(10'000))), Lsn{1});
}

TEST_F(WaitTest, EndsAfterItsTimeout) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(must(engine.wait_for_change(engine.committed_lsn(), milliseconds(120))), Lsn{0});
  const auto waited = std::chrono::steady_clock::now() - start;
  EXPECT_GE(waited, milliseconds(119));
  EXPECT_EQ(must(engine.wait_for_change(Lsn{0}, milliseconds(0))), Lsn{0});
  EXPECT_EQ(must(engine.wait_for_change(Lsn{0}, milliseconds(-5))), Lsn{0});
}

// Above max()/1000 milliseconds the deadline overflowed: the call returned at once, and a loop around it was busy.
TEST_F(WaitTest, TimeoutsNearTheLargestWait) {
  for (const milliseconds timeout :
       {milliseconds::max() / 1'000 + milliseconds(1), milliseconds::max() - milliseconds(1)}) {
    const Lsn seen = engine.committed_lsn();
    std::thread writer([&] {
      std::this_thread::sleep_for(milliseconds(30));
      must(engine.store_memory(memory(1)));
    });
    EXPECT_GT(must(engine.wait_for_change(seen, timeout)), seen);
    writer.join();
  }
  EXPECT_EQ(must(engine.wait_for_change(Lsn{9}, milliseconds::min())), engine.committed_lsn());
}

TEST_F(WaitTest, IsWokenByAnotherEnginesCommit) {
  auto other = must(StorageEngine::open(temp / "store"));
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(30));
    must(other.store_memory(memory(1)));
  });
  const auto lsn = engine.wait_for_change(Lsn{0}, milliseconds::max());
  writer.join();
  EXPECT_EQ(must(Result<Lsn>(lsn)), Lsn{1});
  EXPECT_TRUE(engine.load_memory(memory_id(1)));
}

// Each commit woke every waiter, and each waiter announced itself again at once: 64 idle waiters took a writer from
// 3,979 to 1,679 stores a second. Now a waiter that was woken among others pauses. The bound on the wake-ups is
// generous, since the pause depends on how many waiters a commit found. Each waiter must still see the last commit.
TEST(WaitHerd, ManyWaitersAreWokenSeldomAndMissNothing) {
  constexpr std::uint64_t kStores = 300;
  const test::TempDirectory temp;
  std::vector<StorageEngine> engines;
  for (int i = 0; i < 4; ++i) engines.push_back(must(StorageEngine::open(temp / "store")));
  std::atomic<std::uint64_t> wakes{0};
  std::vector<std::thread> waiters;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 64; ++i) {
    waiters.emplace_back([&wakes, &engine = engines[static_cast<std::size_t>(i) % engines.size()]] {
      for (Lsn seen{0}; seen.value < kStores; ++wakes) seen = must(engine.wait_for_change(seen, milliseconds::max()));
    });
  }
  StorageEngine writer = must(StorageEngine::open(temp / "store"));
  for (std::uint64_t i = 1; i <= kStores; ++i) must(writer.store_memory(memory(i)));
  const auto stored = std::chrono::steady_clock::now();
  for (std::thread& waiter : waiters) waiter.join();
  const auto end = std::chrono::steady_clock::now();
  EXPECT_LT(end - stored, std::chrono::seconds(2));
  const auto elapsed_ms = std::chrono::duration_cast<milliseconds>(end - begin).count();
  EXPECT_LE(wakes, 64 * (static_cast<std::uint64_t>(elapsed_ms) / 3 + 10));
}

TEST(WaitHerd, ThePauseGrowsWithTheWaitersAndALoneWaiterHasNone) {
  using std::chrono::microseconds;
  engine::WakePause pause;
  const microseconds now = std::chrono::hours(1);
  EXPECT_EQ(pause.left(now, 64), microseconds(0)) << "no commit has woken it yet";
  pause.woken(now);
  EXPECT_EQ(pause.left(now, 0), microseconds(0));
  EXPECT_EQ(pause.left(now, 1), microseconds(0));
  EXPECT_EQ(pause.left(now, 64), microseconds(63 * 600));
  EXPECT_EQ(pause.left(now + milliseconds(37), 64), microseconds(800));
  EXPECT_EQ(pause.left(now + milliseconds(38), 64), microseconds(0));
  EXPECT_LT(pause.left(now, ~std::uint64_t{0}), milliseconds(200)) << "the word is on disk, so it may hold anything";
  EXPECT_LE(pause.left(now - std::chrono::minutes(1), 64), microseconds(63 * 600));
}

}  // namespace
}  // namespace mentedb

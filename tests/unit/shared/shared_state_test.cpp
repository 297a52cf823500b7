#include "shared/shared_state.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "support/pages_fixture.hpp"

namespace mentedb::shared {
namespace {

class SharedStateTest : public test::PagesFixture {
 protected:
  static wal::Tail sample() {
    wal::Tail tail;
    tail.epoch = 1;
    tail.offset = 12'288;
    tail.next_lsn = 3;
    tail.previous_checksum = 4;
    tail.counters = {.page_count = 8, .high_water = 7, .used_pages = 6, .memory_count = 5, .reuse_horizon = 9};
    return tail;
  }
};

TEST_F(SharedStateTest, ZerosHoldNoCachedTail) { EXPECT_EQ(words.cached_tail(), std::nullopt); }

TEST_F(SharedStateTest, ACachedTailIsValidUntilItIsInvalidated) {
  words.publish_cached_tail(sample());
  EXPECT_EQ(words.cached_tail(), sample());
  words.invalidate_cached_tail();
  EXPECT_EQ(words.cached_tail(), std::nullopt);
}

TEST_F(SharedStateTest, AnInvalidatedTailIsInDoubtUntilItIsForgotten) {
  EXPECT_EQ(words.doubtful_tail(), std::nullopt);
  words.invalidate_cached_tail();  // there is none
  EXPECT_EQ(words.doubtful_tail(), std::nullopt);
  words.publish_cached_tail(sample());
  EXPECT_EQ(words.doubtful_tail(), std::nullopt);
  words.invalidate_cached_tail();
  words.invalidate_cached_tail();
  EXPECT_EQ(words.cached_tail(), std::nullopt);
  EXPECT_EQ(words.doubtful_tail(), sample());
  words.forget_cached_tail();
  words.invalidate_cached_tail();
  EXPECT_EQ(words.cached_tail(), std::nullopt);
  EXPECT_EQ(words.doubtful_tail(), std::nullopt);
}

TEST_F(SharedStateTest, EveryBitOfTheCachedTailIsCovered) {
  words.publish_cached_tail(sample());
  const auto content = disk.content(kPath);
  for (std::size_t bit = 0; bit < 8 * 80; ++bit) {  // check word and nine words
    const std::uint64_t at = format::kSharedStateOffset + bit / 8;
    const std::byte flipped = content[at] ^ (std::byte{1} << (bit % 8));
    disk.damage(kPath, at, {&flipped, 1});
    EXPECT_EQ(words.cached_tail(), std::nullopt) << bit;
    EXPECT_EQ(words.doubtful_tail(), std::nullopt) << bit;
    disk.damage(kPath, at, std::span(content).subspan(at, 1));
  }
  EXPECT_EQ(words.cached_tail(), sample());
}

TEST_F(SharedStateTest, ACachedTailOfAnotherStoreIsNone) {
  words.publish_cached_tail(sample());
  const SharedState other(test::must(file->map(format::kSharedStateOffset, base::kBlockBytes, false)), kSeed + 1);
  EXPECT_EQ(other.cached_tail(), std::nullopt);
}

// Its check proves that it came from a writer of this store, not that it makes sense: a commit that follows it would
// write to that offset (I10).
TEST_F(SharedStateTest, ACachedTailThatIsImpossibleIsNone) {
  const std::function<void(wal::Tail&)> breaks[] = {
      [](wal::Tail& t) { t.epoch = 0; },
      [](wal::Tail& t) { t.offset = 4'096; },
      [](wal::Tail& t) { t.offset = 8'193; },
      [](wal::Tail& t) { t.next_lsn = 0; },
      // Sums with these would overflow.
      [](wal::Tail& t) { t.epoch = UINT64_MAX; },
      [](wal::Tail& t) { t.offset = UINT64_MAX - 4'095; },
      [](wal::Tail& t) { t.next_lsn = UINT64_MAX; },
      [](wal::Tail& t) { t.counters.page_count = format::kMaxPageCount + 1; },
      [](wal::Tail& t) { t.counters.high_water = t.counters.page_count + 1; },
      [](wal::Tail& t) { t.counters.used_pages = t.counters.high_water + 1; },
      [](wal::Tail& t) { t.counters.memory_count = t.counters.used_pages + 1; },
  };
  for (const auto& damage : breaks) {
    wal::Tail tail = sample();
    damage(tail);
    words.publish_cached_tail(tail);
    EXPECT_EQ(words.cached_tail(), std::nullopt);
  }
}

TEST_F(SharedStateTest, AHalfPublishedCachedTailIsNone) {
  // R9: a kill between two words of it must not let an LSN be used twice.
  words.publish_cached_tail(sample());
  wal::Tail next = sample();
  next.offset = 20'480;
  next.next_lsn = 30;
  for (int stores = 0; stores < 10; ++stores) {
    words.publish_cached_tail(sample());
    words.invalidate_cached_tail();
    mentedb::test::SimVfs writer(disk);
    {
      const auto other_directory = test::must(writer.open_directory("/db", false));
      const auto other_file = test::must(other_directory->open("pages.db", vfs::OpenMode::read_write, false));
      SharedState dying(test::must(other_file->map(format::kSharedStateOffset, base::kBlockBytes, true)), kSeed);
      int seen = 0;
      disk.set_hook([&](const mentedb::test::Step& step) {
        if (step.kind != mentedb::test::StepKind::store || seen++ < stores) return mentedb::test::StepAction::proceed();
        return mentedb::test::StepAction::kill();
      });
      EXPECT_THROW(dying.publish_cached_tail(next), mentedb::test::ProcessKilled);
      disk.set_hook({});
    }
    EXPECT_EQ(words.cached_tail(), std::nullopt) << "killed before store " << stores;
    // Before the second store it is still the old one that is in doubt: both have the same epoch.
    EXPECT_EQ(words.doubtful_tail().has_value(), stores <= 1) << "killed before store " << stores;
  }
  words.publish_cached_tail(next);
  EXPECT_EQ(words.cached_tail(), next);
}

TEST_F(SharedStateTest, MarksOnlyRise) {
  words.raise_reuse_horizon(10);
  words.raise_reuse_horizon(5);
  EXPECT_EQ(words.reuse_horizon(), 10U);
  EXPECT_EQ(words.poison_generation(), 0U);
  words.raise_poison_generation();
  EXPECT_EQ(words.poison_generation(), 1U);
}

TEST_F(SharedStateTest, WordsDoNotOverlap) {
  words.publish_cached_tail(sample());
  words.publish_committed_lsn(101);
  words.publish_index_number(102);
  words.publish_page_count(103);
  words.raise_reuse_horizon(104);
  words.raise_poison_generation();
  words.set_sync_pending(true);
  words.announce_lock_waiter();
  EXPECT_TRUE(words.publish_release());
  EXPECT_FALSE(words.publish_release());  // nobody waits any more
  EXPECT_EQ(words.cached_tail(), sample());
  EXPECT_EQ(words.committed_lsn(), 101U);
  EXPECT_EQ(words.index_number(), 102U);
  EXPECT_EQ(words.page_count(), 103U);
  EXPECT_EQ(words.reuse_horizon(), 104U);
  EXPECT_EQ(words.poison_generation(), 1U);
  EXPECT_TRUE(words.sync_pending());
  EXPECT_EQ(words.released_count(), 1U);
  EXPECT_EQ(words.self_test_word(), 0U);
}

TEST_F(SharedStateTest, AFloorHoldsForAnEngineThatMayNotWrite) {
  words.advance_minimum(50, 60, 70);
  EXPECT_EQ(words.committed_lsn(), 50U);
  EXPECT_EQ(words.page_count(), 60U);
  EXPECT_EQ(words.reuse_horizon(), 70U);
  words.publish_committed_lsn(51);
  words.publish_page_count(61);
  words.raise_reuse_horizon(71);
  EXPECT_EQ(words.committed_lsn(), 51U);
  EXPECT_EQ(words.page_count(), 61U);
  EXPECT_EQ(words.reuse_horizon(), 71U);
}

TEST_F(SharedStateTest, WhoWaitsIsWoken) {
  // Without it a waiter sleeps its slice to the end: slower, and nothing else tells.
  std::vector<std::uint64_t> woken;
  disk.set_hook([&](const mentedb::test::Step& step) {
    if (step.kind == mentedb::test::StepKind::wake) woken.push_back(step.offset);
    return mentedb::test::StepAction::proceed();
  });
  words.publish_committed_lsn(1);
  EXPECT_FALSE(words.publish_release());
  EXPECT_TRUE(woken.empty()) << "nobody waits";
  words.wait_for_commit(1, std::chrono::microseconds(0), true);
  words.publish_committed_lsn(2);
  EXPECT_EQ(woken.size(), 1U);
  words.announce_lock_waiter();
  EXPECT_TRUE(words.publish_release());
  EXPECT_EQ(woken.size(), 2U);
  disk.set_hook({});
}

TEST_F(SharedStateTest, WhoMissedACommitDoesNotWait) {
  words.publish_committed_lsn(5);
  const auto before = vfs.now();
  words.wait_for_commit(4, std::chrono::seconds(10), true);
  EXPECT_LT(vfs.now() - before, std::chrono::seconds(1));
}

}  // namespace
}  // namespace mentedb::shared

// I4: what one process has committed, another one sees at its very next call.
#include <algorithm>
#include <thread>

#include "process/process_test.hpp"

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Visibility : public testing::Test {
 protected:
  const ScratchDirectory scratch_;
  const std::filesystem::path store_ = scratch_ / "store";
};

// Two processes take turns over a pipe: each reads what the other has just written, updated or deleted, with every
// kind of read, and answers with a change of its own.
TEST_F(Visibility, PingPong) {
  const std::uint64_t rounds = number_from_environment("MENTEDB_ROUNDS", 700);
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  ActorProcess other = serving_actor(store_, "limit 65536");
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const std::uint64_t key = 1 + round % 20;
    const std::string words = std::to_string(key) + " " + std::to_string(round);
    const bool was_there = version_in(*engine, key) != 0;
    ASSERT_TRUE(other.ask((was_there ? "update " : "store ") + words).starts_with("ok"));
    ASSERT_EQ(version_in(*engine, key), round);
    const auto page = engine->find(memory_id(key));
    ASSERT_TRUE(ok(page));
    const auto by_page = engine->load_memory(*page);
    ASSERT_TRUE(ok(by_page));
    ASSERT_EQ(version_of(*by_page), round);
    const Lsn cursor = engine->committed_lsn();
    if (round % 3 == 0) {
      ASSERT_TRUE(ok(engine->delete_memory(memory_id(key))));
      ASSERT_TRUE(other.ask("load " + std::to_string(key)).starts_with("error not_found"));
      ASSERT_TRUE(other.ask("find " + std::to_string(key)).starts_with("error not_found"));
      ASSERT_TRUE(other.ask("page " + std::to_string(page->value)).starts_with("error not_found"));
    } else {
      const auto moved = engine->update_memory(versioned_memory(key, round + 100'000));
      ASSERT_TRUE(ok(moved));
      ASSERT_EQ(other.ask("load " + std::to_string(key)), "version " + std::to_string(round + 100'000));
      ASSERT_EQ(other.ask("page " + std::to_string(moved->value)), "version " + std::to_string(round + 100'000));
    }
    const std::string now = std::to_string(engine->committed_lsn().value);
    ASSERT_EQ(other.ask("lsn"), "lsn " + now);
    ASSERT_EQ(other.ask("changes " + std::to_string(cursor.value)), "changes 1 " + now);
    if (round % 50 == 0) {
      const auto all = engine->scan_all_memories();
      ASSERT_TRUE(ok(all));
      ASSERT_EQ(other.ask("count"), "count " + std::to_string(all->size()));
    }
  }
}

TEST_F(Visibility, WaitForChangeWakesInAnotherProcess) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  ActorProcess waiter = serving_actor(store_);
  std::vector<milliseconds> times;
  for (std::uint32_t round = 1; round <= 15; ++round) {
    const std::uint64_t before = engine->committed_lsn().value;
    waiter.send("wait " + std::to_string(before) + " 10000");
    // The waiter shall sleep when the commit comes; whether it does is not what is tested.
    std::this_thread::sleep_for(milliseconds(3));
    ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, round))));
    const auto committed = steady_clock::now();
    const auto answer = waiter.receive();
    times.push_back(milliseconds_since(committed));
    ASSERT_TRUE(answer && answer->starts_with("lsn "));
    EXPECT_GT(std::stoull(answer->substr(4)), before);
  }
  std::ranges::sort(times);
  EXPECT_LT(times[times.size() / 2], milliseconds(50)) << "slower than the slices that are there for dead writers";
}

TEST_F(Visibility, WaitForChangeEndsInTimeWhenTheWriterIsKilled) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  ActorProcess writer = serving_actor(store_);
  ActorProcess waiter = serving_actor(store_);
  writer.send("hold 1 1");
  ASSERT_EQ(writer.receive(), "held");
  const std::uint64_t before = engine->committed_lsn().value;
  waiter.send("wait " + std::to_string(before) + " 300");
  writer.kill();
  const auto begin = steady_clock::now();
  EXPECT_EQ(waiter.receive(), "lsn " + std::to_string(before));
  EXPECT_LT(milliseconds_since(begin), milliseconds(2'000));
  EXPECT_EQ(version_in(*engine, 1), 0U);
}

TEST_F(Visibility, WaitForChangeAnswersAtOnceWhenSomethingHasHappened) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
  const auto lsn = engine->wait_for_change(Lsn{0}, milliseconds(60'000));
  ASSERT_TRUE(ok(lsn));
  EXPECT_EQ(*lsn, engine->committed_lsn());
}

}  // namespace
}  // namespace mentedb::test

// Many processes on one directory while SIGKILL falls at random: I1, I2, I3, I4, I6, I9 and R2, R3, R5.
#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include <sys/wait.h>

#include "process/key_plan.hpp"
#include "process/process_test.hpp"

namespace mentedb::test {
namespace {

// One operation on a memory as its writer told it.
struct Told {
  std::uint32_t version = 0;
  bool deleted = false;
  bool acknowledged = false;
};

struct History {
  std::map<std::uint64_t, std::vector<Told>> of_key;
  std::set<std::uint32_t> shared_acknowledged;
  std::uint32_t shared_attempted = 0;
  std::uint64_t acknowledged = 0;
};

// The tries and acknowledgements of one writer slot, in order.
void read_history(const std::filesystem::path& file, History& history) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string what;
    std::string kind;
    std::uint64_t key = 0;
    std::uint32_t version = 0;
    words >> what >> key >> version >> kind;
    if (what == "try" && key == kSharedKey) {
      history.shared_attempted = std::max(history.shared_attempted, version);
    } else if (what == "try") {
      const Told told{.version = version, .deleted = kind == "del"};
      history.of_key[key].push_back(told);
      if (kind == "pair") history.of_key[key + 1].push_back(told);
    } else if (what == "ack") {
      ++history.acknowledged;
      if (key == kSharedKey) {
        EXPECT_TRUE(history.shared_acknowledged.insert(version).second)
            << "I6: version " << version << " of the shared pair was acknowledged twice";
        continue;
      }
      history.of_key[key].back().acknowledged = true;
      if (kind == "pair") history.of_key[key + 1].back().acknowledged = true;
    }
  }
}

// I1: what is there is the last acknowledged operation or one that was tried after it.
void expect_explained(std::uint64_t key, const std::vector<Told>& told, std::uint32_t now) {
  std::string allowed;
  for (auto operation = told.rbegin(); operation != told.rend(); ++operation) {
    const std::uint32_t version = operation->deleted ? 0 : operation->version;
    if (version == now) return;
    allowed += " " + std::to_string(version);
    if (operation->acknowledged) break;
  }
  const bool never_acknowledged =
      std::ranges::none_of(told, [](const Told& operation) { return operation.acknowledged; });
  if (never_acknowledged && now == (key <= kPermanentKeys || key >= pair_key(0) ? 1U : 0U)) return;
  ADD_FAILURE() << "I1: memory " << key << " is at version " << now << " (0: none), explained would be" << allowed;
}

class Storm {
 public:
  Storm(const std::filesystem::path& scratch, std::uint64_t seed) : scratch_(scratch), random_(seed) {
    std::filesystem::create_directory(scratch_ / "out");
    for (std::uint64_t slot = 0; slot < kWriterSlots; ++slot) {
      add("writer-" + std::to_string(slot), [slot](std::uint64_t start) {
        return std::vector<std::string>{"writer", std::to_string(slot), std::to_string(start)};
      });
    }
    for (const char* const role : {"reader", "reader", "follower", "keeper", "opener", "opener"}) {
      const std::string name = role;
      add(name + "-" + std::to_string(actors_.size()), [this, name](std::uint64_t) {
        return std::vector<std::string>{name, std::to_string(random_() % 1'000'000)};
      });
    }
    add("backup-0", [this](std::uint64_t) { return std::vector<std::string>{"backup", (scratch_ / "copy").string()}; });
  }

  std::filesystem::path store() const { return scratch_ / "store"; }
  std::filesystem::path output(std::size_t i) const { return scratch_ / "out" / actors_[i].name; }
  std::size_t actor_count() const { return actors_.size(); }
  const std::string& name(std::size_t i) const { return actors_[i].name; }

  void start_all() {
    for (std::size_t i = 0; i < actors_.size(); ++i) start(i);
  }

  // Kills one actor after it got a random bit further since its start, and puts another in its place.
  bool kill_one() {
    // Writers are the interesting ones.
    const std::size_t victim = random_() % 3 != 0 ? random_() % kWriterSlots : random_() % actors_.size();
    const std::uint64_t lines = random_() % 30;
    if (!wait_for_progress(victim, lines * (victim < kWriterSlots ? 15 : 2))) return false;
    const auto instant = std::chrono::steady_clock::now() + std::chrono::microseconds(random_() % 3'000);
    while (std::chrono::steady_clock::now() < instant) {
    }
    actors_[victim].process->kill();
    start(victim);
    return true;
  }

  // Writers first, so that a follower can compare at the end.
  void end_all() {
    for (std::size_t i = 0; i < actors_.size(); ++i) wait_for_progress(i, 1);  // SIGTERM is listened to by now
    for (const bool writers : {true, false}) {
      for (std::size_t i = 0; i < actors_.size(); ++i) {
        if ((i < kWriterSlots) == writers) actors_[i].process->signal(SIGTERM);
      }
      for (std::size_t i = 0; i < actors_.size(); ++i) {
        if ((i < kWriterSlots) != writers) continue;
        const int status = actors_[i].process->wait();
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << name(i) << ": " << describe_status(status);
      }
    }
  }

 private:
  struct Actor {
    std::string name;
    std::function<std::vector<std::string>(std::uint64_t)> role;
    std::uint64_t starts = 0;
    std::uintmax_t bytes_at_start = 0;
    std::optional<ActorProcess> process;
  };

  void add(const std::string& name, std::function<std::vector<std::string>(std::uint64_t)> role) {
    actors_.push_back({.name = name, .role = std::move(role), .process = std::nullopt});
  }

  void start(std::size_t i) {
    Actor& actor = actors_[i];
    std::error_code none_yet;
    const auto size = std::filesystem::file_size(output(i), none_yet);
    actor.bytes_at_start = none_yet ? 0 : size;
    actor.process.emplace(start_actor(store(), actor.role(++actor.starts), {.wrapper = {}, .output = output(i)}));
  }

  bool wait_for_progress(std::size_t i, std::uintmax_t bytes) {
    const auto begin = std::chrono::steady_clock::now();
    while (std::filesystem::file_size(output(i)) < actors_[i].bytes_at_start + bytes) {
      if (milliseconds_since(begin) > std::chrono::seconds(60)) {
        ADD_FAILURE() << name(i) << " makes no progress";
        return false;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
    return true;
  }

  std::filesystem::path scratch_;
  std::mt19937_64 random_;
  std::vector<Actor> actors_;
};

void create_store(const std::filesystem::path& directory) {
  auto engine = StorageEngine::open(directory);
  ASSERT_TRUE(ok(engine));
  std::vector<MemoryNode> nodes;
  for (std::uint64_t key = 1; key <= kPermanentKeys; ++key) nodes.push_back(versioned_memory(key, 1));
  for (std::uint64_t slot = 0; slot < kWriterSlots; ++slot) {
    for (std::uint64_t i = 0; i < 2; ++i) nodes.push_back(versioned_memory(pair_key(slot) + i, 1));
  }
  for (std::uint64_t i = 0; i < 2; ++i) nodes.push_back(versioned_memory(kSharedKey + i, 1));
  ASSERT_TRUE(ok(engine->store_memories(nodes)));
}

void expect_history(const StorageEngine& engine, const History& history) {
  expect_healthy(engine);
  for (const auto& [key, told] : history.of_key) expect_explained(key, told, version_in(engine, key));
  for (std::uint64_t key = 1; key <= kPermanentKeys; ++key) EXPECT_NE(version_in(engine, key), 0U);
  // I2: a batch is there as a whole or not at all.
  for (std::uint64_t slot = 0; slot < kWriterSlots; ++slot) {
    EXPECT_EQ(version_in(engine, pair_key(slot)), version_in(engine, pair_key(slot) + 1));
  }
  const std::uint32_t shared = version_in(engine, kSharedKey);
  EXPECT_EQ(shared, version_in(engine, kSharedKey + 1));
  EXPECT_LE(shared, history.shared_attempted);
  if (!history.shared_acknowledged.empty()) {
    EXPECT_GE(shared, *history.shared_acknowledged.rbegin());
  }
}

TEST(KillStorm, NothingAcknowledgedIsLostAndNoReaderGoesBack) {
  const std::uint64_t kills = number_from_environment("MENTEDB_KILLS", 60);
  const std::uint64_t seed = number_from_environment("MENTEDB_SEED", 20'240'611);
  SCOPED_TRACE("replay: MENTEDB_SEED=" + std::to_string(seed) + " MENTEDB_KILLS=" + std::to_string(kills) +
               " mentedb_process_tests --gtest_filter='KillStorm.*'");
  const ScratchDirectory scratch;
  Storm storm(scratch.path(), seed);
  ASSERT_NO_FATAL_FAILURE(create_store(storm.store()));
  auto witness = StorageEngine::open(storm.store());  // open all the time, as a live peer
  ASSERT_TRUE(ok(witness));
  storm.start_all();
  std::uint64_t killed = 0;
  while (killed < kills && storm.kill_one()) ++killed;
  storm.end_all();

  History history;
  for (std::size_t i = 0; i < storm.actor_count(); ++i) {
    if (i < kWriterSlots) read_history(storm.output(i), history);
    std::ifstream lines(storm.output(i));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("bad ")) ADD_FAILURE() << storm.name(i) << ": " << line;
    }
  }
  std::cout << "[ storm    ] seed " << seed << ", " << killed << " processes killed, " << history.acknowledged
            << " operations acknowledged\n";
  EXPECT_GT(history.acknowledged, kills);
  {
    SCOPED_TRACE("as the live peer sees it");
    expect_history(*witness, history);
  }
  {
    SCOPED_TRACE("as a new engine sees it");
    const auto fresh = StorageEngine::open(storm.store());
    ASSERT_TRUE(ok(fresh));
    expect_history(*fresh, history);
  }
  ASSERT_TRUE(ok(witness->close()));
  for (const auto& file : std::filesystem::directory_iterator(storm.store())) {
    if (file.path().extension() == ".idx") std::filesystem::remove(file.path());
  }
  SCOPED_TRACE("without an id index");
  auto rebuilt = StorageEngine::open(storm.store());
  ASSERT_TRUE(ok(rebuilt));
  EXPECT_EQ(rebuilt->recover().value_or(999), 0U);  // I9: open has done it all
  expect_history(*rebuilt, history);
}

}  // namespace
}  // namespace mentedb::test

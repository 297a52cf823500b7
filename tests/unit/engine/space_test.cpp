// What memories cost on the disk, on real data and over time.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include <sys/stat.h>

#include <mentedb/json.hpp>

#include "format/node_codec.hpp"
#include "support/store_fixture.hpp"
#include "support/temp_directory.hpp"
#include "support/test_data.hpp"

namespace mentedb {
namespace {

using test::memory;
using test::memory_id;
using test::must;

std::uint64_t disk_bytes(const std::filesystem::path& path) {
  struct stat status{};
  EXPECT_EQ(stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

TEST(Space, LocomoCostsAtMostAQuarterMoreThanItsBytes) {
  const auto file = test::test_data("locomo.jsonl");
  if (!file) GTEST_SKIP() << "MENTEDB_TEST_DATA names no directory with locomo.jsonl";
  const test::TempDirectory temp;
  auto engine = must(StorageEngine::open(temp / "store"));
  std::ifstream lines(*file);
  std::vector<MemoryNode> batch;
  std::uint64_t encoded = 0;
  std::uint64_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    batch.push_back(must(from_json(line)));
    encoded += format::encoded_size_bytes(batch.back());
    ++count;
    if (batch.size() < 200) continue;
    must(engine.store_memories(batch));
    batch.clear();
  }
  must(engine.store_memories(batch));
  const Stats stats = must(engine.stats());
  EXPECT_EQ(stats.memory_count, count);
  const std::uint64_t cost = stats.used_pages * (stats.page_size_bytes + format::kEntryBytes);
  EXPECT_LE(static_cast<double>(cost), 1.25 * static_cast<double>(encoded))
      << cost << " bytes for " << encoded << ": " << static_cast<double>(cost) / static_cast<double>(encoded);
  EXPECT_TRUE(must(engine.verify()).problems.empty());
}

class ChurnTest : public ::testing::TestWithParam<std::pair<std::size_t, std::size_t>> {};

TEST_P(ChurnTest, StoringAndDeletingTheSameVolumeDoesNotGrowTheFile) {
  const auto [least, most] = GetParam();
  const test::TempDirectory temp;
  auto engine = must(StorageEngine::open(temp / "store"));
  std::mt19937_64 random(least);
  std::uint64_t first = 0;
  std::uint64_t id = 0;
  const std::size_t wanted = most < 1000 ? std::size_t{512} << 10 : std::size_t{3} << 20;
  for (int round = 0; round < 100; ++round) {
    std::vector<MemoryNode> nodes;
    for (std::size_t volume = 0; volume < wanted;) {
      const std::size_t size = least + random() % (most - least + 1);
      nodes.push_back(memory(++id, std::string(size, 'x')));
      volume += size + 300;
    }
    must(engine.store_memories(nodes));
    if (round == 0) {
      must(engine.checkpoint());
      first = disk_bytes(temp / "store" / "pages.db");
    }
    std::ranges::shuffle(nodes, random);
    must(engine.transact([&](Transaction& tx) -> Result<void> {
      for (const MemoryNode& node : nodes) {
        if (auto erased = tx.erase(node.id); !erased) return erased;
      }
      return {};
    }));
  }
  must(engine.checkpoint());
  const std::uint64_t last = disk_bytes(temp / "store" / "pages.db");
  EXPECT_LE(static_cast<double>(last), 1.5 * static_cast<double>(first)) << first << " -> " << last;
  EXPECT_EQ(must(engine.stats()).used_pages, 0U);
  EXPECT_TRUE(must(engine.verify()).problems.empty());
}

INSTANTIATE_TEST_SUITE_P(Sizes, ChurnTest,
                         ::testing::Values(std::pair<std::size_t, std::size_t>{100, 600},
                                           std::pair<std::size_t, std::size_t>{1, 20'000},
                                           std::pair<std::size_t, std::size_t>{500'000, 1'000'000}));

class SteadyChurn : public test::StoreFixture {};

TEST_F(SteadyChurn, AStoreThatIsUpdatedForEverSettles) {
  // Half of the volume lives on while the other half changes: holes of all sizes between long-lived memories.
  auto engine = open();
  std::mt19937_64 random(1);
  const auto text_of = [&] { return std::string(random() % 6000, 'x'); };
  for (std::uint64_t i = 0; i < 300; ++i) must(engine.store_memory(memory(i, text_of())));
  const std::uint64_t settled = must(engine.stats()).page_count;
  for (int i = 0; i < 3000; ++i) must(engine.update_memory(memory(random() % 150, text_of())));
  EXPECT_LE(must(engine.stats()).page_count, settled * 3 / 2);
  expect_clean();
}

}  // namespace
}  // namespace mentedb

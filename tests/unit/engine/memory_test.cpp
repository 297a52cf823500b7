// store, update, delete, load, find: what each promises and each of their errors.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "support/sample_nodes.hpp"
#include "support/store_fixture.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using test::is_error;
using test::memory;
using test::memory_id;
using test::must;
using test::ok;

class MemoryTest : public test::StoreFixture {
 protected:
  StorageEngine engine = open();
};

TEST_F(MemoryTest, TheFirstMemoryOfANewStoreIsOnPageOne) {
  EXPECT_EQ(must(engine.store_memory(memory(1))), PageId{1});
  EXPECT_EQ(must(engine.find(memory_id(1))), PageId{1});
  EXPECT_EQ(engine.committed_lsn(), Lsn{1});
}

TEST_F(MemoryTest, EveryFieldComesBack) {
  const MemoryNode node = test::full_node();
  const PageId page = must(engine.store_memory(node));
  EXPECT_EQ(must(engine.load_memory(page)), node);
  EXPECT_EQ(must(engine.load_memory(node.id)), node);
  auto other = open();  // and in another engine
  EXPECT_EQ(must(other.load_memory(node.id)), node);
}

TEST_F(MemoryTest, RandomMemoriesComeBackAlsoAfterACrash) {
  std::mt19937_64 random(11);
  std::vector<MemoryNode> nodes;
  for (int i = 0; i < 150; ++i) {
    nodes.push_back(test::random_node(random));
    must(engine.store_memory(nodes.back()));
  }
  const auto after = disk.after_power_cut(mentedb::test::Fate::nothing_kept());
  mentedb::test::SimVfs rebooted(*after);
  auto recovered = must(EngineAccess::open(rebooted, kDirectory, {}));
  for (const MemoryNode& node : nodes) ASSERT_EQ(must(recovered.load_memory(node.id)), node);
  EXPECT_TRUE(must(recovered.verify()).problems.empty());
}

TEST_F(MemoryTest, StoringAnExistingIdReplacesIt) {
  const PageId first = must(engine.store_memory(memory(1, "one")));
  const PageId second = must(engine.store_memory(memory(1, "two")));
  EXPECT_NE(first, second);  // copy on write: who reads the old one finishes
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "two");
  EXPECT_TRUE(is_error(engine.load_memory(first), ErrorCode::not_found));
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 1U);
  EXPECT_EQ(must(engine.stats()).memory_count, 1U);
  expect_clean();
}

TEST_F(MemoryTest, IfAbsentNeverReplaces) {
  must(engine.store_memory_if_absent(memory(1, "one")));
  const Lsn before = engine.committed_lsn();
  EXPECT_TRUE(
      is_error(engine.store_memory_if_absent(memory(1, "two")), ErrorCode::already_exists, memory_id(1).to_string()));
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "one");
  EXPECT_EQ(engine.committed_lsn(), before);
  must(engine.delete_memory(memory_id(1)));
  EXPECT_TRUE(ok(engine.store_memory_if_absent(memory(1, "two"))));
}

TEST_F(MemoryTest, UpdateAndDeleteWantAnExistingMemory) {
  EXPECT_TRUE(is_error(engine.update_memory(memory(1)), ErrorCode::not_found, memory_id(1).to_string()));
  EXPECT_TRUE(is_error(engine.delete_memory(memory_id(1)), ErrorCode::not_found, memory_id(1).to_string()));
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(1)), ErrorCode::not_found, memory_id(1).to_string()));
  EXPECT_TRUE(is_error(engine.find(memory_id(1)), ErrorCode::not_found, memory_id(1).to_string()));
  EXPECT_EQ(engine.committed_lsn(), Lsn{0});
  must(engine.store_memory(memory(1, "one")));
  const PageId moved = must(engine.update_memory(memory(1, "two")));
  EXPECT_EQ(must(engine.find(memory_id(1))), moved);
  EXPECT_EQ(must(engine.load_memory(moved)).content, "two");
  must(engine.delete_memory(memory_id(1)));
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(1)), ErrorCode::not_found));
  EXPECT_TRUE(is_error(engine.load_memory(moved), ErrorCode::not_found));
  EXPECT_TRUE(is_error(engine.find(memory_id(1)), ErrorCode::not_found));
  EXPECT_TRUE(is_error(engine.delete_memory(memory_id(1)), ErrorCode::not_found));
  EXPECT_TRUE(is_error(engine.update_memory(memory(1)), ErrorCode::not_found));
  expect_clean();
}

TEST_F(MemoryTest, ABatchIsInOrderAndAllOrNothing) {
  std::vector<MemoryNode> nodes{memory(1, "a"), memory(2, std::string(5000, 'b')), memory(3, "c")};
  const auto pages = must(engine.store_memories(nodes));
  ASSERT_EQ(pages.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(must(engine.load_memory(pages[i])), nodes[i]);
  EXPECT_EQ(engine.committed_lsn(), Lsn{3});

  nodes = {memory(4), memory(5), memory(6)};
  nodes[2].content = "\xFF";
  EXPECT_TRUE(is_error(engine.store_memories(nodes), ErrorCode::invalid_argument, "UTF-8"));
  EXPECT_TRUE(is_error(engine.find(memory_id(4)), ErrorCode::not_found));
  EXPECT_EQ(engine.committed_lsn(), Lsn{3});
}

TEST_F(MemoryTest, ABatchIsOneLogWriteAndOneSync) {
  must(engine.store_memory(memory(1)));
  disk.set_tracing(true);
  must(engine.store_memories(std::vector<MemoryNode>{memory(2), memory(3), memory(4)}));
  std::size_t log_writes = 0;
  std::size_t syncs = 0;
  for (const auto& step : disk.trace()) {
    const bool on_log = disk.kernel()->trace_names[step.file] == "wal.log";
    log_writes += on_log && step.kind == mentedb::test::StepKind::write;
    syncs += step.kind == mentedb::test::StepKind::sync;
  }
  EXPECT_EQ(log_writes, 1U);
  EXPECT_EQ(syncs, 1U);
}

TEST_F(MemoryTest, ABatchMayNameAnIdTwice) {
  const auto pages = must(engine.store_memories(std::vector<MemoryNode>{memory(1, "one"), memory(1, "two")}));
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "two");
  EXPECT_EQ(must(engine.find(memory_id(1))), pages[1]);
  EXPECT_EQ(must(engine.stats()).memory_count, 1U);
  expect_clean();
}

TEST_F(MemoryTest, AnEmptyBatchIsNothing) {
  EXPECT_TRUE(must(engine.store_memories({})).empty());
  EXPECT_EQ(engine.committed_lsn(), Lsn{0});
}

TEST_F(MemoryTest, BadInputIsRefusedAndChangesNothing) {
  const std::pair<std::string_view, std::function<void(MemoryNode&)>> bad[] = {
      {"content", [](MemoryNode& n) { n.content = "caf\xE9"; }},
      {"content", [](MemoryNode& n) { n.content = "\xED\xA0\x80"; }},  // a surrogate
      {"tags[1]", [](MemoryNode& n) { n.tags = {"ok", "\xC0\x80"}; }},
      {"context", [](MemoryNode& n) { n.context = "\x80"; }},
      {"embedding", [](MemoryNode& n) { n.embedding = {1.0F, std::numeric_limits<float>::quiet_NaN()}; }},
      {"embedding", [](MemoryNode& n) { n.embedding = {std::numeric_limits<float>::infinity()}; }},
      {"salience", [](MemoryNode& n) { n.salience = -std::numeric_limits<float>::infinity(); }},
      {"confidence", [](MemoryNode& n) { n.confidence = 1.0001F; }},
      {"confidence", [](MemoryNode& n) { n.confidence = -0.5F; }},
      {"confidence", [](MemoryNode& n) { n.confidence = std::numeric_limits<float>::quiet_NaN(); }},
      {"attribute", [](MemoryNode& n) { n.attributes["x"] = std::numeric_limits<double>::quiet_NaN(); }},
      {"attribute", [](MemoryNode& n) { n.attributes["\xFF"] = true; }},
      {"id", [](MemoryNode& n) { n.id = MemoryId::nil(); }},
      {"memory_type", [](MemoryNode& n) { n.memory_type = static_cast<MemoryType>(6); }},
  };
  must(engine.store_memory(memory(1, "good")));
  const Lsn before = engine.committed_lsn();
  for (const auto& [field, damage] : bad) {
    MemoryNode node = memory(1);
    damage(node);
    EXPECT_TRUE(is_error(engine.store_memory(node), ErrorCode::invalid_argument, field));
    EXPECT_TRUE(is_error(engine.store_memory_if_absent(node), ErrorCode::invalid_argument, field));
    EXPECT_TRUE(is_error(engine.update_memory(node), ErrorCode::invalid_argument, field));
    EXPECT_TRUE(is_error(engine.transact([&](Transaction& tx) -> Result<void> {
      auto stored = tx.store(node);
      if (!stored) return std::unexpected(stored.error());
      return {};
    }),
                         ErrorCode::invalid_argument, field));
  }
  EXPECT_EQ(engine.committed_lsn(), before);
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "good");
}

TEST_F(MemoryTest, LimitsAreReachedAndNamed) {
  MemoryNode node = memory(1);
  node.embedding.assign(65'535, 0.5F);
  for (int i = 0; i < 4096; ++i) {
    node.tags.push_back("tag" + std::to_string(i));
    node.attributes["key" + std::to_string(i)] = std::int64_t{i};
  }
  must(engine.store_memory(node));
  EXPECT_EQ(must(engine.load_memory(node.id)), node);
  MemoryNode over = node;
  over.embedding.push_back(0.5F);
  EXPECT_TRUE(is_error(engine.store_memory(over), ErrorCode::capacity_exceeded, "65535"));
  over = node;
  over.tags.push_back("one more");
  EXPECT_TRUE(is_error(engine.store_memory(over), ErrorCode::capacity_exceeded, "4096"));
  over = node;
  over.attributes["one more"] = true;
  EXPECT_TRUE(is_error(engine.store_memory(over), ErrorCode::capacity_exceeded, "4096"));
  over = node;
  over.content.assign((std::size_t{16} << 20) + 1, 'x');
  EXPECT_TRUE(is_error(engine.store_memory(over), ErrorCode::capacity_exceeded, "16777216"));
  over = memory(1);
  over.attributes["bytes"] = Bytes(std::size_t{24} << 20);
  EXPECT_TRUE(is_error(engine.store_memory(over), ErrorCode::capacity_exceeded, "25165824"));
  EXPECT_EQ(must(engine.load_memory(node.id)), node);
}

TEST_F(MemoryTest, TheSmallestMemory) {
  MemoryNode node;
  node.id = memory_id(1);
  const PageId page = must(engine.store_memory(node));
  EXPECT_EQ(must(engine.load_memory(page)), node);
  EXPECT_EQ(must(engine.read_page(page)).header.page_count, 1U);
}

TEST_F(MemoryTest, SizesAroundPageBorders) {
  // One byte more or less than a page, than two, than many.
  const std::size_t overhead =
      must(engine.read_page(must(engine.store_memory(memory(1, ""))))).data.size() + sizeof(format::RunHeader);
  std::uint64_t number = 10;
  for (const std::size_t pages : {1U, 2U, 3U, 65U}) {
    for (const int more : {-1, 0, 1}) {
      const MemoryNode node =
          memory(number++, std::string(pages * 1024 - overhead + static_cast<std::size_t>(more + 1) - 1, 'x'));
      const PageId page = must(engine.store_memory(node));
      EXPECT_EQ(must(engine.read_page(page)).header.page_count, pages + (more > 0 ? 1 : 0));
      EXPECT_EQ(must(engine.load_memory(page)), node);
    }
  }
  expect_clean();
}

TEST(LargeMemories, SixteenMebibytesAndABatchOfManyComeBack) {
  const test::TempDirectory temp;
  auto engine = must(StorageEngine::open(temp / "store"));
  MemoryNode node = memory(1, std::string(kMaxContentBytes, 'x'));
  node.content[kMaxContentBytes - 1] = 'y';
  const PageId page = must(engine.store_memory(node));
  EXPECT_EQ(must(engine.load_memory(page)), node);
  // Larger than the log's limit: their payload does not go through it.
  std::vector<MemoryNode> batch;
  for (std::uint64_t i = 2; i < 5; ++i)
    batch.push_back(memory(i, std::string(std::size_t{9} << 20, static_cast<char>('a' + i))));
  must(engine.store_memories(batch));
  EXPECT_LE(must(engine.stats()).log_file_bytes, std::uint64_t{16} << 20);
  // Beyond 64 MiB nothing is stored and the limit is named.
  for (std::uint64_t i = 5; i < 8; ++i) batch.push_back(memory(i, std::string(std::size_t{14} << 20, 'z')));
  EXPECT_TRUE(is_error(engine.store_memories(batch), ErrorCode::capacity_exceeded, "67108864"));
  EXPECT_TRUE(is_error(engine.find(memory_id(7)), ErrorCode::not_found));
  EXPECT_EQ(must(engine.stats()).memory_count, 4U);
  must(engine.close());
  engine = must(StorageEngine::open(temp / "store"));
  EXPECT_EQ(must(engine.load_memory(memory_id(1))), node);
  EXPECT_EQ(must(engine.load_memory(memory_id(4))).content.size(), std::size_t{9} << 20);
  EXPECT_TRUE(must(engine.verify()).problems.empty());
}

TEST_F(MemoryTest, TwoEnginesSeeEachOthersWritesAtOnce) {
  // I4: no stale cache, whichever engine wrote.
  auto other = open();
  for (std::uint64_t i = 1; i <= 50; ++i) {
    StorageEngine& writer = i % 2 == 0 ? engine : other;
    StorageEngine& reader = i % 2 == 0 ? other : engine;
    must(writer.store_memory(memory(7, "version " + std::to_string(i))));
    ASSERT_EQ(must(reader.load_memory(memory_id(7))).content, "version " + std::to_string(i));
    ASSERT_EQ(reader.committed_lsn(), writer.committed_lsn());
  }
  must(other.delete_memory(memory_id(7)));
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(7)), ErrorCode::not_found));
}

}  // namespace
}  // namespace mentedb

// Stores written by this and earlier versions open, hold what they held, and go on working. A store that stops opening
// here would stop opening at a user's: a format change needs a new version number and code that reads the old one.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>
#include <mentedb/inspect.hpp>
#include <mentedb/json.hpp>
#include <mentedb/storage_engine.hpp>
#include <nlohmann/json.hpp>

#include "support/results.hpp"

namespace mentedb {
namespace {

namespace fs = std::filesystem;
using test::must;

std::vector<std::string> golden_stores() {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(MENTEDB_GOLDEN_DIRECTORY)) {
    if (entry.is_directory() && fs::exists(entry.path() / "pages.db")) {
      names.push_back(fs::relative(entry.path(), MENTEDB_GOLDEN_DIRECTORY).string());
    }
  }
  std::ranges::sort(names);
  return names;
}

std::string hex(const std::vector<std::byte>& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const fs::path original = fs::path(MENTEDB_GOLDEN_DIRECTORY) / GetParam();
    std::string name = GetParam();
    std::ranges::replace(name, '/', '-');
    copy_ = fs::temp_directory_path() / ("mentedb-golden-" + std::to_string(getpid()) + "-" + name);
    fs::remove_all(copy_);
    fs::create_directory(copy_);
    for (const auto& entry : fs::directory_iterator(original))
      fs::copy_file(entry.path(), copy_ / entry.path().filename());
    std::ifstream stream(original.string() + ".json");
    ASSERT_TRUE(stream) << "every golden store has its content beside it";
    expected_ = nlohmann::json::parse(stream);
  }
  void TearDown() override { fs::remove_all(copy_); }

  void expect_content(const StorageEngine& engine) const {
    const auto all = engine.scan_all_memories();
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->size(), expected_["memories"].size());
    for (const auto& memory : expected_["memories"]) {
      const auto node = from_json(memory["node"].dump());
      ASSERT_TRUE(node) << node.error().message;
      const auto by_id = engine.load_memory(node->id);
      ASSERT_TRUE(by_id) << by_id.error().message;
      EXPECT_EQ(*by_id, *node) << to_json(*by_id) << "\ninstead of\n" << to_json(*node);
      const PageId page{memory["page"].get<std::uint64_t>()};
      const auto by_page = engine.load_memory(page);
      ASSERT_TRUE(by_page) << by_page.error().message;
      EXPECT_EQ(*by_page, *node);
      EXPECT_EQ(must(engine.find(node->id)), page);
    }
    for (const auto& id : expected_["deleted"]) {
      const auto gone = engine.load_memory(must(MemoryId::parse(id.get<std::string>())));
      ASSERT_FALSE(gone) << id << " came back";
      EXPECT_EQ(gone.error().code, ErrorCode::not_found);
    }
    expect_raw_pages(engine);
  }
  void expect_raw_pages(const StorageEngine& engine) const {
    for (const auto& raw : expected_["raw"]) {
      const auto page = engine.read_page(PageId{raw["page"].get<std::uint64_t>()});
      ASSERT_TRUE(page) << page.error().message;
      EXPECT_EQ(page->header.type, PageType::raw);
      EXPECT_EQ(hex(page->data), raw["hex"].get<std::string>());
    }
  }
  static void expect_clean(const Result<VerifyReport>& report) {
    ASSERT_TRUE(report) << report.error().message;
    for (const Problem& problem : report->problems)
      ADD_FAILURE() << problem.file << " byte " << problem.offset << ": " << problem.message;
  }

  fs::path copy_;
  nlohmann::json expected_;
};

TEST_P(Golden, IsCleanBeforeAnybodyOpensIt) { expect_clean(verify_store(copy_)); }

TEST_P(Golden, HoldsWhatItHeld) {
  auto engine = StorageEngine::open(copy_);
  ASSERT_TRUE(engine) << engine.error().message;
  const Stats stats = must(engine->stats());
  EXPECT_EQ(stats.page_size_bytes, expected_["page_size_bytes"].get<std::uint32_t>());
  EXPECT_EQ(stats.memory_count, expected_["memories"].size());
  EXPECT_EQ(stats.committed_lsn.value, expected_["committed_lsn"].get<std::uint64_t>());
  EXPECT_EQ(stats.redo_operations > 0, expected_["redo"].get<bool>());
  expect_content(*engine);
  expect_clean(engine->verify());
}

TEST_P(Golden, CanBeReadWithoutWriting) {
  Options options;
  options.read_only = true;
  const auto engine = StorageEngine::open(copy_, options);
  if (expected_["redo"].get<bool>()) {
    ASSERT_FALSE(engine);
    EXPECT_EQ(engine.error().code, ErrorCode::busy) << engine.error().message;
    return;
  }
  ASSERT_TRUE(engine) << engine.error().message;
  expect_content(*engine);
}

TEST_P(Golden, GoesOnWorking) {
  MemoryNode fresh = MemoryNode::create(AgentId::random(), MemoryType::Semantic, std::string(4'000, 'n'), {1.0F, 2.0F});
  const MemoryNode first = must(from_json(expected_["memories"][0]["node"].dump()));
  {
    auto engine = StorageEngine::open(copy_);
    ASSERT_TRUE(engine) << engine.error().message;
    const Lsn before = engine->committed_lsn();
    ASSERT_TRUE(engine->store_memory(fresh));
    EXPECT_GT(engine->committed_lsn(), before) << "I8: LSNs go on where the old version left off";
    MemoryNode changed = first;
    changed.content = "changed by a later version";
    // Version 1 wrote a time beyond the year 9999. It is read as ever, but a write keeps to the ranges of today.
    if (changed.valid_until) changed.valid_until = std::min(*changed.valid_until, kMaxTimestamp);
    ASSERT_TRUE(engine->update_memory(changed));
    ASSERT_TRUE(engine->delete_memory(must(from_json(expected_["memories"][1]["node"].dump())).id));
    const auto changes = engine->changes_since(before);
    ASSERT_TRUE(changes) << changes.error().message;
    EXPECT_EQ(changes->changes.size(), 3U);
    ASSERT_TRUE(engine->checkpoint());
    expect_raw_pages(*engine);
  }
  const auto engine = StorageEngine::open(copy_);
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_EQ(must(engine->load_memory(fresh.id)), fresh);
  EXPECT_EQ(must(engine->load_memory(first.id)).content, "changed by a later version");
  EXPECT_EQ(must(engine->stats()).memory_count, expected_["memories"].size());
  expect_clean(engine->verify());
}

TEST_P(Golden, CanBeBackedUp) {
  const fs::path backup = copy_.string() + "-backup";
  fs::remove_all(backup);
  auto engine = StorageEngine::open(copy_);
  ASSERT_TRUE(engine) << engine.error().message;
  const auto copied = engine->backup(backup);
  ASSERT_TRUE(copied) << copied.error().message;
  const auto restored = StorageEngine::open(backup);
  ASSERT_TRUE(restored) << restored.error().message;
  expect_content(*restored);
  expect_clean(restored->verify());
  fs::remove_all(backup);
}

INSTANTIATE_TEST_SUITE_P(Stores, Golden, testing::ValuesIn(golden_stores()), [](const auto& store) {
  std::string name = store.param;
  std::ranges::replace(name, '/', '_');
  return name;
});

TEST(GoldenFiles, AreThere) {
  const auto stores = golden_stores();
  const std::set<std::string> names(stores.begin(), stores.end());
  for (const char* name : {"v2/checkpointed", "v2/live", "v2/power_cut", "v2/large", "v2/large_cut"})
    EXPECT_TRUE(names.contains(name)) << name;
}

}  // namespace
}  // namespace mentedb

// The program of the README and of issue 2, as written there, in an empty directory.
#include <gtest/gtest.h>

#include <mentedb/storage_engine.hpp>

#include "support/temp_directory.hpp"

namespace {

using namespace mentedb;

int example() {
  Options options;
  StorageEngine engine = StorageEngine::open("memory", options).value();
  MemoryNode node = MemoryNode::create(AgentId::random(), MemoryType::Semantic, "User likes dark mode", {0.1f, 0.2f});
  node.tags = {"preference"};
  node.attributes["source"] = std::string("chat");
  PageId page = engine.store_memory(node).value();
  if (page.value != 1) return 2;
  MemoryNode loaded = engine.load_memory(page).value();
  if (!(loaded == node) || !(engine.load_memory(node.id).value() == node)) return 3;
  loaded.content = "User likes light mode";
  page = engine.update_memory(loaded).value();
  if (engine.load_memory(page).value().content != "User likes light mode") return 4;
  std::vector<PageId> pages = engine.store_memories(std::vector<MemoryNode>{}).value();
  if (!pages.empty()) return 5;
  engine
      .transact([&](Transaction& tx) -> Result<void> {
        auto n = tx.load(node.id);
        if (!n) return std::unexpected(n.error());
        n->access_count++;
        return tx.update(*n);
      })
      .value();
  if (engine.load_memory(node.id).value().access_count != 1) return 6;
  auto all = engine.scan_all_memories().value();
  if (all.size() != 1) return 7;
  for (auto& [id, where] : all)
    if (engine.find(id).value() != where) return 1;
  Lsn lsn = engine.committed_lsn();
  auto changes = engine.changes_since(lsn).value();
  if (!changes.changes.empty() || changes.cursor != lsn) return 8;
  engine.for_each_memory([](const MemoryNode& m, PageId) { return m.confidence >= 0; }).value();
  engine.delete_memory(node.id).value();
  engine.backup("memory-copy").value();
  auto report = engine.verify().value();
  if (!report.problems.empty()) return 9;
  engine.checkpoint().value();
  if (auto gone = engine.load_memory(MemoryId::parse("00000000-0000-0000-0000-000000000001").value());
      gone || gone.error().code != ErrorCode::not_found)
    return 1;
  engine.close().value();
  return 0;
}

TEST(Example, RunsAsWritten) {
  const mentedb::test::TempDirectory temp;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(temp.path());
  const int status = example();
  std::filesystem::current_path(before);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(std::filesystem::exists(temp / "memory" / "wal.log"));
  EXPECT_TRUE(std::filesystem::exists(temp / "memory-copy" / "pages.db"));
}

}  // namespace

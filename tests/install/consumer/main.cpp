#include <mentedb/storage_engine.hpp>
using namespace mentedb;
int main() {
  Options options;                               // page_size_bytes, wal_limit_bytes, lock_timeout (std::chrono::milliseconds), read_only, single_process ...
  StorageEngine engine = StorageEngine::open("memory", options).value();   // real programs print error().message instead of calling value()
  MemoryNode node = MemoryNode::create(AgentId::random(), MemoryType::Semantic, "User likes dark mode", {0.1f, 0.2f});
  node.tags = {"preference"};  node.attributes["source"] = std::string("chat");
  PageId page = engine.store_memory(node).value();                 // durable when it returns; PageId{1}.value == 1 in a new store
  MemoryNode loaded = engine.load_memory(page).value();            // also: engine.load_memory(node.id)
  loaded.content = "User likes light mode";
  page = engine.update_memory(loaded).value();                     // by loaded.id; returns where it now lives
  std::vector<PageId> pages = engine.store_memories(std::vector<MemoryNode>{}).value();
  engine.transact([&](Transaction& tx) -> Result<void> {           // read-modify-write, all or nothing, one hold of the lock
    auto n = tx.load(node.id); if (!n) return std::unexpected(n.error());
    n->access_count++; return tx.update(*n);                       // Result<void>; also tx.store(node), tx.erase(id), tx.find(id)
  }).value();
  auto all = engine.scan_all_memories().value();
  for (auto& [id, where] : all) if (engine.find(id).value() != where) return 1;
  Lsn lsn = engine.committed_lsn();
  auto changes = engine.changes_since(lsn).value();                // stored, updated, deleted since; wait_for_change(lsn, timeout)
  engine.for_each_memory([](const MemoryNode& m, PageId) { return m.confidence >= 0; }).value();   // false stops
  engine.delete_memory(node.id).value();
  engine.backup("memory-copy").value();                            // online
  auto report = engine.verify().value();                           // report.problems is empty when all is well
  engine.checkpoint().value();
  if (auto gone = engine.load_memory(MemoryId::parse("00000000-0000-0000-0000-000000000001").value()); gone || gone.error().code != ErrorCode::not_found) return 1;
  engine.close().value();
}

// MenteDB. It gets memories, encodes and checks them, and decodes what it loads.
#include <fmt/core.h>

#include <stdexcept>

#include <mentedb/storage_engine.hpp>
#include <mentedb/version.hpp>

#include "engine.hpp"
#include "format/node_codec.hpp"

namespace mentedb::compare {
namespace {

template <class T>
T checked(Result<T> result) {
  if (!result) throw std::runtime_error("mentedb: " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class MenteSession final : public Session {
 public:
  explicit MenteSession(StorageEngine& engine) : engine_(engine), cursor_(engine.committed_lsn()) {}

  void store(const Record& record) override { checked(engine_.store_memory(*record.node)); }
  void store_batch(const Batch& batch) override { checked(engine_.store_memories(batch.nodes)); }
  std::uint64_t load_id(const MemoryId& id) override { return touch(checked(engine_.load_memory(id))); }
  std::uint64_t load_number(std::uint64_t number) override {
    return touch(checked(engine_.load_memory(PageId{number})));
  }
  void list(std::vector<Place>& places) override {
    const auto all = checked(engine_.scan_all_memories());
    places.clear();
    places.reserve(all.size());
    for (const auto& [id, page] : all) places.push_back({id, page.value});
  }
  std::size_t decode_all() override {
    std::size_t count = 0;
    std::uint64_t sum = 0;
    checked(engine_.for_each_memory([&](const MemoryNode& node, PageId) {
      sum += touch(node);
      ++count;
      return true;
    }));
    return sum == 0 ? 0 : count;
  }
  std::size_t changes() override {
    const Changes found = checked(engine_.changes_since(cursor_));
    cursor_ = found.cursor;
    return found.changes.size();
  }

 private:
  StorageEngine& engine_;
  Lsn cursor_;
};

class MenteEngine final : public Engine {
 public:
  explicit MenteEngine(const std::filesystem::path& directory) : engine_(checked(StorageEngine::open(directory))) {}
  std::unique_ptr<Session> session() override { return std::make_unique<MenteSession>(engine_); }
  void settle() override { checked(engine_.checkpoint()); }

 private:
  StorageEngine engine_;
};

}  // namespace

EngineKind mentedb_engine() {
  return {.name = "mentedb",
          .version = MENTEDB_VERSION_STRING,
          .durability = "each commit writes the log and syncs it with fdatasync before it answers",
          .settings = {},
          .many_processes = true,
          .has_changes = true,
          .open = [](const auto& directory, Layout) { return std::make_unique<MenteEngine>(directory); }};
}

std::uint64_t decode(std::span<const std::byte> value) { return touch(checked(format::decode_node(value))); }

}  // namespace mentedb::compare

#include "paths.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace mentedb::paths {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

constexpr std::size_t kBatch = 1'000;

MemoryId id_of(std::uint64_t number) {
  MemoryId id{};
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    number = number * 6'364'136'223'846'793'005ULL + 1'442'695'040'888'963'407ULL;
    id.bytes[i] = static_cast<std::uint8_t>(number >> 56);
  }
  return id;
}

}  // namespace

Subject::Subject(const std::filesystem::path& directory, std::size_t memories)
    : engine_(must(StorageEngine::open(directory))) {
  node_.content.assign(300, 'm');
  node_.embedding.assign(384, 0.25F);
  node_.tags = {"conversation:26", "speaker:caroline"};
  while (ids_.size() < memories) {
    const auto nodes = new_memories(std::min(kBatch, memories - ids_.size()));
    const auto pages = must(engine_.store_memories(nodes));
    for (const MemoryNode& node : nodes) ids_.push_back(node.id);
    pages_.insert(pages_.end(), pages.begin(), pages.end());
  }
  must(engine_.checkpoint());
  cursor = engine_.committed_lsn();
}

const MemoryNode& Subject::new_memory() {
  node_.id = id_of(++numbers_);
  return node_;
}

std::vector<MemoryNode> Subject::new_memories(std::size_t count) {
  std::vector<MemoryNode> nodes;
  nodes.reserve(count);
  for (std::size_t i = 0; i < count; ++i) nodes.push_back(new_memory());
  return nodes;
}

const std::vector<Path>& all() {
  static const std::vector<Path> paths{
      {.name = "store", .once = [](Subject& s) { must(s.engine().store_memory(s.new_memory())); }},
      {.name = "store_and_delete",
       .once =
           [](Subject& s) {
             const MemoryNode& node = s.new_memory();
             must(s.engine().store_memory(node));
             must(s.engine().delete_memory(node.id));
           }},
      {.name = "store_batch",
       .once = [](Subject& s) { must(s.engine().store_memories(s.new_memories(kBatch))); },
       .memories = kBatch},
      {.name = "load_id", .once = [](Subject& s) { must(s.engine().load_memory(s.next_id())); }},
      {.name = "load_page", .once = [](Subject& s) { must(s.engine().load_memory(s.next_page())); }},
      {.name = "find", .once = [](Subject& s) { must(s.engine().find(s.next_id())); }},
      {.name = "changes",
       .once =
           [](Subject& s) {
             must(s.engine().store_memory(s.new_memory()));
             s.cursor = must(s.engine().changes_since(s.cursor)).cursor;
           }},
      {.name = "list", .once = [](Subject& s) { must(s.engine().scan_all_memories()); }, .memories = 0},
      {.name = "for_each",
       .once = [](Subject& s) { must(s.engine().for_each_memory([](const MemoryNode&, PageId) { return true; })); },
       .memories = 0},
  };
  return paths;
}

}  // namespace mentedb::paths

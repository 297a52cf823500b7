#include "process/versioned_memory.hpp"

#include <random>

namespace mentedb::test {

MemoryNode versioned_memory(std::uint64_t key, std::uint32_t version) {
  std::minstd_rand random(static_cast<std::uint32_t>(key * 2'654'435'761U + version * 40'503U + 1));
  MemoryNode node;
  node.id = memory_id(key);
  node.memory_type = static_cast<MemoryType>(version % 6);
  node.access_count = version;
  node.created_at = key;
  node.accessed_at = version;
  node.tags = {"key-" + std::to_string(key), "version-" + std::to_string(version)};
  node.embedding.resize(random() % 16);
  for (float& value : node.embedding) value = static_cast<float>(random() % 1'000) / 1'000.0F;
  // Mostly short, as memories are; every fourth spans pages.
  const std::size_t length = random() % 4 == 0 ? random() % 5'000 : random() % 300;
  node.content.resize(length);
  for (char& c : node.content) c = static_cast<char>('a' + random() % 26);
  return node;
}

std::string what_is_wrong(const MemoryNode& node) {
  const std::uint64_t key = number_of(node.id);
  if (node == versioned_memory(key, version_of(node))) return {};
  return "memory " + std::to_string(key) + " is no whole version " + std::to_string(version_of(node));
}

}  // namespace mentedb::test

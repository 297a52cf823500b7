#include "content.hpp"

#include <cstring>
#include <random>
#include <string>
#include <string_view>

namespace mentedb::prove {
namespace {

constexpr std::size_t kStarts = std::size_t{1} << 21;
constexpr unsigned kLengthBits = 22;

// Made before the first fork, so that all processes share it.
const std::string kText = [] {
  std::minstd_rand random(1);
  std::string made(kStarts + kLongestContent, ' ');
  for (char& c : made) c = static_cast<char>('a' + random() % 26);
  return made;
}();

std::string_view text_of(std::uint32_t key, std::uint32_t version, std::size_t bytes) {
  return std::string_view(kText).substr(mix(std::uint64_t{key} << 32 | version) % kStarts, bytes);
}

}  // namespace

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

MemoryId id_of(std::uint32_t key) {
  const std::uint64_t halves[] = {mix(key + 1), key + std::uint64_t{1}};
  MemoryId id;
  std::memcpy(id.bytes.data(), halves, sizeof(halves));
  return id;
}

MemoryNode make_memory(std::uint32_t key, std::uint32_t version, std::size_t content_bytes) {
  MemoryNode node;
  node.id = id_of(key);
  node.content = text_of(key, version, content_bytes);
  node.access_count = version;
  node.created_at = std::uint64_t{key} << kLengthBits | content_bytes;
  return node;
}

std::optional<std::uint32_t> version_of(std::uint32_t key, const MemoryNode& node) {
  const std::size_t bytes = node.created_at & ((std::uint64_t{1} << kLengthBits) - 1);
  if (node.id != id_of(key) || node.created_at >> kLengthBits != key || bytes > kLongestContent) return std::nullopt;
  if (node.content != text_of(key, node.access_count, bytes)) return std::nullopt;
  return node.access_count;
}

}  // namespace mentedb::prove

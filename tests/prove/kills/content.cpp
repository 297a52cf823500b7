#include "content.hpp"

#include <algorithm>
#include <cstring>
#include <random>

namespace mentedb::prove {
namespace {

constexpr std::size_t kTextBytes = std::size_t{1} << 16;

// Made before main, not at first use: a child that is forked while another thread makes it would wait for ever.
const std::string kText = [] {
  std::minstd_rand random(1);
  std::string made(2 * kTextBytes, ' ');
  for (char& c : made) c = static_cast<char>('a' + random() % 26);
  return made;
}();

// Mostly short, as memories are; every eighth version up to the longest.
std::string_view slice(const Config& config, std::uint32_t member, std::uint64_t version) {
  const std::uint64_t mixed = (member * 0x9E3779B97F4A7C15ULL + version) * 0xBF58476D1CE4E5B9ULL;
  const std::uint64_t longest = mixed >> 61 == 0 ? config.content_bytes : 250;
  return std::string_view(kText).substr(mixed >> 8 & (kTextBytes - 1), 20 + (mixed >> 24) % longest);
}

struct RawHead {
  std::uint64_t member;
  std::uint64_t version;
};

}  // namespace

MemoryId memory_id(std::uint32_t member) {
  MemoryId id;
  std::memcpy(id.bytes.data(), &member, sizeof(member));
  id.bytes[15] = 1;  // never nil
  return id;
}

std::optional<std::uint32_t> member_of(const MemoryId& id, std::uint32_t member_count) {
  std::uint32_t member = 0;
  std::memcpy(&member, id.bytes.data(), sizeof(member));
  if (member >= member_count || id != memory_id(member)) return std::nullopt;
  return member;
}

MemoryNode make_memory(const Config& config, std::uint32_t member, std::uint64_t version) {
  MemoryNode node;
  node.id = memory_id(member);
  node.content = slice(config, member, version);
  node.access_count = static_cast<std::uint32_t>(version);
  node.created_at = member;
  return node;
}

std::optional<std::uint64_t> version_of(const Config& config, std::uint32_t member, const MemoryNode& node) {
  if (node.id != memory_id(member) || node.created_at != member) return std::nullopt;
  if (node.content != slice(config, member, node.access_count)) return std::nullopt;
  return node.access_count;
}

std::vector<std::byte> make_raw(std::uint32_t member, std::uint64_t version) {
  const RawHead head{.member = member, .version = version};
  const std::string_view body = std::string_view(kText).substr(version * 97 % kTextBytes, kRawBytes - sizeof(head));
  std::vector<std::byte> raw(sizeof(head) + body.size());
  std::memcpy(raw.data(), &head, sizeof(head));
  std::memcpy(raw.data() + sizeof(head), body.data(), body.size());
  return raw;
}

std::optional<std::uint64_t> version_of(std::uint32_t member, std::span<const std::byte> raw) {
  RawHead head{};
  if (raw.size() < sizeof(head)) return std::nullopt;
  std::memcpy(&head, raw.data(), sizeof(head));
  if (head.member != member || !std::ranges::equal(raw, make_raw(member, head.version))) return std::nullopt;
  return head.version;
}

bool is_whole_raw(std::span<const std::byte> raw) {
  RawHead head{};
  if (raw.size() < sizeof(head)) return raw.empty();
  std::memcpy(&head, raw.data(), sizeof(head));
  return version_of(static_cast<std::uint32_t>(head.member), raw).has_value();
}

}  // namespace mentedb::prove

#include "support/sample_nodes.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "support/results.hpp"

namespace mentedb::test {
namespace {

std::size_t below(std::mt19937_64& random, std::size_t limit) { return limit == 0 ? 0 : random() % limit; }
bool one_in(std::mt19937_64& random, std::size_t n) { return below(random, n) == 0; }

template <class Id>
Id random_id(std::mt19937_64& random) {
  Id id;
  for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random());
  id.bytes[0] |= 1;  // never nil
  return id;
}

float random_float(std::mt19937_64& random) {
  switch (below(random, 8)) {
    case 0:
      return -0.0F;
    case 1:
      return 0.0F;
    case 2:
      return std::numeric_limits<float>::denorm_min();
    case 3:
      return std::numeric_limits<float>::max();
    case 4:
      return static_cast<float>(static_cast<int>(below(random, 2'000'001)) - 1'000'000);
    default:
      break;
  }
  for (;;) {
    const float f = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isfinite(f)) return f;
  }
}

double random_double(std::mt19937_64& random) {
  if (one_in(random, 4)) return static_cast<double>(static_cast<int>(below(random, 2001)) - 1000);
  for (;;) {
    const double d = std::bit_cast<double>(random());
    if (std::isfinite(d)) return d;
  }
}

AttributeValue random_value(std::mt19937_64& random) {
  switch (below(random, 5)) {
    case 0:
      return random_text(random, 20);
    case 1:
      return static_cast<std::int64_t>(random());
    case 2:
      return random_double(random);
    case 3:
      return one_in(random, 2);
    default: {
      Bytes bytes(below(random, 300));
      for (auto& byte : bytes) byte = static_cast<std::byte>(random());
      return bytes;
    }
  }
}

}  // namespace

std::string random_text(std::mt19937_64& random, std::size_t max_characters) {
  std::string text;
  const std::size_t count = below(random, max_characters + 1);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t c = 0;
    switch (below(random, 6)) {
      case 0:
        c = static_cast<std::uint32_t>(below(random, 0x20));
        break;
      case 1:
        c = static_cast<std::uint32_t>(0x80 + below(random, 0x780));
        break;
      case 2:
        c = static_cast<std::uint32_t>(0x800 + below(random, 0xF800));
        break;
      case 3:
        c = static_cast<std::uint32_t>(0x10000 + below(random, 0x100000));
        break;
      default:
        c = static_cast<std::uint32_t>(0x20 + below(random, 0x60));
        break;
    }
    if (c >= 0xD800 && c < 0xE000) c = 0xFFFD;
    const auto put = [&](std::uint32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | c >> 6);
      put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      put(0xE0 | c >> 12);
      put(0x80 | (c >> 6 & 0x3F));
      put(0x80 | (c & 0x3F));
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
      put(0x80 | (c >> 6 & 0x3F));
      put(0x80 | (c & 0x3F));
    }
  }
  return text;
}

MemoryNode full_node() {
  MemoryNode node;
  node.id = must(MemoryId::parse("00010203-0405-4607-8809-0a0b0c0d0e0f"));
  node.agent_id = must(AgentId::parse("10111213-1415-4617-9819-1a1b1c1d1e1f"));
  node.user_id = must(UserId::parse("20212223-2425-4627-a829-2a2b2c2d2e2f"));
  node.memory_type = MemoryType::AntiPattern;
  node.embedding = {0.5F, -0.0F, 0.1F};
  node.content = "Gr\xC3\xBC\xC3\x9F Gott";
  node.created_at = 1'700'000'000'000'001;
  node.accessed_at = 1'700'000'000'000'002;
  node.access_count = 7;
  node.salience = 0.25F;
  node.confidence = 0.75F;
  node.space_id = must(SpaceId::parse("30313233-3435-4637-b839-3a3b3c3d3e3f"));
  node.attributes["bool"] = true;
  node.attributes["bytes"] = Bytes{std::byte{0}, std::byte{128}, std::byte{255}};
  node.attributes["float"] = 2.0;
  node.attributes["int"] = std::int64_t{-5};
  node.attributes["string"] = std::string("value");
  node.tags = {"one", "two"};
  node.valid_from = 1'600'000'000'000'000;
  node.valid_until = 1'800'000'000'000'000;
  node.context = "chat";
  return node;
}

MemoryNode random_node(std::mt19937_64& random) {
  MemoryNode node;
  node.id = random_id<MemoryId>(random);
  node.agent_id = random_id<AgentId>(random);
  if (!one_in(random, 3)) node.user_id = random_id<UserId>(random);
  if (one_in(random, 3)) node.space_id = random_id<SpaceId>(random);
  node.memory_type = static_cast<MemoryType>(below(random, 6));
  node.embedding.resize(one_in(random, 10) ? below(random, 2000) : below(random, 8));
  for (float& f : node.embedding) f = random_float(random);
  node.content = random_text(random, one_in(random, 10) ? 5000 : 60);
  node.created_at = random() % (kMaxTimestamp + 1);
  node.accessed_at = random() % (kMaxTimestamp + 1);
  node.access_count = static_cast<std::uint32_t>(random());
  node.salience = static_cast<float>(below(random, 1'000'001));
  node.confidence = static_cast<float>(below(random, 1001)) / 1000.0F;
  for (std::size_t i = below(random, 6); i > 0; --i) node.attributes[random_text(random, 10)] = random_value(random);
  for (std::size_t i = below(random, 6); i > 0; --i) node.tags.push_back(random_text(random, 10));
  if (one_in(random, 2)) node.valid_from = random() % (kMaxTimestamp / 2);
  if (one_in(random, 2)) node.valid_until = kMaxTimestamp / 2 + random() % (kMaxTimestamp / 2);
  if (one_in(random, 2)) node.context = random_text(random, 30);
  return node;
}

}  // namespace mentedb::test

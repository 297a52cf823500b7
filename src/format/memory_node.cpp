// MemoryNode: creation, comparison, the names of its types, and the rules that every stored memory keeps.
#include <mentedb/memory_node.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>

#include <fmt/core.h>

#include "base/quote.hpp"
#include "base/utf8.hpp"
#include "format/node_codec.hpp"

namespace mentedb {
namespace {

constexpr std::string_view kTypeNames[] = {"Episodic",    "Semantic",  "Procedural",
                                           "AntiPattern", "Reasoning", "Correction"};
static_assert(std::size(kTypeNames) == format::kMemoryTypeCount);

bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

bool same_value(const AttributeValue& a, const AttributeValue& b) {
  if (a.index() != b.index()) return false;
  if (const double* x = std::get_if<double>(&a)) {
    return std::bit_cast<std::uint64_t>(*x) == std::bit_cast<std::uint64_t>(std::get<double>(b));
  }
  return a == b;
}

Error invalid(std::string message) { return Error{ErrorCode::invalid_argument, 0, std::move(message)}; }
Error over_limit(std::string message) { return Error{ErrorCode::capacity_exceeded, 0, std::move(message)}; }

Error too_long(std::string_view field, std::size_t size_bytes, std::size_t limit) {
  return over_limit(fmt::format("{} has {} bytes; the limit is {}", field, size_bytes, limit));
}

// The ranges of the fields stand here alone. Only a write asks: a reader takes what an earlier version has stored.
Result<void> check_numbers(const MemoryNode& node) {
  if (!std::isfinite(node.salience)) {
    return std::unexpected(invalid(fmt::format("salience is {}; it must be a finite number", node.salience)));
  }
  if (!(node.salience >= 0.0F && node.salience <= kMaxSalience)) {
    return std::unexpected(
        invalid(fmt::format("salience is {}; it must lie between 0 and {:.0f}", node.salience, kMaxSalience)));
  }
  if (!(node.confidence >= 0.0F && node.confidence <= 1.0F)) {
    return std::unexpected(invalid(fmt::format("confidence is {}; it must lie between 0 and 1", node.confidence)));
  }
  return {};
}

Result<void> check_time(std::string_view field, Timestamp time) {
  if (time <= kMaxTimestamp) return {};
  return std::unexpected(invalid(fmt::format(
      "{} is {}, beyond the year 9999; times are microseconds since 1970 (is the clock right?)", field, time)));
}

Result<void> check_times(const MemoryNode& node) {
  if (auto time = check_time("created_at", node.created_at); !time) return time;
  if (auto time = check_time("accessed_at", node.accessed_at); !time) return time;
  if (auto time = check_time("valid_from", node.valid_from.value_or(0)); !time) return time;
  if (auto time = check_time("valid_until", node.valid_until.value_or(0)); !time) return time;
  if (node.valid_from && node.valid_until && *node.valid_until < *node.valid_from) {
    return std::unexpected(invalid("valid_until lies before valid_from; a memory is true from the one to the other"));
  }
  return {};
}

Result<void> check_ranges(const MemoryNode& node) {
  if (auto numbers = check_numbers(node); !numbers) return numbers;
  if (auto times = check_times(node); !times) return times;
  if (node.context && node.context->size() > kMaxContextBytes) {
    return std::unexpected(too_long("context", node.context->size(), kMaxContextBytes));
  }
  for (std::size_t i = 0; i < node.tags.size(); ++i) {
    if (node.tags[i].size() > kMaxNameBytes) {
      return std::unexpected(too_long(fmt::format("tags[{}]", i), node.tags[i].size(), kMaxNameBytes));
    }
  }
  for (const auto& [name, value] : node.attributes) {
    if (name.size() > kMaxNameBytes) {
      return std::unexpected(too_long(fmt::format("the name {} of attributes", base::quoted(name.substr(0, 40))),
                                      name.size(), kMaxNameBytes));
    }
  }
  return {};
}

Result<void> validate_attribute(std::size_t index, const std::string& key, const AttributeValue& value) {
  if (!base::is_valid_utf8(key)) {
    return std::unexpected(invalid(fmt::format("key {} of attributes is not valid UTF-8", index)));
  }
  if (const auto* text = std::get_if<std::string>(&value); text != nullptr && !base::is_valid_utf8(*text)) {
    return std::unexpected(invalid(
        fmt::format("attributes[{}] is not valid UTF-8; use a bytes attribute for other data", base::quoted(key))));
  }
  if (const auto* number = std::get_if<double>(&value); number != nullptr && !std::isfinite(*number)) {
    return std::unexpected(
        invalid(fmt::format("attributes[{}] is {}; only finite numbers can be stored", base::quoted(key), *number)));
  }
  return {};
}

Result<void> validate_embedding(const MemoryNode& node) {
  for (std::size_t i = 0; i < node.embedding.size(); ++i) {
    if (!std::isfinite(node.embedding[i])) {
      return std::unexpected(
          invalid(fmt::format("embedding[{}] is {}; only finite numbers can be stored", i, node.embedding[i])));
    }
  }
  return {};
}

}  // namespace

std::string_view to_string(MemoryType type) noexcept {
  const auto index = static_cast<std::size_t>(type);
  return index < std::size(kTypeNames) ? kTypeNames[index] : "unknown";
}

Result<MemoryType> parse_memory_type(std::string_view name) {
  const auto* found = std::find(std::begin(kTypeNames), std::end(kTypeNames), name);
  if (found != std::end(kTypeNames)) return static_cast<MemoryType>(found - std::begin(kTypeNames));
  return std::unexpected(invalid(
      fmt::format("{} is no memory type; expected Episodic, Semantic, Procedural, AntiPattern, Reasoning or Correction",
                  base::quoted(name))));
}

MemoryNode MemoryNode::create(AgentId agent, MemoryType type, std::string content, std::vector<float> embedding) {
  MemoryNode node;
  node.id = MemoryId::random();
  node.agent_id = agent;
  node.memory_type = type;
  node.content = std::move(content);
  node.embedding = std::move(embedding);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  node.created_at = static_cast<Timestamp>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
  node.accessed_at = node.created_at;
  return node;
}

bool operator==(const MemoryNode& a, const MemoryNode& b) {
  return a.id == b.id && a.agent_id == b.agent_id && a.user_id == b.user_id && a.memory_type == b.memory_type &&
         std::ranges::equal(a.embedding, b.embedding, same_bits) && a.content == b.content &&
         a.created_at == b.created_at && a.accessed_at == b.accessed_at && a.access_count == b.access_count &&
         same_bits(a.salience, b.salience) && same_bits(a.confidence, b.confidence) && a.space_id == b.space_id &&
         std::ranges::equal(
             a.attributes, b.attributes,
             [](const auto& x, const auto& y) { return x.first == y.first && same_value(x.second, y.second); }) &&
         a.tags == b.tags && a.valid_from == b.valid_from && a.valid_until == b.valid_until && a.context == b.context;
}

Result<void> validate(const MemoryNode& node) {
  if (node.id.is_nil()) {
    return std::unexpected(invalid("id is the nil UUID; use MemoryId::random() or an id of your own"));
  }
  if (static_cast<std::size_t>(node.memory_type) >= format::kMemoryTypeCount) {
    return std::unexpected(
        invalid(fmt::format("memory_type {} is no memory type", static_cast<unsigned>(node.memory_type))));
  }
  if (node.content.size() > kMaxContentBytes) {
    return std::unexpected(over_limit(
        fmt::format("content has {} bytes; the limit is {} (16 MiB)", node.content.size(), kMaxContentBytes)));
  }
  if (node.embedding.size() > kMaxEmbeddingDimensions) {
    return std::unexpected(over_limit(
        fmt::format("embedding has {} dimensions; the limit is {}", node.embedding.size(), kMaxEmbeddingDimensions)));
  }
  if (node.tags.size() > kMaxTags) {
    return std::unexpected(
        over_limit(fmt::format("tags has {} elements; the limit is {}", node.tags.size(), kMaxTags)));
  }
  if (node.attributes.size() > kMaxAttributes) {
    return std::unexpected(
        over_limit(fmt::format("attributes has {} entries; the limit is {}", node.attributes.size(), kMaxAttributes)));
  }
  if (const std::size_t size_bytes = format::encoded_size_bytes(node); size_bytes > kMaxEncodedBytes) {
    return std::unexpected(
        over_limit(fmt::format("the memory is {} bytes when encoded, all fields together; the limit is {} (24 MiB)",
                               size_bytes, kMaxEncodedBytes)));
  }
  if (auto ranges = check_ranges(node); !ranges) return ranges;
  if (auto floats = validate_embedding(node); !floats) return floats;
  if (!base::is_valid_utf8(node.content)) {
    return std::unexpected(invalid("content is not valid UTF-8; use a bytes attribute for other data"));
  }
  if (node.context && !base::is_valid_utf8(*node.context)) {
    return std::unexpected(invalid("context is not valid UTF-8; use a bytes attribute for other data"));
  }
  for (std::size_t i = 0; i < node.tags.size(); ++i) {
    if (!base::is_valid_utf8(node.tags[i])) {
      return std::unexpected(invalid(fmt::format("tags[{}] is not valid UTF-8", i)));
    }
  }
  std::size_t index = 0;
  for (const auto& [key, value] : node.attributes) {
    if (auto attribute = validate_attribute(index++, key, value); !attribute) return attribute;
  }
  return {};
}

}  // namespace mentedb

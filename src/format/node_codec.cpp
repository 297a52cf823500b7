#include "format/node_codec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include <fmt/core.h>

#include "base/assert.hpp"
#include "base/error.hpp"
#include "base/floats.hpp"
#include "base/utf8.hpp"

namespace mentedb::format {
namespace {

static_assert(std::endian::native == std::endian::little, "the formats are copied, not byte-swapped");

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxVarintBytes = 4;

constexpr std::uint16_t kHasUser = 1U << 0;
constexpr std::uint16_t kHasSpace = 1U << 1;
constexpr std::uint16_t kHasValidFrom = 1U << 2;
constexpr std::uint16_t kHasValidUntil = 1U << 3;
constexpr std::uint16_t kHasContext = 1U << 4;
constexpr std::uint16_t kKnownFlags = kHasUser | kHasSpace | kHasValidFrom | kHasValidUntil | kHasContext;

/// The first 80 bytes of a record. Floats are kept as their bits.
struct FixedPart {
  std::uint8_t version;
  std::uint8_t memory_type;
  std::uint16_t flags;
  std::uint32_t access_count;
  UuidBytes id;
  UuidBytes agent_id;
  std::uint64_t created_at;
  std::uint64_t accessed_at;
  std::uint32_t salience;
  std::uint32_t confidence;
  std::uint32_t content_bytes;
  std::uint32_t context_bytes;
  std::uint16_t dimensions;
  std::uint16_t tag_count;
  std::uint16_t attribute_count;
  std::uint16_t zero;
};
static_assert(sizeof(FixedPart) == 80);
static_assert(offsetof(FixedPart, id) == 8 && offsetof(FixedPart, agent_id) == 24);
static_assert(offsetof(FixedPart, created_at) == 40 && offsetof(FixedPart, salience) == 56);
static_assert(offsetof(FixedPart, content_bytes) == 64 && offsetof(FixedPart, zero) == 78);
static_assert(std::has_unique_object_representations_v<FixedPart> && std::is_trivially_copyable_v<FixedPart>);
static_assert(sizeof(float) == 4 && sizeof(double) == 8);

// The stored kind of an attribute is its index in the variant.
enum AttributeKind : std::uint8_t { kString = 0, kInteger = 1, kFloat = 2, kBoolean = 3, kBytes = 4 };
static_assert(std::is_same_v<std::variant_alternative_t<kString, AttributeValue>, std::string>);
static_assert(std::is_same_v<std::variant_alternative_t<kInteger, AttributeValue>, std::int64_t>);
static_assert(std::is_same_v<std::variant_alternative_t<kFloat, AttributeValue>, double>);
static_assert(std::is_same_v<std::variant_alternative_t<kBoolean, AttributeValue>, bool>);
static_assert(std::is_same_v<std::variant_alternative_t<kBytes, AttributeValue>, Bytes>);

constexpr std::size_t varint_size(std::size_t value) {
  std::size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

std::size_t sized(std::size_t length) { return varint_size(length) + length; }

std::size_t value_size(const AttributeValue& value) {
  switch (value.index()) {
    case kString:
      return sized(std::get<std::string>(value).size());
    case kBytes:
      return sized(std::get<Bytes>(value).size());
    case kBoolean:
      return 1;
    default:
      return 8;
  }
}

class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}

  void bytes(const void* from, std::size_t count) {
    MENTEDB_ASSERT(count <= out_.size());
    if (count > 0) std::memcpy(out_.data(), from, count);
    out_ = out_.subspan(count);
  }
  template <class T>
  void value(const T& from) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes(&from, sizeof from);
  }
  void varint(std::size_t number) {
    while (number >= 0x80) {
      value(static_cast<std::uint8_t>(number | 0x80));
      number >>= 7;
    }
    value(static_cast<std::uint8_t>(number));
  }
  void sized(const void* from, std::size_t count) {
    varint(count);
    bytes(from, count);
  }
  [[nodiscard]] std::size_t left() const { return out_.size(); }

 private:
  std::span<std::byte> out_;
};

/// Takes bytes from the front of a record. After the first false the caller stops, and `error` says why.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in), total_(in.size()) {}

  bool fail(std::string_view field, std::string_view why) {
    error_ = fmt::format("memory record: {} {} (byte {} of {})", field, why, total_ - in_.size(), total_);
    return false;
  }

  template <class T>
  bool value(T& to, std::string_view field) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (in_.size() < sizeof to) return fail(field, "is cut off");
    std::memcpy(&to, in_.data(), sizeof to);
    in_ = in_.subspan(sizeof to);
    return true;
  }

  /// `count` bytes without a copy.
  bool view(std::span<const std::byte>& to, std::size_t count, std::string_view field) {
    if (in_.size() < count) return fail(field, "is cut off");
    to = in_.first(count);
    in_ = in_.subspan(count);
    return true;
  }

  bool text(std::string& to, std::size_t count, std::string_view field) {
    std::span<const std::byte> raw;
    if (!view(raw, count, field)) return false;
    const std::string_view chars(reinterpret_cast<const char*>(raw.data()), raw.size());
    if (!base::is_valid_utf8(chars)) return fail(field, "is not valid UTF-8");
    to.assign(chars);
    return true;
  }

  bool varint(std::size_t& to, std::string_view field) {
    std::size_t number = 0;
    for (std::size_t i = 0; i < kMaxVarintBytes; ++i) {
      std::uint8_t byte = 0;
      if (!value(byte, field)) return false;
      number |= static_cast<std::size_t>(byte & 0x7F) << (7 * i);
      if ((byte & 0x80) == 0) {
        if (byte == 0 && i > 0) return fail(field, "has a length written with more bytes than it needs");
        to = number;
        return true;
      }
    }
    return fail(field, "has a length of more than four bytes");
  }

  bool sized_text(std::string& to, std::string_view field) {
    std::size_t length = 0;
    return varint(length, field) && text(to, length, field);
  }

  [[nodiscard]] std::size_t left() const { return in_.size(); }
  [[nodiscard]] Error error() const { return Error{ErrorCode::corruption, 0, error_}; }

 private:
  std::span<const std::byte> in_;
  std::size_t total_;
  std::string error_;
};

bool read_fixed(Reader& reader, const FixedPart& fixed, MemoryNode& node) {
  if (fixed.memory_type >= kMemoryTypeCount) return reader.fail("memory_type", "is unknown");
  if ((fixed.flags & ~kKnownFlags) != 0) return reader.fail("flags", "has unknown bits");
  if (fixed.zero != 0) return reader.fail("the reserved field", "is not zero");
  if (fixed.id == UuidBytes{}) return reader.fail("id", "is nil");
  if (fixed.content_bytes > kMaxContentBytes) return reader.fail("content", "is above the limit");
  if ((fixed.flags & kHasContext) == 0 && fixed.context_bytes != 0) {
    return reader.fail("context_bytes", "is not zero though there is no context");
  }
  if (fixed.tag_count > kMaxTags) return reader.fail("tag_count", "is above the limit");
  if (fixed.attribute_count > kMaxAttributes) return reader.fail("attribute_count", "is above the limit");
  node.id.bytes = fixed.id;
  node.agent_id.bytes = fixed.agent_id;
  node.memory_type = static_cast<MemoryType>(fixed.memory_type);
  node.access_count = fixed.access_count;
  node.created_at = fixed.created_at;
  node.accessed_at = fixed.accessed_at;
  node.salience = std::bit_cast<float>(fixed.salience);
  node.confidence = std::bit_cast<float>(fixed.confidence);
  if (!std::isfinite(node.salience)) return reader.fail("salience", "is not finite");
  if (!(node.confidence >= 0.0F && node.confidence <= 1.0F)) return reader.fail("confidence", "is not in 0 to 1");
  return true;
}

// The node may hold another memory: what the record lacks goes.
bool read_optional_ids_and_times(Reader& reader, std::uint16_t flags, MemoryNode& node) {
  node.user_id = {};
  node.space_id = {};
  node.valid_from.reset();
  node.valid_until.reset();
  if ((flags & kHasUser) != 0) {
    if (!reader.value(node.user_id.bytes, "user_id")) return false;
    if (node.user_id.is_nil()) return reader.fail("user_id", "is nil though it is marked present");
  }
  if ((flags & kHasSpace) != 0) {
    if (!reader.value(node.space_id.bytes, "space_id")) return false;
    if (node.space_id.is_nil()) return reader.fail("space_id", "is nil though it is marked present");
  }
  if ((flags & kHasValidFrom) != 0 && !reader.value(node.valid_from.emplace(), "valid_from")) return false;
  return (flags & kHasValidUntil) == 0 || reader.value(node.valid_until.emplace(), "valid_until");
}

bool read_embedding(Reader& reader, std::size_t dimensions, std::vector<float>& embedding) {
  std::span<const std::byte> raw;
  if (!reader.view(raw, dimensions * sizeof(float), "embedding")) return false;
  if (const void* at = raw.data(); reinterpret_cast<std::uintptr_t>(at) % alignof(float) == 0) {
    const auto* floats = static_cast<const float*>(at);
    embedding.assign(floats, floats + dimensions);  // writes each float once; `resize` would write zeros first
  } else {
    embedding.resize(dimensions);
    std::memcpy(embedding.data(), raw.data(), raw.size());
  }
  return base::all_finite(embedding) || reader.fail("embedding", "holds a number that is not finite");
}

bool read_attribute_value(Reader& reader, AttributeValue& value) {
  std::uint8_t kind = 0;
  if (!reader.value(kind, "attribute kind")) return false;
  switch (kind) {
    case kString:
      return reader.sized_text(value.emplace<std::string>(), "attribute");
    case kInteger:
      return reader.value(value.emplace<std::int64_t>(), "attribute");
    case kFloat: {
      double& number = value.emplace<double>();
      if (!reader.value(number, "attribute")) return false;
      return std::isfinite(number) || reader.fail("attribute", "is a number that is not finite");
    }
    case kBoolean: {
      std::uint8_t truth = 0;
      if (!reader.value(truth, "attribute")) return false;
      value.emplace<bool>(truth == 1);
      return truth <= 1 || reader.fail("attribute", "is a bool that is neither 0 nor 1");
    }
    case kBytes: {
      std::size_t length = 0;
      std::span<const std::byte> raw;
      if (!reader.varint(length, "attribute") || !reader.view(raw, length, "attribute")) return false;
      value.emplace<Bytes>(raw.begin(), raw.end());
      return true;
    }
    default:
      return reader.fail("attribute kind", "is unknown");
  }
}

bool read_tags(Reader& reader, std::size_t count, std::vector<std::string>& tags) {
  // A tag takes at least one byte. So a count above the bytes left is false, and no memory is reserved for it.
  if (count > reader.left()) return reader.fail("tag_count", "does not fit in the record");
  tags.resize(count);
  return std::ranges::all_of(tags, [&](std::string& tag) { return reader.sized_text(tag, "tag"); });
}

bool read_attributes(Reader& reader, std::size_t count, std::map<std::string, AttributeValue>& attributes) {
  attributes.clear();
  for (std::size_t i = 0; i < count; ++i) {
    std::string key;
    if (!reader.sized_text(key, "attribute key")) return false;
    if (!attributes.empty() && key <= attributes.rbegin()->first) {
      return reader.fail("attribute key", "is not above the one before");
    }
    AttributeValue value;
    if (!read_attribute_value(reader, value)) return false;
    attributes.emplace_hint(attributes.end(), std::move(key), std::move(value));
  }
  return true;
}

bool read_node(Reader& reader, const FixedPart& fixed, MemoryNode& node) {
  if (!read_fixed(reader, fixed, node)) return false;
  if (!read_optional_ids_and_times(reader, fixed.flags, node)) return false;
  if (!read_embedding(reader, fixed.dimensions, node.embedding)) return false;
  if (!reader.text(node.content, fixed.content_bytes, "content")) return false;
  if ((fixed.flags & kHasContext) == 0) {
    node.context.reset();
  } else if (!node.context) {
    node.context.emplace();
  }
  if (node.context && !reader.text(*node.context, fixed.context_bytes, "context")) return false;
  if (!read_tags(reader, fixed.tag_count, node.tags)) return false;
  if (!read_attributes(reader, fixed.attribute_count, node.attributes)) return false;
  return reader.left() == 0 || reader.fail("end", "is followed by further bytes");
}

Result<void> read_header(Reader& reader, FixedPart& fixed) {
  if (!reader.value(fixed, "header")) return std::unexpected(reader.error());
  if (fixed.version > kVersion) {
    return std::unexpected(Error{ErrorCode::incompatible, 0,
                                 fmt::format("memory record of version {}; this program knows {}; use a newer mentedb",
                                             fixed.version, kVersion)});
  }
  if (fixed.version == 0) {
    reader.fail("version", "is 0");
    return std::unexpected(reader.error());
  }
  return {};
}

}  // namespace

std::size_t encoded_size_bytes(const MemoryNode& node) {
  std::size_t size = sizeof(FixedPart) + node.embedding.size() * sizeof(float) + node.content.size();
  if (!node.user_id.is_nil()) size += sizeof(UuidBytes);
  if (!node.space_id.is_nil()) size += sizeof(UuidBytes);
  if (node.valid_from) size += sizeof(Timestamp);
  if (node.valid_until) size += sizeof(Timestamp);
  if (node.context) size += node.context->size();
  for (const std::string& tag : node.tags) size += sized(tag.size());
  for (const auto& [key, value] : node.attributes) size += sized(key.size()) + 1 + value_size(value);
  return size;
}

void encode_node(const MemoryNode& node, std::span<std::byte> out) {
  MENTEDB_ASSERT(node.embedding.size() <= kMaxEmbeddingDimensions && node.tags.size() <= kMaxTags &&
                 node.attributes.size() <= kMaxAttributes && out.size() <= kMaxEncodedBytes);
  FixedPart fixed{};
  fixed.version = kVersion;
  fixed.memory_type = static_cast<std::uint8_t>(node.memory_type);
  fixed.access_count = node.access_count;
  fixed.id = node.id.bytes;
  fixed.agent_id = node.agent_id.bytes;
  fixed.created_at = node.created_at;
  fixed.accessed_at = node.accessed_at;
  fixed.salience = std::bit_cast<std::uint32_t>(node.salience);
  fixed.confidence = std::bit_cast<std::uint32_t>(node.confidence);
  fixed.content_bytes = static_cast<std::uint32_t>(node.content.size());
  fixed.context_bytes = node.context ? static_cast<std::uint32_t>(node.context->size()) : 0;
  fixed.dimensions = static_cast<std::uint16_t>(node.embedding.size());
  fixed.tag_count = static_cast<std::uint16_t>(node.tags.size());
  fixed.attribute_count = static_cast<std::uint16_t>(node.attributes.size());
  const auto flag = [&](bool present, std::uint16_t bit) {
    if (present) fixed.flags = static_cast<std::uint16_t>(fixed.flags | bit);
  };
  flag(!node.user_id.is_nil(), kHasUser);
  flag(!node.space_id.is_nil(), kHasSpace);
  flag(node.valid_from.has_value(), kHasValidFrom);
  flag(node.valid_until.has_value(), kHasValidUntil);
  flag(node.context.has_value(), kHasContext);

  Writer writer(out);
  writer.value(fixed);
  if (!node.user_id.is_nil()) writer.value(node.user_id.bytes);
  if (!node.space_id.is_nil()) writer.value(node.space_id.bytes);
  if (node.valid_from) writer.value(*node.valid_from);
  if (node.valid_until) writer.value(*node.valid_until);
  writer.bytes(node.embedding.data(), node.embedding.size() * sizeof(float));
  writer.bytes(node.content.data(), node.content.size());
  if (node.context) writer.bytes(node.context->data(), node.context->size());
  for (const std::string& tag : node.tags) writer.sized(tag.data(), tag.size());
  for (const auto& [key, value] : node.attributes) {
    writer.sized(key.data(), key.size());
    writer.value(static_cast<std::uint8_t>(value.index()));
    switch (value.index()) {
      case kString:
        writer.sized(std::get<std::string>(value).data(), std::get<std::string>(value).size());
        break;
      case kInteger:
        writer.value(std::get<std::int64_t>(value));
        break;
      case kFloat:
        writer.value(std::get<double>(value));
        break;
      case kBoolean:
        writer.value(static_cast<std::uint8_t>(std::get<bool>(value) ? 1 : 0));
        break;
      default:
        writer.sized(std::get<Bytes>(value).data(), std::get<Bytes>(value).size());
        break;
    }
  }
  MENTEDB_ASSERT(writer.left() == 0);
}

Result<void> decode_node(std::span<const std::byte> in, MemoryNode& node) {
  Reader reader(in);
  FixedPart fixed;
  MENTEDB_TRY(read_header(reader, fixed));
  if (in.size() > kMaxEncodedBytes) {
    reader.fail("size", "is above the limit");
    return std::unexpected(reader.error());
  }
  if (!read_node(reader, fixed, node)) return std::unexpected(reader.error());
  return {};
}

Result<MemoryNode> decode_node(std::span<const std::byte> in) {
  Result<MemoryNode> node;
  if (auto decoded = decode_node(in, *node); !decoded) node = std::unexpected(std::move(decoded).error());
  return node;
}

Result<MemoryId> decode_node_id(std::span<const std::byte> in) {
  Reader reader(in);
  FixedPart fixed;
  MENTEDB_TRY(read_header(reader, fixed));
  if (fixed.id == UuidBytes{}) {
    reader.fail("id", "is nil");
    return std::unexpected(reader.error());
  }
  return MemoryId{fixed.id};
}

}  // namespace mentedb::format

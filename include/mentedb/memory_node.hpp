// A memory as users see it: the original MenteDB's fields under the original's names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>
#include <mentedb/ids.hpp>

namespace mentedb {

enum class MemoryType : std::uint8_t {
  Episodic = 0,
  Semantic = 1,
  Procedural = 2,
  AntiPattern = 3,
  Reasoning = 4,
  Correction = 5,
};

/// The enumerator's name, for example "AntiPattern".
MENTEDB_EXPORT std::string_view to_string(MemoryType type) noexcept;
/// Exactly the names above. @errors `invalid_argument`.
MENTEDB_EXPORT Result<MemoryType> parse_memory_type(std::string_view name);

using Bytes = std::vector<std::byte>;
using AttributeValue = std::variant<std::string, std::int64_t, double, bool, Bytes>;
/// Microseconds since 1970-01-01 UTC.
using Timestamp = std::uint64_t;

/// One memory. Text fields hold valid UTF-8 and floats are finite; `validate` checks both and the limits.
struct MemoryNode {
  MemoryId id;
  AgentId agent_id;
  UserId user_id;  ///< nil: shared by all users
  MemoryType memory_type = MemoryType::Episodic;
  std::vector<float> embedding;
  std::string content;
  Timestamp created_at = 0;
  Timestamp accessed_at = 0;
  std::uint32_t access_count = 0;
  float salience = 1.0F;
  float confidence = 1.0F;  ///< 0 to 1
  SpaceId space_id;
  std::map<std::string, AttributeValue> attributes;
  std::vector<std::string> tags;
  std::optional<Timestamp> valid_from;
  std::optional<Timestamp> valid_until;
  std::optional<std::string> context;

  /// A node with a random id, both times now, salience and confidence 1.
  static MENTEDB_EXPORT MemoryNode create(AgentId agent, MemoryType type, std::string content,
                                          std::vector<float> embedding = {});

  /// Bit for bit on floats, so that -0.0 and 0.0 differ and a round trip can be checked.
  friend MENTEDB_EXPORT bool operator==(const MemoryNode& a, const MemoryNode& b);
};

/// Limits on one memory; past one of them a write answers `capacity_exceeded` and names it.
inline constexpr std::size_t kMaxContentBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxEmbeddingDimensions = 65'535;
inline constexpr std::size_t kMaxTags = 4'096;
inline constexpr std::size_t kMaxAttributes = 4'096;
/// The encoded form of one memory, everything together.
inline constexpr std::size_t kMaxEncodedBytes = std::size_t{24} << 20;
/// The encoded form of all memories of one `store_memories` or `transact`.
inline constexpr std::size_t kMaxBatchBytes = std::size_t{64} << 20;

/// Checks every documented rule of a node: UTF-8, finite floats, confidence in 0..1, a non-nil id, limits.
/// @errors `invalid_argument`, `capacity_exceeded`
MENTEDB_EXPORT Result<void> validate(const MemoryNode& node);

}  // namespace mentedb

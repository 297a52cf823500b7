// A memory as users see it. The fields and their names are those of the original MenteDB.
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

/// What kind of memory it is. The store gives the value no meaning. The numbers are those on disk.
enum class MemoryType : std::uint8_t {
  Episodic = 0,
  Semantic = 1,
  Procedural = 2,
  AntiPattern = 3,
  Reasoning = 4,
  Correction = 5,
};

/// @return the enumerator's name, for example "AntiPattern"; "unknown" for a value that has none
MENTEDB_EXPORT std::string_view to_string(MemoryType type) noexcept;
/// Reads the name of a type.
/// @param name exactly one of the names above
/// @errors `invalid_argument`: no type has this name
MENTEDB_EXPORT Result<MemoryType> parse_memory_type(std::string_view name);

/// Bytes without a meaning to the store.
using Bytes = std::vector<std::byte>;
/// The value of an attribute: UTF-8 text, an integer, a finite number, a truth value or bytes.
using AttributeValue = std::variant<std::string, std::int64_t, double, bool, Bytes>;
/// Microseconds since 1970-01-01 00:00 UTC, from 0 to `kMaxTimestamp`.
using Timestamp = std::uint64_t;
/// The last microsecond of the year 9999. A clock that stands before 1970 gives a greater number, and is refused by it.
inline constexpr Timestamp kMaxTimestamp = 253'402'300'799'999'999;

/// One memory. `validate` checks the rules that stand beside the fields.
struct MemoryNode {
  MemoryId id;                                    ///< not nil; unique in a store
  AgentId agent_id;                               ///< the agent that the memory belongs to; may be nil
  UserId user_id;                                 ///< the user that the memory is about; nil: shared by all users
  MemoryType memory_type = MemoryType::Episodic;  ///< one of the enumerators
  std::vector<float> embedding;                   ///< 0 to 65,535 finite floats; memories may differ in length
  std::string content;                            ///< UTF-8, 0 to 16 MiB
  Timestamp created_at = 0;                       ///< set by the caller; the store never changes it
  Timestamp accessed_at = 0;                      ///< set by the caller; a read does not change it
  std::uint32_t access_count = 0;                 ///< set by the caller, any value; a read does not change it
  float salience = 1.0F;                          ///< how much the memory matters: 0 to 1,000,000
  float confidence = 1.0F;                        ///< how sure the memory is: 0 to 1
  SpaceId space_id;                               ///< the space that the memory belongs to; may be nil
  /// Up to 4,096 values by name. Names and text are UTF-8, numbers are finite, the bytes of Bytes are free. A name has
  /// at most 64 KiB.
  std::map<std::string, AttributeValue> attributes;
  /// Up to 4,096 texts in UTF-8, each up to 64 KiB. The order and repeated tags are kept.
  std::vector<std::string> tags;
  std::optional<Timestamp> valid_from;   ///< the memory is true from then on
  std::optional<Timestamp> valid_until;  ///< the memory is true until then; not before `valid_from`
  std::optional<std::string> context;    ///< where the memory comes from: UTF-8, up to 1 MiB

  /// Makes a memory with a random id. Both times are the system's clock, salience and confidence are 1, all other
  /// fields are empty. The store does not know the memory before it is stored.
  static MENTEDB_EXPORT MemoryNode create(AgentId agent, MemoryType type, std::string content,
                                          std::vector<float> embedding = {});

  /// Compares all fields, floats bit by bit. So -0.0 and 0.0 differ, and a test can check a round trip.
  friend MENTEDB_EXPORT bool operator==(const MemoryNode& a, const MemoryNode& b);
};

/// The longest content of one memory, in bytes: 16 MiB. Past a limit a write answers `capacity_exceeded`, and the
/// message names the limit.
inline constexpr std::size_t kMaxContentBytes = std::size_t{16} << 20;
/// The longest context of one memory: 1 MiB.
inline constexpr std::size_t kMaxContextBytes = std::size_t{1} << 20;
/// The longest tag, and the longest name of an attribute: 64 KiB.
inline constexpr std::size_t kMaxNameBytes = std::size_t{64} << 10;
/// The greatest salience.
inline constexpr float kMaxSalience = 1'000'000.0F;
/// The most floats in one embedding.
inline constexpr std::size_t kMaxEmbeddingDimensions = 65'535;
/// The most tags of one memory.
inline constexpr std::size_t kMaxTags = 4'096;
/// The most attributes of one memory.
inline constexpr std::size_t kMaxAttributes = 4'096;
/// The longest encoded form of one memory, all fields together: 24 MiB.
inline constexpr std::size_t kMaxEncodedBytes = std::size_t{24} << 20;
/// The longest encoded form of all memories of one `store_memories` or `transact`: 64 MiB.
inline constexpr std::size_t kMaxBatchBytes = std::size_t{64} << 20;

/// Checks every rule of a memory, as each write does: a non-nil id, a known type, UTF-8, finite floats, the ranges
/// beside the fields, the limits above.
/// @errors `invalid_argument`: a field breaks its rule; the message names the field
/// @errors `capacity_exceeded`: a field or the whole memory is past its limit; the message names the limit
/// @threads any thread
/// @cost no system call; one pass over the memory
/// @source docs/format-node.md for the encoded form
MENTEDB_EXPORT Result<void> validate(const MemoryNode& node);

}  // namespace mentedb

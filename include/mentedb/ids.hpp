// Strong identifiers: 128-bit UUIDs for things users name, 64-bit numbers for places and times in the store.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>

namespace mentedb {

/// 16 bytes of a UUID in the order of its text form (RFC 9562). All zero is the nil UUID.
using UuidBytes = std::array<std::uint8_t, 16>;

/// A fresh random (version 4) UUID from the kernel's generator.
MENTEDB_EXPORT UuidBytes random_uuid();
/// Lower-case 8-4-4-4-12 form.
MENTEDB_EXPORT std::string format_uuid(const UuidBytes& bytes);
/// Accepts the 36-character form, either case. @errors `invalid_argument`.
MENTEDB_EXPORT Result<UuidBytes> parse_uuid(std::string_view text);

/// A UUID that names one kind of thing; ids of different kinds do not convert into each other.
template <class Tag>
struct BasicId {
  UuidBytes bytes{};

  static BasicId random() { return BasicId{random_uuid()}; }
  static BasicId nil() { return BasicId{}; }
  /// @errors `invalid_argument` when the text is no UUID.
  static Result<BasicId> parse(std::string_view text) {
    auto parsed = parse_uuid(text);
    if (!parsed) return std::unexpected(parsed.error());
    return BasicId{*parsed};
  }
  std::string to_string() const { return format_uuid(bytes); }
  bool is_nil() const { return bytes == UuidBytes{}; }
  friend auto operator<=>(const BasicId&, const BasicId&) = default;
};

using MemoryId = BasicId<struct MemoryIdTag>;
using AgentId = BasicId<struct AgentIdTag>;
using UserId = BasicId<struct UserIdTag>;
using SpaceId = BasicId<struct SpaceIdTag>;

/// The number of a page; a memory is named by the first page of its run. 0 is never valid.
struct PageId {
  std::uint64_t value = 0;
  friend auto operator<=>(const PageId&, const PageId&) = default;
};

/// Log sequence number: one per logged operation, strictly increasing for the life of the store.
struct Lsn {
  std::uint64_t value = 0;
  friend auto operator<=>(const Lsn&, const Lsn&) = default;
};

}  // namespace mentedb

template <class Tag>
struct std::hash<mentedb::BasicId<Tag>> {
  std::size_t operator()(const mentedb::BasicId<Tag>& id) const noexcept {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      high = high << 8 | id.bytes[i];
      low = low << 8 | id.bytes[i + 8];
    }
    return static_cast<std::size_t>((high ^ (low * 0x9E3779B97F4A7C15ULL)) * 0xBF58476D1CE4E5B9ULL);
  }
};

template <>
struct std::hash<mentedb::PageId> {
  std::size_t operator()(mentedb::PageId id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};

// Strong identifiers. Users name memories, agents, users and spaces by UUIDs of 128 bits. The store numbers pages and
// operations with 64 bits.
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

/// The 16 bytes of a UUID, in the order of its text form. The nil UUID is all zero.
/// @source RFC 9562
using UuidBytes = std::array<std::uint8_t, 16>;

/// Makes a random UUID (version 4) from the kernel's generator.
/// @threads any thread
/// @cost one system call, getrandom(2)
MENTEDB_EXPORT UuidBytes random_uuid();
/// @return the 36-character form 8-4-4-4-12, in lower case
MENTEDB_EXPORT std::string format_uuid(const UuidBytes& bytes);
/// Reads the text form of a UUID.
/// @param text exactly 36 characters, in either case
/// @errors `invalid_argument`: the text has another form
MENTEDB_EXPORT Result<UuidBytes> parse_uuid(std::string_view text);

/// A UUID that names one kind of thing. An id of one kind does not convert into an id of another kind.
template <class Tag>
struct BasicId {
  UuidBytes bytes{};

  /// @return a fresh random id (version 4)
  static BasicId random() { return BasicId{random_uuid()}; }
  /// @return the id of 16 zero bytes
  static BasicId nil() { return BasicId{}; }
  /// As `parse_uuid`.
  /// @errors `invalid_argument`: the text is no UUID
  static Result<BasicId> parse(std::string_view text) {
    auto parsed = parse_uuid(text);
    if (!parsed) return std::unexpected(parsed.error());
    return BasicId{*parsed};
  }
  /// As `format_uuid`.
  std::string to_string() const { return format_uuid(bytes); }
  bool is_nil() const { return bytes == UuidBytes{}; }
  /// Compares byte by byte.
  friend auto operator<=>(const BasicId&, const BasicId&) = default;
};

/// Names a memory. The nil id names no memory.
using MemoryId = BasicId<struct MemoryIdTag>;
/// Names the agent that a memory belongs to. The store gives the value no meaning.
using AgentId = BasicId<struct AgentIdTag>;
/// Names the user that a memory is about. The nil id stands for all users.
using UserId = BasicId<struct UserIdTag>;
/// Names the space that a memory belongs to. The store gives the value no meaning.
using SpaceId = BasicId<struct SpaceIdTag>;

/// The number of a page, 1 to 4,294,967,295. 0 names no page. A run is named by its first page.
struct PageId {
  std::uint64_t value = 0;
  friend auto operator<=>(const PageId&, const PageId&) = default;
};

/// Log sequence number. Each logged operation has one, and the numbers rise for the life of the store. 0 stands before
/// the first operation. Numbers of different copies of a store (backups) say nothing about each other.
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

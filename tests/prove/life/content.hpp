// What a memory holds follows from its key, its version and its length. So a read is compared byte by byte, and no
// process keeps a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <mentedb/memory_node.hpp>

namespace mentedb::prove {

/// The longest content that `make_memory` makes.
inline constexpr std::size_t kLongestContent = std::size_t{1} << 21;

/// A well mixed number.
std::uint64_t mix(std::uint64_t value);

MemoryId id_of(std::uint32_t key);
MemoryNode make_memory(std::uint32_t key, std::uint32_t version, std::size_t content_bytes);
/// Which version of the key's memory this is. Nothing when it is no whole version.
std::optional<std::uint32_t> version_of(std::uint32_t key, const MemoryNode& node);

}  // namespace mentedb::prove

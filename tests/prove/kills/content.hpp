// What a memory or a raw page holds follows from its number and its version. Cheap to make and to compare: a slice of
// one text that every process has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mentedb/memory_node.hpp>

#include "board.hpp"

namespace mentedb::prove {

MemoryId memory_id(std::uint32_t member);
MemoryNode make_memory(const Config& config, std::uint32_t member, std::uint64_t version);
/// Long, so that a copy made while it is overwritten is a torn one.
inline constexpr std::size_t kRawBytes = 12'000;
std::vector<std::byte> make_raw(std::uint32_t member, std::uint64_t version);

/// Which version of `member` this is; nothing when it is no whole version of it.
std::optional<std::uint64_t> version_of(const Config& config, std::uint32_t member, const MemoryNode& node);
/// The same for a raw page's data. An empty page is nobody's version yet.
std::optional<std::uint64_t> version_of(std::uint32_t member, std::span<const std::byte> raw);
/// False when the data is no whole version of any raw page: torn.
bool is_whole_raw(std::span<const std::byte> raw);
/// The member that the id names, if it is one of ours.
std::optional<std::uint32_t> member_of(const MemoryId& id, std::uint32_t member_count);

}  // namespace mentedb::prove

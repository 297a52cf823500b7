// Memories whose whole content follows from a number (the key) and a version, so that any process can tell a torn or
// mixed-up memory from a good one without asking anybody.
#pragma once

#include <cstdint>
#include <string>

#include <mentedb/memory_node.hpp>

#include "support/memory_ids.hpp"

namespace mentedb::test {

/// One to about six pages of 1 KiB; versions of one memory differ in size, too.
MemoryNode versioned_memory(std::uint64_t key, std::uint32_t version);
inline std::uint32_t version_of(const MemoryNode& node) { return node.access_count; }
/// Empty when `node` is some whole version of its memory, else what is wrong.
std::string what_is_wrong(const MemoryNode& node);

}  // namespace mentedb::test

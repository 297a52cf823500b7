// Memories for tests: a fixed one with every field set, and random ones from a seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include <mentedb/memory_node.hpp>

namespace mentedb::test {

/// Every field has a value of its own, every kind of attribute is present.
MemoryNode full_node();

/// Valid UTF-8 of up to `max_characters` characters from all planes, NUL and control characters included.
std::string random_text(std::mt19937_64& random, std::size_t max_characters);

/// A valid node of random shape: small most of the time, odd values often. Ids come from the seed too.
MemoryNode random_node(std::mt19937_64& random);

}  // namespace mentedb::test

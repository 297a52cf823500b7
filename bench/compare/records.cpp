#include "records.hpp"

#include <fmt/core.h>

#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "format/node_codec.hpp"

namespace mentedb::compare {
namespace {

constexpr std::size_t kIdOffset = 8;  // of the id in the encoded form: src/format/node_codec.hpp

/// Pseudo-random words, so that the text does not compress into nothing.
std::string make_text(std::uint64_t seed, std::size_t size) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz     ";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text.push_back(letters[mix(seed + i) % letters.size()]);
  return text;
}

}  // namespace

std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

Records::Records(const Workload& workload) : seed_(workload.seed) {
  for (std::size_t slot = 0; slot < workload.batch; ++slot) {
    MemoryNode node;
    node.id = id(slot);
    node.agent_id.bytes = id(1'000'000'000'000).bytes;
    node.memory_type = MemoryType::Semantic;
    node.created_at = node.accessed_at = 1'700'000'000'000'000 + slot;
    for (std::size_t i = 0; i < workload.dimensions; ++i) {
      node.embedding.push_back(static_cast<float>(mix(slot * 65'536 + i) >> 40) / 8'388'608.0F - 1.0F);
    }
    const std::size_t without_text = format::encoded_size_bytes(node);
    if (without_text > workload.encoded_bytes) {
      throw std::runtime_error(fmt::format("encoded_bytes: a record has {} bytes without its text", without_text));
    }
    node.content = make_text(slot * 65'536, workload.encoded_bytes - without_text);
    Bytes bytes(format::encoded_size_bytes(node));
    format::encode_node(node, bytes);
    nodes_.push_back(std::move(node));
    bytes_.push_back(std::move(bytes));
  }
}

MemoryId Records::id(std::uint64_t number) const {
  MemoryId id;
  const std::uint64_t words[2] = {mix(seed_ ^ mix(number)), mix(number + (seed_ << 32))};
  std::memcpy(id.bytes.data(), words, sizeof words);
  return id;
}

void Records::set_id(std::size_t slot, std::uint64_t number) {
  nodes_[slot].id = id(number);
  std::memcpy(bytes_[slot].data() + kIdOffset, nodes_[slot].id.bytes.data(), nodes_[slot].id.bytes.size());
}

Record Records::record(std::uint64_t number) {
  const std::size_t slot = number % nodes_.size();
  set_id(slot, number);
  return {number, &nodes_[slot], bytes_[slot]};
}

Batch Records::batch(std::uint64_t first, std::size_t size) {
  for (std::size_t slot = 0; slot < size; ++slot) set_id(slot, first + slot);
  return {first, std::span(nodes_).first(size), std::span(bytes_).first(size)};
}

std::uint64_t touch(std::span<const std::byte> value) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, value.data() + (value.size() - sizeof word) * i / 4, sizeof word);
    sum += word;
  }
  return sum;
}

std::uint64_t touch(const MemoryNode& node) {
  return node.created_at + node.content.size() + static_cast<std::uint64_t>(node.content.front()) +
         node.embedding.size() + std::bit_cast<std::uint32_t>(node.embedding.back());
}

}  // namespace mentedb::compare

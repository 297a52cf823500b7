// The binary form of a memory. Every memory has exactly one encoding, so what decodes encodes to the same bytes.

#include <algorithm>
#include <vector>

#include "format/node_codec.hpp"
#include "support/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mentedb;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto node = format::decode_node(bytes);
  const auto id = format::decode_node_id(bytes);
  if (!node) {
    FUZZ_REQUIRE(node.error().code == ErrorCode::corruption || node.error().code == ErrorCode::incompatible);
    return 0;
  }
  FUZZ_REQUIRE(id && *id == node->id);
  FUZZ_REQUIRE(format::encoded_size_bytes(*node) == size);
  std::vector<std::byte> again(size);
  format::encode_node(*node, again);
  FUZZ_REQUIRE(std::ranges::equal(again, bytes));
  return 0;
}

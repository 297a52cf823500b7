// The binary form of a memory: the payload of a memory's run, and of the operation in the log that writes the run.
//
// All integers little endian, floats IEEE 754. Offsets from the start of the payload:
//
//     offset  size  field
//          0     1  version          1
//          1     1  memory_type      0 Episodic .. 5 Correction
//          2     2  flags            bit 0 user_id, 1 space_id, 2 valid_from, 3 valid_until, 4 context; others 0
//          4     4  access_count
//          8    16  id               not nil
//         24    16  agent_id
//         40     8  created_at       microseconds since 1970-01-01 UTC
//         48     8  accessed_at
//         56     4  salience         float
//         60     4  confidence       float, 0 to 1
//         64     4  content_bytes    at most 16 MiB
//         68     4  context_bytes    0 when flag 4 is clear
//         72     2  dimensions       of the embedding
//         74     2  tag_count        at most 4,096
//         76     2  attribute_count  at most 4,096
//         78     2  zero
//         80    16  user_id          only with flag 0; never nil
//          .    16  space_id         only with flag 1; never nil
//          .     8  valid_from       only with flag 2
//          .     8  valid_until      only with flag 3
//          .  4 * dimensions         embedding: floats, on a multiple of 4
//          .  content_bytes          content, UTF-8
//          .  context_bytes          context, UTF-8; only with flag 4
//          .  tags                   tag_count times: length (varint), UTF-8
//          .  attributes             attribute_count times, keys ascending by bytes, each once:
//                                    key length (varint), key, kind u8, value
//
//     kind  value
//        0  string: length (varint), UTF-8
//        1  int64, 8 bytes, two's complement
//        2  double, 8 bytes, finite
//        3  bool: 1 byte, 0 or 1
//        4  bytes: length (varint), any bytes
//
// A varint is LEB128: seven bits a byte, lowest first, the high bit set on all but the last byte, as few bytes as the
// number needs, at most four. Every memory has exactly one encoding, so equal memories are equal bytes. A
// record that breaks a rule above is refused. So are floats that are not finite, text that is not UTF-8, bytes behind
// the last field, and a total above 24 MiB. A field that a later version adds takes a new version number or a flag:
// this code refuses both.
//
// The id lies at a fixed place, so a lookup compares it without decoding the rest.
#pragma once

#include <cstddef>
#include <span>

#include <mentedb/error.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb::format {

inline constexpr std::size_t kMemoryTypeCount = 6;

/// Bytes that `encode_node` writes for this node.
std::size_t encoded_size_bytes(const MemoryNode& node);

/// Writes the node's binary form. `out` has exactly `encoded_size_bytes(node)` bytes and the node passes
/// `validate`. Allocates nothing.
void encode_node(const MemoryNode& node, std::span<std::byte> out);

/// Reads a node back. For any input it allocates at most a small multiple of the size of the input.
/// @errors `corruption`: names the rule that is broken and where; `incompatible`: a newer version
Result<MemoryNode> decode_node(std::span<const std::byte> in);
/// The same into a node that may hold another memory: its buffers are used again. After an error the node holds a mix.
Result<void> decode_node(std::span<const std::byte> in, MemoryNode& node);

/// The id alone. Checks that the fixed part is complete, that the version is known and that the id is not nil; no other
/// field is checked.
/// @errors as `decode_node`
Result<MemoryId> decode_node_id(std::span<const std::byte> in);

}  // namespace mentedb::format

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>

#include <mentedb/json.hpp>

#include "format/node_codec.hpp"
#include "support/results.hpp"
#include "support/sample_nodes.hpp"
#include "support/test_data.hpp"

namespace mentedb::format {
namespace {

using test::full_node;
using test::must;
using test::random_node;

Bytes encode(const MemoryNode& node) {
  Bytes out(encoded_size_bytes(node));
  encode_node(node, out);
  return out;
}

MemoryNode smallest_node() {
  MemoryNode node;
  node.id = full_node().id;
  return node;
}

void put_u16(Bytes& bytes, std::size_t offset, std::uint16_t value) { std::memcpy(&bytes[offset], &value, 2); }
void put_u32(Bytes& bytes, std::size_t offset, std::uint32_t value) { std::memcpy(&bytes[offset], &value, 4); }

void expect_corrupt(const Bytes& bytes, std::string_view word) {
  const auto node = decode_node(bytes);
  ASSERT_FALSE(node) << word;
  EXPECT_EQ(node.error().code, ErrorCode::corruption);
  EXPECT_NE(node.error().message.find(word), std::string::npos) << node.error().message;
}

TEST(NodeCodec, TheBytesOfAFullNodeAreTheDocumentedOnes) {
  const Bytes bytes = encode(full_node());
  constexpr std::uint8_t kExpected[] = {
      1,    3,    0x1F, 0,    7,    0,    0,    0,                                                    //
      0,    1,    2,    3,    4,    5,    0x46, 7,    0x88, 9,    10,   11,   12,   13,   14,   15,   //
      0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x46, 0x17, 0x98, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f  //
  };
  ASSERT_GE(bytes.size(), sizeof kExpected);
  EXPECT_EQ(std::memcmp(bytes.data(), kExpected, sizeof kExpected), 0);
  // 80 fixed, 2 ids, 2 times, 3 floats, content, context, tags, attributes
  const std::size_t attributes = (5 + 1 + 1) + (6 + 1 + 1 + 3) + (6 + 1 + 8) + (4 + 1 + 8) + (7 + 1 + 1 + 5);
  EXPECT_EQ(bytes.size(), 80U + 32 + 16 + 12 + 11 + 4 + (4 + 4) + attributes);
}

// `for_each_memory` decodes into one node again and again.
TEST(NodeCodec, ANodeThatHeldAnotherMemoryKeepsNothingOfIt) {
  std::mt19937_64 random(12);
  MemoryNode used = full_node();
  for (int i = 0; i < 500; ++i) {
    const MemoryNode node = i % 10 == 0 ? smallest_node() : i % 10 == 5 ? full_node() : random_node(random);
    must(decode_node(encode(node), used));
    ASSERT_EQ(used, node) << i;
  }
}

TEST(NodeCodec, TheBytesMayLieAnywhere) {
  const Bytes bytes = encode(full_node());
  for (std::size_t shift = 0; shift < 8; ++shift) {
    Bytes shifted(shift);
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    EXPECT_EQ(must(decode_node(std::span(shifted).subspan(shift))), full_node()) << shift;
  }
}

// The worked example of docs/format.md.
TEST(NodeCodec, TheDocumentedExample) {
  MemoryNode node = smallest_node();
  node.content = "hi";
  node.tags = {"t"};
  node.attributes["n"] = std::int64_t{5};
  std::string hex;
  for (std::byte byte : encode(node)) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[std::to_integer<unsigned>(byte) >> 4];
    hex += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  EXPECT_EQ(hex,
            "0100000000000000"
            "00010203040546078809"
            "0a0b0c0d0e0f"
            "00000000000000000000000000000000"
            "00000000000000000000000000000000"
            "0000803f0000803f"
            "0200000000000000"
            "0000010001000000"
            "6869"
            "0174"
            "016e010500000000000000");
}

TEST(NodeCodec, NilAndAbsentFieldsCostNothing) {
  EXPECT_EQ(encoded_size_bytes(smallest_node()), 80U);
  const auto back = decode_node(encode(smallest_node()));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, smallest_node());
}

TEST(NodeCodec, RoundTripsRandomNodes) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 3000; ++i) {
    const MemoryNode node = random_node(random);
    ASSERT_TRUE(validate(node)) << i;
    const Bytes bytes = encode(node);
    const auto back = decode_node(bytes);
    ASSERT_TRUE(back) << i << ": " << back.error().message;
    ASSERT_EQ(*back, node) << i;
    EXPECT_EQ(must(decode_node_id(bytes)), node.id);
  }
}

TEST(NodeCodec, RoundTripsTheLimits) {
  MemoryNode node = smallest_node();
  node.content.assign(kMaxContentBytes, 'x');
  node.embedding.assign(kMaxEmbeddingDimensions, 1.5F);
  node.tags.assign(kMaxTags, "");
  for (std::size_t i = 0; i < kMaxAttributes; ++i) node.attributes[std::to_string(i)] = static_cast<std::int64_t>(i);
  ASSERT_TRUE(validate(node));
  EXPECT_EQ(must(decode_node(encode(node))), node);
}

TEST(NodeCodec, EveryTruncationIsCorruption) {
  const Bytes bytes = encode(full_node());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto node = decode_node(std::span(bytes).first(length));
    ASSERT_FALSE(node) << length;
    EXPECT_EQ(node.error().code, ErrorCode::corruption);
    EXPECT_EQ(decode_node_id(std::span(bytes).first(length)).has_value(), length >= 80);
  }
}

// Whatever is accepted has exactly one encoding, so a changed byte never reads as the same memory. It may have fields
// out of range: only a write checks that.
TEST(NodeCodec, EveryChangedByteIsRefusedOrIsAnotherValidMemory) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 20; ++round) {
    const MemoryNode node = round == 0 ? full_node() : random_node(random);
    Bytes bytes = encode(node);
    if (bytes.size() > 2000) continue;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::byte original = bytes[i];
      for (unsigned flip : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U, 255U}) {
        bytes[i] = original ^ static_cast<std::byte>(flip);
        const auto changed = decode_node(bytes);
        if (changed) {
          ASSERT_NE(*changed, node);
          ASSERT_EQ(encode(*changed), bytes);
        }
      }
      bytes[i] = original;
    }
  }
}

TEST(NodeCodec, RandomBytesNeverCrash) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes(random() % 300);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    if (!bytes.empty()) bytes[0] = std::byte{1};
    if (bytes.size() > 2) bytes[1] = std::byte{0};
    if (auto node = decode_node(bytes)) {
      EXPECT_EQ(encode(*node), bytes);
    }
  }
}

TEST(NodeCodec, NamesTheBrokenRule) {
  const Bytes good = encode(full_node());
  const auto with = [&](auto&& change) {
    Bytes bytes = good;
    change(bytes);
    return bytes;
  };
  expect_corrupt(with([](Bytes& b) { b[0] = std::byte{0}; }), "version");
  expect_corrupt(with([](Bytes& b) { b[1] = std::byte{6}; }), "memory_type");
  expect_corrupt(with([](Bytes& b) { b[2] = std::byte{0x3F}; }), "flags");
  expect_corrupt(with([](Bytes& b) { std::fill_n(b.begin() + 8, 16, std::byte{0}); }), "id is nil");
  expect_corrupt(with([](Bytes& b) { put_u32(b, 56, 0x7FC00000); }), "salience");
  expect_corrupt(with([](Bytes& b) { put_u32(b, 60, 0x3F800001); }), "confidence");
  expect_corrupt(with([](Bytes& b) { put_u32(b, 60, 0xBF800000); }), "confidence");
  expect_corrupt(with([](Bytes& b) { put_u32(b, 64, 0xFFFFFFFF); }), "content");
  expect_corrupt(with([](Bytes& b) { put_u32(b, 64, kMaxContentBytes); }), "content is cut off");
  expect_corrupt(with([](Bytes& b) { put_u16(b, 74, 4097); }), "tag_count");
  expect_corrupt(with([](Bytes& b) { put_u16(b, 74, 4096); }), "tag_count does not fit");
  expect_corrupt(with([](Bytes& b) { put_u16(b, 76, 4097); }), "attribute_count");
  expect_corrupt(with([](Bytes& b) { put_u16(b, 78, 1); }), "reserved");
  expect_corrupt(with([](Bytes& b) { std::fill_n(b.begin() + 80, 16, std::byte{0}); }), "user_id is nil");
  expect_corrupt(with([](Bytes& b) { std::fill_n(b.begin() + 96, 16, std::byte{0}); }), "space_id is nil");
  expect_corrupt(with([](Bytes& b) { put_u32(b, 128, 0x7F800000); }), "embedding");
  expect_corrupt(with([](Bytes& b) { b[140] = std::byte{0xFF}; }), "content is not valid UTF-8");
  expect_corrupt(with([](Bytes& b) { b[151] = std::byte{0xFF}; }), "context is not valid UTF-8");
  expect_corrupt(with([](Bytes& b) { b.push_back(std::byte{0}); }), "further bytes");
  expect_corrupt(Bytes(80, std::byte{0}), "version");
}

TEST(NodeCodec, ANewerVersionIsIncompatible) {
  Bytes bytes = encode(full_node());
  bytes[0] = std::byte{2};
  EXPECT_EQ(decode_node(bytes).error().code, ErrorCode::incompatible);
  EXPECT_EQ(decode_node_id(bytes).error().code, ErrorCode::incompatible);
}

TEST(NodeCodec, AttributesAreSortedAndUnique) {
  MemoryNode node = smallest_node();
  node.attributes["a"] = true;
  node.attributes["b"] = true;
  Bytes bytes = encode(node);  // .. 1 'a' 3 1 | 1 'b' 3 1
  ASSERT_EQ(bytes.size(), 88U);
  bytes[85] = std::byte{'a'};
  expect_corrupt(bytes, "not above the one before");
  bytes[81] = std::byte{'b'};
  expect_corrupt(bytes, "not above the one before");
  bytes[85] = std::byte{'c'};
  EXPECT_TRUE(decode_node(bytes));
  bytes[87] = std::byte{2};
  expect_corrupt(bytes, "neither 0 nor 1");
  bytes[86] = std::byte{5};
  expect_corrupt(bytes, "kind is unknown");
}

TEST(NodeCodec, LengthsAreWrittenShortest) {
  MemoryNode node = smallest_node();
  node.tags = {"a"};
  Bytes bytes = encode(node);
  bytes[80] = std::byte{0x81};
  bytes.insert(bytes.begin() + 81, std::byte{0x00});
  expect_corrupt(bytes, "more bytes than it needs");
  bytes[81] = bytes[82] = std::byte{0xFF};
  bytes.insert(bytes.begin() + 83, std::byte{0x7F});
  expect_corrupt(bytes, "is cut off");
  bytes[83] = std::byte{0x80};
  expect_corrupt(bytes, "more than four bytes");
}

// Hostile counts reserve nothing: 65,535 dimensions or 4,096 tags in a record of 80 bytes.
TEST(NodeCodec, CountsThatDoNotFitAreRefused) {
  Bytes bytes = encode(smallest_node());
  put_u16(bytes, 72, 0xFFFF);
  expect_corrupt(bytes, "embedding is cut off");
  put_u16(bytes, 72, 0);
  put_u16(bytes, 76, 4096);
  expect_corrupt(bytes, "attribute key is cut off");
}

TEST(NodeCodec, ARecordAboveTheLimitIsRefused) {
  Bytes bytes = encode(smallest_node());
  bytes.resize(kMaxEncodedBytes + 1);
  expect_corrupt(bytes, "above the limit");
}

TEST(NodeCodec, RealMemoriesTakeLittleBesideTheirContent) {
  const auto file = test::test_data("locomo.jsonl");
  if (!file) GTEST_SKIP() << "MENTEDB_TEST_DATA is not set or has no locomo.jsonl";
  std::ifstream in(*file);
  for (std::string line; std::getline(in, line);) {
    const auto node = from_json(line);
    ASSERT_TRUE(node) << node.error().message;
    const Bytes bytes = encode(*node);
    ASSERT_EQ(must(decode_node(bytes)), *node);
    std::size_t payload = node->embedding.size() * 4 + node->content.size();
    MemoryNode bare = *node;
    bare.tags.clear();
    bare.attributes.clear();
    EXPECT_LE(encoded_size_bytes(bare) - payload, 130U);
  }
}

}  // namespace
}  // namespace mentedb::format

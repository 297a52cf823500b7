#include "format/index_format.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "format/superblock.hpp"

namespace mentedb::format {
namespace {

using Block = std::array<std::byte, base::kBlockBytes>;

IndexHeader sample() {
  IndexHeader header{};
  header.store_id.fill(1);
  header.incarnation.fill(2);
  header.boot_id.fill(3);
  header.pages_device = 4;
  header.pages_inode = 5;
  header.bucket_count = 2048;
  return header;
}

TEST(IndexHeader, RoundTripsAndLeavesTheRestOfTheBlock) {
  Block block{};
  base::write_struct(std::span(block), kIndexUsedOffset, std::uint64_t{17});
  encode_index_header(sample(), block);
  const auto back = decode_index_header(block);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->bucket_count, 2048U);
  EXPECT_EQ(back->pages_inode, 5U);
  EXPECT_EQ(back->boot_id, sample().boot_id);
  EXPECT_EQ(base::read_struct<std::uint64_t>(block, kIndexUsedOffset), 17U);
}

TEST(IndexHeader, EveryBitIsCovered) {
  Block block{};
  encode_index_header(sample(), block);
  for (std::size_t bit = 0; bit < 8 * sizeof(IndexHeader); ++bit) {
    block[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(decode_index_header(block)) << "bit " << bit;
    block[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_FALSE(decode_index_header(Block{}));
  EXPECT_FALSE(decode_index_header(std::span(block).first(sizeof(IndexHeader) - 1)));
}

TEST(IndexHeader, RefusesImpossibleTableSizes) {
  for (const std::uint64_t slots : {std::uint64_t{0}, std::uint64_t{512}, std::uint64_t{1025}, std::uint64_t{3072},
                                    kMaxIndexBuckets * 2, std::uint64_t{1} << 63}) {
    IndexHeader header = sample();
    header.bucket_count = slots;
    Block block{};
    encode_index_header(header, block);
    EXPECT_FALSE(decode_index_header(block)) << slots;
  }
}

TEST(IndexFileName, RoundTripsAndRefusesOtherNames) {
  for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{42}, UINT64_MAX}) {
    EXPECT_EQ(parse_index_file_name(index_file_name(n)), n);
  }
  EXPECT_EQ(index_file_name(7), "ids-7.idx");
  for (const char* name : {"", "ids-", "ids-.idx", "ids-1.id", "ids-01.idx", "ids-+1.idx", "ids--1.idx", "ids-1x.idx",
                           "ids-18446744073709551616.idx", "wal.log", "xids-1.idx", "ids-1.idx.bak"}) {
    EXPECT_FALSE(parse_index_file_name(name)) << name;
  }
}

TEST(Slot, NoPageEverLooksLikeEmptyOrTombstone) {
  EXPECT_EQ(bucket_page(kTombstone), 0U);
  EXPECT_EQ(bucket_page(kEmptyBucket), 0U);
  EXPECT_NE(kTombstone, kEmptyBucket);
  const std::uint64_t slot = make_bucket(0xFFFF'FFFF, 0xFFFF'FFFF);
  EXPECT_EQ(bucket_page(slot), 0xFFFF'FFFFU);
  EXPECT_EQ(bucket_fingerprint(slot), 0xFFFF'FFFFU);
  EXPECT_NE(make_bucket(0, 1), kEmptyBucket);
}

TEST(HashId, SpreadsAndDependsOnTheStore) {
  // Ids of one agent may differ in a single byte; the fingerprint must not be a function of the starting place.
  std::set<std::uint64_t> starts;
  std::set<std::uint32_t> fingerprints;
  UuidBytes id{};
  for (int i = 0; i < 256; ++i) {
    id[15] = static_cast<std::uint8_t>(i);
    const IdHash hash = hash_id(id, 1);
    starts.insert(hash.start % 1'000'003);
    fingerprints.insert(hash.fingerprint);
  }
  EXPECT_GT(starts.size(), 250U);
  EXPECT_EQ(fingerprints.size(), 256U);
  EXPECT_NE(hash_id(id, 1).start, hash_id(id, 2).start);
}

}  // namespace
}  // namespace mentedb::format

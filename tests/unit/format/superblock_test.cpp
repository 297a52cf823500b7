#include "format/superblock.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "support/results.hpp"

namespace mentedb::format {
namespace {

using test::is_error;
using Block = std::array<std::byte, base::kBlockBytes>;

Superblock sample() {
  Superblock s{};
  s.magic = kPagesMagic;
  s.version = kFormatVersion;
  s.state = StoreState::created;
  s.page_bytes = 1024;
  s.store_id.fill(0xA1);
  s.incarnation.fill(0xB2);
  s.seed = 99;
  return s;
}

Block encoded(const Superblock& superblock) {
  Block block;
  block.fill(std::byte{0xFF});
  encode_superblock(superblock, block);
  return block;
}

Result<Superblock> decoded(const Block& block) { return decode_superblock(block, "store/pages.db"); }

TEST(Superblock, RoundTripsAndClearsItsBlock) {
  const Block block = encoded(sample());
  const auto back = decoded(block);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->page_bytes, 1024U);
  EXPECT_EQ(back->store_id, sample().store_id);
  EXPECT_EQ(back->incarnation, sample().incarnation);
  EXPECT_EQ(back->seed, 99U);
  EXPECT_EQ(back->state, StoreState::created);
  for (std::size_t i = sizeof(Superblock); i < block.size(); ++i) ASSERT_EQ(block[i], std::byte{0}) << i;
}

TEST(Superblock, EveryBitIsCovered) {
  Block block = encoded(sample());
  for (std::size_t bit = 0; bit < 8 * sizeof(Superblock); ++bit) {
    block[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto back = decoded(block);
    // In the magic or the version, too: these were "incompatible" once, so that verify named no damage, and its
    // remedy was another directory or a newer program for a store of this one.
    EXPECT_TRUE(is_error(back, ErrorCode::corruption, "store/pages.db")) << "bit " << bit;
    block[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(Superblock, ZerosAreNoSuperblock) {
  EXPECT_TRUE(is_error(decoded(Block{}), ErrorCode::incompatible, "store/pages.db"));
}

TEST(Superblock, ShortBlocksAreCutOff) {
  const Block block = encoded(sample());
  for (std::size_t n = 0; n < sizeof(Superblock); ++n) {
    EXPECT_TRUE(
        is_error(decode_superblock(std::span(block).first(n), "store/pages.db"), ErrorCode::corruption, "cut short"));
  }
  EXPECT_TRUE(decode_superblock(std::span(block).first(sizeof(Superblock)), "p"));
}

TEST(Superblock, NamesTheOriginalEngineAndTheWayOut) {
  Block block{};
  base::write_struct(std::span(block), 0, kOriginalMagic);
  EXPECT_TRUE(is_error(decoded(block), ErrorCode::incompatible, "mentedb import --from mentedb-rs"));
  // "MENTEDB1" as the original writes it.
  EXPECT_EQ(kOriginalMagic, 0x4D45'4E54'4544'4231U);
}

TEST(Superblock, RefusesFilesOfOtherPrograms) {
  Block block{};
  std::ranges::copy(std::as_bytes(std::span("SQLite format 3")), block.begin());
  EXPECT_TRUE(is_error(decoded(block), ErrorCode::incompatible, "not a MenteDB file"));
}

TEST(Superblock, RefusesNewerVersionsWhateverTheirChecksum) {
  Superblock newer = sample();
  newer.version = kFormatVersion + 1;
  Block block = encoded(newer);
  EXPECT_TRUE(is_error(decoded(block), ErrorCode::incompatible, "format version 3"));
  block[0] ^= std::byte{1};
  EXPECT_TRUE(is_error(decoded(block), ErrorCode::incompatible, "newer mentedb"));
}

TEST(Superblock, RefusesImpossibleFieldsUnderAValidChecksum) {
  const std::function<void(Superblock&)> breaks[] = {
      [](Superblock& s) { s.version = 0; },
      [](Superblock& s) { s.state = static_cast<StoreState>(0); },
      [](Superblock& s) { s.state = static_cast<StoreState>(4); },
      [](Superblock& s) { s.page_bytes = 0; },
      [](Superblock& s) { s.page_bytes = 256; },
      [](Superblock& s) { s.page_bytes = 1000; },
      [](Superblock& s) { s.page_bytes = 131'072; },
      [](Superblock& s) { s.reserved = 1; },
  };
  for (const auto& damage : breaks) {
    Superblock s = sample();
    damage(s);
    EXPECT_TRUE(is_error(decoded(encoded(s)), ErrorCode::corruption, "damaged"));
  }
  for (const StoreState state : {StoreState::creating, StoreState::created, StoreState::copying}) {
    Superblock s = sample();
    s.state = state;
    EXPECT_TRUE(decoded(encoded(s)));
  }
}

TEST(Superblock, OnlyAWholeBlockSaysWhoseItIs) {
  std::array<std::byte, base::kBlockBytes> block{};
  EXPECT_FALSE(has_known_magic(block));
  encode_superblock(Superblock{}, block);
  EXPECT_TRUE(has_known_magic(block));
  EXPECT_FALSE(has_known_magic(std::span(block).first(sizeof(Superblock) - 1)));
  block[9] ^= std::byte{1};
  EXPECT_FALSE(has_known_magic(block));
  base::write_struct(std::span(block), 0, kOriginalMagic);
  EXPECT_TRUE(has_known_magic(block));
}

}  // namespace
}  // namespace mentedb::format

#include "format/page_format.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/bytes.hpp"

namespace mentedb::format {
namespace {

constexpr std::uint64_t kSeed = 0x1234'5678'9ABC'DEF0;
constexpr std::uint64_t kPage = 77;

using EntryBytes = std::array<std::byte, kEntryBytes>;

UuidBytes some_id() {
  UuidBytes id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(i + 1);
  return id;
}

std::vector<Entry> entries_of_every_type() {
  return {
      {.id = {}, .lsn = 0, .run_pages = 0, .type = EntryType::free},
      {.id = some_id(), .lsn = 9, .run_pages = 0, .type = EntryType::deleted},
      {.id = some_id(), .lsn = 9, .run_pages = 0, .type = EntryType::moved},
      {.id = some_id(), .lsn = UINT64_MAX, .run_pages = 1, .type = EntryType::memory_stored},
      {.id = some_id(), .lsn = 9, .run_pages = 65'460, .type = EntryType::memory_updated},
      {.id = {}, .lsn = 9, .run_pages = 3, .type = EntryType::raw},
      {.id = {}, .lsn = 9, .run_pages = 76, .type = EntryType::interior},
  };
}

EntryBytes encoded(const Entry& entry, std::uint64_t page = kPage, std::uint64_t seed = kSeed) {
  EntryBytes bytes;
  encode_entry(entry, page, seed, bytes);
  return bytes;
}

TEST(Entry, EveryTypeRoundTrips) {
  for (const Entry& entry : entries_of_every_type()) EXPECT_EQ(decode_entry(encoded(entry), kPage, kSeed), entry);
}

TEST(Entry, EveryBitIsCovered) {
  for (const Entry& entry : entries_of_every_type()) {
    EntryBytes bytes = encoded(entry);
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= std::byte{1} << (bit % 8);
      EXPECT_FALSE(decode_entry(bytes, kPage, kSeed)) << "bit " << bit;
      bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    }
  }
}

TEST(Entry, AnotherPlaceOrStoreNeverVerifies) {
  for (const Entry& entry : entries_of_every_type()) {
    EXPECT_FALSE(decode_entry(encoded(entry), kPage + 1, kSeed));
    EXPECT_FALSE(decode_entry(encoded(entry), kPage + kPagesPerRegion, kSeed));
    EXPECT_FALSE(decode_entry(encoded(entry), kPage, kSeed + 1000));
  }
}

TEST(Entry, ZerosNeverVerify) {
  for (std::uint64_t page = 1; page < 5000; ++page) EXPECT_FALSE(decode_entry(EntryBytes{}, page, kSeed));
}

TEST(Entry, RefusesImpossibleFieldsUnderAValidCheck) {
  const Entry impossible[] = {
      {.id = {}, .lsn = 1, .run_pages = 2, .type = EntryType::free},
      {.id = some_id(), .lsn = 1, .run_pages = 2, .type = EntryType::deleted},
      {.id = some_id(), .lsn = 1, .run_pages = 0, .type = EntryType::memory_stored},
      {.id = some_id(), .lsn = 1, .run_pages = 65'461, .type = EntryType::memory_updated},  // beyond the group
      {.id = {}, .lsn = 1, .run_pages = 0xFF'FFFF, .type = EntryType::raw},
      {.id = {}, .lsn = 1, .run_pages = 0, .type = EntryType::interior},
      {.id = {}, .lsn = 1, .run_pages = 77, .type = EntryType::interior},  // its head would be before the group
      {.id = {}, .lsn = 1, .run_pages = 0, .type = static_cast<EntryType>(0)},
      {.id = {}, .lsn = 1, .run_pages = 0, .type = static_cast<EntryType>(8)},
  };
  for (const Entry& entry : impossible) EXPECT_FALSE(decode_entry(encoded(entry), kPage, kSeed));
}

TEST(Entry, AFreePageMayLackSpace) {
  for (const EntryType type : {EntryType::free, EntryType::deleted, EntryType::moved}) {
    Entry entry{.id = {}, .lsn = 1, .run_pages = 0, .type = type};
    EXPECT_FALSE(lacks_space(entry));
    entry.run_pages = 1;
    EXPECT_TRUE(lacks_space(entry));
    EXPECT_EQ(decode_entry(encoded(entry), kPage, kSeed), entry);
  }
  EXPECT_FALSE(lacks_space({.id = {}, .lsn = 1, .run_pages = 1, .type = EntryType::raw}));
}

// A reader may copy the entry while it changes, and the kernel copies aligned words as a whole.
TEST(Entry, OnlyTheLastWordSaysThatAPageLacksSpace) {
  Entry entry{.id = some_id(), .lsn = 7, .run_pages = 0, .type = EntryType::deleted};
  const auto before = encoded(entry);
  entry.run_pages = 1;
  const auto after = encoded(entry);
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 24, after.begin()));
}

TEST(EntryType, KindsAreDisjoint) {
  for (int i = 1; i <= 7; ++i) {
    const auto type = static_cast<EntryType>(i);
    EXPECT_EQ(is_free(type) + is_head(type) + (type == EntryType::interior), 1) << i;
    EXPECT_TRUE(is_head(type) || !is_memory(type)) << i;
  }
}

// ---------------------------------------------------------------------------------------------- runs

struct SampleRun {
  RunHeader header{};
  std::vector<std::byte> payload;
};

SampleRun sample_run() {
  SampleRun run;
  for (int i = 0; i < 100; ++i) run.payload.push_back(static_cast<std::byte>(i));
  run.header.page = kPage;
  run.header.lsn = 5;
  run.header.payload_bytes = 100;
  run.header.run_pages = 1;
  run.header.type = RunType::memory;
  seal_run_header(run.header, run.payload, kSeed);
  return run;
}

bool verifies(std::span<const std::byte> image, std::uint64_t page = kPage, std::uint64_t seed = kSeed) {
  const auto header = parse_run_header(image, page, 1024);
  if (!header || sizeof(RunHeader) + header->payload_bytes > image.size()) return false;
  return run_verifies(*header, image.subspan(sizeof(RunHeader), header->payload_bytes), seed);
}

std::vector<std::byte> image_of(const SampleRun& run) {
  std::vector<std::byte> image(1024);
  base::write_struct(std::span(image), 0, run.header);
  std::ranges::copy(run.payload, image.begin() + sizeof(RunHeader));
  return image;
}

TEST(Run, EveryBitOfHeaderAndPayloadIsCovered) {
  auto image = image_of(sample_run());
  ASSERT_TRUE(verifies(image));
  for (std::size_t bit = 0; bit < 8 * (sizeof(RunHeader) + 100); ++bit) {
    image[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(verifies(image)) << "bit " << bit;
    image[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(Run, AnotherPlaceOrStoreNeverVerifies) {
  const auto image = image_of(sample_run());
  EXPECT_FALSE(verifies(image, kPage + 1));
  EXPECT_FALSE(verifies(image, kPage, kSeed + 1));
}

TEST(Run, ZerosNeverVerify) { EXPECT_FALSE(verifies(std::vector<std::byte>(1024))); }

TEST(Run, APayloadOfAnotherLengthNeverVerifies) {
  const SampleRun run = sample_run();
  EXPECT_FALSE(run_verifies(run.header, std::span(run.payload).first(99), kSeed));
  EXPECT_TRUE(run_verifies(run.header, run.payload, kSeed));
}

TEST(Run, ImpossibleHeadersAreRefusedBeforeAnyoneBelievesTheirLengths) {
  const auto parses = [](auto&& change) {
    RunHeader header = sample_run().header;
    change(header);
    return parse_run_header(base::bytes_of(header), kPage, 1024).has_value();
  };
  EXPECT_TRUE(parses([](RunHeader&) {}));
  EXPECT_FALSE(parses([](RunHeader& h) { h.page = kPage + 1; }));
  EXPECT_FALSE(parses([](RunHeader& h) { h.run_pages = 0; }));
  EXPECT_FALSE(parses([](RunHeader& h) { h.run_pages = 65'461; }));
  EXPECT_FALSE(parses([](RunHeader& h) { h.run_pages = UINT32_MAX; }));
  EXPECT_TRUE(parses([](RunHeader& h) { h.payload_bytes = 1024 - sizeof(RunHeader); }));
  EXPECT_FALSE(parses([](RunHeader& h) { h.payload_bytes = 1024 - sizeof(RunHeader) + 1; }));
  EXPECT_FALSE(parses([](RunHeader& h) { h.payload_bytes = UINT32_MAX; }));
  EXPECT_FALSE(parses([](RunHeader& h) { h.type = static_cast<RunType>(0); }));
  EXPECT_FALSE(parses([](RunHeader& h) { h.type = static_cast<RunType>(4); }));
  const auto image = image_of(sample_run());
  EXPECT_FALSE(parse_run_header(std::span(image).first(sizeof(RunHeader) - 1), kPage, 1024));
}

}  // namespace
}  // namespace mentedb::format

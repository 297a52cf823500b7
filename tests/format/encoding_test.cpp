// The bytes of every structure on disk, for fixed seeds, ids and values. When one of these tests fails, the format has
// changed: stores written before would not open any more, or would open wrongly. Never adjust the expected bytes
// without a new format version (src/format/superblock.hpp), docs/format.md and a new golden store.
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <mentedb/memory_node.hpp>

#include "base/bytes.hpp"
#include "format/geometry.hpp"
#include "format/index_format.hpp"
#include "format/log_format.hpp"
#include "format/node_codec.hpp"
#include "format/page_format.hpp"
#include "format/stretch.hpp"
#include "format/superblock.hpp"
#include "shared/shared_state.hpp"

namespace mentedb::format {
namespace {

constexpr std::uint64_t kSeed = 0x0123'4567'89AB'CDEF;
constexpr UuidBytes kStoreId{0x57, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr UuidBytes kIncarnation{0x1C, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30};
constexpr UuidBytes kMemoryId{0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x46, 0x07,
                              0x88, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F};
constexpr Counters kCounters{
    .page_count = 256, .high_water = 9, .used_pages = 7, .memory_count = 3, .reuse_horizon = 5};

/// Eight bytes a group, sixteen a line, as `od` and docs/format.md show them.
std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    constexpr const char* kDigits = "0123456789abcdef";
    if (i != 0) text += i % 16 == 0 ? "\n" : i % 8 == 0 ? "  " : " ";
    text += kDigits[std::to_integer<unsigned>(bytes[i]) >> 4];
    text += kDigits[std::to_integer<unsigned>(bytes[i]) & 15];
  }
  return text;
}

bool is_zero(std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    if (byte != std::byte{0}) return false;
  }
  return true;
}

TEST(Encoding, Geometry) {
  const Geometry geometry(1'024);
  EXPECT_EQ(kSharedStateOffset, 65'536U);
  EXPECT_EQ(geometry.record_offset(0), 131'072U);
  EXPECT_EQ(geometry.record_offset(63), 131'072U + 63U * 16U);
  EXPECT_EQ(geometry.entry_offset(1), 196'608U);
  EXPECT_EQ(geometry.page_offset(1), 196'608U + 2'097'152U);
  EXPECT_EQ(geometry.entry_offset(65'536), 196'608U + 2'097'152U - 32U);
  EXPECT_EQ(geometry.record_offset(64), 196'608U + 2'097'152U + 65'536U * 1'024U);
  EXPECT_EQ(geometry.entry_offset(65'537), 262'144U + 2'097'152U + 65'536U * 1'024U);
  EXPECT_EQ(geometry.file_bytes(0), 69'632U);
  EXPECT_EQ(geometry.file_bytes(256), 196'608U + 2'097'152U + 256U * 1'024U);
}

TEST(Encoding, StretchRecords) {
  EXPECT_EQ((FreeSpace{.at_begin = 1, .at_end = 2, .longest = 3}).word(), 0x8000'0000'0040'1003U);
  EXPECT_EQ(FreeSpace::from_word(0x8000'0000'0040'1003U), (FreeSpace{.at_begin = 1, .at_end = 2, .longest = 3}));
  EXPECT_EQ(FreeSpace::from_word(0), std::nullopt);
  EXPECT_EQ(FreeSpace::from_word(FreeSpace::all().word()), FreeSpace::all());
  EXPECT_EQ(FreeSpace::from_word(UINT64_MAX), FreeSpace::all());  // no claim exceeds the stretch
}

TEST(Encoding, Superblock) {
  std::array<std::byte, base::kBlockBytes> block{};
  encode_superblock({.checksum = 0,
                     .magic = kPagesMagic,
                     .version = kFormatVersion,
                     .state = StoreState::created,
                     .page_bytes = 1'024,
                     .reserved = 0,
                     .store_id = kStoreId,
                     .incarnation = kIncarnation,
                     .seed = kSeed},
                    block);
  EXPECT_EQ(hex(std::span(block).first(sizeof(Superblock))),
            "47 6d a0 80 99 83 31 4e  4d 65 6e 74 65 44 42 70\n"
            "02 00 00 00 02 00 00 00  00 04 00 00 00 00 00 00\n"
            "57 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f\n"
            "1c 10 11 12 13 14 15 16  17 18 19 1a 1b 1c 1d 1e\n"
            "ef cd ab 89 67 45 23 01");
  EXPECT_TRUE(is_zero(std::span(block).subspan(sizeof(Superblock))));
}

TEST(Encoding, LogHeader) {
  std::array<std::byte, base::kBlockBytes> block{};
  LogHeader slot{};
  slot.epoch = 3;
  slot.seed = kSeed;
  slot.start_lsn = 42;
  slot.store_id = kStoreId;
  slot.incarnation = kIncarnation;
  slot.counters = kCounters;
  encode_log_header(slot, block);
  EXPECT_EQ(hex(std::span(block).first(sizeof(LogHeader))),
            "cd 5e 69 da ee ec 86 a9  4d 65 6e 74 65 44 42 6c\n"
            "02 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00\n"
            "ef cd ab 89 67 45 23 01  2a 00 00 00 00 00 00 00\n"
            "57 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f\n"
            "1c 10 11 12 13 14 15 16  17 18 19 1a 1b 1c 1d 1e\n"
            "00 01 00 00 00 00 00 00  09 00 00 00 00 00 00 00\n"
            "07 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00\n"
            "05 00 00 00 00 00 00 00");
  EXPECT_TRUE(is_zero(std::span(block).subspan(sizeof(LogHeader))));
}

// A put with a payload of 5 bytes, then the free of another run.
TEST(Encoding, Batch) {
  const std::string payload = "hello";
  std::vector<std::byte> batch(sizeof(BatchHeader) + operation_bytes(payload.size()) + operation_bytes(0));
  base::write_struct(batch, 0,
                     BatchHeader{.checksum = 0,
                                 .offset = 8'192,
                                 .first_lsn = 42,
                                 .previous_checksum = 0x1111'2222'3333'4444,
                                 .operation_count = 2,
                                 .bytes = static_cast<std::uint32_t>(batch.size()),
                                 .counters = kCounters});
  base::write_struct(batch, sizeof(BatchHeader),
                     OperationHeader{.type = OperationType::update,
                                     .reserved = {},
                                     .run_pages = 2,
                                     .page = 8,
                                     .memory_id = kMemoryId,
                                     .payload_bytes = static_cast<std::uint32_t>(payload.size()),
                                     .reserved2 = 0});
  std::memcpy(batch.data() + sizeof(BatchHeader) + sizeof(OperationHeader), payload.data(), payload.size());
  base::write_struct(batch, sizeof(BatchHeader) + operation_bytes(payload.size()),
                     OperationHeader{.type = OperationType::move,
                                     .reserved = {},
                                     .run_pages = 1,
                                     .page = 4,
                                     .memory_id = kMemoryId,
                                     .payload_bytes = 0,
                                     .reserved2 = 0});
  seal_batch(batch, kSeed);
  EXPECT_EQ(hex(batch),
            "60 53 d6 b7 0e db 67 4d  00 20 00 00 00 00 00 00\n"
            "2a 00 00 00 00 00 00 00  44 44 33 33 22 22 11 11\n"
            "02 00 00 00 a8 00 00 00  00 01 00 00 00 00 00 00\n"
            "09 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00\n"
            "03 00 00 00 00 00 00 00  05 00 00 00 00 00 00 00\n"
            "02 00 00 00 02 00 00 00  08 00 00 00 00 00 00 00\n"
            "00 01 02 03 04 05 46 07  88 09 0a 0b 0c 0d 0e 0f\n"
            "05 00 00 00 00 00 00 00  68 65 6c 6c 6f 00 00 00\n"
            "05 00 00 00 01 00 00 00  04 00 00 00 00 00 00 00\n"
            "00 01 02 03 04 05 46 07  88 09 0a 0b 0c 0d 0e 0f\n"
            "00 00 00 00 00 00 00 00");
  EXPECT_TRUE(batch_verifies(batch, kSeed));
}

TEST(Encoding, RunHeader) {
  const std::string payload = "hello";
  RunHeader header{.checksum = 0,
                   .page = 8,
                   .lsn = 42,
                   .payload_bytes = static_cast<std::uint32_t>(payload.size()),
                   .run_pages = 2,
                   .type = RunType::memory,
                   .reserved = {}};
  seal_run_header(header, std::as_bytes(std::span(payload)), kSeed);
  EXPECT_EQ(hex(base::bytes_of(header)),
            "3c 62 91 ee b5 4b 89 0f  08 00 00 00 00 00 00 00\n"
            "2a 00 00 00 00 00 00 00  05 00 00 00 02 00 00 00\n"
            "02 00 00 00 00 00 00 00");
}

TEST(Encoding, DirectoryEntries) {
  const auto encoded = [](const Entry& entry, std::uint64_t page) {
    std::array<std::byte, kEntryBytes> bytes{};
    encode_entry(entry, page, kSeed, bytes);
    return hex(bytes);
  };
  EXPECT_EQ(encoded({}, 1),
            "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n"
            "00 00 00 00 00 00 00 00  00 00 00 01 75 38 52 26");
  EXPECT_EQ(encoded({.id = kMemoryId, .lsn = 42, .run_pages = 2, .type = EntryType::memory_updated}, 8),
            "00 01 02 03 04 05 46 07  88 09 0a 0b 0c 0d 0e 0f\n"
            "2a 00 00 00 00 00 00 00  02 00 00 05 cf 78 2e 84");
  EXPECT_EQ(encoded({.id = {}, .lsn = 42, .run_pages = 1, .type = EntryType::interior}, 9),
            "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n"
            "2a 00 00 00 00 00 00 00  01 00 00 07 71 eb f5 30");
  EXPECT_EQ(encoded({.id = kMemoryId, .lsn = 43, .run_pages = 0, .type = EntryType::moved}, 4),
            "00 01 02 03 04 05 46 07  88 09 0a 0b 0c 0d 0e 0f\n"
            "2b 00 00 00 00 00 00 00  00 00 00 03 72 bf af 1e");
}

TEST(Encoding, TypeNumbers) {
  EXPECT_EQ(static_cast<int>(EntryType::free), 1);
  EXPECT_EQ(static_cast<int>(EntryType::deleted), 2);
  EXPECT_EQ(static_cast<int>(EntryType::moved), 3);
  EXPECT_EQ(static_cast<int>(EntryType::memory_stored), 4);
  EXPECT_EQ(static_cast<int>(EntryType::memory_updated), 5);
  EXPECT_EQ(static_cast<int>(EntryType::raw), 6);
  EXPECT_EQ(static_cast<int>(EntryType::interior), 7);
  EXPECT_EQ(static_cast<int>(RunType::free), 1);
  EXPECT_EQ(static_cast<int>(RunType::memory), 2);
  EXPECT_EQ(static_cast<int>(RunType::raw), 3);
  EXPECT_EQ(static_cast<int>(OperationType::store), 1);
  EXPECT_EQ(static_cast<int>(OperationType::update), 2);
  EXPECT_EQ(static_cast<int>(OperationType::raw), 3);
  EXPECT_EQ(static_cast<int>(OperationType::remove), 4);
  EXPECT_EQ(static_cast<int>(OperationType::move), 5);
  EXPECT_EQ(static_cast<int>(StoreState::creating), 1);
  EXPECT_EQ(static_cast<int>(StoreState::created), 2);
  EXPECT_EQ(static_cast<int>(StoreState::copying), 3);
}

TEST(Encoding, IdIndex) {
  std::array<std::byte, base::kBlockBytes> block{};
  encode_index_header({.checksum = 0,
                       .magic = 0,
                       .version = 0,
                       .reserved = 0,
                       .store_id = kStoreId,
                       .incarnation = kIncarnation,
                       .boot_id = {0xB0, 0x07},
                       .pages_device = 1,
                       .pages_inode = 2,
                       .bucket_count = 1'024},
                      block);
  EXPECT_EQ(hex(std::span(block).first(sizeof(IndexHeader))),
            "4d 8b 63 2a a0 05 c5 e3  4d 65 6e 74 65 44 42 69\n"
            "02 00 00 00 00 00 00 00  57 01 02 03 04 05 06 07\n"
            "08 09 0a 0b 0c 0d 0e 0f  1c 10 11 12 13 14 15 16\n"
            "17 18 19 1a 1b 1c 1d 1e  b0 07 00 00 00 00 00 00\n"
            "00 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00\n"
            "02 00 00 00 00 00 00 00  00 04 00 00 00 00 00 00");
  EXPECT_EQ(index_file_name(12), "ids-12.idx");
  const IdHash hash = hash_id(kMemoryId, kSeed);
  const std::array words{hash.start, make_bucket(hash.fingerprint, 8), kTombstone};
  EXPECT_EQ(hex(std::as_bytes(std::span(words))),
            "5b 97 6a 4e 59 8f d3 f6  08 00 00 00 f7 f3 9f 31\n"
            "00 00 00 00 ff ff ff ff");
}

TEST(Encoding, MemoryRecord) {
  MemoryNode node;
  node.id = MemoryId{kMemoryId};
  node.agent_id = AgentId{kStoreId};
  node.user_id = UserId{kIncarnation};
  node.memory_type = MemoryType::AntiPattern;
  node.embedding = {0.5F, -2.0F};
  node.content = "hi \xC3\xA9";
  node.created_at = 1'700'000'000'000'000;
  node.accessed_at = 1'700'000'000'000'001;
  node.access_count = 7;
  node.salience = 0.25F;
  node.confidence = 0.75F;
  node.valid_until = 99;
  node.context = "c";
  node.tags = {"t", ""};
  node.attributes["a"] = std::string("s");
  node.attributes["b"] = std::int64_t{-2};
  node.attributes["c"] = 0.5;
  node.attributes["d"] = true;
  node.attributes["e"] = Bytes{std::byte{255}};
  std::vector<std::byte> bytes(encoded_size_bytes(node));
  encode_node(node, bytes);
  EXPECT_EQ(hex(bytes),
            "01 03 19 00 07 00 00 00  00 01 02 03 04 05 46 07\n"
            "88 09 0a 0b 0c 0d 0e 0f  57 01 02 03 04 05 06 07\n"
            "08 09 0a 0b 0c 0d 0e 0f  00 40 1e 18 24 0a 06 00\n"
            "01 40 1e 18 24 0a 06 00  00 00 80 3e 00 00 40 3f\n"
            "05 00 00 00 01 00 00 00  02 00 02 00 05 00 00 00\n"
            "1c 10 11 12 13 14 15 16  17 18 19 1a 1b 1c 1d 1e\n"
            "63 00 00 00 00 00 00 00  00 00 00 3f 00 00 00 c0\n"
            "68 69 20 c3 a9 63 01 74  00 01 61 00 01 73 01 62\n"
            "01 fe ff ff ff ff ff ff  ff 01 63 02 00 00 00 00\n"
            "00 00 e0 3f 01 64 03 01  01 65 04 01 ff");
}

// Memory in place of a mapped file.
class MemoryMapping final : public vfs::Mapping {
 public:
  explicit MemoryMapping(std::array<std::uint64_t, 512>& words) : Mapping(sizeof(words)), words_(words) {}
  Result<void> populate(std::size_t, std::size_t) override { return {}; }
  void copy(std::size_t offset, std::span<std::byte> out) const override {
    std::memcpy(out.data(), reinterpret_cast<const char*>(words_.data()) + offset, out.size());
  }
  std::uint64_t load(std::size_t offset) const override { return words_[offset / 8]; }
  void store(std::size_t offset, std::uint64_t value) override { words_[offset / 8] = value; }
  bool compare_exchange(std::size_t offset, std::uint64_t expected, std::uint64_t desired) override {
    if (words_[offset / 8] != expected) return false;
    words_[offset / 8] = desired;
    return true;
  }
  void write(std::size_t offset, std::span<const std::byte> data) override {
    std::memcpy(reinterpret_cast<char*>(words_.data()) + offset, data.data(), data.size());
  }
  void wait(std::size_t, std::uint32_t, std::chrono::microseconds) const override {}
  std::size_t wake(std::size_t) const override { return 0; }
  std::uint64_t resident_bytes(std::size_t) const override { return 0; }

 private:
  std::array<std::uint64_t, 512>& words_;
};

// Processes of different versions share these words while they run.
TEST(Encoding, SharedState) {
  std::array<std::uint64_t, 512> words{};
  shared::SharedState shared(std::make_unique<MemoryMapping>(words), kSeed);
  shared.publish_cached_tail(
      {.epoch = 3, .offset = 12'288, .next_lsn = 44, .previous_checksum = 0x1111, .counters = kCounters});
  shared.publish_committed_lsn(43);
  shared.publish_index_number(2);
  shared.publish_page_count(256);
  shared.raise_reuse_horizon(5);
  shared.raise_poison_generation();
  shared.set_sync_pending(true);
  shared.announce_lock_waiter();
  EXPECT_TRUE(shared.publish_release());
  const auto bytes = std::as_bytes(std::span(words));
  EXPECT_EQ(hex(bytes.first(80)),
            "bd 7c ca 5e a1 82 89 9f  03 00 00 00 00 00 00 00\n"
            "00 30 00 00 00 00 00 00  2c 00 00 00 00 00 00 00\n"
            "11 11 00 00 00 00 00 00  00 01 00 00 00 00 00 00\n"
            "09 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00\n"
            "03 00 00 00 00 00 00 00  05 00 00 00 00 00 00 00");
  EXPECT_EQ(words[128 / 8], 43U);   // committed LSN
  EXPECT_EQ(words[136 / 8], 2U);    // index number
  EXPECT_EQ(words[144 / 8], 256U);  // page count
  EXPECT_EQ(words[152 / 8], 5U);    // reuse horizon
  EXPECT_EQ(words[192 / 8], 1U);    // poison generation
  EXPECT_EQ(words[200 / 8], 1U);    // sync pending
  EXPECT_EQ(words[256 / 8], 1U);    // released
  EXPECT_EQ(words[264 / 8], 0U);    // lock waiting
}

}  // namespace
}  // namespace mentedb::format

#include "format/log_format.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <random>
#include <vector>

#include "format/geometry.hpp"
#include "format/superblock.hpp"

namespace mentedb::format {
namespace {

using Block = std::array<std::byte, base::kBlockBytes>;
constexpr std::uint64_t kSeed = 77;

LogHeader sample_slot() {
  LogHeader slot{};
  slot.epoch = 3;
  slot.seed = 4;
  slot.start_lsn = 5;
  slot.store_id.fill(6);
  slot.incarnation.fill(7);
  slot.counters = {.page_count = 100, .high_water = 90, .used_pages = 80, .memory_count = 70, .reuse_horizon = 2};
  return slot;
}

std::optional<LogHeader> round_trip(const LogHeader& slot) {
  Block block{};
  encode_log_header(slot, block);
  return decode_log_header(block);
}

TEST(LogHeader, RoundTrips) {
  const auto back = round_trip(sample_slot());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->epoch, 3U);
  EXPECT_EQ(back->seed, 4U);
  EXPECT_EQ(back->start_lsn, 5U);
  EXPECT_EQ(back->counters, sample_slot().counters);
}

TEST(LogHeader, EveryBitIsCovered) {
  Block block{};
  encode_log_header(sample_slot(), block);
  for (std::size_t bit = 0; bit < 8 * sizeof(LogHeader); ++bit) {
    block[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(decode_log_header(block)) << "bit " << bit;
    block[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_FALSE(decode_log_header(Block{}));
  EXPECT_FALSE(decode_log_header(std::span(block).first(sizeof(LogHeader) - 1)));
}

TEST(LogHeader, LiesWithinOneSector) { EXPECT_LE(sizeof(LogHeader), 512U); }

TEST(LogHeader, RefusesImpossibleFieldsUnderAValidChecksum) {
  const std::function<void(LogHeader&)> breaks[] = {
      [](LogHeader& s) { s.epoch = 0; },
      [](LogHeader& s) { s.start_lsn = 0; },
      [](LogHeader& s) { s.counters.page_count = kMaxPageCount + 1; },
      [](LogHeader& s) { s.counters.high_water = 101; },
      [](LogHeader& s) { s.counters.used_pages = 91; },
      [](LogHeader& s) { s.counters.memory_count = 81; },
  };
  for (const auto& damage : breaks) {
    LogHeader slot = sample_slot();
    damage(slot);
    EXPECT_FALSE(round_trip(slot));
  }
}

// ---------------------------------------------------------------------------------------------- batches

struct Planned {
  OperationType type = OperationType::store;
  std::uint64_t page = 1;
  std::uint32_t run_pages = 1;
  std::size_t payload_bytes = 0;
};

std::vector<std::byte> batch_of(const std::vector<Planned>& operations, std::uint64_t offset = kLogStart) {
  std::size_t size = sizeof(BatchHeader);
  for (const Planned& planned : operations) size += operation_bytes(planned.payload_bytes);
  std::vector<std::byte> bytes(size);
  BatchHeader header{};
  header.offset = offset;
  header.first_lsn = 10;
  header.previous_checksum = 11;
  header.operation_count = static_cast<std::uint32_t>(operations.size());
  header.bytes = static_cast<std::uint32_t>(size);
  header.counters = {.page_count = 70'000, .high_water = 60, .used_pages = 50, .memory_count = 40, .reuse_horizon = 0};
  base::write_struct(std::span(bytes), 0, header);
  std::size_t at = sizeof(BatchHeader);
  for (const Planned& planned : operations) {
    OperationHeader operation{};
    operation.type = planned.type;
    operation.page = planned.page;
    operation.run_pages = planned.run_pages;
    operation.payload_bytes = static_cast<std::uint32_t>(planned.payload_bytes);
    base::write_struct(std::span(bytes), at, operation);
    for (std::size_t i = 0; i < planned.payload_bytes; ++i)
      bytes[at + sizeof(operation) + i] = static_cast<std::byte>(i);
    at += operation_bytes(planned.payload_bytes);
  }
  seal_batch(bytes, kSeed);
  return bytes;
}

TEST(Batch, RoundTrips) {
  const auto bytes = batch_of({{OperationType::store, 1, 2, 100}, {OperationType::remove, 9, 1, 0}});
  const auto header = parse_batch_header(bytes, kLogStart);
  ASSERT_TRUE(header);
  EXPECT_TRUE(batch_verifies(bytes, kSeed));
  OperationReader reader(bytes);
  const auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->lsn, 10U);
  EXPECT_EQ(first->payload.size(), 100U);
  EXPECT_EQ(first->payload[99], std::byte{99});
  const auto second = reader.next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->lsn, 11U);
  EXPECT_EQ(second->header.type, OperationType::remove);
  EXPECT_TRUE(second->payload.empty());
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.is_damaged());
}

TEST(Batch, EveryBitIsCovered) {
  auto bytes = batch_of({{OperationType::store, 1, 1, 30}});
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(parse_batch_header(bytes, kLogStart) && batch_verifies(bytes, kSeed)) << "bit " << bit;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(Batch, AnotherPlaceEpochOrLengthNeverVerifies) {
  const auto bytes = batch_of({{OperationType::store, 1, 1, 30}});
  EXPECT_FALSE(parse_batch_header(bytes, kLogStart + 4096));
  EXPECT_FALSE(batch_verifies(bytes, kSeed + 1));
  auto longer = bytes;
  longer.resize(bytes.size() + 8);
  EXPECT_FALSE(batch_verifies(longer, kSeed));
  EXPECT_FALSE(parse_batch_header(Block{}, 0));
  EXPECT_FALSE(parse_batch_header(std::span(bytes).first(sizeof(BatchHeader) - 1), kLogStart));
}

TEST(Batch, ImpossibleHeadersAreRefusedBeforeAnyoneBelievesTheirLengths) {
  const auto parses = [](auto&& change) {
    const auto bytes = batch_of({{OperationType::store, 1, 1, 30}});
    auto header = base::read_struct<BatchHeader>(bytes);
    change(header);
    return parse_batch_header(base::bytes_of(header), kLogStart).has_value();
  };
  EXPECT_TRUE(parses([](BatchHeader&) {}));
  EXPECT_FALSE(parses([](BatchHeader& h) { h.operation_count = 0; }));
  EXPECT_FALSE(parses([](BatchHeader& h) { h.operation_count = UINT32_MAX; }));
  EXPECT_FALSE(parses([](BatchHeader& h) { h.first_lsn = 0; }));
  EXPECT_FALSE(parses([](BatchHeader& h) { h.bytes = sizeof(BatchHeader) + sizeof(OperationHeader) - 1; }));
  EXPECT_FALSE(parses([](BatchHeader& h) { h.bytes = static_cast<std::uint32_t>(kMaxBatchFileBytes) + 1; }));
  EXPECT_TRUE(parses([](BatchHeader& h) { h.bytes = static_cast<std::uint32_t>(kMaxBatchFileBytes); }));
  EXPECT_FALSE(parses([](BatchHeader& h) { h.counters.page_count = kMaxPageCount + 1; }));
  EXPECT_FALSE(parses([](BatchHeader& h) { h.counters.memory_count = h.counters.used_pages + 1; }));
}

TEST(OperationReader, AnEarlyRunHasAChecksumAndNoPayload) {
  const auto early = [](OperationType type, std::uint8_t flag) {
    auto bytes = batch_of({{type, 1, 2, 8}, {OperationType::store, 3, 1, 16}});
    auto operation = base::read_struct<OperationHeader>(bytes, sizeof(BatchHeader));
    operation.early = flag;
    operation.payload_bytes = 1'500;
    base::write_struct(std::span(bytes), sizeof(BatchHeader), operation);
    base::write_struct(std::span(bytes), sizeof(BatchHeader) + sizeof(operation), std::uint64_t{4711});
    return bytes;
  };
  const auto bytes = early(OperationType::update, 1);
  OperationReader reader(bytes);
  const auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->is_early());
  EXPECT_EQ(first->run_checksum, 4711U);
  EXPECT_EQ(first->header.payload_bytes, 1'500U);
  EXPECT_TRUE(first->payload.empty());
  const auto second = reader.next();
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->is_early());
  EXPECT_EQ(second->payload.size(), 16U);
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.is_damaged());
  // A raw run is overwritten in place, and a freed one has no payload.
  for (const auto& [type, flag] : {std::pair{OperationType::raw, 1}, std::pair{OperationType::remove, 1},
                                   std::pair{OperationType::move, 1}, std::pair{OperationType::store, 2}}) {
    const auto refused = early(type, static_cast<std::uint8_t>(flag));
    OperationReader refusing(refused);
    EXPECT_FALSE(refusing.next());
    EXPECT_TRUE(refusing.is_damaged());
  }
}

TEST(OperationReader, RefusesOperationsThatMakeNoSense) {
  const Planned bad[] = {
      {static_cast<OperationType>(0), 1, 1, 0}, {static_cast<OperationType>(6), 1, 1, 0},
      {OperationType::store, 0, 1, 0},          {OperationType::store, 70'001, 1, 0},
      {OperationType::store, 70'000, 2, 0},  // its last page is beyond the file
      {OperationType::store, 1, 0, 0},          {OperationType::store, 65'536, 2, 0},  // crosses a group
      {OperationType::store, 2, UINT32_MAX, 0}, {OperationType::store, UINT64_MAX, 1, 0},
  };
  for (const Planned& planned : bad) {
    const auto bytes = batch_of({planned});
    OperationReader reader(bytes);
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.is_damaged());
  }
}

TEST(OperationReader, RefusesCountsThatDoNotFitTheBytes) {
  const auto damaged = [](std::uint32_t count, std::uint32_t payload_bytes) {
    auto bytes = batch_of({{OperationType::store, 1, 1, 16}, {OperationType::store, 2, 1, 16}});
    auto header = base::read_struct<BatchHeader>(bytes);
    header.operation_count = count;
    base::write_struct(std::span(bytes), 0, header);
    auto operation = base::read_struct<OperationHeader>(bytes, sizeof(BatchHeader));
    operation.payload_bytes = payload_bytes;
    base::write_struct(std::span(bytes), sizeof(BatchHeader), operation);
    OperationReader reader(bytes);
    while (reader.next()) {
    }
    return reader.is_damaged();
  };
  EXPECT_FALSE(damaged(2, 16));
  EXPECT_TRUE(damaged(1, 16));          // bytes left over
  EXPECT_TRUE(damaged(3, 16));          // one more than there is
  EXPECT_TRUE(damaged(2, 17));          // the second begins in the middle of nowhere
  EXPECT_TRUE(damaged(2, UINT32_MAX));  // beyond the batch
  EXPECT_TRUE(damaged(2, 0));
}

TEST(OperationReader, SurvivesAnyBytes) {
  // I10: bytes that pass the checksum can still be hostile. Payloads must stay inside the batch.
  std::mt19937_64 random(1);
  for (int round = 0; round < 20'000; ++round) {
    auto bytes =
        batch_of({{OperationType::store, 1, 1, 40}, {OperationType::raw, 5, 3, 8}, {OperationType::move, 9, 1, 0}});
    for (std::uint64_t n = random() % 6; n-- > 0;) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random() % 3 == 0 ? 0xFF : random());
    }
    if (!parse_batch_header(bytes, kLogStart)) continue;
    OperationReader reader(bytes);
    for (int i = 0; i < 10; ++i) {
      const auto operation = reader.next();
      if (!operation) break;
      if (operation->is_early()) continue;
      ASSERT_GE(operation->payload.data(), bytes.data());
      ASSERT_LE(operation->payload.data() + operation->payload.size(), bytes.data() + bytes.size());
      ASSERT_LE(operation->header.page + operation->header.run_pages - 1, kMaxPageCount);
    }
  }
}

}  // namespace
}  // namespace mentedb::format

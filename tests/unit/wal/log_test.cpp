// The log on the simulated disk: which bytes continue the chain, and which never do.
#include "wal/log.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <vector>

#include "support/results.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::wal {
namespace {

using format::kLogStart;
using format::LogHeader;
using test::is_error;
using test::must;
using test::ok;
using test::SimDisk;
using test::SimVfs;

constexpr const char* kPath = "/db/wal.log";

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    must(directory->sync());
    must(log.grow(kInitialLogBytes));
    slot.epoch = 1;
    slot.seed = 1234;
    slot.start_lsn = 1;
    slot.store_id.fill(7);
    begin_epoch(slot);
  }

  void begin_epoch(const LogHeader& next) {
    must(log.reset(next));
    slot = *must(log.read_headers()).newest();
    tail = Tail{.epoch = slot.epoch,
                .offset = kLogStart,
                .next_lsn = slot.start_lsn,
                .previous_checksum = slot.checksum,
                .counters = slot.counters};
  }

  /// A batch of memories of this size that continues `from`, padded to whole blocks.
  std::vector<std::byte> batch(const Tail& from, std::size_t payload_bytes, std::uint32_t operations = 1) const {
    const std::size_t bytes = sizeof(format::BatchHeader) + operations * format::operation_bytes(payload_bytes);
    std::vector<std::byte> image(base::round_up(bytes, base::kBlockBytes));
    format::BatchHeader header{};
    header.offset = from.offset;
    header.first_lsn = from.next_lsn;
    header.previous_checksum = from.previous_checksum;
    header.operation_count = operations;
    header.bytes = static_cast<std::uint32_t>(bytes);
    header.counters = from.counters;
    header.counters.page_count = 1000;
    base::write_struct(std::span(image), 0, header);
    std::size_t at = sizeof(header);
    for (std::uint32_t i = 0; i < operations; ++i, at += format::operation_bytes(payload_bytes)) {
      format::OperationHeader operation{};
      operation.type = format::OperationType::store;
      operation.run_pages = 1;
      operation.page = i + 1;
      operation.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
      base::write_struct(std::span(image), at, operation);
      std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(at + sizeof(operation)), payload_bytes, std::byte{0xAB});
    }
    format::seal_batch(std::span(image).first(bytes), slot.seed);
    return image;
  }

  /// Appends at the tail and moves it. Returns the batch's offset.
  std::uint64_t append(std::size_t payload_bytes, std::uint32_t operations = 1) {
    const auto image = aligned(batch(tail, payload_bytes, operations));
    const auto header = base::read_struct<format::BatchHeader>(image);
    must(log.append(tail.offset, image));
    tail.offset += image.size();
    tail.next_lsn += operations;
    tail.previous_checksum = header.checksum;
    tail.counters = header.counters;
    return header.offset;
  }

  /// O_DIRECT wants an aligned buffer; valid until the next call.
  std::span<const std::byte> aligned(const std::vector<std::byte>& bytes) {
    buffer.reserve(bytes.size());
    std::ranges::copy(bytes, buffer.data());
    return buffer.first(bytes.size());
  }

  WalkEnd walk() {
    return must(log.walk(
        slot, [&](std::uint64_t offset, const format::BatchHeader&, std::span<const std::byte>) -> Result<void> {
          visited.push_back(offset);
          return {};
        }));
  }

  void flip(std::uint64_t offset, int mask = 1) {
    const auto content = disk.content(kPath);
    const std::byte flipped = content[offset] ^ static_cast<std::byte>(mask);
    disk.damage(kPath, offset, {&flipped, 1});
  }

  SimDisk disk;
  SimVfs vfs{disk};
  std::unique_ptr<vfs::Directory> directory = must(vfs.open_directory("/db", true));
  std::unique_ptr<vfs::File> file = must(directory->open("wal.log", vfs::OpenMode::create, true));
  Log log{*file};
  LogHeader slot{};
  Tail tail;
  base::AlignedBuffer buffer;
  std::vector<std::uint64_t> visited;
};

TEST_F(LogTest, AnEmptyEpochEndsAtTheStart) {
  const WalkEnd end = walk();
  EXPECT_EQ(end.tail, tail);
  EXPECT_EQ(end.last_batch_offset, 0U);
  EXPECT_TRUE(visited.empty());
}

TEST_F(LogTest, WalksItsBatchesInOrder) {
  const std::vector<std::uint64_t> offsets{append(10), append(5000, 3), append(0)};
  const WalkEnd end = walk();
  EXPECT_EQ(visited, offsets);
  EXPECT_EQ(end.tail, tail);
  EXPECT_EQ(end.tail.next_lsn, 6U);
  EXPECT_EQ(end.last_batch_offset, offsets[2]);
  EXPECT_EQ(end.tail.counters.page_count, 1000U);
  EXPECT_EQ(must(log.find_batch_behind(slot, end.tail)), std::nullopt);
}

TEST_F(LogTest, ATornTailIsCutAtEveryByte) {
  // Any prefix of the last batch may have reached the disk, over zeros or over bytes of an older epoch.
  append(100);
  const Tail before = tail;
  const auto image = batch(tail, 300, 2);
  const auto header = base::read_struct<format::BatchHeader>(image);
  for (const std::byte old : {std::byte{0}, std::byte{0xEE}}) {
    for (std::size_t kept = 0; kept < image.size(); ++kept) {
      auto torn = image;
      std::fill(torn.begin() + static_cast<std::ptrdiff_t>(kept), torn.end(), old);
      disk.damage(kPath, before.offset, torn);
      const WalkEnd end = walk();
      // The zeros of the padding and of the last payload's alignment are no part of the batch.
      if (kept >= header.bytes ||
          std::ranges::equal(std::span(torn).first(header.bytes), std::span(image).first(header.bytes))) {
        ASSERT_EQ(end.tail.next_lsn, before.next_lsn + 2) << kept;
      } else {
        ASSERT_EQ(end.tail, before) << kept;
        if (kept % 64 != 0) continue;
        ASSERT_EQ(must(log.find_batch_behind(slot, end.tail)), std::nullopt) << kept;
      }
    }
  }
}

TEST_F(LogTest, DamageInTheMiddleIsProvenByTheBatchBehindIt) {
  const std::uint64_t first = append(100);
  const std::uint64_t second = append(9000);  // several blocks: the search must not stop at the first strange one
  const std::uint64_t third = append(100);
  flip(second + 5000);
  const WalkEnd end = walk();
  EXPECT_EQ(visited, std::vector<std::uint64_t>{first});
  EXPECT_EQ(end.tail.offset, second);
  EXPECT_EQ(must(log.find_batch_behind(slot, end.tail)), third);
}

TEST_F(LogTest, EveryDamagedBitOfABatchBreaksTheChainThere) {
  append(50);
  const std::uint64_t second = append(50);
  const std::uint64_t third = append(50);
  const std::size_t bytes = sizeof(format::BatchHeader) + format::operation_bytes(50);
  for (std::size_t at = 0; at < bytes; ++at) {
    const int mask = 1 << (at % 8);
    flip(second + at, mask);
    const WalkEnd end = walk();
    ASSERT_EQ(end.tail.offset, second) << at;
    ASSERT_EQ(must(log.find_batch_behind(slot, end.tail)), third) << at;
    flip(second + at, mask);
  }
  EXPECT_EQ(walk().tail, tail);
}

TEST_F(LogTest, ResetGoesOnWithTheLsnsAndHidesTheOldBatches) {
  append(100, 5);
  append(100, 5);
  const Tail before = tail;
  LogHeader next = slot;
  next.epoch = 2;
  next.seed = 999;
  next.start_lsn = before.next_lsn;
  next.counters = before.counters;
  begin_epoch(next);
  visited.clear();
  const WalkEnd end = walk();
  EXPECT_TRUE(visited.empty());
  EXPECT_EQ(end.tail.next_lsn, 11U);  // I8
  EXPECT_EQ(end.tail.counters, before.counters);
  EXPECT_EQ(must(log.find_batch_behind(slot, end.tail)), std::nullopt);
  EXPECT_EQ(must(file->size_bytes()), kInitialLogBytes);  // never shorter
  append(100);
  EXPECT_EQ(walk().tail.next_lsn, 12U);
}

TEST_F(LogTest, OldBytesNeverContinueAChain) {
  // The second batch of the new epoch ends exactly where an old one begins whose LSNs would fit.
  append(100);
  append(100);
  append(100);
  const auto old_bytes = disk.content(kPath);
  LogHeader next = slot;
  next.epoch = 2;
  next.seed = 5;
  next.start_lsn = 2;  // so that the old second batch has the LSN that comes next
  begin_epoch(next);
  EXPECT_EQ(walk().tail.offset, kLogStart);
  EXPECT_EQ(must(log.find_batch_behind(slot, walk().tail)), std::nullopt);
  // The same seed is not enough either: the chain starts from the slot's own checksum.
  LogHeader same_seed = slot;
  same_seed.seed = 1234;
  same_seed.epoch = 3;
  same_seed.start_lsn = 1;
  begin_epoch(same_seed);
  EXPECT_EQ(walk().tail.offset, kLogStart);
}

TEST_F(LogTest, ABatchOfThisEpochInAnotherPlaceIsNoBatch) {
  const std::uint64_t first = append(100);
  const auto content = disk.content(kPath);
  const auto image = std::span(content).subspan(first, base::kBlockBytes);
  disk.damage(kPath, tail.offset, image);
  disk.damage(kPath, tail.offset + 3 * base::kBlockBytes, image);
  const WalkEnd end = walk();
  EXPECT_EQ(end.tail, tail);
  EXPECT_EQ(must(log.find_batch_behind(slot, end.tail)), std::nullopt);
}

// Bytes of a raw page, say, may look like headers in every block, each of which claims the rest of the file. Once each
// of them was read to its end: a log of 16 MiB took 32 GiB of reads, with the lock held (I10).
TEST_F(LogTest, LookingForABatchBehindReadsTheFileAFewTimesAtMost) {
  append(100);
  for (std::uint64_t offset = tail.offset; offset < kInitialLogBytes; offset += base::kBlockBytes) {
    const format::BatchHeader claim{.checksum = 1,
                                    .offset = offset,
                                    .first_lsn = tail.next_lsn + 1,
                                    .previous_checksum = 0,
                                    .operation_count = 1,
                                    .bytes = static_cast<std::uint32_t>(kInitialLogBytes - offset),
                                    .counters = tail.counters};
    disk.damage(kPath, offset, base::bytes_of(claim).first(std::min<std::uint64_t>(sizeof claim, claim.bytes)));
  }
  std::uint64_t bytes_read = 0;
  disk.set_hook([&](const test::Step& step) {
    if (step.kind == test::StepKind::read) bytes_read += step.length;
    return test::StepAction::proceed();
  });
  EXPECT_EQ(must(log.find_batch_behind(slot, tail)), std::nullopt);
  EXPECT_LT(bytes_read, 16 * kInitialLogBytes);
  // A batch that is really there is found all the same.
  Tail later = tail;
  later.offset = kInitialLogBytes - base::kBlockBytes;
  later.next_lsn += 5;
  disk.damage(kPath, later.offset, batch(later, 10));
  Log fresh(*file);  // what `log` has read ahead is older
  EXPECT_EQ(must(fresh.find_batch_behind(slot, tail)), later.offset);
  disk.set_hook(nullptr);
}

TEST_F(LogTest, AGapInTheLsnsEndsTheChain) {
  append(10);
  const Tail good = tail;
  tail.next_lsn += 1;
  append(10);
  EXPECT_EQ(walk().tail, good);
  EXPECT_EQ(must(log.find_batch_behind(slot, good)), good.offset);
}

TEST_F(LogTest, OnlyABatchOfLaterLsnsIsProof) {
  Tail later = tail;
  append(10);
  append(10);
  later.next_lsn = tail.next_lsn;
  EXPECT_EQ(must(log.find_batch_behind(slot, later)), std::nullopt);
}

TEST_F(LogTest, ABatchThatTakesPagesAwayEndsTheChain) {
  append(10);
  const Tail good = tail;
  auto image = batch(tail, 10);
  auto header = base::read_struct<format::BatchHeader>(image);
  header.counters.page_count = good.counters.page_count - 1;
  base::write_struct(std::span(image), 0, header);
  format::seal_batch(std::span(image).first(header.bytes), slot.seed);
  must(log.append(tail.offset, aligned(image)));
  EXPECT_EQ(walk().tail, good);
}

TEST_F(LogTest, AFailedSyncIsNeverAFullDisk) {
  // `no_space` promises that nothing changed; after a failed sync nobody knows.
  disk.set_hook([](const test::Step& step) {
    return step.kind == test::StepKind::sync ? test::StepAction::fail(ENOSPC) : test::StepAction::proceed();
  });
  EXPECT_TRUE(is_error(log.append(tail.offset, aligned(batch(tail, 10))), ErrorCode::io_error));
  disk.set_hook({});
}

TEST_F(LogTest, BatchesLargerThanTheReadAhead) {
  must(log.grow(4 << 20));
  append(10);
  const std::uint64_t large = append(700'000, 3);  // 2.1 MB; the read-ahead is 256 KiB
  append(300 * 1024);
  append(10);
  EXPECT_EQ(walk().tail, tail);
  const auto bytes = must(log.read_batch(large, slot.seed));
  format::OperationReader reader(bytes);
  int operations = 0;
  while (const auto operation = reader.next()) {
    EXPECT_EQ(operation->payload.back(), std::byte{0xAB});
    ++operations;
  }
  EXPECT_EQ(operations, 3);
  EXPECT_FALSE(reader.is_damaged());
}

TEST_F(LogTest, ALengthBeyondTheFileIsNotBelieved) {
  auto image = batch(tail, 10);
  auto header = base::read_struct<format::BatchHeader>(image);
  const std::size_t size = disk.content(kPath).size();
  header.bytes = static_cast<std::uint32_t>(size);  // what is before the batch does not count
  base::write_struct(std::span(image), 0, header);
  disk.damage(kPath, tail.offset, image);
  std::uint64_t longest = 0;
  disk.set_hook([&](const test::Step& step) {
    if (step.kind == test::StepKind::read) longest = std::max(longest, step.length);
    return test::StepAction::proceed();
  });
  EXPECT_EQ(walk().tail, tail);
  disk.set_hook({});
  EXPECT_LT(longest, size);
}

TEST_F(LogTest, ABatchCutOffByTheEndOfTheFileIsTorn) {
  const auto image = batch(tail, 100'000);
  auto content = disk.content(kPath);
  content.resize(kLogStart);
  content.insert(content.end(), image.begin(), image.end() - 8192);
  disk.install(kPath, content);
  const auto shorter = must(directory->open("wal.log", vfs::OpenMode::read_write, true));
  Log cut(*shorter);
  const auto end = must(cut.walk(
      slot, [](std::uint64_t, const format::BatchHeader&, std::span<const std::byte>) -> Result<void> { return {}; }));
  EXPECT_EQ(end.tail, tail);
  EXPECT_TRUE(is_error(cut.read_batch(kLogStart, slot.seed), ErrorCode::corruption, "wal.log"));
}

TEST_F(LogTest, HeaderCopiesAlternateAndTheHigherEpochCounts) {
  LogHeader next = slot;
  next.epoch = 2;
  begin_epoch(next);
  auto headers = must(log.read_headers());
  ASSERT_TRUE(headers.copy[0]);
  ASSERT_TRUE(headers.copy[1]);
  EXPECT_EQ(headers.copy[0]->epoch, 2U);
  EXPECT_EQ(headers.copy[1]->epoch, 1U);
  EXPECT_EQ(headers.newest()->epoch, 2U);
  next.epoch = 3;
  begin_epoch(next);
  headers = must(log.read_headers());
  EXPECT_EQ(headers.copy[1]->epoch, 3U);
  EXPECT_EQ(headers.newest()->epoch, 3U);
}

TEST_F(LogTest, DamagedHeadersAreToldFromUnwrittenOnes) {
  auto headers = must(log.read_headers());
  EXPECT_FALSE(headers.damaged[0]);  // never written
  EXPECT_FALSE(headers.damaged[1]);
  for (std::size_t at = 0; at < sizeof(LogHeader); ++at) {
    flip(format::kLogHeaderBytes + at, 0x10);
    headers = must(log.read_headers());
    ASSERT_TRUE(headers.damaged[1]) << at;
    ASSERT_EQ(headers.newest(), nullptr) << at;
    flip(format::kLogHeaderBytes + at, 0x10);
  }
  // A slot in the other slot's place says nothing.
  const auto content = disk.content(kPath);
  disk.damage(kPath, 0, std::span(content).subspan(format::kLogHeaderBytes, format::kLogHeaderBytes));
  headers = must(log.read_headers());
  EXPECT_TRUE(headers.damaged[0]);
  EXPECT_EQ(headers.newest()->epoch, 1U);
  must(log.clear_header(0));
  EXPECT_FALSE(must(log.read_headers()).damaged[0]);
}

TEST_F(LogTest, HeadersAreReadFromTheFileAndNotFromABuffer) {
  static_cast<void>(must(log.read_headers()));
  const auto other_file = must(directory->open("wal.log", vfs::OpenMode::read_write, true));
  Log other(*other_file);
  LogHeader next = slot;
  next.epoch = 2;
  must(other.reset(next));
  EXPECT_EQ(must(log.read_headers()).newest()->epoch, 2U);
}

TEST_F(LogTest, GrowWritesZerosOnceAndKeepsWhatIsThere) {
  append(100);
  must(log.grow(3 << 20));
  EXPECT_EQ(must(log.capacity_bytes()), std::uint64_t{3} << 20);
  EXPECT_EQ(log.known_capacity_bytes(), std::uint64_t{3} << 20);
  EXPECT_EQ(walk().tail, tail);
  must(log.grow(1 << 20));  // never shorter
  EXPECT_EQ(must(log.capacity_bytes()), std::uint64_t{3} << 20);
  // Durable: appending there later changes no size.
  EXPECT_EQ(disk.after_power_cut(test::Fate::nothing_kept())->content(kPath).size(), std::size_t{3} << 20);
}

TEST_F(LogTest, AppendIsDurableWhenItReturns) {
  append(1000, 2);
  const auto after = disk.after_power_cut(test::Fate::nothing_kept());
  SimVfs rebooted(*after);
  const auto found =
      must(must(rebooted.open_directory("/db", false))->open("wal.log", vfs::OpenMode::read_write, true));
  Log recovered(*found);
  const auto newest = *must(recovered.read_headers()).newest();
  const auto end = must(recovered.walk(
      newest,
      [](std::uint64_t, const format::BatchHeader&, std::span<const std::byte>) -> Result<void> { return {}; }));
  EXPECT_EQ(end.tail, tail);
}

TEST_F(LogTest, AdoptWritesTheSameBytesAndSyncs) {
  // R2: what a dead writer left behind the tail is made durable before anyone sees it.
  const auto image = batch(tail, 6000);
  must(file->write_at(tail.offset, aligned(image)));  // not synced
  const auto header = base::read_struct<format::BatchHeader>(image);
  EXPECT_EQ(disk.pending().sectors.size(), image.size() / 512);
  const auto before = disk.content(kPath);
  must(log.rewrite_batch(tail.offset, header.bytes, slot.seed));
  EXPECT_TRUE(disk.pending().sectors.empty());
  EXPECT_EQ(disk.content(kPath), before);
}

TEST_F(LogTest, TheHeaderIsMadeDurableOncePerEpoch) {
  // R1: before the first append of an epoch whose sync this process has not seen.
  const auto other_file = must(directory->open("wal.log", vfs::OpenMode::read_write, true));
  Log other(*other_file);
  disk.set_tracing(true);
  must(other.ensure_header_durable(slot));
  const std::size_t steps = disk.trace().size();
  EXPECT_EQ(steps, 2U);  // write, sync
  must(other.ensure_header_durable(slot));
  EXPECT_EQ(disk.trace().size(), steps);
  EXPECT_EQ(must(other.read_headers()).newest()->epoch, slot.epoch);
}

TEST_F(LogTest, AVisitorsErrorEndsTheWalk) {
  append(10);
  append(10);
  int calls = 0;
  const auto end =
      log.walk(slot, [&](std::uint64_t, const format::BatchHeader&, std::span<const std::byte>) -> Result<void> {
        ++calls;
        return std::unexpected(Error{ErrorCode::corruption, 0, "stop"});
      });
  EXPECT_TRUE(is_error(end, ErrorCode::corruption, "stop"));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace mentedb::wal

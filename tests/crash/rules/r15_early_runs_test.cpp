// R15. The runs of a large batch are in their pages, durable, before the batch is logged. The log has their checksums
// and no payload. A run of a batch that was never logged counts for nothing.

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "engine/engine_impl.hpp"
#include "format/geometry.hpp"
#include "format/log_format.hpp"
#include "format/superblock.hpp"
#include "offline/salvage.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

constexpr std::uint64_t kCount = 4;
constexpr std::size_t kContentBytes = 3'000;  // four of them are more than the part of the log that a batch may fill

std::vector<MemoryNode> large_batch(std::uint64_t version, std::uint64_t first = 0) {
  std::vector<MemoryNode> nodes;
  for (std::uint64_t i = 0; i < kCount; ++i) nodes.push_back(make_memory(first + i, version, kContentBytes));
  return nodes;
}

/// Memories 0 to 3 of version 1, a hole of as many pages behind them, and memory 50 behind the hole.
void begin(StorageEngine& engine) {
  must(engine.store_memories(large_batch(1)));
  must(engine.store_memories(large_batch(1, 20)));
  must(engine.store_memory(make_memory(50, 1)));
  for (std::uint64_t i = 0; i < kCount; ++i) must(engine.delete_memory(memory_id(20 + i)));
}

/// The version of the whole batch. 0: the memories differ.
std::uint32_t version_of_batch(const StorageEngine& engine, std::uint64_t first = 0) {
  std::set<std::uint32_t> versions;
  for (std::uint64_t i = 0; i < kCount; ++i) versions.insert(version_of(engine, first + i));
  return versions.size() == 1 ? *versions.begin() : 0;
}

std::set<MemoryId> listed(const StorageEngine& engine) {
  std::set<MemoryId> ids;
  for (const auto& [id, page] : list(engine)) ids.insert(id);
  return ids;
}

/// The store goes on: the LSNs of a batch that was lost are used again, on the same pages and on others.
void expect_to_go_on(SimDisk& disk, Process& process, std::uint32_t version) {
  must(process->store_memory(make_memory(60, 1)));
  must(process->store_memory(make_memory(61, 1, 1'200)));
  must(process->store_memories(large_batch(version + 5, 70)));
  expect_sound(disk);
  const auto found = power_cut(disk);
  Process rebooted(*found);
  EXPECT_EQ(version_of_batch(rebooted), version);
  EXPECT_EQ(version_of_batch(rebooted, 70), version + 5);
  for (const std::uint64_t i : {50U, 60U, 61U}) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
  EXPECT_EQ(listed(rebooted).size(), 2 * kCount + 3);
  expect_sound(*found);
}

TEST(R15, TheLogHasNoPayload) {
  SimDisk disk;
  Process process(disk);
  begin(*process);
  const std::uint64_t before = must(process->stats()).log_used_bytes;
  must(process->store_memories(large_batch(2)));
  EXPECT_EQ(must(process->stats()).log_used_bytes, before + base::kBlockBytes);
  const auto found = power_cut(disk);
  EXPECT_EQ(version_of_batch(Process(*found)), 2U);
}

TEST(R15, TheRunsAreSyncedBeforeTheBatchIsLogged) {
  SimDisk disk;
  Process process(disk);
  begin(*process);
  Trace trace(disk);
  std::size_t pending = 1;
  const Event append = trace.before(process, append_to_log(), [&] {
    pending = not_durable(disk, in(kPagesDb).from(format::kSharedStateOffset + base::kBlockBytes));
  });
  const Event synced = trace.watch(process, sync_of(kPagesDb));
  must(process->store_memories(large_batch(2)));
  EXPECT_TRUE(synced.came_before(append));
  EXPECT_EQ(pending, 0U);
}

TEST(R15, APowerCutBeforeEachStep) {
  for (const bool grows : {false, true}) {
    SimDisk disk;
    Process process(disk);
    begin(*process);
    if (grows) must(process->store_memories(large_batch(1, 20)));  // the hole is filled
    std::uint64_t cuts = 0;
    bool acknowledged = false;
    const auto cut = [&](const Leaves& leaves) {
      const auto found = power_cut(disk, leaves);
      Process rebooted(*found);
      const std::uint32_t version = version_of_batch(rebooted);
      EXPECT_TRUE(acknowledged ? version == 2 : version == 1 || version == 2) << version;
      expect_sound(*found);
      if (grows) {
        for (std::uint64_t i = 0; i < kCount; ++i) must(rebooted->delete_memory(memory_id(20 + i)));
      }
      expect_to_go_on(*found, rebooted, version);
      ++cuts;
    };
    {
      Trace trace(disk);
      trace.before_each(process, any_step().when([] { return !::testing::Test::HasFailure(); }), [&] {
        cut(nothing());
        cut(everything());
        cut(only(in(kPagesDb)));
        cut(all_but(in(kPagesDb)));
      });
      must(process->store_memories(large_batch(2)));
    }
    acknowledged = true;
    cut(nothing());
    EXPECT_GT(cuts, 100U);
  }
}

TEST(R15, AKillBeforeEachStep) {
  for (std::uint64_t kill_at = 1;; ++kill_at) {
    SimDisk disk;
    auto [writer, next] = open_processes<2>(disk);
    begin(*writer);
    if (!Trace(disk).kill(writer, any_step().nth(kill_at), [&] { return writer->store_memories(large_batch(2)); })) {
      EXPECT_GT(kill_at, 100U);
      break;
    }
    must(next->store_memory(make_memory(62, 1)));
    must(next->delete_memory(memory_id(62)));
    const std::uint32_t version = version_of_batch(next);
    EXPECT_TRUE(version == 1 || version == 2) << kill_at;
    expect_sound(disk);
    expect_to_go_on(disk, next, version);
    if (::testing::Test::HasFailure()) FAIL() << "killed before step " << kill_at;
  }
}

// The batch is lost, its runs are not. Then another memory goes to the first of these pages, with the same LSN, and its
// writer dies as soon as it is logged. Redo must not take the lost run for what the log says.
TEST(R15, ALostRunIsNotTakenForALoggedOne) {
  SimDisk disk;
  auto [writer, next, last] = open_processes<3>(disk);
  begin(*writer);
  ASSERT_TRUE(Trace(disk).kill(writer, append_to_log(), [&] { return writer->store_memories(large_batch(2)); }));
  const Lsn before = must(next->stats()).committed_lsn;
  ASSERT_TRUE(
      Trace(disk).kill(next, batch_durable(), [&] { return next->store_memory(make_memory(60, 1, kContentBytes)); }));
  must(last->store_memory(make_memory(61, 1)));
  EXPECT_EQ(version_of(last, 60), 1U);
  EXPECT_EQ(must(last->read_page(must(last->find(memory_id(60))))).header.lsn, Lsn{before.value + 1});
  EXPECT_EQ(version_of_batch(last), 1U);
  expect_sound(disk);
}

// A reader by page stands between the entry and the run. Meanwhile the memory is deleted, and a batch that is never
// logged takes its pages.
TEST(R15, AReaderIsNotShownARunThatIsNotLogged) {
  std::uint64_t looks = 0;
  for (std::uint64_t step = 1;; ++step) {
    SimDisk disk;
    auto [writer, reader] = open_processes<2>(disk);
    const PageId page = must(writer->store_memory(make_memory(1, 1, kContentBytes)));
    must(writer->store_memory(make_memory(50, 1)));
    Trace trace(disk);
    trace.kill(writer, append_to_log().nth(2));
    const Event between = trace.before(reader, any_step().nth(step), [&] {
      must(writer->delete_memory(memory_id(1)));
      EXPECT_TRUE(dies([&] { return writer->store_memories(large_batch(1, 80)); }));
    });
    const auto loaded = reader->load_memory(page);
    if (!between.came()) break;
    ++looks;
    if (loaded) {
      EXPECT_EQ(loaded->id, memory_id(1)) << "before step " << step;
    } else {
      EXPECT_TRUE(is_error(loaded, ErrorCode::not_found)) << "before step " << step;
    }
  }
  EXPECT_GT(looks, 3U);
}

// R7, R11, I11: a sync of the runs that fails is an error, and nothing was changed.
TEST(R15, AFailedSyncOfTheRunsChangesNothing) {
  SimDisk disk;
  auto [writer, next] = open_processes<2>(disk);
  begin(*writer);
  {
    Trace trace(disk);
    trace.fail(writer, sync_of(kPagesDb), EIO);
    EXPECT_TRUE(is_error(writer->store_memories(large_batch(2)), ErrorCode::io_error));
  }
  EXPECT_EQ(version_of_batch(writer), 1U);
  must(next->store_memory(make_memory(62, 1)));
  must(next->delete_memory(memory_id(62)));
  expect_to_go_on(disk, next, 1);
  must(writer->store_memories(large_batch(3)));
  const auto found = power_cut(disk);
  EXPECT_EQ(version_of_batch(Process(*found)), 3U);
}

TEST(R15, AFullDiskChangesNothing) {
  SimDisk disk;
  Process process(disk);
  begin(*process);
  must(process->store_memories(large_batch(1, 20)));
  leave_room(disk, 0);
  std::uint64_t next = 100;
  Result<std::vector<PageId>> stored;
  for (; (stored = process->store_memories(large_batch(1, next))) && next < 400; next += kCount) {
  }
  EXPECT_TRUE(is_error(stored, ErrorCode::no_space));
  for (std::uint64_t i = 0; i < kCount; ++i) EXPECT_EQ(version_of(process, next + i), 0U);
  EXPECT_EQ(version_of_batch(process), 1U);
  must(process->delete_memory(memory_id(20)));
  expect_sound(disk);
}

// The first runs fill what the file ends with, and pages that it gains are behind them, some in the same write.
TEST(R15, ABatchThatBeginsOnOldPagesAndEndsOnNewOnes) {
  constexpr std::uint64_t kMany = 120;
  for (std::uint64_t before = 0; before < 12; ++before) {
    SimDisk disk;
    Process process(disk);
    std::vector<MemoryNode> nodes;
    for (std::uint64_t i = 0; i < kMany; ++i) nodes.push_back(make_memory(i, 2, kContentBytes - 400 * (i % 5)));
    for (std::uint64_t i = 0; i < before; ++i) must(process->store_memory(make_memory(kMany + i, 1, kContentBytes)));
    must(process->store_memories(nodes));
    const auto found = power_cut(disk);
    Process rebooted(*found);
    for (const StorageEngine* engine : {&*process, &*rebooted}) {
      for (std::uint64_t i = 0; i < kMany; ++i) ASSERT_EQ(version_of(*engine, i), 2U) << before << ' ' << i;
      for (std::uint64_t i = 0; i < before; ++i) ASSERT_EQ(version_of(*engine, kMany + i), 1U) << before << ' ' << i;
    }
    expect_sound(*found);
  }
}

// Of an id that is stored twice the first run is never applied, so the log has everything.
TEST(R15, ABatchThatStoresAnIdTwice) {
  SimDisk disk;
  Process process(disk);
  begin(*process);
  auto nodes = large_batch(2);
  for (MemoryNode& node : large_batch(3)) nodes.push_back(node);
  const std::uint64_t before = must(process->stats()).log_used_bytes;
  must(process->store_memories(nodes));
  EXPECT_GT(must(process->stats()).log_used_bytes, before + 2 * kCount * kContentBytes);
  const auto found = power_cut(disk, only(in(kWalLog)));
  Process rebooted(*found);
  EXPECT_EQ(version_of_batch(rebooted), 3U);
  expect_sound(*found);
}

// A raw page is overwritten in place, so it stays as it was until the log has the new bytes.
TEST(R15, ALargeRawPageIsLogged) {
  SimDisk disk;
  auto [writer, next] = open_processes<2>(disk);
  const PageId raw = must(writer->allocate_page(20'000));
  must(writer->write_page(raw, std::vector(20'000, std::byte{1})));
  ASSERT_TRUE(Trace(disk).kill(writer, append_to_log(),
                               [&] { return writer->write_page(raw, std::vector(20'000, std::byte{2})); }));
  EXPECT_EQ(must(next->read_page(raw)).data, std::vector(20'000, std::byte{1}));
  must(next->store_memory(make_memory(1, 1)));
  EXPECT_EQ(must(next->read_page(raw)).data, std::vector(20'000, std::byte{1}));
}

// salvage reads the pages, and the log for what the directory does not know yet.
TEST(R15, SalvageKnowsALostBatchFromALoggedOne) {
  for (const bool logged : {false, true}) {
    SimDisk disk;
    Process process(disk);
    begin(*process);
    const Moment end = logged ? batch_durable() : append_to_log();
    ASSERT_TRUE(Trace(disk).kill(process, end, [&] { return process->store_memories(large_batch(2)); }));
    SimVfs vfs(disk);
    const auto report = must(offline::salvage_directory(vfs, kStorePath, "/saved", std::chrono::seconds(1)));
    EXPECT_TRUE(report.lost.empty());
    EXPECT_EQ(report.memories_saved, kCount + 1);
    const auto saved = must(EngineAccess::open(vfs, "/saved", small_options()));
    EXPECT_EQ(version_of_batch(saved), logged ? 2U : 1U);
  }
}

// What a lost batch has left on free pages is gone after erase_deleted.
TEST(R15, ErasesWhatALostBatchHasLeft) {
  for (const bool used_before : {true, false}) {
    SimDisk disk;
    auto [writer, next] = open_processes<2>(disk);
    begin(*writer);
    if (!used_before) must(writer->store_memories(large_batch(1, 20)));
    const std::string lost = make_memory(93, 1, kContentBytes).content.substr(0, 40);
    ASSERT_TRUE(Trace(disk).kill(writer, append_to_log(), [&] { return writer->store_memories(large_batch(1, 90)); }));
    const auto holds = [&] {
      const auto bytes = disk.content("/store/pages.db");
      return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find(lost) !=
             std::string_view::npos;
    };
    EXPECT_TRUE(holds());
    must(next->store_memory(make_memory(62, 1)));
    must(next->erase_deleted());
    EXPECT_FALSE(holds());
    expect_sound(disk);
  }
}

}  // namespace
}  // namespace mentedb::test

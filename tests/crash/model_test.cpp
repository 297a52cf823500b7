// What the model of the protocol (docs/model) found in the code, one test and its story each.

#include <cerrno>
#include <functional>

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// A reader loaded the slot of an id and was slow. The memory moved away, and the reader copied the freed page; the next
// update moved the memory back to that very page. The slot was "unchanged", so the reader believed that no page holds
// the id: `not_found` for a memory that was there all the time (I3, I4).
TEST(Model, AMemoryThatMovesAwayAndBackIsNeverMissed) {
  for (const bool by_find : {false, true}) {
    SimDisk disk;
    auto [writer, reader] = open_processes<2>(disk);
    must(writer->store_memory(make_memory(1, 1)));
    must(reader->load_memory(memory_id(1)));
    const PageId home = must(writer->find(memory_id(1)));
    std::uint64_t version = 1;
    PageId now = home;
    const auto move = [&](bool to_home) {
      for (int update = 0; update < 8 && (now == home) != to_home; ++update)
        now = must(writer->update_memory(make_memory(1, ++version)));
    };
    bool back = false;
    Trace trace(disk);
    trace.before_each(reader, copy_of(kPagesDb).when([&] { return now == home && !back; }), [&] { move(false); });
    trace.before_each(reader, load_of(kIdIndex).when([&] { return now != home; }), [&] {
      move(true);
      back = now == home;
    });
    if (by_find) {
      EXPECT_TRUE(ok(reader->find(memory_id(1))));
    } else {
      EXPECT_TRUE(ok(reader->load_memory(memory_id(1))));
    }
    EXPECT_TRUE(back) << "the memory never came back to its page";
  }
}

/// `call` meets the accident, which is a failed sync or a death in it, and the device has lost the pages: nothing
/// acknowledged is.
void expect_nothing_lost(SimDisk& disk, Process& process, const std::function<void(Trace&)>& accident,
                         const std::function<bool()>& call) {
  for (const std::uint64_t i : {1U, 10U, 12U}) must(process->store_memory(make_memory(i, 1)));
  for (const std::uint64_t i : {10U, 12U}) must(process->delete_memory(memory_id(i)));
  must(process->checkpoint());
  const auto on_device = disk.content("/store/pages.db");
  for (const std::uint64_t i : {2U, 5U}) must(process->store_memory(make_memory(i, 1)));  // where 10 and 12 were
  must(process->delete_memory(memory_id(1)));
  {
    Trace trace(disk);
    accident(trace);
    dies([&] { EXPECT_FALSE(call()); });
  }
  constexpr std::size_t kWordsEnd = format::kFirstRegionOffset;  // the pages behind the shared state
  disk.damage("/store/pages.db", kWordsEnd, std::span(on_device).subspan(kWordsEnd));
  EXPECT_TRUE(ok(process->store_memory(make_memory(3, 1))));
  EXPECT_TRUE(ok(process->checkpoint()));
  Process after(disk);
  for (const std::uint64_t i : {2U, 3U, 5U}) EXPECT_TRUE(after->load_memory(memory_id(i))) << i;
  EXPECT_FALSE(after->load_memory(memory_id(1)));
}

// A checkpoint's sync failed, and the kernel dropped a page that it could not write and read it again as the device has
// it. The cached tail was still valid, so the next writer planned on a directory that did not know of what was
// acknowledged.
TEST(Model, NoWriterBuildsOnPagesThatAFailedSyncLost) {
  SimDisk disk;
  Process process(disk);
  expect_nothing_lost(
      disk, process, [&](Trace& trace) { trace.keep_failing(process, sync_of(kPagesDb), EIO); },
      [&] { return process->checkpoint().has_value(); });
}

// The same when another file's sync is what failed: a device that drops its cache then has not got the pages either,
// and the growth of the log is a failure after which the engine goes on.
TEST(Model, NoWriterBuildsOnPagesThatAFailedGrowthOfTheLogLost) {
  SimDisk disk;
  Process process = Process::idle(disk);
  process.open_and_close();
  process.open(long_log_options());
  const PageId raw = must(process->allocate_page(200'000));
  expect_nothing_lost(
      disk, process, [&](Trace& trace) { trace.keep_failing(process, sync_of(kWalLog), EIO); },
      [&] { return process->write_page(raw, std::vector(200'000, std::byte{1})).has_value(); });
}

// The same for the growth of the id index. The sync fails with ENOSPC (thin provisioning, a quota at write-back), and
// the table that is there has room: that was taken for a full disk, and the commit went on.
TEST(Model, NoWriterBuildsOnPagesThatAFailedGrowthOfTheIdIndexLost) {
  SimDisk disk;
  Process process = Process::idle(disk);
  process.open_and_close();
  process.open(long_log_options());
  expect_nothing_lost(
      disk, process, [&](Trace& trace) { trace.keep_failing(process, sync_of(kIdIndex), ENOSPC); },
      [&] { return process->store_memory(make_memory(9, 1, 300'000)).has_value(); });
}

// R7. The process that would get the error is killed in the sync and tells no other: the cached tail is gone before.
TEST(Model, NoWriterBuildsOnPagesThatASyncOfTheDeadLost) {
  for (const bool growth : {false, true}) {
    SimDisk disk;
    Process process(disk);
    Process killed(disk, long_log_options());
    const PageId raw = must(process->allocate_page(200'000));
    expect_nothing_lost(
        disk, process, [&](Trace& trace) { trace.kill(killed, sync_of(growth ? kWalLog : kPagesDb)); },
        [&] {
          return growth ? killed->write_page(raw, std::vector(200'000, std::byte{1})).has_value()
                        : killed->checkpoint().has_value();
        });
    EXPECT_FALSE(killed.is_alive());
  }
}

}  // namespace
}  // namespace mentedb::test

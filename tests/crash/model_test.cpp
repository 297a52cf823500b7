// What the model of the protocol (docs/model) found in the code, one test and its story each.

#include <cerrno>

#include <gtest/gtest.h>

#include "crash/small_store.hpp"

namespace mentedb::test {
namespace {

// A reader loaded the slot of an id and was slow. The memory moved away, and the reader copied the freed page; the next
// update moved the memory back to that very page. The slot was "unchanged", so the reader believed that no page holds
// the id: `not_found` for a memory that was there all the time (I3, I4).
TEST(Model, AMemoryThatMovesAwayAndBackIsNeverMissed) {
  for (const bool by_find : {false, true}) {
    SimDisk disk;
    SimVfs writer_vfs(disk);
    SimVfs reader_vfs(disk);
    auto writer = open_store(writer_vfs);
    auto reader = open_store(reader_vfs);
    ASSERT_TRUE(writer.store_memory(make_memory(1, 1)));
    ASSERT_TRUE(reader.load_memory(memory_id(1)));
    const PageId at_first = must(writer.find(memory_id(1)));
    std::uint64_t version = 1;
    PageId now = at_first;
    bool inside = false;
    bool back = false;
    disk.set_hook([&](const Step& step) {
      if (inside || back || step.process != reader_vfs.process()) return StepAction::proceed();
      const bool copies = step.kind == StepKind::copy && step.file == "pages.db" && now == at_first;
      const bool looks_again = step.kind == StepKind::load && step.file.starts_with("ids") && now != at_first;
      if (!copies && !looks_again) return StepAction::proceed();
      inside = true;
      for (int update = 0; update < 8; ++update) {
        now = must(writer.update_memory(make_memory(1, ++version)));
        if ((now == at_first) == looks_again) break;
      }
      back = looks_again && now == at_first;
      inside = false;
      return StepAction::proceed();
    });
    if (by_find) {
      const auto found = reader.find(memory_id(1));
      EXPECT_TRUE(found) << found.error().message;
    } else {
      const auto loaded = reader.load_memory(memory_id(1));
      EXPECT_TRUE(loaded) << loaded.error().message;
    }
    disk.set_hook({});
    EXPECT_TRUE(back) << "the memory never came back to its page";
  }
}

/// `failing` meets a failed sync of `file`, or dies in it, and the device has lost the pages: nothing acknowledged is.
template <class Call>
void expect_nothing_lost(SimDisk& disk, StorageEngine& engine, std::string_view file, Call failing,
                         StepAction action = StepAction::fail(EIO)) {
  for (const std::uint64_t i : {1U, 10U, 12U}) ASSERT_TRUE(engine.store_memory(make_memory(i, 1)));
  for (const std::uint64_t i : {10U, 12U}) ASSERT_TRUE(engine.delete_memory(memory_id(i)));
  ASSERT_TRUE(engine.checkpoint());
  const auto on_device = disk.content("/store/pages.db");
  for (const std::uint64_t i : {2U, 5U}) ASSERT_TRUE(engine.store_memory(make_memory(i, 1)));  // where 10 and 12 were
  ASSERT_TRUE(engine.delete_memory(memory_id(1)));
  disk.set_hook([&](const Step& step) { return is_in(step, file, StepKind::sync) ? action : StepAction::proceed(); });
  try {
    EXPECT_FALSE(failing());
  } catch (const ProcessKilled&) {
  }
  disk.set_hook({});
  constexpr std::size_t kWordsEnd = 8'192;  // the pages behind the shared words
  disk.damage("/store/pages.db", kWordsEnd, std::span(on_device).subspan(kWordsEnd));
  EXPECT_TRUE(engine.store_memory(make_memory(3, 1)));
  EXPECT_TRUE(engine.checkpoint());
  SimVfs other(disk);
  auto after = open_store(other);
  for (const std::uint64_t i : {2U, 3U, 5U}) EXPECT_TRUE(after.load_memory(memory_id(i))) << i;
  EXPECT_FALSE(after.load_memory(memory_id(1)));
}

// A checkpoint's sync failed, and the kernel dropped a page that it could not write and read it again as the device has
// it. The hint was still valid, so the next writer planned on a directory that did not know of what was acknowledged.
TEST(Model, NobodyBuildsOnPagesThatAFailedSyncLost) {
  SimDisk disk;
  SimVfs vfs(disk);
  auto engine = open_store(vfs);
  expect_nothing_lost(disk, engine, "pages.db", [&] { return engine.checkpoint().has_value(); });
}

// The same when another file's sync is what failed: a device that drops its cache then has not got the pages either,
// and the growth of the log is a failure after which the engine goes on.
TEST(Model, NobodyBuildsOnPagesThatAFailedGrowthOfTheLogLost) {
  SimDisk disk;
  SimVfs vfs(disk);
  Options options = small_options();
  {
    auto created = open_store(vfs, options);
  }
  options.wal_limit_bytes = std::uint64_t{1} << 20;  // more than the log was made for
  auto engine = open_store(vfs, options);
  expect_nothing_lost(disk, engine, "wal.log",
                      [&] { return engine.store_memory(make_memory(9, 1, 200'000)).has_value(); });
}

// R7. Whoever would get the error is killed in the sync and tells nobody: the hint is gone before.
TEST(Model, NobodyBuildsOnPagesThatASyncOfTheDeadLost) {
  for (const bool growth : {false, true}) {
    SimDisk disk;
    SimVfs vfs(disk);
    SimVfs killed_vfs(disk);
    Options options = small_options();
    auto engine = open_store(vfs, options);
    options.wal_limit_bytes = std::uint64_t{1} << 20;
    auto killed = open_store(killed_vfs, options);
    const auto call = [&] {
      return growth ? killed.store_memory(make_memory(9, 1, 200'000)).has_value() : killed.checkpoint().has_value();
    };
    expect_nothing_lost(disk, engine, growth ? "wal.log" : "pages.db", call, StepAction::kill());
    EXPECT_FALSE(killed_vfs.is_alive());
  }
}

}  // namespace
}  // namespace mentedb::test

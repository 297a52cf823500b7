#include "support/crash/trace.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <memory>
#include <span>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// A process that writes and syncs two files by hand.
class Scribe {
 public:
  explicit Scribe(SimDisk& disk) : vfs(disk), directory_(must(vfs.open_directory("/d", true))) {}

  Result<void> write(const char* file, std::uint64_t offset = 0, std::size_t size = 512) {
    static constexpr std::array<std::byte, 1'024> kData{std::byte{1}};
    return open(file)->write_at(offset, std::span(kData).first(size));
  }
  Result<void> sync(const char* file) { return open(file)->sync(); }

  SimVfs vfs;

 private:
  vfs::File* open(const std::string& file) {
    auto& handle = file == "a" ? a_ : b_;
    if (!handle) handle = must(directory_->open(file, vfs::OpenMode::create, false));
    return handle.get();
  }

  std::unique_ptr<vfs::Directory> directory_;
  std::unique_ptr<vfs::File> a_;
  std::unique_ptr<vfs::File> b_;
};

class TraceTest : public ::testing::Test {
 protected:
  SimDisk disk;
  Scribe first{disk};
  Scribe second{disk};
  Trace trace{disk};
};

TEST_F(TraceTest, WatchesTheStepsOfOneProcessOrOfAnyone) {
  const Event of_first = trace.watch(first.vfs, write_of("a"));
  const Event of_anyone = trace.watch(Who::anyone(), write_of("a"));
  EXPECT_FALSE(of_first.came());
  must(first.write("a"));
  must(first.write("b"));
  must(second.write("a"));
  EXPECT_EQ(of_first.times(), 1U);
  EXPECT_EQ(of_anyone.times(), 2U);
}

TEST_F(TraceTest, TellsWhichStepCameFirst) {
  const Event sync = trace.watch(first.vfs, sync_of("a"));
  const Event write = trace.watch(first.vfs, write_of("a"));
  const Event never = trace.watch(second.vfs, any_step());
  must(first.write("a"));
  EXPECT_FALSE(sync.came_before(write));
  must(first.sync("a"));
  EXPECT_TRUE(write.came_before(sync));
  EXPECT_FALSE(sync.came_before(write));
  EXPECT_TRUE(sync.came_before(never)) << "what never came did not come earlier";
  EXPECT_FALSE(never.came_before(sync));
}

TEST_F(TraceTest, KillsBeforeTheStep) {
  const Event killed = trace.kill(first.vfs, write_of("a").nth(2));
  must(first.write("a", 0));
  EXPECT_TRUE(dies([&] { return first.write("a", 512); }));
  EXPECT_TRUE(killed.came());
  EXPECT_FALSE(first.vfs.is_alive());
  EXPECT_TRUE(second.vfs.is_alive());
  EXPECT_EQ(disk.content("/d/a").size(), 512U);
}

TEST_F(TraceTest, KillsInTheMiddleOfAWrite) {
  trace.kill(first.vfs, write_of("a"), 512);
  EXPECT_TRUE(dies([&] { return first.write("a", 0, 1'024); }));
  EXPECT_EQ(disk.content("/d/a").size(), 512U);
}

TEST_F(TraceTest, KillsWithinACallOnly) {
  EXPECT_FALSE(trace.kill(first.vfs, sync_of("a"), [&] { return first.write("a"); }));
  EXPECT_TRUE(ok(first.sync("a"))) << "the call has ended";
  EXPECT_TRUE(trace.kill(first.vfs, sync_of("a"), [&] { return first.sync("a"); }));
}

TEST_F(TraceTest, AFailureComesOnceOrForAsLongAsItIsSaid) {
  trace.fail(first.vfs, sync_of("a"), EIO);
  EXPECT_TRUE(is_error(first.sync("a"), ErrorCode::io_error));
  EXPECT_TRUE(ok(first.sync("a")));
  const Event failed = trace.keep_failing(Who::anyone(), write_of("a"), ENOSPC);
  EXPECT_TRUE(is_error(first.write("a"), ErrorCode::no_space));
  EXPECT_TRUE(is_error(second.write("a"), ErrorCode::no_space));
  EXPECT_EQ(failed.times(), 2U);
  trace.calm();
  EXPECT_TRUE(ok(first.write("a")));
  EXPECT_EQ(failed.times(), 2U);
}

TEST_F(TraceTest, TheFirstOfTwoDecisionsWins) {
  trace.fail(first.vfs, sync_of("a"), EIO);
  const Event also = trace.kill(first.vfs, sync_of("a"));
  EXPECT_TRUE(is_error(first.sync("a"), ErrorCode::io_error));
  EXPECT_TRUE(also.came());
  EXPECT_TRUE(first.vfs.is_alive());
}

TEST_F(TraceTest, AnActionRunsBeforeTheStepAndMayTakeStepsItself) {
  trace.before(first.vfs, write_of("a").nth(2), [&] {
    EXPECT_EQ(disk.content("/d/a").size(), 512U);
    must(first.write("b"));
  });
  const Event writes = trace.watch(first.vfs, write_of(""));
  must(first.write("a", 0));
  must(first.write("a", 512));
  must(first.write("a", 1'024));
  EXPECT_EQ(writes.times(), 4U) << "the other sentences are told the action's steps";
}

TEST_F(TraceTest, AnActionIsNotToldItsOwnSteps) {
  int runs = 0;
  trace.before_each(Who::anyone(), any_step(), [&] {
    ++runs;
    must(second.write("b"));
  });
  must(first.write("b"));  // opens and writes
  EXPECT_EQ(runs, 2);
}

TEST_F(TraceTest, AnActionMayKillAnother) {
  trace.before(first.vfs, write_of("a"),
               [&] { EXPECT_TRUE(trace.kill(second.vfs, write_of("b"), [&] { return second.write("b"); })); });
  must(first.write("a"));
  EXPECT_FALSE(second.vfs.is_alive());
}

TEST_F(TraceTest, AnActionThatThrowsEnds) {
  int runs = 0;
  trace.before_each(first.vfs, write_of("a"), [&] {
    ++runs;
    throw ProcessKilled{};
  });
  EXPECT_TRUE(dies([&] { return first.write("a"); }));
  EXPECT_TRUE(dies([&] { return first.write("a"); }));
  EXPECT_EQ(runs, 2);
}

TEST_F(TraceTest, MomentsAreJoined) {
  const Event after = trace.watch(first.vfs, any_step().after(sync_of("a")));
  const Event before = trace.watch(first.vfs, write_of("a").before(sync_of("a")));
  const Event writes_or_syncs = trace.watch(first.vfs, write_of("a").or_at(sync_of("a")));
  const Event no_syncs = trace.watch(first.vfs, any_step().except(sync_of("a")).except(opening_of("a")));
  const Event second_after = trace.watch(first.vfs, write_of("a").after(sync_of("a")).nth(2));
  must(first.write("a"));
  must(first.sync("a"));
  EXPECT_FALSE(after.came()) << "the step itself is not behind itself";
  must(first.write("a"));
  EXPECT_FALSE(second_after.came());
  must(first.write("a"));
  EXPECT_EQ(after.times(), 2U);
  EXPECT_EQ(before.times(), 1U);
  EXPECT_EQ(writes_or_syncs.times(), 4U);
  EXPECT_EQ(no_syncs.times(), 3U);
  EXPECT_EQ(second_after.times(), 1U);
}

TEST_F(TraceTest, MomentsKnowBytesAndConditions) {
  bool open = false;
  const Event at = trace.watch(first.vfs, write_of("a").at_byte(512));
  const Event from = trace.watch(first.vfs, write_of("a").from_byte(512));
  const Event below = trace.watch(first.vfs, write_of("a").below_byte(512));
  const Event while_open = trace.watch(first.vfs, write_of("a").when([&] { return open; }));
  for (const std::uint64_t offset : {0U, 512U, 1'024U}) {
    must(first.write("a", offset));
    open = true;
  }
  EXPECT_EQ(at.times(), 1U);
  EXPECT_EQ(from.times(), 2U);
  EXPECT_EQ(below.times(), 1U);
  EXPECT_EQ(while_open.times(), 2U);
}

TEST_F(TraceTest, EveryTakesTheStepsOfOneRemainder) {
  const std::uint64_t begin = disk.step_count();
  const Event fifth = trace.watch(first.vfs, any_step().every(5));
  for (std::uint64_t i = 0; i < 20; ++i) must(first.write("a", i * 512));
  const std::uint64_t end = disk.step_count();
  EXPECT_EQ(fifth.times(), (end + 4) / 5 - (begin + 4) / 5);
}

TEST_F(TraceTest, APowerCutLeavesWhatIsSaid) {
  for (const char* file : {"a", "b"}) must(first.write(file, 0));
  for (const char* file : {"a", "b"}) must(first.write(file, 512));
  EXPECT_EQ(not_durable(disk, in("a")), 2U);
  EXPECT_EQ(not_durable(disk, in("a").from(512)), 1U);
  EXPECT_EQ(not_durable(disk, in("a").below(512)), 1U);
  const auto left = [&](const Leaves& leaves, const char* file, std::size_t offset) {
    const auto content = power_cut(disk, leaves)->content(file);
    return content.size() > offset && content[offset] == std::byte{1};
  };
  EXPECT_FALSE(left(nothing(), "/d/a", 0));
  EXPECT_TRUE(left(everything(), "/d/a", 512));
  EXPECT_FALSE(left(all_but(in("a").below(512)), "/d/a", 0));
  EXPECT_TRUE(left(all_but(in("a").below(512)), "/d/a", 512));
  EXPECT_TRUE(left(all_but(in("a")), "/d/b", 0));
  EXPECT_TRUE(left(only(in("b").from(512)), "/d/b", 512));
  EXPECT_FALSE(left(only(in("b").from(512)), "/d/b", 0));
}

TEST_F(TraceTest, APowerCutKeepsTheBootWhenItIsSaid) {
  const auto boot_of = [](SimDisk& one) { return SimVfs(one).boot_id(); };
  EXPECT_NE(boot_of(*power_cut(disk, everything())), boot_of(disk));
  EXPECT_EQ(boot_of(*power_cut(disk, everything().in_the_same_boot())), boot_of(disk));
}

TEST(ProcessTest, SeveralShareAStore) {
  SimDisk disk;
  auto [writer, reader] = open_processes<2>(disk);
  store_memories(*writer, 1, 3);
  EXPECT_EQ(version_of(reader, 3), 1U);
  EXPECT_EQ(version_of(reader, 4), 0U);
  EXPECT_EQ(list(reader).size(), 3U);
  writer.kill();
  EXPECT_FALSE(writer.is_alive());
  EXPECT_TRUE(reader.is_alive());
  expect_sound(disk);
}

TEST(ProcessTest, AnIdleOneOpensLater) {
  SimDisk disk;
  Process process = Process::idle(disk);
  EXPECT_FALSE(disk.exists("/store/pages.db"));
  process.open_and_close();
  EXPECT_TRUE(disk.exists("/store/pages.db"));
  disk.erase("/store/wal.log");
  EXPECT_TRUE(is_error(process.try_open(), ErrorCode::corruption));
}

}  // namespace
}  // namespace mentedb::test

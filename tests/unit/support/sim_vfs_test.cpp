// The simulated disk keeps the promises that crash, fault and process tests rest on.
#include "support/sim/sim_vfs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/results.hpp"

namespace mentedb::test {
namespace {

using vfs::OpenMode;
using FilePtr = std::unique_ptr<vfs::File>;

std::vector<std::byte> filled(std::size_t size, char value) { return std::vector<std::byte>(size, std::byte(value)); }

char at(const std::vector<std::byte>& bytes, std::size_t offset) { return static_cast<char>(bytes.at(offset)); }

/// A disk with a directory, and how most tests use it.
class SimVfsTest : public ::testing::Test {
 protected:
  static std::unique_ptr<vfs::Directory> directory(SimVfs& process) {
    return must(process.open_directory("/db", true));
  }
  static FilePtr open(SimVfs& process, const char* name = "f", bool direct = false) {
    return must(directory(process)->open(name, OpenMode::create, direct));
  }
  /// /db/f with this content, all of it and its name durable.
  FilePtr durable_file(SimVfs& process, std::size_t size, char value = 'a') {
    auto file = open(process);
    EXPECT_TRUE(file->write_at(0, filled(size, value)));
    EXPECT_TRUE(file->sync());
    EXPECT_TRUE(directory(process)->sync());
    return file;
  }
  std::vector<std::byte> found(const Fate& fate) const { return disk.after_power_cut(fate)->content("/db/f"); }

  /// The hook's answer for the k-th step from now of this kind (0 = the next one).
  void plan(StepKind kind, std::uint64_t nth, StepAction action) {
    disk.set_hook([kind, nth, action, seen = std::uint64_t{0}](const Step& step) mutable {
      return step.kind == kind && seen++ == nth ? action : StepAction::proceed();
    });
  }

  SimDisk disk;
};

// ---------------------------------------------------------------------------------------------- durability

TEST_F(SimVfsTest, UnsyncedSectorsAreLostOrKeptEachOnItsOwn) {
  SimVfs process(disk);
  const auto file = durable_file(process, 2048);
  ASSERT_TRUE(file->write_at(0, filled(1536, 'b')));
  const Pending pending = disk.pending();
  ASSERT_EQ(pending.sectors.size(), 3U);
  EXPECT_EQ(pending.sectors[2].sector, 2U);
  EXPECT_TRUE(pending.names.empty());
  EXPECT_TRUE(pending.sizes.empty());

  const auto bytes = found({.sectors = {true, false, true}});
  EXPECT_EQ(at(bytes, 0), 'b');
  EXPECT_EQ(at(bytes, 511), 'b');
  EXPECT_EQ(at(bytes, 512), 'a');
  EXPECT_EQ(at(bytes, 1023), 'a');
  EXPECT_EQ(at(bytes, 1024), 'b');
  EXPECT_EQ(at(bytes, 1536), 'a');
  EXPECT_EQ(found(Fate::nothing_kept()), filled(2048, 'a'));
  EXPECT_EQ(disk.content("/db/f"), found(Fate::everything_kept(pending))) << "fates leave the disk alone";
}

TEST_F(SimVfsTest, SyncMakesContentAndSizeDurable) {
  SimVfs process(disk);
  const auto file = durable_file(process, 512);
  ASSERT_TRUE(file->write_at(5000, filled(3000, 'b')));
  ASSERT_TRUE(file->sync());
  EXPECT_TRUE(disk.pending().sectors.empty());
  EXPECT_TRUE(disk.pending().sizes.empty());
  EXPECT_EQ(found(Fate::nothing_kept()), disk.content("/db/f"));
  EXPECT_EQ(disk.content("/db/f").size(), 8000U);
  EXPECT_EQ(at(disk.content("/db/f"), 4999), '\0');
}

TEST_F(SimVfsTest, PendingSectorsAreInWriteOrderOfTheirNewestWriteAcrossFiles) {
  SimVfs process(disk);
  const auto one = open(process, "one");
  const auto two = open(process, "two");
  ASSERT_TRUE(one->write_at(512, filled(512, 'x')));
  ASSERT_TRUE(two->write_at(0, filled(512, 'x')));
  ASSERT_TRUE(one->write_at(0, filled(512, 'x')));
  ASSERT_TRUE(one->write_at(600, filled(1, 'y')));
  std::vector<std::string> order;
  for (const auto& sector : disk.pending().sectors) order.push_back(sector.file + std::to_string(sector.sector));
  EXPECT_EQ(order, (std::vector<std::string>{"two0", "one0", "one1"}));
}

TEST_F(SimVfsTest, GrowthOfTheFileIsLostOrKept) {
  SimVfs process(disk);
  const auto file = durable_file(process, 700);
  ASSERT_TRUE(file->write_at(700, filled(1000, 'b')));
  ASSERT_EQ(disk.pending().sizes.size(), 1U);
  const Fate all = Fate::everything_kept(disk.pending());
  EXPECT_EQ(found(Fate::nothing_kept()), filled(700, 'a'));
  EXPECT_EQ(found(all).size(), 1700U);
  EXPECT_EQ(at(found(all), 1699), 'b');

  const auto only_size = found({.sectors = {}, .names = {}, .sizes_kept = true});
  ASSERT_EQ(only_size.size(), 1700U);
  EXPECT_EQ(at(only_size, 699), 'a');
  EXPECT_EQ(at(only_size, 700), '\0');

  // A sector that straddles the lost end must not come back when the file grows again.
  const auto cut = disk.after_power_cut({.sectors = all.sectors, .names = {}, .sizes_kept = false});
  EXPECT_EQ(cut->content("/db/f"), filled(700, 'a'));
  SimVfs next(*cut);
  ASSERT_TRUE(open(next)->write_at(1699, filled(1, 'c')));
  EXPECT_EQ(at(cut->content("/db/f"), 701), '\0');
}

TEST_F(SimVfsTest, NamesAreDurableOnceTheDirectoryIsSynced) {
  SimVfs process(disk);
  const auto dir = directory(process);
  const auto file = must(dir->open("f", OpenMode::create, false));
  ASSERT_TRUE(file->write_at(0, filled(10, 'a')));
  ASSERT_TRUE(file->sync());
  ASSERT_EQ(disk.pending().names.size(), 1U);
  EXPECT_FALSE(disk.after_power_cut(Fate::nothing_kept())->exists("/db/f"))
      << "fsync of a file says nothing of its name";
  EXPECT_EQ(found({.sectors = {}, .names = {true}}), filled(10, 'a'));
  ASSERT_TRUE(dir->sync());
  EXPECT_TRUE(disk.pending().names.empty());
  EXPECT_EQ(found(Fate::nothing_kept()), filled(10, 'a'));

  ASSERT_TRUE(dir->remove("f"));
  EXPECT_FALSE(disk.exists("/db/f"));
  EXPECT_EQ(dir->open("f", OpenMode::read_write, false).error().code, ErrorCode::not_found);
  EXPECT_EQ(found(Fate::nothing_kept()), filled(10, 'a')) << "an unsynced removal may be undone";
  EXPECT_FALSE(disk.after_power_cut({.sectors = {}, .names = {true}})->exists("/db/f"));
  ASSERT_TRUE(dir->sync());
  EXPECT_FALSE(disk.after_power_cut(Fate::nothing_kept())->exists("/db/f"));
}

TEST_F(SimVfsTest, ReplacedFileGetsANewInode) {
  SimVfs process(disk);
  const auto file = durable_file(process, 10);
  const auto dir = directory(process);
  EXPECT_EQ(must(file->id()), must(dir->id_of("f")));
  disk.install("/db/f", filled(20, 'n'));
  EXPECT_NE(must(file->id()), must(dir->id_of("f")));
  EXPECT_EQ(must(file->size_bytes()), 10U) << "the open file is still the old one";
}

TEST_F(SimVfsTest, FailedSyncLosesTheWritesButCachedReadsStillShowThem) {
  SimVfs process(disk);
  const auto file = durable_file(process, 4096);
  ASSERT_TRUE(file->write_at(0, filled(1024, 'b')));
  plan(StepKind::sync, 0, StepAction::fail(EIO));
  const auto failed = file->sync();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::io_error);
  EXPECT_EQ(failed.error().os_error, EIO);
  EXPECT_NE(failed.error().message.find("/db/f"), std::string::npos);

  ASSERT_TRUE(file->write_at(512, filled(1, 'c')));
  EXPECT_TRUE(file->sync()) << "the error is reported once";
  EXPECT_TRUE(disk.pending().sectors.empty());
  EXPECT_EQ(at(disk.content("/db/f"), 0), 'b');
  const auto direct = open(process, "f", true);
  alignas(4096) std::byte page[4096];
  ASSERT_TRUE(direct->read_at(0, page));
  EXPECT_EQ(static_cast<char>(page[0]), 'a') << "a direct read shows the device";
  EXPECT_EQ(static_cast<char>(page[512]), 'c');
  EXPECT_EQ(at(found(Fate::nothing_kept()), 0), 'a') << "gone with the power";
  EXPECT_EQ(at(found(Fate::nothing_kept()), 512), 'c') << "written again, synced again";
}

TEST_F(SimVfsTest, FailedDirectSyncLeavesWhatTheDeviceHolds) {
  std::set<std::vector<bool>> outcomes;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SimDisk seeded({.seed = seed});
    SimVfs process(seeded);
    const auto file = open(process, "f", true);
    ASSERT_TRUE(directory(process)->sync());
    alignas(4096) static std::byte page[4096];
    std::ranges::fill(page, std::byte{'a'});
    ASSERT_TRUE(file->write_at(0, page));
    ASSERT_TRUE(file->sync());
    std::ranges::fill(page, std::byte{'b'});
    ASSERT_TRUE(file->write_at(0, page));
    seeded.set_hook(
        [](const Step& step) { return step.kind == StepKind::sync ? StepAction::fail(EIO) : StepAction::proceed(); });
    ASSERT_FALSE(file->sync());
    const auto now = seeded.content("/db/f");
    EXPECT_EQ(now, seeded.after_power_cut(Fate::nothing_kept())->content("/db/f"));
    std::vector<bool> reached;
    for (std::size_t sector = 0; sector < 8; ++sector) reached.push_back(at(now, sector * 512) == 'b');
    outcomes.insert(reached);
  }
  EXPECT_GT(outcomes.size(), 10U);
}

TEST_F(SimVfsTest, FailedSyncMayHaveDoneItsWork) {
  SimVfs process(disk);
  const auto file = durable_file(process, 512);
  ASSERT_TRUE(file->write_at(0, filled(512, 'b')));
  plan(StepKind::sync, 0, StepAction::fail(EIO, Effect::complete));
  EXPECT_FALSE(file->sync());
  EXPECT_EQ(found(Fate::nothing_kept()), filled(512, 'b'));
}

TEST_F(SimVfsTest, BootIdChangesUnlessThePageCacheAloneIsLost) {
  SimVfs process(disk);
  const auto boot = process.boot_id();
  const auto rebooted = disk.after_power_cut({});
  const auto replugged = disk.after_power_cut({.sectors = {}, .names = {}, .sizes_kept = false, .keep_boot_id = true});
  EXPECT_NE(SimVfs(*rebooted).boot_id(), boot);
  EXPECT_EQ(SimVfs(*replugged).boot_id(), boot);
  EXPECT_NE(SimVfs(*rebooted).process_token(), process.process_token());
}

TEST_F(SimVfsTest, CloneIsIndependentAndKeepsWhatIsUnsynced) {
  SimVfs process(disk);
  const auto file = durable_file(process, 512);
  ASSERT_TRUE(file->write_at(0, filled(512, 'b')));
  const auto copy = disk.clone();
  ASSERT_TRUE(file->write_at(0, filled(512, 'c')));
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(copy->content("/db/f"), filled(512, 'b'));
  EXPECT_EQ(copy->after_power_cut(Fate::nothing_kept())->content("/db/f"), filled(512, 'a'));
  EXPECT_EQ(copy->step_count(), 0U);
}

// ---------------------------------------------------------------------------------------------- mappings

TEST_F(SimVfsTest, StoresAreSeenByEveryProcessAndDurableWithTheFile) {
  constexpr std::uint64_t kSecond = vfs::kMapAlignment;
  SimVfs writer(disk);
  SimVfs reader(disk);
  const auto file = durable_file(writer, 128 * 1024);
  const auto mapped = must(file->map(kSecond, 4096, true));
  const auto other_file = open(reader);
  const auto other = must(other_file->map(0, 128 * 1024, false));
  mapped->store(8, 0x1122334455667788U);
  EXPECT_EQ(other->load(kSecond + 8), 0x1122334455667788U);
  std::vector<std::byte> bytes(16);
  ASSERT_EQ(must(other_file->read_at(kSecond, bytes)), 16U);
  EXPECT_EQ(static_cast<int>(bytes[8]), 0x88);
  ASSERT_EQ(disk.pending().sectors.size(), 1U);
  EXPECT_EQ(disk.pending().sectors[0].sector, kSecond / 512);
  EXPECT_EQ(at(found(Fate::nothing_kept()), kSecond + 8), 'a');
  EXPECT_NE(at(found(Fate::everything_kept(disk.pending())), kSecond + 8), 'a');
  ASSERT_TRUE(other_file->sync());
  EXPECT_NE(at(found(Fate::nothing_kept()), kSecond + 8), 'a');

  ASSERT_TRUE(file->write_at(0, filled(4, 'z')));
  other->copy(0, bytes);
  EXPECT_EQ(at(bytes, 3), 'z') << "writes are seen through mappings";
}

TEST_F(SimVfsTest, PopulateReportsWhatATouchWouldDieOf) {
  SimVfs process(disk);
  const auto file = durable_file(process, 4096);
  const auto mapped = must(file->map(0, 16384, false));
  EXPECT_TRUE(mapped->populate(0, 4096));
  EXPECT_EQ(mapped->populate(4096, 4096).error().code, ErrorCode::io_error);
  disk.set_bad("/db/f", 512, 512);
  EXPECT_EQ(mapped->populate(0, 4096).error().code, ErrorCode::io_error);
  std::vector<std::byte> bytes(600);
  EXPECT_EQ(file->read_at(0, bytes).error().code, ErrorCode::io_error);
  EXPECT_TRUE(file->read_at(0, std::span(bytes).first(512)));
}

using SimVfsDeathTest = SimVfsTest;

TEST_F(SimVfsDeathTest, WhatWouldRaiseASignalEndsTheTest) {
  SimVfs process(disk);
  const auto file = durable_file(process, 4096);
  const auto mapped = must(file->map(0, 16384, false));
  std::vector<std::byte> bytes(100);
  EXPECT_DEATH(mapped->copy(4050, bytes), "beyond the file of 4096 bytes");
  EXPECT_DEATH(mapped->store(0, 1), "read-only mapping");
  EXPECT_DEATH(static_cast<void>(mapped->load(4)), "not aligned");
}

TEST_F(SimVfsDeathTest, DirectFilesInsistOnAlignment) {
  SimVfs process(disk);
  const auto file = open(process, "f", true);
  ASSERT_TRUE(file->is_direct());
  alignas(4096) static std::byte pages[8192];
  EXPECT_TRUE(file->write_at(4096, std::span(pages).first(4096)));
  EXPECT_DEATH(static_cast<void>(file->write_at(512, std::span(pages).first(4096))), "not aligned");
  EXPECT_DEATH(static_cast<void>(file->write_at(0, std::span(pages).first(512))), "not aligned");
  EXPECT_DEATH(static_cast<void>(file->read_at(0, std::span(pages).subspan(512, 4096))), "not aligned");
  SimVfs old_system(disk, {.support_direct = false});
  EXPECT_FALSE(open(old_system, "f", true)->is_direct());
}

// ---------------------------------------------------------------------------------------------- processes

TEST_F(SimVfsTest, LocksExcludeOpenFilesAndEndWithThem) {
  SimVfs one(disk);
  SimVfs two(disk);
  auto first = open(one);
  const auto second = open(one);
  const auto third = open(two);
  ASSERT_TRUE(must(first->try_lock()));
  EXPECT_TRUE(must(first->try_lock())) << "taking it twice is fine";
  EXPECT_FALSE(must(second->try_lock())) << "flock belongs to the open file, not to the process";
  EXPECT_FALSE(must(third->try_lock()));
  EXPECT_EQ(third->lock_holder(), "pid " + std::to_string(one.process_token()) + " (sim)");
  third->unlock();
  EXPECT_FALSE(must(third->try_lock())) << "only the holder unlocks";
  first->unlock();
  EXPECT_TRUE(must(third->try_lock()));
  third->unlock();

  ASSERT_TRUE(first->lock());
  ASSERT_TRUE(first->write_at(0, filled(4096, 'a')));
  auto mapped = must(first->map(0, 4096, false));
  first.reset();
  EXPECT_FALSE(must(third->try_lock())) << "a mapping keeps the open file";
  mapped.reset();
  EXPECT_TRUE(must(third->try_lock()));
}

TEST_F(SimVfsTest, DeathReleasesLocksAndDeadHandlesDoNothing) {
  SimVfs one(disk);
  SimVfs two(disk);
  const auto file = durable_file(one, 4096);
  const auto mapped = must(file->map(0, 4096, true));
  const auto other = open(two);
  ASSERT_TRUE(must(file->try_lock()));
  one.kill();
  EXPECT_FALSE(one.is_alive());
  EXPECT_TRUE(must(other->try_lock()));

  const auto written = file->write_at(0, filled(4, 'x'));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::io_error);
  EXPECT_NE(written.error().message.find("process is dead"), std::string::npos);
  mapped->store(0, 1);
  EXPECT_EQ(mapped->load(0), 0U);
  file->unlock();
  EXPECT_FALSE(file->sync());
  EXPECT_FALSE(file->try_lock());
  EXPECT_FALSE(one.open_directory("/db", true));
  EXPECT_EQ(disk.content("/db/f"), filled(4096, 'a'));
  EXPECT_EQ(other->lock_holder(), "pid 2 (sim)");
}

TEST_F(SimVfsTest, KillInTheMiddleOfAWriteLeavesAPrefixOfSectors) {
  SimVfs process(disk);
  const auto file = durable_file(process, 8192);
  plan(StepKind::write, 0, StepAction::kill(1300));
  EXPECT_THROW(static_cast<void>(file->write_at(100, filled(4000, 'b'))), ProcessKilled);
  const auto bytes = disk.content("/db/f");
  EXPECT_EQ(at(bytes, 99), 'a');
  EXPECT_EQ(at(bytes, 100), 'b');
  EXPECT_EQ(at(bytes, 1023), 'b');
  EXPECT_EQ(at(bytes, 1024), 'a');
  EXPECT_FALSE(file->sync()) << "it throws once, then calls fail";
  EXPECT_EQ(disk.pending().sectors.size(), 2U) << "the page cache outlives the process";
}

TEST_F(SimVfsTest, KillInUnlockShowsAtTheNextCall) {
  SimVfs process(disk);
  const auto file = durable_file(process, 512);
  ASSERT_TRUE(file->lock());
  plan(StepKind::unlock, 0, StepAction::kill());
  EXPECT_NO_THROW(file->unlock());
  EXPECT_FALSE(process.is_alive());
  EXPECT_THROW(static_cast<void>(file->size_bytes()), ProcessKilled);
  EXPECT_FALSE(file->size_bytes());
  SimVfs next(disk);
  EXPECT_TRUE(must(open(next)->try_lock()));
}

TEST_F(SimVfsTest, NothingIsThrownWhileTheStackUnwinds) {
  SimVfs process(disk);
  const auto file = durable_file(process, 512);
  struct Closer {
    vfs::File& file;
    ~Closer() {
      file.unlock();
      static_cast<void>(file.sync());
    }
  };
  // It dies in the unlock; the sync after it may throw, but not here: that would end the program.
  plan(StepKind::unlock, 0, StepAction::kill());
  EXPECT_THROW(
      {
        const Closer closer{*file};
        throw std::runtime_error("of the product");
      },
      std::runtime_error);
  EXPECT_THROW(static_cast<void>(file->sync()), ProcessKilled);
}

TEST_F(SimVfsTest, PowerCutEndsEveryProcess) {
  SimVfs one(disk);
  SimVfs two(disk);
  const auto file = durable_file(one, 512);
  const auto other = open(two);
  ASSERT_TRUE(file->write_at(0, filled(512, 'b')));
  plan(StepKind::sync, 0, StepAction::power_cut());
  EXPECT_THROW(static_cast<void>(file->sync()), PowerCut);
  EXPECT_FALSE(other->size_bytes());
  EXPECT_FALSE(two.is_alive());
  EXPECT_EQ(disk.pending().sectors.size(), 1U) << "the cut comes before the step";
}

TEST_F(SimVfsTest, AnyCallCanFailWithoutEffect) {
  SimVfs process(disk);
  const auto file = durable_file(process, 512);
  const auto dir = directory(process);
  const auto fails = [&](int os_error) { disk.set_hook([=](const Step&) { return StepAction::fail(os_error); }); };
  fails(EROFS);
  EXPECT_EQ(file->write_at(0, filled(9, 'x')).error().code, ErrorCode::read_only);
  EXPECT_EQ(dir->open("new", OpenMode::create, false).error().code, ErrorCode::read_only);
  fails(EDQUOT);
  EXPECT_EQ(file->allocate(0, 99999).error().code, ErrorCode::no_space);
  fails(EACCES);
  EXPECT_EQ(dir->remove("f").error().code, ErrorCode::permission_denied);
  EXPECT_EQ(process.open_directory("/other", true).error().code, ErrorCode::permission_denied);
  fails(ENOLCK);
  EXPECT_EQ(file->try_lock().error().os_error, ENOLCK);
  EXPECT_FALSE(file->map(0, 512, false));
  disk.set_hook(nullptr);
  EXPECT_EQ(disk.content("/db/f"), filled(512, 'a'));
  EXPECT_FALSE(disk.exists("/db/new"));
  EXPECT_EQ(process.open_directory("/other", false).error().code, ErrorCode::not_found);
  EXPECT_EQ(process.create_directory("/db").error().code, ErrorCode::already_exists);
  EXPECT_EQ(process.open_directory("/db/f", true).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(process.open_directory("/no/such", true).error().code, ErrorCode::not_found);

  plan(StepKind::write, 0, StepAction::fail(EIO, Effect::partial, 600));
  EXPECT_FALSE(file->write_at(0, filled(1024, 'p')));
  EXPECT_EQ(disk.content("/db/f"), filled(512, 'p'));
}

TEST_F(SimVfsTest, FullDiskTakesWhatFitsAndAllocateIsAllOrNothing) {
  disk.set_capacity(4 * 4096);
  SimVfs process(disk);
  auto file = durable_file(process, 4096);
  EXPECT_EQ(disk.free_bytes(), 3U * 4096);
  EXPECT_EQ(file->allocate(0, 5 * 4096).error().code, ErrorCode::no_space);
  EXPECT_EQ(must(file->size_bytes()), 4096U);
  EXPECT_EQ(file->write_at(2048, filled(5 * 4096, 'b')).error().code, ErrorCode::no_space);
  EXPECT_EQ(must(file->size_bytes()), 4U * 4096);
  EXPECT_TRUE(file->write_at(0, filled(4 * 4096, 'c'))) << "space that is there can be overwritten";

  auto reserved = open(process, "g");
  EXPECT_FALSE(reserved->allocate(0, 1));
  EXPECT_TRUE(directory(process)->remove("f"));
  EXPECT_TRUE(directory(process)->sync());
  EXPECT_EQ(disk.free_bytes(), 0U) << "still open";
  file.reset();
  EXPECT_EQ(disk.free_bytes(), 4U * 4096);
}

TEST_F(SimVfsTest, ABlockThatIsGivenBackReadsAsZerosAndNeedsSpaceAgain) {
  disk.set_capacity(4 * 4096);
  SimVfs process(disk);
  const auto file = durable_file(process, 3 * 4096);
  EXPECT_TRUE(must(file->give_back(100, 3 * 4096 - 200)));
  EXPECT_EQ(must(file->allocated_bytes()), 2U * 4096);
  EXPECT_EQ(disk.free_bytes(), 2U * 4096);
  const auto seen = disk.content("/db/f");
  EXPECT_EQ(std::vector(seen.begin(), seen.begin() + 4096), filled(4096, 'a'));
  EXPECT_EQ(std::vector(seen.begin() + 4096, seen.begin() + 8192), filled(4096, '\0'));
  EXPECT_EQ(must(file->size_bytes()), 3U * 4096);

  // After a power cut the bytes are as they were or zero, and the space is gone.
  const auto lost = disk.after_power_cut(Fate::nothing_kept());
  EXPECT_EQ(lost->content("/db/f"), filled(3 * 4096, 'a'));
  EXPECT_EQ(lost->free_bytes(), 2U * 4096);
  EXPECT_EQ(disk.after_power_cut(Fate::everything_kept(disk.pending()))->content("/db/f"), seen);

  disk.set_capacity(2 * 4096);
  EXPECT_EQ(file->write_at(4096, filled(512, 'b')).error().code, ErrorCode::no_space);
}

TEST_F(SimVfsTest, SpaceIsGivenForGoodByASync) {
  disk.set_capacity(4 * 4096);
  SimVfs process(disk);
  const auto file = durable_file(process, 4096);
  ASSERT_TRUE(file->allocate(0, 2 * 4096));
  EXPECT_EQ(disk.free_bytes(), 2U * 4096);
  ASSERT_TRUE(file->write_at(2 * 4096 - 1, filled(1, 'b')));
  EXPECT_EQ(disk.after_power_cut({.sectors = {}, .names = {}, .sizes_kept = true})->free_bytes(), 3U * 4096);
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(disk.after_power_cut(Fate::nothing_kept())->free_bytes(), 2U * 4096);
}

TEST_F(SimVfsTest, RemovedFilesGiveTheirSpaceBack) {
  disk.set_capacity(4 * 4096);
  SimVfs process(disk);
  static_cast<void>(durable_file(process, 4096));
  ASSERT_TRUE(directory(process)->remove("f"));
  EXPECT_EQ(disk.free_bytes(), 3U * 4096) << "until the removal is durable the blocks cannot be given away";
  ASSERT_TRUE(directory(process)->sync());
  EXPECT_EQ(disk.free_bytes(), 4U * 4096);
}

TEST_F(SimVfsTest, ReadOnlyHandlesAndMissingNames) {
  SimVfs process(disk);
  static_cast<void>(durable_file(process, 100));
  const auto dir = directory(process);
  const auto file = must(dir->open("f", OpenMode::read_only, false));
  EXPECT_FALSE(file->write_at(0, filled(1, 'x')));
  EXPECT_EQ(file->map(0, 100, true).error().code, ErrorCode::permission_denied);
  std::vector<std::byte> bytes(200);
  EXPECT_EQ(must(file->read_at(40, bytes)), 60U);
  EXPECT_EQ(must(file->read_at(100, bytes)), 0U);
  EXPECT_EQ(dir->id_of("none").error().code, ErrorCode::not_found);
  EXPECT_EQ(must(dir->list()), std::vector<std::string>{"f"});
}

// ---------------------------------------------------------------------------------------------- steps

void small_workload(SimVfs& process) {
  const auto dir = must(process.open_directory("/db", true));
  const auto file = must(dir->open("f", OpenMode::create, false));
  std::vector<std::byte> bytes(8);
  process.random_bytes(bytes);
  static_cast<void>(file->write_at(static_cast<std::uint64_t>(bytes[0]), bytes));
  static_cast<void>(file->sync());
  static_cast<void>(dir->sync());
}

TEST_F(SimVfsTest, TheSameSeedGivesTheSameTrace) {
  const auto trace = [](std::uint64_t seed) {
    SimDisk seeded({.seed = seed, .tracing = true});
    SimVfs process(seeded);
    small_workload(process);
    return seeded.trace_text();
  };
  EXPECT_EQ(trace(1), trace(1));
  EXPECT_NE(trace(1), trace(2)) << "random_bytes follows the seed";
  EXPECT_EQ(trace(1).substr(0, 41), "0 p0 open_directory /db\n1 p0 open f\n2 p0 ");
}

TEST_F(SimVfsTest, EveryStepCanBeTheLast) {
  SimDisk whole;
  SimVfs complete(whole);
  small_workload(complete);
  ASSERT_EQ(whole.step_count(), 5U);
  for (std::uint64_t last = 0; last < 5; ++last) {
    SimDisk one;
    one.set_hook([=](const Step& step) { return step.index == last ? StepAction::kill() : StepAction::proceed(); });
    SimVfs process(one);
    EXPECT_THROW(small_workload(process), ProcessKilled);
    EXPECT_EQ(one.step_count(), last + 1);
  }
}

// A store that syncs its file before it writes the "done" byte never shows that byte without the data; one that does
// not sync is caught. The hook tries every fate at every step, in one run.
TEST_F(SimVfsTest, ExploringFatesFromTheHookFindsAMissingSync) {
  const auto violations = [](bool with_sync) {
    SimDisk machine;
    SimVfs process(machine);
    const auto file = must(must(process.open_directory("/", false))->open("f", OpenMode::create, false));
    EXPECT_TRUE(file->write_at(0, filled(2048, '.')));
    EXPECT_TRUE(file->sync());
    EXPECT_TRUE(must(process.open_directory("/", false))->sync());
    std::size_t bad = 0;
    machine.set_hook([&](const Step&) {
      for (const Fate& fate : enumerate_fates(machine.pending())) {
        const auto rebooted = machine.after_power_cut(fate);
        const auto bytes = rebooted->content("/f");
        if (at(bytes, 0) == 'D' && at(bytes, 1024) != 'x') ++bad;
      }
      return StepAction::proceed();
    });
    EXPECT_TRUE(file->write_at(1024, filled(512, 'x')));
    if (with_sync) {
      EXPECT_TRUE(file->sync());
    }
    EXPECT_TRUE(file->write_at(0, filled(1, 'D')));
    EXPECT_TRUE(file->sync());
    return bad;
  };
  EXPECT_EQ(violations(true), 0U);
  EXPECT_EQ(violations(false), 1U);
}

TEST_F(SimVfsTest, TornCopiesAreStepsOfTheirOwn) {
  SimDisk torn({.tear_bytes = 1024, .tracing = true});
  SimVfs process(torn);
  const auto file = open(process);
  ASSERT_TRUE(file->write_at(512, filled(2048, 'a')));
  const auto mapped = must(file->map(0, 4096, false));
  std::size_t slices = 0;
  torn.set_hook([&](const Step& step) {
    // Another writer, between the parts of the copy.
    if (step.kind == StepKind::copy_slice && slices++ == 0) torn.damage("/db/f", 512, filled(2048, 'b'));
    return StepAction::proceed();
  });
  std::vector<std::byte> copy(2048);
  mapped->copy(512, copy);
  EXPECT_EQ(at(copy, 0), 'a');
  EXPECT_EQ(at(copy, 512), 'b');
  EXPECT_EQ(slices, 2U);
  EXPECT_NE(torn.trace_text().find("write_slice f 1024+1536"), std::string::npos) << torn.trace_text();
}

TEST_F(SimVfsTest, TimeIsSimulated) {
  SimVfs process(disk);
  const auto file = durable_file(process, 4096, '\0');
  const auto mapped = must(file->map(0, 4096, true));
  const auto before = process.now();
  EXPECT_GT(process.now(), before);
  mapped->wait(0, 1, std::chrono::seconds(100));
  EXPECT_LT(process.now() - before, std::chrono::seconds(1)) << "the word differs already";
  mapped->wait(0, 0, std::chrono::seconds(100));
  EXPECT_GT(process.now() - before, std::chrono::seconds(100));

  SimVfs holder(disk);
  const auto locked = open(holder);
  ASSERT_TRUE(must(locked->try_lock()));
  const auto start = process.now();
  std::size_t polls = 0;
  for (; process.now() - start < std::chrono::seconds(30); ++polls) ASSERT_FALSE(must(file->try_lock()));
  EXPECT_LT(polls, 1000U) << "polling for a held lock must not take millions of steps";
}

TEST_F(SimVfsTest, ManyRealThreadsMayShareAProcess) {
  SimVfs process(disk);
  const auto file = durable_file(process, 4 * 512, '0');
  std::vector<std::thread> threads;
  int in_lock = 0;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto own = open(process);
      for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(own->lock());
        ASSERT_EQ(++in_lock, 1);
        ASSERT_TRUE(own->write_at(t * 512, filled(512, static_cast<char>('a' + t))));
        --in_lock;
        own->unlock();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(at(disk.content("/db/f"), 3 * 512), 'd');
}

// ---------------------------------------------------------------------------------------------- fates

TEST(SimFateTest, UpToEightSectorsGiveEverySubset) {
  EXPECT_EQ(enumerate_fates(0, 0, false).size(), 1U);
  EXPECT_EQ(enumerate_fates(3, 0, false).size(), 8U);
  EXPECT_EQ(enumerate_fates(8, 0, false).size(), 256U);
  EXPECT_EQ(enumerate_fates(3, 1, false).size(), 16U) << "each with the name lost and kept";
  EXPECT_EQ(enumerate_fates(3, 2, false).size(), 16U + 4U) << "and each of two names alone";
  EXPECT_EQ(enumerate_fates(3, 0, true).size(), 8U + 2U);
  EXPECT_EQ(enumerate_fates(0, 0, true).size(), 2U);
  const auto fates = enumerate_fates(3, 0, false);
  std::set<std::vector<bool>> different;
  for (const Fate& fate : fates) different.insert(fate.sectors);
  EXPECT_EQ(different.size(), 8U);
}

TEST(SimFateTest, ManySectorsGiveASelectionWithoutRepeats) {
  const auto fates = enumerate_fates(20, 0, false, {.random_draws = 0});
  // none, all, 20 alone lost, 20 alone kept, prefixes of 2..18 (0, 1, 19 and 20 are there already)
  EXPECT_EQ(fates.size(), 2U + 20 + 20 + 17);
  std::set<std::vector<bool>> different;
  for (const Fate& fate : enumerate_fates(20, 0, false)) different.insert(fate.sectors);
  EXPECT_EQ(different.size(), enumerate_fates(20, 0, false).size());
  EXPECT_EQ(different.size(), fates.size() + 64);
  EXPECT_EQ(enumerate_fates(20, 0, false), enumerate_fates(20, 0, false));
  EXPECT_NE(enumerate_fates(20, 0, false, {.seed = 2}), enumerate_fates(20, 0, false));

  const auto capped = enumerate_fates(5000, 0, false, {.max_fates_per_kind = 50});
  EXPECT_LE(capped.size(), 2U + 3 * 50 + 64);
  EXPECT_GE(capped.size(), 3U * 50 + 64);
}

}  // namespace
}  // namespace mentedb::test

// R12. Space of free pages goes back to the file system, and is taken again before a batch is logged. So a commit and
// redo need no space, also on a disk that other programs have filled meanwhile.

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "format/log_format.hpp"
#include "format/page_format.hpp"
#include "format/superblock.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

constexpr std::size_t kContentBytes = 6'000;  // 12 or 13 pages, and at least one whole block

std::uint64_t allocated_bytes(Process& process) { return must(process->stats()).pages_allocated_bytes; }

void store_large(StorageEngine& engine, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t i = first; i <= last; ++i) must(engine.store_memory(make_memory(i, 1, kContentBytes)));
}

/// Memories 0 to 19, of which 5 to 14 are deleted: a hole of about 60 KB.
void make_hole(StorageEngine& engine) {
  store_large(engine, 0, 19);
  for (std::uint64_t i = 5; i < 15; ++i) must(engine.delete_memory(memory_id(i)));
}

/// Gives space back, takes some of it again, gives it back once more.
void give_and_take(StorageEngine& engine) {
  must(engine.checkpoint());
  store_large(engine, 20, 23);
  must(engine.delete_memory(memory_id(21)));
  must(engine.delete_memory(memory_id(2)));
  must(engine.erase_deleted());
  store_large(engine, 24, 25);
}

/// A commit that the log has, and that finds no space in the pages, is what must not be.
void expect_no_half_write(StorageEngine& engine) {
  for (std::uint64_t i = 100; i < 106; ++i) {
    const auto stored = engine.store_memory(make_memory(i, 1, kContentBytes));
    EXPECT_TRUE(stored || is_error(stored, ErrorCode::no_space));
    EXPECT_EQ(version_of(engine, i), stored ? 1U : 0U);
  }
  EXPECT_TRUE(ok(engine.delete_memory(memory_id(0))));
  EXPECT_TRUE(ok(engine.store_memory(make_memory(0, 1, kContentBytes)))) << "the space of a deletion";
}

void expect_untouched_memories(const StorageEngine& engine) {
  for (const std::uint64_t i : {0U, 1U, 3U, 4U, 15U, 16U, 17U, 18U, 19U}) EXPECT_EQ(version_of(engine, i), 1U) << i;
  for (std::uint64_t i = 5; i < 15; ++i) EXPECT_EQ(version_of(engine, i), 0U) << i;
}

TEST(R12, SpaceComesBackAndIsTakenAgain) {
  SimDisk disk;
  Process process(disk);
  make_hole(*process);
  const std::uint64_t before = allocated_bytes(process);
  must(process->checkpoint());
  const std::uint64_t given = allocated_bytes(process);
  EXPECT_LE(given, before - 50'000);
  EXPECT_EQ(must(process->stats()).pages_file_bytes, disk.content("/store/pages.db").size());
  expect_sound(disk);
  expect_untouched_memories(process);
  store_large(*process, 30, 37);
  EXPECT_LE(allocated_bytes(process), before) << "the hole is used again";
  EXPECT_GE(allocated_bytes(process), given + 8 * kContentBytes - 8'192);
  expect_sound(disk);
  for (std::uint64_t i = 30; i <= 37; ++i) EXPECT_EQ(version_of(process, i), 1U) << i;
}

// Power is cut before each step, and the disk that is found after the reboot has room for an id index and nothing else.
TEST(R12, APowerCutTakesNoSpaceFromACommit) {
  SimDisk disk;
  Process process(disk);
  make_hole(*process);
  constexpr std::uint64_t kIndexBytes = 3 * 4096;
  std::uint64_t cuts = 0;
  const auto cut = [&](const Leaves& leaves) {
    const auto found = power_cut(disk, leaves);
    leave_room(*found, kIndexBytes);
    Process rebooted = Process::idle(*found);
    ASSERT_TRUE(ok(rebooted.try_open()));
    expect_untouched_memories(rebooted);
    expect_sound(*found);
    expect_no_half_write(*rebooted);
    expect_sound(*found);
    ++cuts;
  };
  Trace trace(disk);
  trace.before_each(process, any_step().when([] { return !::testing::Test::HasFailure(); }), [&] {
    cut(nothing());
    cut(everything());
    cut(only(in(kPagesDb)));
    cut(all_but(in(kPagesDb).from(262'144)));  // directory and records are kept, pages are not
  });
  give_and_take(*process);
  trace.calm();
  cut(nothing());
  EXPECT_GT(cuts, 300U);
}

// The process is killed before each step, and other programs fill the disk. The process that goes on is open already.
TEST(R12, AKillTakesNoSpaceFromTheNextWriter) {
  for (std::uint64_t kill_at = 1;; ++kill_at) {
    SimDisk disk;
    Process process(disk);
    Process next(disk);
    make_hole(*process);
    Trace trace(disk);
    const bool killed = trace.kill(process, any_step().nth(kill_at), [&] {
      try {
        give_and_take(*process);
      } catch (const std::exception&) {
        if (process.is_alive()) throw;  // a process that dies in a call that cannot throw notices at its next one
      }
    });
    trace.calm();
    if (!killed) {
      EXPECT_GT(kill_at, 300U);
      break;
    }
    leave_room(disk, 0);
    expect_untouched_memories(next);
    expect_no_half_write(*next);
    expect_sound(disk);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "killed before step " << kill_at;
  }
}

// Another process deletes memories between two slices, after the checkpoint. The log has the deletions, so redo may
// write the first page of each freed run again. (Two neighbours, so that such a page lies in a block that is free as a
// whole.)
TEST(R12, PagesThatTheLogSpeaksOfKeepTheirSpace) {
  SimDisk disk;
  auto [process, other] = open_processes<2>(disk);
  make_hole(*process);
  Trace trace(disk);
  const Event deleted =
      trace.before(process, step(StepKind::try_lock).after(sync_of_new_header()).nth(1), [&other = other] {
        for (const std::uint64_t i : {16U, 17U}) must(other->delete_memory(memory_id(i)));
      });
  must(process->erase_deleted());
  trace.calm();
  ASSERT_TRUE(deleted.came());
  Leaves names_only = nothing();
  names_only.names_and_sizes = true;
  const auto found = power_cut(disk, names_only);
  leave_room(*found, 0);  // the id index takes the space of the old one
  Process rebooted = Process::idle(*found);
  ASSERT_TRUE(ok(rebooted.try_open()));
  for (const std::uint64_t i : {15U, 16U, 17U, 18U}) EXPECT_EQ(version_of(rebooted, i), i == 15 || i == 18 ? 1U : 0U);
  expect_sound(*found);
}

// A process dies between the write of the new header copy and its sync. Another one erases the log of the epoch before,
// which a power cut at any step of that may bring back (R1).
TEST(R12, ALogThatMayComeBackIsNotErased) {
  SimDisk disk;
  auto [process, other] = open_processes<2>(disk);
  make_hole(*process);
  store_memories(*process, 40, 49);
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(process, sync_of_new_header(), [&process = process] { return process->checkpoint(); }));
  trace.calm();
  std::uint64_t cuts = 0;
  trace.before_each(other, any_step().when([] { return !::testing::Test::HasFailure(); }), [&] {
    const auto found = power_cut(disk, all_but(in(kWalLog).below(format::kLogStart)));
    Process rebooted = Process::idle(*found);
    ASSERT_TRUE(ok(rebooted.try_open()));
    expect_untouched_memories(rebooted);
    for (std::uint64_t i = 40; i <= 49; ++i) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
    expect_sound(*found);
    ++cuts;
  });
  must(other->erase_deleted());
  EXPECT_GT(cuts, 100U);
}

// What was freed since the space went back has space. The search for pages passes the others by on a full disk.
TEST(R12, AFullDiskDoesNotHideTheSpaceOfADeletion) {
  SimDisk disk;
  Process process(disk);
  make_hole(*process);
  must(process->checkpoint());
  leave_room(disk, 0);
  for (std::uint64_t i = 15; i < 19; ++i) {
    ASSERT_TRUE(ok(process->delete_memory(memory_id(i))));
    ASSERT_TRUE(ok(process->store_memory(make_memory(i + 100, 1, kContentBytes)))) << i;
  }
  for (std::uint64_t i = 15; i < 19; ++i) EXPECT_EQ(version_of(process, i + 100), 1U);
  expect_sound(disk);
  leave_room(disk, 1 << 20);
  store_large(*process, 50, 57);
  expect_sound(disk);
}

// A batch stands on pages that were free for long, and its commit makes a checkpoint first.
TEST(R12, TheCheckpointOfACommitKeepsThePagesOfItsBatch) {
  SimDisk disk;
  Process process(disk);
  // A hole of more than 64 KiB that is older than an epoch.
  must(process->store_memory(make_memory(1, 1, 200'000)));
  must(process->store_memory(make_memory(2, 1)));
  must(process->delete_memory(memory_id(1)));
  must(process->recover());  // checkpoints without the slices of `checkpoint`
  must(process->store_memory(make_memory(3, 1)));
  bool full = false;
  Trace trace(disk);
  trace.before(process, append_to_log().after(sync_of_new_header()), [&] {
    leave_room(disk, 0);
    full = true;
  });
  // Each update takes 7 KB of the hole, so some of them fill the log.
  for (std::uint32_t version = 2; version < 30 && !full; ++version) {
    const auto updated = process->store_memory(make_memory(4, version, 7'000));
    EXPECT_TRUE(updated || is_error(updated, ErrorCode::no_space));
  }
  EXPECT_TRUE(full);
  expect_sound(disk);
}

/// Pages of the store whose entries say that they lack space.
std::uint64_t lacking_pages(const SimDisk& disk, const std::string& path) {
  const auto bytes = disk.content(path + "/pages.db");
  const std::span all(bytes);
  const auto superblock = must(format::decode_superblock(all.first(base::kBlockBytes), path));
  const format::Geometry geometry(superblock.page_bytes);
  std::uint64_t lacking = 0;
  for (std::uint64_t page = 1; page <= geometry.pages_in(bytes.size()); ++page) {
    const auto entry = format::decode_entry(all.subspan(geometry.entry_offset(page)).first<format::kEntryBytes>(), page,
                                            superblock.seed);
    lacking += entry && format::lacks_space(*entry) ? 1U : 0U;
  }
  return lacking;
}

TEST(R12, ABackupHasSpaceForEveryPage) {
  SimDisk disk;
  Process process(disk);
  make_hole(*process);
  must(process->checkpoint());
  must(process->backup("/copy"));
  EXPECT_GT(lacking_pages(disk, "/store"), 100U);
  EXPECT_EQ(lacking_pages(disk, "/copy"), 0U);
  expect_sound(disk, "/copy");
}

// Free pages and the log hold no byte of what was deleted.
TEST(R12, ErasedBytesAreInNoFile) {
  SimDisk disk;
  Process process(disk);
  MemoryNode secret = make_memory(1, 1);
  secret.content = std::string(3'000, 'x') + "the secret of the walrus" + std::string(3'000, 'y');
  must(process->store_memory(secret));
  must(process->store_memory(make_memory(2, 1)));
  must(process->checkpoint());
  secret.content += "!";
  must(process->update_memory(secret));
  must(process->delete_memory(secret.id));
  const auto files_with_secret = [&] {
    std::vector<std::string> found;
    for (const std::string name : {"pages.db", "wal.log"}) {
      const auto bytes = disk.content("/store/" + name);
      const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (text.find("walrus") != std::string::npos || text.find("xxxxxxxxxx") != std::string::npos)
        found.push_back(name);
    }
    return found;
  };
  EXPECT_EQ(files_with_secret(), (std::vector<std::string>{"pages.db", "wal.log"}));
  must(process->erase_deleted());
  EXPECT_EQ(files_with_secret(), std::vector<std::string>());
  EXPECT_EQ(version_of(process, 2), 1U);
  EXPECT_EQ(version_of(process, 1), 0U);
  expect_sound(disk);
}

}  // namespace
}  // namespace mentedb::test

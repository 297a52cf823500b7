// What tools/prove faults found, each as the shortest way there.
#include <cerrno>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "offline/salvage.hpp"
#include "support/crash/trace.hpp"
#include "support/store_fixture.hpp"

namespace mentedb {
namespace {

using namespace test;

class FaultFindings : public test::StoreFixture {
 protected:
  Trace trace{disk};
};

// A write of the log that ran out of space left the whole batch but its padding behind: the answer was `no_space`
// ("nothing changed"), and the next holder of the lock found a complete batch and made it visible.
TEST_F(FaultFindings, AFullDiskInTheMiddleOfALogWriteChangesNothing) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  const Event full = trace.fail(Who::anyone(), append_to_log(), ENOSPC, Effect::partial, 2'048);
  EXPECT_TRUE(is_error(engine.store_memory(memory(2)), ErrorCode::no_space));
  EXPECT_TRUE(full.came());
  trace.calm();
  // Neither after a power cut, whatever had reached the disk, nor for a process that goes on.
  for (const Leaves& leaves : {nothing(), everything()}) {
    const auto after = power_cut(disk, leaves);
    SimVfs rebooted(*after);
    auto opened = must(EngineAccess::open(rebooted, kDirectory, {}));
    EXPECT_TRUE(is_error(opened.load_memory(memory_id(2)), ErrorCode::not_found));
  }
  EXPECT_TRUE(ok(engine.store_memory(memory(3))));
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(2)), ErrorCode::not_found));
}

// When the torn bytes cannot be erased either, no process may write before the log was read again.
TEST_F(FaultFindings, AFullDiskThatTakesNotEvenTheErasureIsNoPromise) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  trace.keep_failing(Who::anyone(), append_to_log(), ENOSPC, Effect::partial, 2'048);
  EXPECT_TRUE(is_error(engine.store_memory(memory(2)), ErrorCode::io_error, "nothing of this write was acknowledged"));
  trace.calm();
  EXPECT_TRUE(is_error(engine.store_memory(memory(3)), ErrorCode::poisoned));
  EXPECT_TRUE(ok(open().store_memory(memory(3))));
}

// An index file that the file system does not find is not a memory that the store does not have.
TEST_F(FaultFindings, AMissingFileIsNoMissingMemory) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  for (const StepKind kind : {StepKind::list, StepKind::open}) {
    // Of the table that is there already a rebuild may find that it is gone.
    trace.fail(Who::anyone(), step(kind, kind == StepKind::open ? format::index_file_name(2) : ""), ENOENT);
    const auto recovered = engine.recover();
    EXPECT_TRUE(is_error(recovered, ErrorCode::io_error)) << to_string(kind);
    trace.calm();
    EXPECT_TRUE(ok(engine.load_memory(memory_id(1))));
  }
}

// A failed backup left a directory behind that the next attempt refused as `already_exists`.
TEST_F(FaultFindings, AFailedCopyCanBeMadeAgain) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  const auto again = [&](const char* copy, const std::function<Result<void>(const char*)>& make) {
    for (const StepKind kind : {StepKind::write, StepKind::sync, StepKind::allocate, StepKind::map}) {
      if (kind == StepKind::map && copy == std::string_view("/salvaged"))
        continue;  // goes on without the source's words
      const Event failed = trace.fail(Who::anyone(), step(kind, kind == StepKind::map ? "" : kPagesDb), EIO);
      EXPECT_FALSE(make(copy)) << copy << ' ' << to_string(kind);
      EXPECT_TRUE(failed.came());
      trace.calm();
      EXPECT_FALSE(disk.exists(std::string(copy) + "/pages.db"));
    }
    EXPECT_TRUE(ok(make(copy)));
    EXPECT_TRUE(ok(EngineAccess::open(vfs, copy, {})));
  };
  again("/backup", [&](const char* copy) { return engine.backup(copy); });
  again("/restored", [&](const char* copy) { return EngineAccess::restore(vfs, kDirectory, copy); });
  again("/salvaged", [&](const char* copy) -> Result<void> {
    const auto report = offline::salvage_directory(vfs, kDirectory, copy, std::chrono::seconds(1));
    if (!report) return std::unexpected(report.error());
    return {};
  });
}

// Opening without wal.log made an empty one before it answered `corruption`; from then on there was no telling what had
// happened.
TEST_F(FaultFindings, ALostLogIsNotMadeAnew) {
  {
    must(open().store_memory(memory(1)));
  }
  const auto pages = disk.content(kPages);
  disk.erase(kLog);
  for (const bool read_only : {false, true}) {
    Options options;
    options.read_only = read_only;
    EXPECT_TRUE(is_error(try_open(options), ErrorCode::corruption, "wal.log is missing"));
    EXPECT_FALSE(disk.exists(kLog));
  }
  EXPECT_TRUE(disk.content(kPages) == pages);
  ASSERT_FALSE(problems().empty());
  EXPECT_EQ(problems().front().file, "wal.log");
  // The remedy that the message names.
  const auto report = must(offline::salvage_directory(vfs, kDirectory, "/saved", std::chrono::seconds(1)));
  EXPECT_EQ(report.memories_saved, 1U);
}

// A header whose checksum holds may claim a run of gigabytes; verify allocated them to look at the slack (I10).
TEST_F(FaultFindings, VerifyAllocatesNoMoreThanTheFileHas) {
  Options options;
  options.page_size_bytes = 65'536;
  {
    auto engine = open(options);
    must(engine.store_memory(memory(1)));
    must(engine.checkpoint());
  }
  const format::Superblock block = superblock();
  format::RunHeader header{.checksum = 0,
                           .page = 1,
                           .lsn = 1,
                           .payload_bytes = 8,
                           .run_pages = 60'000,
                           .type = format::RunType::memory,
                           .reserved = {}};
  const std::vector<std::byte> payload(8, std::byte{1});
  format::seal_run_header(header, payload, block.seed);
  disk.damage(kPages, geometry().page_offset(1), base::bytes_of(header));
  disk.damage(kPages, geometry().page_offset(1) + sizeof header, payload);
  std::array<std::byte, format::kEntryBytes> bytes{};
  const format::Entry entry{
      .id = memory_id(1).bytes, .lsn = 1, .run_pages = 60'000, .type = format::EntryType::memory_stored};
  format::encode_entry(entry, 1, block.seed, bytes);
  disk.damage(kPages, geometry().entry_offset(1), bytes);
  const auto peak_kib = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = peak_kib();
  EXPECT_FALSE(problems().empty());
  EXPECT_LT(peak_kib() - before, 512 * 1024);
}

// The files were out of sight when the commit looked at their names again, and back when the engine opened the store
// anew: it was the same store, so the write was made once more. A counter went up by two, a deletion said `not_found`.
TEST_F(FaultFindings, AWriteIsNotMadeTwiceWhenTheNamesWereAwayForAMoment) {
  auto engine = open();
  must(engine.store_memory(memory(1, "0")));
  must(engine.store_memory(memory(2)));
  const auto lose_the_names_after_the_commit = [&] {
    trace.calm();
    trace.fail(Who::anyone(), step(StepKind::id_of).after(sync_of(kWalLog)), ENOENT);
  };
  must(engine.store_memory(memory(3)));  // R1 is behind us: the next sync of the log is the batch's
  lose_the_names_after_the_commit();
  int calls = 0;
  EXPECT_TRUE(ok(engine.transact([&](Transaction& tx) -> Result<void> {
    ++calls;
    auto counter = must(tx.load(memory_id(1)));
    counter.content = std::to_string(std::stoi(counter.content) + 1);
    return tx.update(counter);
  })));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "1");
  must(engine.store_memory(memory(3)));
  lose_the_names_after_the_commit();
  EXPECT_TRUE(ok(engine.delete_memory(memory_id(2))));
  trace.calm();
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(2)), ErrorCode::not_found));
}

// A failed salvage or backup whose remains cannot be removed says so.
TEST_F(FaultFindings, WhatCannotBeRemovedIsNamed) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  trace.keep_failing(Who::anyone(), step(StepKind::sync).or_at(step(StepKind::remove_directory)), EROFS);
  EXPECT_TRUE(is_error(engine.backup("/copy"), ErrorCode::read_only, "/copy is not whole and could not be removed"));
}

}  // namespace
}  // namespace mentedb

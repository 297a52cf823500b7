// What tools/prove faults found, each as the shortest way there.
#include <cerrno>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "offline/salvage.hpp"
#include "support/crash/trace.hpp"
#include "support/failing_new.hpp"
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
  EXPECT_TRUE(is_error(engine.backup("/copy"), ErrorCode::io_error, "/copy is not whole and could not be removed"));
}

// A write to the pages failed behind the log's sync, and then no memory was left for the error: the answer was
// `out_of_memory`, which promises that nothing changed, and the memory appeared at the next write. The message of that
// error needs no memory now. `failures` is how many writes to the pages fail: after one the second attempt succeeds.
class NoMemoryBehindTheLog : public FaultFindings, public testing::WithParamInterface<int> {};

TEST_P(NoMemoryBehindTheLog, IsNeverAnUnchangedStore) {
  bool ran_out = true;
  for (std::uint64_t k = 0; ran_out && k < 200; ++k) {
    for (const bool from_then_on : {false, true}) {
      SCOPED_TRACE("allocation " + std::to_string(k) + (from_then_on ? " and all later ones" : ""));
      auto engine = open();
      const MemoryNode node = memory(100 + 2 * k + (from_then_on ? 1 : 0));
      std::optional<faults::FailingNew> no_memory;
      int failed = 0;
      bool logged = false;
      disk.set_hook([&](const Step& step) {
        logged |= step.kind == StepKind::sync && step.file == kWalLog;
        const bool applies = logged && step.kind == StepKind::write && step.file == kPagesDb;
        if (!applies || failed == GetParam()) return StepAction::proceed();
        ++failed;
        if (!no_memory) no_memory.emplace(k, from_then_on);
        return StepAction::fail(EIO);
      });
      const auto stored = engine.store_memory(node);
      ran_out = faults::FailingNew::fired();
      no_memory.reset();
      disk.set_hook({});
      ASSERT_GE(failed, 1);
      if (!stored) {
        EXPECT_TRUE(is_error(stored, ErrorCode::io_error, "durable, not yet visible"));
      }
      must(open().store_memory(memory(1)));  // the next lock holder
      EXPECT_TRUE(ok(open().load_memory(node.id))) << (stored ? "acknowledged" : stored.error().message);
    }
  }
  EXPECT_FALSE(ran_out) << "some allocation was never tried";
}

INSTANTIATE_TEST_SUITE_P(Writes, NoMemoryBehindTheLog, testing::Values(1, 2));

// The log's write or its sync failed, and no memory was left for the error: the engine was not poisoned, and wrote on
// behind bytes of which no process knows whether the device has them.
TEST_F(FaultFindings, AFailedLogWriteWithoutMemoryPoisons) {
  for (const StepKind kind : {StepKind::write, StepKind::sync}) {
    bool ran_out = true;
    for (std::uint64_t k = 0; ran_out && k < 200; ++k) {
      SCOPED_TRACE(std::string(to_string(kind)) + ", allocation " + std::to_string(k));
      auto engine = open({}, (std::string("/") + std::string(to_string(kind)) + std::to_string(k)).c_str());
      must(engine.store_memory(memory(1)));  // with the log's header
      std::optional<faults::FailingNew> no_memory;
      disk.set_hook([&](const Step& step) {
        if (step.kind != kind || step.file != kWalLog || no_memory) return StepAction::proceed();
        no_memory.emplace(k, true);
        return StepAction::fail(EIO);
      });
      const auto stored = engine.store_memory(memory(2));
      ran_out = faults::FailingNew::fired();
      no_memory.reset();
      disk.set_hook({});
      ASSERT_FALSE(stored);
      EXPECT_TRUE(is_error(engine.store_memory(memory(3)), ErrorCode::poisoned)) << stored.error().message;
    }
    EXPECT_FALSE(ran_out);
  }
}

}  // namespace
}  // namespace mentedb

// What no other test noticed when one line of the protocol was changed (tests/prove/mutants), one test each.

#include <cerrno>

#include <gtest/gtest.h>

#include "engine/engine_impl.hpp"
#include "format/log_format.hpp"
#include "support/crash/script.hpp"
#include "support/sim/sim_disk.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::testing {
namespace {

Options small() {
  Options options;
  options.page_size_bytes = 512;
  options.wal_limit_bytes = 64 * 1024;
  options.lock_timeout = std::chrono::seconds(2);
  return options;
}

StorageEngine open(SimVfs& vfs) { return std::move(EngineAccess::open(vfs, kStorePath, small()).value()); }

// Takes the lock and writes nothing of its own.
void hold_once(StorageEngine& engine) {
  EXPECT_FALSE(engine.transact([](Transaction&) { return Result<void>(std::unexpected(Error{})); }));
}

// R2 rewrites: the dead writer's sync had failed. The blocks look clean then, and a sync alone writes nothing.
TEST(Mutants, ABatchWhoseSyncFailedIsWrittenAgain) {
  SimVfsOptions buffered;
  buffered.support_direct = false;
  SimDisk disk;
  SimVfs writer_vfs(disk, buffered);
  SimVfs peer_vfs(disk, buffered);
  auto writer = open(writer_vfs);
  auto peer = open(peer_vfs);
  ASSERT_TRUE(peer.store_memory(make_memory(3, 1)));
  ASSERT_TRUE(writer.store_memory(make_memory(1, 1)));
  bool failed = false;
  disk.set_hook([&](const Step& step) {
    if (step.process != writer_vfs.process()) return StepAction::proceed();
    if (failed) return StepAction::kill();  // before it could poison the store
    failed = step.kind == StepKind::sync && step.file == "wal.log";
    return failed ? StepAction::fail(EIO) : StepAction::proceed();
  });
  EXPECT_THROW(static_cast<void>(writer.store_memory(make_memory(2, 1))), ProcessKilled);
  disk.set_hook({});
  hold_once(peer);
  ASSERT_TRUE(peer.load_memory(memory_id(2)));
  const auto found = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*found);
  EXPECT_TRUE(open(rebooted).load_memory(memory_id(2))) << "it was shown, and is gone (I3)";
}

// R1 is once an epoch, not once a process: the peer had seen the slot of the epoch before synced.
TEST(Mutants, EachEpochsSlotIsMadeDurable) {
  SimDisk disk;
  SimVfs killed_vfs(disk);
  SimVfs peer_vfs(disk);
  auto killed = open(killed_vfs);
  auto peer = open(peer_vfs);
  ASSERT_TRUE(killed.store_memory(make_memory(1, 1)));
  ASSERT_TRUE(peer.store_memory(make_memory(2, 1)));
  bool slot_written = false;
  disk.set_hook([&](const Step& step) {
    if (step.process != killed_vfs.process() || step.file != "wal.log") return StepAction::proceed();
    if (slot_written && step.kind == StepKind::sync) return StepAction::kill();
    slot_written |= step.kind == StepKind::write && step.offset < format::kLogStart;
    return StepAction::proceed();
  });
  EXPECT_THROW(static_cast<void>(killed.checkpoint()), ProcessKilled);
  disk.set_hook({});
  bool synced = false;
  bool appended_first = false;
  disk.set_hook([&](const Step& step) {
    if (step.file != "wal.log") return StepAction::proceed();
    synced |= step.kind == StepKind::sync;
    appended_first |= !synced && step.kind == StepKind::write && step.offset >= format::kLogStart;
    return StepAction::proceed();
  });
  ASSERT_TRUE(peer.store_memory(make_memory(3, 1)));
  disk.set_hook({});
  EXPECT_FALSE(appended_first) << "a batch of an epoch whose slot is not durable";
}

}  // namespace
}  // namespace mentedb::testing

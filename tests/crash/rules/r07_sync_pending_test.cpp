// R7. `pages.db` and the id index are synced between setting and clearing `sync pending`. A process that finds it set
// rewrites the pages and the buckets from the log before it syncs.

#include <cerrno>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "format/index_format.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// A checkpoint's sync of the file fails, and the process dies with the news.
void dies_of_a_failed_sync(SimDisk& disk, Process& told, std::string_view file) {
  Trace trace(disk);
  trace.fail(told, sync_of(file), EIO);
  trace.kill(told, any_step().after(sync_of(file)));
  dies([&] { EXPECT_FALSE(told->checkpoint()); });
  EXPECT_FALSE(told.is_alive());
}

// R7, H6. The sync of pages.db fails and the checkpointer dies with the news. The process that comes next has a
// descriptor that reports nothing, and must not trust it.
TEST(R7, AFailedSyncOutlivesTheProcessThatWasTold) {
  for (const bool next_is_fresh : {false, true}) {
    SimDisk disk;
    Process told(disk);
    Process next = Process::idle(disk);
    if (!next_is_fresh) next.open();
    store_memories(*told, 0, 4);
    dies_of_a_failed_sync(disk, told, kPagesDb);

    if (next_is_fresh) next.open();
    must(next->checkpoint());
    const auto found = power_cut(disk);
    Process rebooted(*found);
    for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
  }
}

// R7. The sync of the id index fails, and the process that was told dies. The buckets look right in the page cache, so
// the process that comes next has to store to them again: its own sync would not cover them, and then its checkpoint
// would overwrite the log, the only copy that is left. (Found by the campaign that lets every call fail.)
TEST(R7, AFailedSyncOfTheIdIndexOutlivesTheProcessThatWasTold) {
  for (const bool next_is_fresh : {false, true}) {
    SimDisk disk;
    Process told(disk);
    Process next = Process::idle(disk);
    if (!next_is_fresh) next.open();
    store_memories(*told, 0, 4);
    must(told->checkpoint());
    store_memories(*told, 5, 9);
    must(told->delete_memory(memory_id(0)));
    dies_of_a_failed_sync(disk, told, kIdIndex);

    if (next_is_fresh) next.open();
    must(next->checkpoint());
    // The kernel drops the clean pages of the index and reads them again as the device has them.
    Leaves names_only = nothing();
    names_only.names_and_sizes = true;
    const std::string name = format::index_file_name(must(next->stats()).index_number);
    const auto on_device = power_cut(disk, names_only)->content("/store/" + name);
    const auto directory = must(next.vfs().open_directory(kStorePath, false));
    must(must(directory->open(name, vfs::OpenMode::read_write, false))->write_at(0, on_device));
    const Process after(disk);
    EXPECT_EQ(version_of(after, 0), 0U);
    for (std::uint64_t i = 1; i < 10; ++i) EXPECT_EQ(version_of(after, i), 1U) << i;
    EXPECT_EQ(list(after).size(), 9U);
  }
}

// R7. A sync failed: the pages look clean, the device does not have them, and the kernel may drop them at any moment.
// A process that opens the store makes them dirty again at once, and does not leave that to the next checkpoint.
TEST(R7, AnOpenerThatFindsSyncPendingWritesThePagesAgain) {
  SimDisk disk;
  const Sectors pages = in(kPagesDb).from(format::kSharedStateOffset + base::kBlockBytes);
  {
    Process told(disk);
    store_memories(*told, 0, 2);
    Trace trace(disk);
    trace.keep_failing(told, sync_of(kPagesDb), EIO);
    EXPECT_FALSE(told->checkpoint());
    trace.calm();
    told.kill();
  }
  ASSERT_EQ(not_durable(disk, pages), 0U);
  const Process opener(disk);
  EXPECT_GE(not_durable(disk, pages), 3U);
}

// R7. Pages do not get their space back, because the sync fails, and the transaction goes on with a memory that needs
// none of them. The pages that its batch was planned on may be lost by then. A commit would make the cached tail valid
// again, and the next writer would plan on them, too. (Found by a mutant that no test killed.)
TEST(R7, NoBatchIsCommittedOnPagesThatAFailedGrowthMayHaveLost) {
  SimDisk disk;
  Process writer(disk);
  Process next(disk);
  must(writer->store_memory(make_memory(5, 1, 2'700)));  // shorter than a block: its pages keep their space
  must(writer->store_memory(make_memory(6, 1)));
  must(writer->store_memory(make_memory(7, 1, 20'000)));
  must(writer->store_memory(make_memory(8, 1)));
  must(writer->delete_memory(memory_id(5)));
  must(writer->delete_memory(memory_id(7)));
  must(writer->checkpoint());
  store_memories(*writer, 0, 4);
  const Sectors pages = in(kPagesDb).from(format::kSharedStateOffset + base::kBlockBytes);
  Trace trace(disk);
  trace.keep_failing(writer, sync_of(kPagesDb), EIO);
  const auto committed = writer->transact([](Transaction& transaction) -> Result<void> {
    EXPECT_TRUE(is_error(transaction.store(make_memory(9, 1, 15'000)), ErrorCode::io_error));
    EXPECT_TRUE(ok(transaction.store(make_memory(10, 1))));
    return {};
  });
  trace.calm();
  EXPECT_TRUE(is_error(committed, ErrorCode::io_error, "nothing of this write was acknowledged"));
  ASSERT_EQ(not_durable(disk, pages), 0U);
  must(next->store_memory(make_memory(11, 1)));
  EXPECT_GE(not_durable(disk, pages), 3U) << "the next writer wrote the pages again";
  EXPECT_EQ(version_of(next, 10), 0U);
  EXPECT_EQ(version_of(next, 11), 1U);
}

}  // namespace
}  // namespace mentedb::test

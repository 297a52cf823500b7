// R4. Redo is two passes: it notes the last operation for each page, then applies only those.

#include <set>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// Three memories were stored and deleted, and a live run begins below the second one's page and covers it.
std::uint64_t run_over_deleted_pages(StorageEngine& engine) {
  std::vector<PageId> pages;
  for (std::uint64_t i = 0; i < 3; ++i) pages.push_back(must(engine.store_memory(make_memory(i, 1))));
  for (std::uint64_t i = 0; i < 3; ++i) must(engine.delete_memory(memory_id(i)));
  for (std::uint64_t i = 10; i < 200; ++i) {
    const PageId page = must(engine.store_memory(make_memory(i, 1, 1'200)));
    if (page.value < pages[1].value && pages[1].value < page.value + 3) return i;
    must(engine.delete_memory(memory_id(i)));
  }
  ADD_FAILURE() << "no run came to lie over the pages";
  return 0;
}

// R4, H1. The log has a memory that was deleted and whose page lies inside a run that is live now. Redo of the whole
// log must not write the old one over the run, at no moment: the opener may be killed there, and the log be reset.
TEST(R4, RedoWritesNothingOverALiveRun) {
  SimDisk disk;
  Process writer(disk);
  Process opener = Process::idle(disk);
  const std::uint64_t live = run_over_deleted_pages(*writer);
  ASSERT_NE(live, 0U);
  {
    Trace trace(disk);
    const Event looks = trace.before_each(opener, any_step(), [&] { EXPECT_EQ(version_of(writer, live), 1U); });
    opener.open_and_close();
    EXPECT_GT(looks.times(), 50U);
  }
  must(writer->checkpoint());
  EXPECT_EQ(version_of(writer, live), 1U);
}

// R4, H2. A writer dies in the middle of overwriting a page; redo must not show the versions before on its way.
TEST(R4, NoOldVersionComesBackDuringRedo) {
  SimDisk disk({.tear_bytes = 512});
  auto [writer, reader] = open_processes<2>(disk);
  Process opener = Process::idle(disk);
  const PageId page = must(writer->allocate_page(1'200));
  const auto data = [](int version) { return Bytes(1'200, std::byte(version)); };
  for (const int version : {1, 2, 3}) must(writer->write_page(page, data(version)));
  ASSERT_EQ(must(reader->read_page(page)).data, data(3));
  Trace trace(disk);
  ASSERT_TRUE(trace.kill(writer, middle_of_write_of(kPagesDb), [&] { return writer->write_page(page, data(4)); }));

  std::size_t shown = 0;
  trace.before_each(opener, any_step().except(step(StepKind::copy_slice)), [&] {
    const auto copy = reader->read_page(page);
    if (!copy) {  // the exception of I5: half overwritten, and the opener has the lock
      EXPECT_TRUE(is_error(copy, ErrorCode::busy));
    } else {
      EXPECT_EQ(copy->data, data(4)) << "(I3)";
      ++shown;
    }
  });
  opener.open_and_close();
  EXPECT_GT(shown, 0U);
}

// R4 in a commit: of a memory that a batch changes twice only the last version is ever written, or a reader would be
// shown one that no process committed.
TEST(R4, ABatchShowsOnlyItsLastVersions) {
  SimDisk disk;
  auto [writer, reader] = open_processes<2>(disk);
  must(writer->store_memory(make_memory(1, 1)));
  std::set<std::uint32_t> shown;
  Trace trace(disk);
  const Event reads = trace.before_each(writer, any_step(), [&] {
    shown.insert(version_of(reader, 1));
    EXPECT_EQ(version_of(reader, 2), 0U) << "stored and deleted in one batch";
  });
  must(writer->transact([](Transaction& transaction) -> Result<void> {
    if (auto done = transaction.update(make_memory(1, 2)); !done) return done;
    if (auto done = transaction.store(make_memory(2, 1)); !done) return std::unexpected(done.error());
    if (auto done = transaction.update(make_memory(1, 3)); !done) return done;
    return transaction.erase(memory_id(2));
  }));
  shown.insert(version_of(reader, 1));
  EXPECT_GT(reads.times(), 20U);
  EXPECT_EQ(shown, (std::set<std::uint32_t>{1, 3}));
}

}  // namespace
}  // namespace mentedb::test

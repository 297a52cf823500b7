// Scans among commits (I4): no memory is missed, and a scan ends.

#include <functional>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// H9. The scan's cursor has passed the low pages when a memory moves there from a high one.
TEST(Scan, MissesNoMemoryThatMovesBehindIt) {
  SimDisk disk;
  auto [writer, reader] = open_processes<2>(disk);
  store_memories(*writer, 0, 199);
  std::map<std::uint64_t, std::uint64_t> at;
  for (const auto& [id, page] : list(writer)) at[page.value] = number_of(id);
  for (std::uint64_t page = 1; page <= 40; ++page) must(writer->delete_memory(memory_id(at[page])));
  std::size_t moved_back = 0;
  Trace trace(disk);
  trace.before(reader, step(StepKind::copy).nth(2), [&] {
    for (std::uint64_t page = 130; page < 190; ++page) {
      const PageId now = must(writer->update_memory(make_memory(at[page], 2)));
      if (now.value <= 64) ++moved_back;
    }
  });
  const auto all = must(reader->scan_all_memories());
  EXPECT_GT(moved_back, 0U);
  std::set<MemoryId> listed;
  for (const auto& [id, page] : all) EXPECT_TRUE(listed.insert(id).second) << "listed twice";
  EXPECT_EQ(listed.size(), 160U);
}

// I4. A scan during which another process commits in every pass ends all the same: after some passes it takes the lock.
void expect_it_takes_the_lock(const Options& options, const std::function<void(const StorageEngine&)>& scan) {
  SimDisk disk;
  Process writer(disk);
  store_memories(*writer, 0, 19);
  Process reader(disk, options);
  std::uint32_t version = 1;
  Trace trace(disk);
  const Event locked = trace.watch(reader, step(StepKind::try_lock));
  const Event commits = trace.before_each(reader, step(StepKind::copy).before(step(StepKind::try_lock)),
                                          [&] { EXPECT_TRUE(ok(writer->update_memory(make_memory(1, ++version)))); });
  scan(reader);
  EXPECT_TRUE(locked.came());
  EXPECT_GE(commits.times(), 8U);
}

TEST(Scan, TakesTheLockWhenItFindsNoQuietMoment) {
  for (const Options& options : {small_options(), read_only_options()}) {
    expect_it_takes_the_lock(options, [](const StorageEngine& reader) { EXPECT_EQ(list(reader).size(), 20U); });
    expect_it_takes_the_lock(options, [](const StorageEngine& reader) {
      const Changes changes = must(reader.changes_since(Lsn{0}));
      EXPECT_EQ(changes.changes.size(), 20U);
      EXPECT_EQ(changes.cursor, reader.committed_lsn());
    });
  }
}

}  // namespace
}  // namespace mentedb::test

// Scans among commits (I4): no memory is missed, and a scan ends.

#include <functional>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// H9. The scan's cursor has passed the low pages when a memory moves there from a high one. The first copies are those
// of the pass that hopes for a quiet store, the later ones those of the passes that follow.
TEST(Scan, MissesNoMemoryThatMovesBehindIt) {
  for (std::uint64_t copy = 1; copy <= 12; ++copy) {
    SimDisk disk;
    auto [writer, reader] = open_processes<2>(disk);
    store_memories(*writer, 0, 199);
    std::map<std::uint64_t, std::uint64_t> at;
    for (const auto& [id, page] : list(writer)) at[page.value] = number_of(id);
    for (std::uint64_t page = 1; page <= 40; ++page) must(writer->delete_memory(memory_id(at[page])));
    std::size_t moved_back = 0;
    Trace trace(disk);
    // Before each of the first copies a commit, so that no pass before the one in question finds a quiet store.
    for (std::uint64_t n = 1; n < copy; n += 4) {
      trace.before(reader, step(StepKind::copy).nth(n), [&] { must(writer->update_memory(make_memory(199, 2))); });
    }
    trace.before(reader, step(StepKind::copy).nth(copy), [&] {
      for (std::uint64_t page = 130; page < 190; ++page) {
        const PageId now = must(writer->update_memory(make_memory(at[page], 2)));
        if (now.value <= 64) ++moved_back;
      }
    });
    const auto all = must(reader->scan_all_memories());
    std::set<MemoryId> listed;
    for (const auto& [id, page] : all) EXPECT_TRUE(listed.insert(id).second) << "listed twice";
    EXPECT_EQ(listed.size(), 160U) << "moved before copy " << copy;
    if (copy <= 2) {
      EXPECT_GT(moved_back, 0U);
    }
  }
}

// The same, while the count of what the pass finds stays right: as many memories are stored before the cursor.
TEST(Scan, ANewMemoryBeforeTheCursorHidesNoneThatMovesBehindIt) {
  for (std::uint64_t stored = 1; stored <= 3; ++stored) {
    SimDisk disk;
    auto [writer, reader] = open_processes<2>(disk);
    store_memories(*writer, 0, 199);
    std::map<std::uint64_t, std::uint64_t> at;
    for (const auto& [id, page] : list(writer)) at[page.value] = number_of(id);
    for (std::uint64_t page = 1; page <= 3; ++page) must(writer->delete_memory(memory_id(at[page])));
    Trace trace(disk);
    trace.before(reader, step(StepKind::copy).nth(2), [&] {
      for (std::uint64_t n = 0; n < 3; ++n) must(writer->update_memory(make_memory(at[150 + n], 2)));
      for (std::uint64_t n = 0; n < stored; ++n) must(writer->store_memory(make_memory(500 + n, 1)));
    });
    std::set<MemoryId> listed;
    for (const auto& [id, page] : must(reader->scan_all_memories())) listed.insert(id);
    for (std::uint64_t n = 0; n < 3; ++n) EXPECT_TRUE(listed.contains(memory_id(at[150 + n])));
  }
}

// A quiet store is read in one pass: the entries of its pages once, and nothing else.
TEST(Scan, ReadsAQuietStoreOnce) {
  SimDisk disk;
  auto [writer, reader] = open_processes<2>(disk);
  store_memories(*writer, 0, 199);
  const std::uint64_t pages = must(writer->stats()).page_count;
  Trace trace(disk);
  const Event copies = trace.watch(reader, step(StepKind::copy));
  EXPECT_EQ(must(reader->scan_all_memories()).size(), 200U);
  EXPECT_LE(copies.times(), pages / 64 + 1);
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

// changes_since among commits, kills and redo (H10): nothing that was acknowledged is passed over in silence.

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// A process that keeps a list of the ids by what changes_since tells it.
class Follower {
 public:
  explicit Follower(Process& process) : process_(process) {}

  void ask() {
    const Lsn before = process_->committed_lsn();
    const auto changes = process_->changes_since(cursor_);
    if (!changes) {
      ASSERT_TRUE(is_error(changes, ErrorCode::resync_required));
      cursor_ = before;
      ids_.clear();
      for (const auto& [id, page] : list(process_)) ids_.insert(id);
      return;
    }
    ++answers_;
    for (const Change& change : changes->changes) {
      if (change.kind == ChangeKind::deleted) {
        ids_.erase(change.id);
      } else {
        ids_.insert(change.id);
      }
    }
    cursor_ = changes->cursor;
  }

  [[nodiscard]] const std::set<MemoryId>& ids() const { return ids_; }
  [[nodiscard]] std::size_t answers() const { return answers_; }

 private:
  Process& process_;
  std::set<MemoryId> ids_;
  Lsn cursor_;
  std::size_t answers_ = 0;
};

// H10. At every step of every commit a follower asks what changed; put together, the answers (or a resync) tell the
// whole truth: deletions whose page was used again, batches of which one part is published before the other, moves.
TEST(Changes, AreToldCompletelyWheneverTheyAreAskedFor) {
  SimDisk disk;
  auto [writer, reader] = open_processes<2>(disk);
  store_memories(*writer, 0, 5);
  Follower follower(reader);
  std::set<MemoryId> expected;
  for (std::uint64_t i = 0; i < 6; ++i) expected.insert(memory_id(i));
  Trace trace(disk);
  // Every fifth step, so that cursors of all ages meet all steps.
  trace.before_each(writer, any_step().every(5), [&] { follower.ask(); });
  for (std::uint64_t round = 0; round < 12; ++round) {
    const std::uint64_t fresh = 100 + 2 * round;
    must(writer->delete_memory(memory_id(round % 6)));
    must(writer->store_memories(std::vector{make_memory(fresh, 1), make_memory(fresh + 1, 1, 900)}));
    must(writer->store_memory(make_memory(round % 6, 2 + round)));
    must(writer->update_memory(make_memory(fresh, 2)));
    must(writer->delete_memory(memory_id(fresh + 1)));
    expected.insert(memory_id(fresh));
    follower.ask();
    EXPECT_EQ(follower.ids(), expected) << "round " << round;
  }
  EXPECT_GT(follower.answers(), 50U);
}

// H10 (a). A deletion whose record is gone is not passed over in silence.
TEST(Changes, ADeletionWhosePageIsUsedAgainIsToldOrAsksForAResync) {
  SimDisk disk;
  Process process(disk);
  const PageId page = must(process->store_memory(make_memory(1, 1)));
  must(process->store_memory(make_memory(2, 1)));
  const Lsn cursor = process->committed_lsn();
  must(process->delete_memory(memory_id(1)));
  ASSERT_TRUE(reuse(*process, page, 10));
  EXPECT_TRUE(is_error(process->changes_since(cursor), ErrorCode::resync_required));
}

// H10 (b). A change that is committed behind the scan is told all the same, and the cursor covers it.
TEST(Changes, WhatChangesDuringAScanIsTold) {
  SimDisk disk;
  auto [writer, reader] = open_processes<2>(disk);
  store_memories(*writer, 0, 199);
  const MemoryId first = list(writer).front().first;
  Trace trace(disk);
  trace.before(reader, step(StepKind::copy).nth(2), [&] { must(writer->delete_memory(first)); });
  const Changes changes = must(reader->changes_since(Lsn{1}));
  EXPECT_EQ(changes.cursor, writer->committed_lsn());
  EXPECT_EQ(changes.changes.back().id, first);
  EXPECT_EQ(changes.changes.back().kind, ChangeKind::deleted);
  EXPECT_EQ(changes.changes.back().lsn, changes.cursor);
}

// H10 (c). A change that was acknowledged is told even when the memory moves away under the scan, to a page that it has
// passed. A follower missed it until its next call (tools/prove crash found that).
TEST(Changes, WhatWasAcknowledgedIsToldAlthoughItMovesDuringTheScan) {
  SimDisk disk;
  auto [writer, reader] = open_processes<2>(disk);
  store_memories(*writer, 0, 199);
  std::map<std::uint64_t, std::uint64_t> at;
  for (const auto& [id, page] : list(writer)) at[page.value] = number_of(id);
  for (std::uint64_t page = 1; page <= 40; ++page) must(writer->update_memory(make_memory(at[page], 2)));
  const Lsn since = writer->committed_lsn();
  const std::uint64_t moved = at.rbegin()->second;
  PageId place;
  while (place.value <= 64) place = must(writer->update_memory(make_memory(moved, 2)));
  Trace trace(disk);
  trace.before(reader, step(StepKind::copy).nth(2), [&] {
    for (std::uint32_t version = 3; place.value > 64 && version < 500; ++version)
      place = must(writer->update_memory(make_memory(moved, version)));
  });
  const Changes changes = must(reader->changes_since(since));
  ASSERT_LE(place.value, 64U);
  EXPECT_EQ(std::ranges::count(changes.changes, memory_id(moved), &Change::id), 1);
}

// H10 (d). A commit under way overwrites the record of the change before it, which was acknowledged: at every step of
// it the memory is told, with the one LSN or the other. A memory that only this commit changes is not told as deleted.
TEST(Changes, WhatACommitUnderWayOverwritesIsTold) {
  for (const bool deletes : {false, true}) {
    SimDisk disk;
    auto [writer, reader] = open_processes<2>(disk);
    store_memories(*writer, 0, 3);
    const Lsn since = writer->committed_lsn();
    must(writer->update_memory(make_memory(1, 2)));
    const Lsn acknowledged = must(reader->changes_since(since)).changes.front().lsn;
    std::size_t above_the_cursor = 0;
    Trace trace(disk);
    trace.before_each(writer, any_step(), [&] {
      const auto changes = reader->changes_since(since);
      ASSERT_TRUE(ok(changes));
      EXPECT_EQ(std::ranges::count(changes->changes, memory_id(1), &Change::id), 1);
      for (const Change& change : changes->changes) {
        if (change.lsn > changes->cursor) ++above_the_cursor;
        EXPECT_GT(change.lsn, since);
        EXPECT_TRUE(change.id != memory_id(1) || change.lsn >= acknowledged);
        EXPECT_TRUE(change.kind != ChangeKind::deleted || (deletes && change.id == memory_id(1)));
      }
    });
    if (deletes) {
      must(writer->delete_memory(memory_id(1)));
    } else {
      must(writer->store_memories(std::vector{make_memory(8, 1), make_memory(9, 1)}));
      must(writer->update_memory(make_memory(1, 3)));
      must(writer->update_memory(make_memory(2, 2)));
    }
    EXPECT_GT(above_the_cursor, 0U);
  }
}

// H10 (e). The same for a memory of which the scan has seen an older change already: an acknowledged one comes behind
// it, and is overwritten by a writer that dies on the way.
TEST(Changes, WhatADeadWriterOverwroteDuringAScanIsTold) {
  bool killed = true;
  for (std::uint64_t last_step = 1; killed; ++last_step) {
    SimDisk disk;
    Process writer(disk);
    store_memories(*writer, 0, 99);
    auto [mortal, reader] = open_processes<2>(disk);
    const std::uint64_t number = number_of(list(writer).front().first);
    Lsn before;
    Trace trace(disk);
    const Event copies = trace.watch(reader, step(StepKind::copy));
    trace.before(reader, step(StepKind::copy).nth(2), [&] {
      before = writer->committed_lsn();
      must(writer->update_memory(make_memory(number, 2)));
      killed =
          trace.kill(mortal, any_step().nth(last_step), [&] { must(mortal->update_memory(make_memory(number, 3))); });
    });
    const Changes changes = must(reader->changes_since(Lsn{0}));
    ASSERT_GT(copies.times(), 2U);
    const auto change = std::ranges::find(changes.changes, memory_id(number), &Change::id);
    ASSERT_NE(change, changes.changes.end());
    EXPECT_GT(change->lsn, before) << "killed at step " << last_step;
  }
}

// H10 (f). A dead writer's record is seen, redo publishes its commit, and only then the memory is deleted: the deletion
// does not get an LSN that the cursor covers.
TEST(Changes, ADeletionBehindTheCursorIsNotToldBeforeIt) {
  bool killed = true;
  for (std::uint64_t last_step = 1; killed; ++last_step) {
    SimDisk disk;
    Process writer(disk);
    store_memories(*writer, 0, 99);
    auto [mortal, reader] = open_processes<2>(disk);
    const std::uint64_t number = number_of(list(writer).back().first);
    Trace trace(disk);
    trace.before(reader, step(StepKind::copy), [&] {
      killed =
          trace.kill(mortal, any_step().nth(last_step), [&] { must(mortal->update_memory(make_memory(number, 2))); });
    });
    trace.before(reader, step(StepKind::copy).nth(3), [&] { must(writer->store_memory(make_memory(200, 1))); });
    trace.before(reader, load_of(kIdIndex), [&] { must(writer->delete_memory(memory_id(number))); });
    const Changes changes = must(reader->changes_since(Lsn{0}));
    for (const Change& change : changes.changes) {
      EXPECT_TRUE(change.kind != ChangeKind::deleted || change.lsn > changes.cursor) << "killed at step " << last_step;
    }
  }
}

}  // namespace
}  // namespace mentedb::test

// Engines that may not write, in a store whose writer died.

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// I3, I4. An engine that may not write finds a batch in the log that is not in the pages yet: it answers `busy`, and
// goes on with what it can read. It took the batch's LSN for committed, and its follower never heard of the batch.
TEST(ReadOnly, BelievesNothingThatIsNotInThePages) {
  SimDisk disk;
  Process writer(disk);
  must(writer->store_memory(make_memory(1, 1)));
  Process reader(disk, read_only_options());
  const Lsn cursor = reader->committed_lsn();
  ASSERT_TRUE(Trace(disk).kill(writer, batch_durable(), [&] { return writer->store_memory(make_memory(2, 1)); }));

  EXPECT_TRUE(is_error(reader->stats(), ErrorCode::busy));
  EXPECT_EQ(reader->committed_lsn(), cursor);
  EXPECT_EQ(must(reader->changes_since(cursor)).cursor, cursor);
  Process next(disk);
  const Changes changes = must(reader->changes_since(cursor));
  ASSERT_EQ(changes.changes.size(), 1U);
  EXPECT_EQ(changes.changes.front().id, memory_id(2));
}

// I3. What an engine that may not write lists can be read by id: wherever the writer died, also before the id index.
TEST(ReadOnly, ListsWhatItCanRead) {
  bool killed = true;
  std::size_t opened = 0;
  for (std::uint64_t last_step = 1; killed; ++last_step) {
    SimDisk disk;
    Process writer(disk);
    must(writer->store_memory(make_memory(1, 1)));
    killed =
        Trace(disk).kill(writer, any_step().nth(last_step), [&] { return writer->store_memory(make_memory(2, 1)); });
    Process reader = Process::idle(disk);
    if (const auto result = reader.try_open(read_only_options()); !result) {
      EXPECT_TRUE(is_error(result, ErrorCode::busy));
      continue;
    }
    ++opened;
    for (const auto& [id, page] : list(reader)) EXPECT_TRUE(reader->load_memory(id)) << last_step << " steps";
  }
  EXPECT_GT(opened, 1U);
}

}  // namespace
}  // namespace mentedb::test

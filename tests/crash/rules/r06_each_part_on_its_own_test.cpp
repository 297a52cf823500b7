// R6. Redo judges page, directory entry, id index and freed page each on its own.

#include <set>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R6, H19. A writer dies after any one of: run, entries, bucket, freed entries, freed header. Each is judged on its
// own by the next holder: the memory is found by id, by page and by scan, once, and verify finds nothing.
TEST(R6, EachPartOfAPageIsRedoneOnItsOwn) {
  for (std::uint64_t part = 1;; ++part) {
    SimDisk disk;
    auto [writer, peer] = open_processes<2>(disk);
    must(writer->store_memory(make_memory(1, 1)));
    must(peer->store_memory(make_memory(2, 1)));
    const Moment parts = write_of(kPagesDb).or_at(store_to(kIdIndex)).after(sync_of(kWalLog));
    if (!Trace(disk).kill(writer, parts.nth(part), [&] { return writer->update_memory(make_memory(1, 2, 1'500)); })) {
      EXPECT_GT(part, 5U);
      break;
    }
    must(peer->store_memory(make_memory(3, 1)));
    EXPECT_EQ(version_of(peer, 1), 2U);
    EXPECT_EQ(must(peer->load_memory(must(peer->find(memory_id(1))))).access_count, 2U);
    std::multiset<MemoryId> listed;
    for (const auto& [id, at] : list(peer)) listed.insert(id);
    EXPECT_EQ(listed, (std::multiset<MemoryId>{memory_id(1), memory_id(2), memory_id(3)})) << part;
    expect_sound(disk);
  }
}

// R6. A writer dies between the two halves of a run: its data are whole, and behind them lies what was there before.
TEST(R6, RedoLooksBehindTheDataOfARun) {
  SimDisk disk({.tear_bytes = 512});
  Options options = small_options();
  options.page_size_bytes = 4'096;
  Process writer(disk, options);
  for (std::uint64_t i = 0; i < 20; ++i) must(writer->store_memory(make_memory(i, 1, 3'000)));
  for (std::uint64_t i = 0; i < 20; ++i) must(writer->delete_memory(memory_id(i)));
  ASSERT_TRUE(Trace(disk).kill(writer, middle_of_write_of(kPagesDb).nth(2),
                               [&] { return writer->store_memory(make_memory(30, 1)); }));
  {
    Process opener(disk, options);
    EXPECT_EQ(version_of(opener, 30), 1U);
  }
  expect_sound(disk);
}

}  // namespace
}  // namespace mentedb::test

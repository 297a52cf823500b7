// R9. LSNs are per operation and never restarted. The cached tail that carries the next one is one unit that checks
// itself.

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R9, H32. The holder is killed between any two stores to the words of the cached tail: no LSN is used twice, nothing
// is lost. The batch before has two operations, so an LSN for each batch would be used twice, too.
TEST(R9, AKillBetweenTheWordsOfTheCachedTailReusesNoLsn) {
  constexpr std::uint64_t kEndOfTheTail = format::kSharedStateOffset + 80;
  for (std::uint64_t word = 1;; ++word) {
    SimDisk disk;
    auto [holder, peer] = open_processes<2>(disk);
    must(peer->store_memory(make_memory(1, 1)));
    must(holder->store_memories(std::vector{make_memory(2, 1), make_memory(5, 1)}));
    if (!Trace(disk).kill(holder, store_to(kPagesDb).below_byte(kEndOfTheTail).nth(word),
                          [&] { return holder->store_memory(make_memory(3, 1)); })) {
      EXPECT_GT(word, 10U);
      break;
    }
    must(peer->store_memory(make_memory(4, 1)));
    std::set<std::uint64_t> lsns;
    for (std::uint64_t number = 1; number <= 5; ++number) {
      const auto page = peer->find(memory_id(number));
      if (!page && number == 3) continue;  // never logged
      ASSERT_TRUE(ok(page)) << number;
      EXPECT_TRUE(lsns.insert(must(peer->read_page(*page)).header.lsn.value).second) << "LSN used twice (I8)";
    }
    Process opener(disk);
    for (const std::uint64_t number : {1U, 2U, 4U, 5U}) EXPECT_EQ(version_of(opener, number), 1U) << number;
  }
}

}  // namespace
}  // namespace mentedb::test

#include "index/id_index.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <random>
#include <set>
#include <unordered_map>

#include "support/crash/trace.hpp"
#include "support/pages_fixture.hpp"

namespace mentedb::index {
namespace {

using test::is_error;
using test::must;
using test::ok;

class IdIndexTest : public test::PagesFixture {
 protected:
  IdIndexTest() {
    grow(4000);
    identity.store_id.fill(1);
    identity.incarnation.fill(2);
    identity.boot_id = vfs.boot_id();
    identity.pages = must(file->id());
  }

  std::unique_ptr<IdIndex> make(bool writable = true) {
    return std::make_unique<IdIndex>(*directory, *file, words, pool, identity, writable);
  }
  /// A table over what the directory holds.
  std::unique_ptr<IdIndex> rebuilt(std::uint64_t page_count = 500) {
    auto index = make();
    must(index->rebuild(page_count));
    return index;
  }
  static MemoryId memory(std::uint64_t number) { return MemoryId{id(number)}; }
  /// Memory `number` lives on page `number`.
  void store(std::uint64_t number, std::uint64_t lsn = 1) { use(number, 1, lsn, id(number)); }

  static Result<std::size_t> set(IdIndex& index, const MemoryId& wanted, std::uint64_t page) {
    const Lead lead{.id = wanted, .page = page};
    return index.set(std::span(&lead, 1));
  }

  /// The pages that a reader may look at for the id.
  std::vector<std::uint64_t> pages_of(IdIndex& index, const MemoryId& wanted) {
    const auto table = must(index.current());
    Probe probe(*table, index.hash(wanted));
    std::vector<std::uint64_t> found;
    while (const std::uint64_t page = probe.next_page()) found.push_back(page);
    return found;
  }

  Identity identity;
};

TEST_F(IdIndexTest, SetsReplacesAndErases) {
  const auto index = rebuilt();
  EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{});
  store(1);
  EXPECT_TRUE(must(set(*index, memory(1), 1)));
  EXPECT_FALSE(must(set(*index, memory(1), 1)));  // I9: twice changes nothing
  EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{1});
  EXPECT_EQ(index->used(), 1U);
  use(9, 1, 2, id(1));
  EXPECT_TRUE(must(set(*index, memory(1), 9)));
  EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{9});
  EXPECT_EQ(index->used(), 1U);                    // in the same slot
  EXPECT_FALSE(must(index->erase(memory(1), 1)));  // that is no longer its place
  EXPECT_TRUE(must(index->erase(memory(1), 9)));
  EXPECT_FALSE(must(index->erase(memory(1), 9)));
  EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{});
  EXPECT_EQ(index->used(), 0U);  // the bucket behind it is empty, so the tombstone is gone
}

TEST_F(IdIndexTest, HundredsOfIdsAllFindTheirPages) {
  const auto index = rebuilt(900);
  for (std::uint64_t n = 1; n <= 900; ++n) {
    store(n);
    must(set(*index, memory(n), n));
  }
  for (std::uint64_t n = 1; n <= 900; ++n) EXPECT_EQ(pages_of(*index, memory(n)), std::vector<std::uint64_t>{n});
  EXPECT_EQ(pages_of(*index, memory(901)), std::vector<std::uint64_t>{});
}

TEST_F(IdIndexTest, ATombstoneNeverHidesAnIdBehindIt) {
  // 700 ids in 1,024 slots: many probe past others. Take every second one away.
  const auto index = rebuilt();
  for (std::uint64_t n = 1; n <= 700; ++n) {
    store(n);
    must(set(*index, memory(n), n));
  }
  for (std::uint64_t n = 1; n <= 700; n += 2) EXPECT_TRUE(must(index->erase(memory(n), n)));
  for (std::uint64_t n = 2; n <= 700; n += 2) EXPECT_EQ(pages_of(*index, memory(n)), std::vector<std::uint64_t>{n});
  for (std::uint64_t n = 1; n <= 700; n += 2) EXPECT_TRUE(pages_of(*index, memory(n)).empty());
}

// A slot is 32 bits of the id's hash and the page. Redo erases the slots of ids that left their pages; the page of one
// was given to an id with the same fingerprint, and its slot, the same word, went: an acknowledged memory was not
// found.
TEST_F(IdIndexTest, AnEraseSparesTheBucketOfAnotherIdOnThePage) {
  const auto index = rebuilt();
  std::unordered_map<std::uint64_t, std::uint64_t> seen;  // fingerprint and first slot -> number of the id
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  for (std::uint64_t n = 1; second == 0 && n < 20'000'000; ++n) {
    const format::IdHash hash = index->hash(memory(n));
    const auto [found, is_new] = seen.emplace(std::uint64_t{hash.fingerprint} << 32 | (hash.start & 1'023U), n);
    if (is_new) continue;
    first = found->second;
    second = n;
  }
  ASSERT_NE(second, 0U);
  use(7, 1, 3, id(second));
  EXPECT_TRUE(must(set(*index, memory(second), 7)));
  EXPECT_FALSE(must(index->erase(memory(first), 7)));
  EXPECT_EQ(pages_of(*index, memory(second)), std::vector<std::uint64_t>{7});
  use(8, 1, 4, id(first));
  const auto both = rebuilt();
  EXPECT_EQ(pages_of(*both, memory(first)), (std::vector<std::uint64_t>{7, 8})) << "a rebuild keeps them apart, too";
  EXPECT_TRUE(must(both->erase(memory(second), 7)));
  EXPECT_EQ(pages_of(*both, memory(first)), std::vector<std::uint64_t>{8});
}

// The page cache was lost within one boot: the slots had been written back and the word that counts them had not.
TEST_F(IdIndexTest, ARecountFindsBucketsThatWereNotCounted) {
  const auto index = rebuilt();
  for (std::uint64_t n = 1; n <= 20; ++n) {
    store(n);
    must(set(*index, memory(n), n));
  }
  const std::string path = "/db/" + format::index_file_name(words.index_number());
  const std::array<std::byte, 8> none{};
  disk.damage(path, format::kIndexUsedOffset, none);
  ASSERT_EQ(index->used(), 0U);
  must(index->recount());
  EXPECT_EQ(index->used(), 20U);
}

// A reader brings in the piece of the table that it needs. A piece that the disk cannot read is an error, and no
// missing memory: the table is no longer current, and the next look gets the error, for which a lock holder rebuilds
// the index.
TEST_F(IdIndexTest, APieceThatTheDiskCannotReadIsNoMissingMemory) {
  rebuilt(4'000);
  const std::string path = "/db/" + format::index_file_name(words.index_number());
  disk.set_bad(path, format::kIndexBucketsOffset, base::kBlockBytes);
  const auto reader = make();
  {
    const auto table = must(reader->current());
    EXPECT_TRUE(reader->is_current(*table));
    EXPECT_EQ(table->load(0), format::kEmptyBucket);
    EXPECT_FALSE(reader->is_current(*table));
  }
  EXPECT_TRUE(is_error(reader->current(), ErrorCode::io_error));
  const auto holder = make();
  EXPECT_FALSE(holder->is_usable());
  must(holder->ensure_usable(4'000));
  EXPECT_TRUE(holder->is_usable());
  must(reader->current());
}

// A writer dies between the count and the bucket, and the count stays too high. A table that is called full for that is
// counted first.
TEST_F(IdIndexTest, ATableIsCountedBeforeItIsCalledFull) {
  const auto index = rebuilt();
  store(1);
  must(set(*index, memory(1), 1));
  const std::uint64_t number = words.index_number();
  const std::string path = "/db/" + format::index_file_name(number);
  disk.damage(path, format::kIndexUsedOffset, std::as_bytes(std::span(&format::kMinIndexBuckets, 1)));
  must(index->reserve(1, 500, 500));
  EXPECT_EQ(words.index_number(), number);
  EXPECT_EQ(index->used(), 1U);
}

// A page cache that is lost within one boot leaves the header of a table that is believed.
TEST_F(IdIndexTest, TheBucketsAreDurableBeforeAHeaderSpeaksOfThem) {
  test::Trace trace(disk);
  const test::Event synced = trace.watch(test::Who::anyone(), test::sync_of(test::kIdIndex));
  const test::Event header = trace.watch(test::Who::anyone(), test::write_of(test::kIdIndex).at_byte(0));
  rebuilt();
  EXPECT_TRUE(header.came());
  EXPECT_TRUE(synced.came_before(header));
}

TEST_F(IdIndexTest, AFullTableIsAnErrorAndNoEndlessProbe) {
  const auto index = rebuilt();
  ASSERT_EQ(index->bucket_count(), format::kMinIndexBuckets);
  std::uint64_t n = 1;
  Result<std::size_t> result = 1;
  for (; result && n <= 2000; ++n) {
    store(n);
    result = set(*index, memory(n), n);
  }
  EXPECT_TRUE(is_error(result, ErrorCode::capacity_exceeded, "recover"));
  EXPECT_LT(index->used(), format::kMinIndexBuckets);  // an empty slot ends every probe
  EXPECT_TRUE(pages_of(*index, memory(5'000'000)).empty());
}

TEST_F(IdIndexTest, ReserveGrowsBeforeTheTableIsFull) {
  const auto index = rebuilt();
  const std::uint64_t number = words.index_number();
  for (std::uint64_t n = 1; n <= 3000; ++n) {
    must(index->reserve(1, words.page_count(), n));
    store(n);
    must(set(*index, memory(n), n));
  }
  EXPECT_GE(index->bucket_count(), 4096U);
  EXPECT_GT(words.index_number(), number);
  for (std::uint64_t n = 1; n <= 3000; ++n) ASSERT_EQ(pages_of(*index, memory(n)), std::vector<std::uint64_t>{n});
  // Only the current file is left.
  std::vector<std::string> names = must(directory->list());
  std::erase(names, "pages.db");
  EXPECT_EQ(names, std::vector<std::string>{format::index_file_name(words.index_number())});
}

TEST_F(IdIndexTest, ReserveMakesRoomForAWholeBatch) {
  const auto index = rebuilt();
  must(index->reserve(2000, words.page_count(), 2000));
  for (std::uint64_t n = 1; n <= 2000; ++n) {
    store(n);
    must(set(*index, memory(n), n));
  }
}

// Ids and tombstones have filled three quarters of the table, and no longer one can be made. Each write would try
// again.
TEST_F(IdIndexTest, ATableThatCannotGrowIsNotTriedAtEachWrite) {
  const auto index = rebuilt();
  for (std::uint64_t n = 1; n <= 800; ++n) {
    store(n);
    must(set(*index, memory(n), n));
  }
  int opens = 0;  // two for each try: the table that is there, and the new one
  disk.set_hook([&](const mentedb::test::Step& step) {
    if (step.kind != mentedb::test::StepKind::open) return mentedb::test::StepAction::proceed();
    ++opens;
    return mentedb::test::StepAction::fail(ENOSPC);
  });
  for (int n = 0; n < 100; ++n) must(index->reserve(1, 500, 500));
  EXPECT_EQ(opens, 2);
  for (int n = 0; n < 300; ++n) must(index->reserve(1, 500, 500));
  EXPECT_EQ(opens, 4);
  EXPECT_TRUE(is_error(index->reserve(100, 500, 500), ErrorCode::no_space)) << "so many do not fit";
  disk.set_hook({});
}

TEST_F(IdIndexTest, ARebuildReadsTheDirectory) {
  store(1);
  use(2, 1, 5, id(77));
  use(3, 1, 9, id(77));  // a crash left two versions: the newest LSN wins
  use(4, 1, 7, id(77));
  free(5, 1, 3);
  use(6, 3, 4, id(6));
  flip(geometry.entry_offset(9));  // damage does not stop it
  const auto index = rebuilt();
  EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{1});
  EXPECT_EQ(pages_of(*index, memory(77)), std::vector<std::uint64_t>{3});
  EXPECT_EQ(pages_of(*index, memory(6)), std::vector<std::uint64_t>{6});
  EXPECT_EQ(index->used(), 3U);
}

TEST_F(IdIndexTest, ARebuildDropsTombstones) {
  const auto index = rebuilt();
  for (std::uint64_t n = 1; n <= 500; ++n) {
    store(n);
    must(set(*index, memory(n), n));
    if (n % 2 == 1) {
      free(n, 1, 2);
      must(index->erase(memory(n), n));
    }
  }
  EXPECT_GE(index->used(), 250U);
  must(index->rebuild(words.page_count()));
  EXPECT_EQ(index->used(), 250U);
}

// Each pair of a store and a deletion took a bucket for good, so a table of 1,024 was rebuilt after 750 pairs, and a
// million pairs went through a thousand files.
TEST_F(IdIndexTest, ChurnNeedsNoNewTable) {
  const auto index = rebuilt();
  for (std::uint64_t n = 1; n <= 400; ++n) {
    use(1 + n % 400, 1, n, id(n));
    must(set(*index, memory(n), 1 + n % 400));
  }
  const std::uint64_t number = words.index_number();
  std::uint64_t most = 0;
  for (std::uint64_t n = 401; n <= 20'000; ++n) {
    const std::uint64_t page = 1 + n % 400;
    must(index->reserve(1, words.page_count(), 400));
    free(page, 1, n);
    must(index->erase(memory(n - 400), page));
    use(page, 1, n, id(n));
    must(set(*index, memory(n), page));
    most = std::max(most, index->used());
  }
  EXPECT_EQ(words.index_number(), number);
  EXPECT_LT(most, 600U);
}

// The same against the truth, at every step: an id that is in the table is found in one bucket and no other.
TEST_F(IdIndexTest, EveryIdIsFoundWhateverWentBeforeIt) {
  const auto index = rebuilt();
  std::mt19937_64 random(7);
  std::map<std::uint64_t, std::uint64_t> places;  // of the ids in the table
  std::set<std::uint64_t> unused;
  for (std::uint64_t page = 1; page <= 600; ++page) unused.insert(page);
  for (std::uint64_t step = 1; step <= 6'000; ++step) {
    const std::uint64_t n = 1 + random() % 900;
    const auto known = places.find(n);
    if (known != places.end() && random() % 2 == 0) {
      free(known->second, 1, step);
      EXPECT_TRUE(must(index->erase(memory(n), known->second)));
      unused.insert(known->second);
      places.erase(known);
    } else if (!unused.empty()) {  // a new id, or a memory that moves
      const std::uint64_t page = *unused.begin();
      unused.erase(unused.begin());
      use(page, 1, step, id(n));
      EXPECT_TRUE(must(set(*index, memory(n), page)));
      if (known != places.end()) {
        free(known->second, 1, step, format::EntryType::moved);
        unused.insert(known->second);
      }
      places[n] = page;
    }
    for (std::uint64_t i = 0; i < 20; ++i) {
      const std::uint64_t asked = 1 + random() % 900;
      const auto found = pages_of(*index, memory(asked));
      const auto truth = places.find(asked);
      if (truth == places.end()) {
        ASSERT_TRUE(found.empty()) << asked;
      } else {
        ASSERT_EQ(found, std::vector<std::uint64_t>{truth->second}) << asked << " at step " << step;
      }
    }
  }
  const std::uint64_t used = index->used();
  must(index->recount());
  EXPECT_EQ(index->used(), used);
}

// A probe that is on its way while buckets in front of it and behind it become empty.
TEST_F(IdIndexTest, AnEmptiedBucketHidesNoIdFromAProbeUnderWay) {
  const auto index = rebuilt();
  // Ids that begin at one bucket, so that they lie side by side.
  std::vector<std::uint64_t> side_by_side;
  const std::uint64_t start = index->hash(memory(1)).start % 1'024;
  for (std::uint64_t n = 1; side_by_side.size() < 3; ++n) {
    if (index->hash(memory(n)).start % 1'024 == start) side_by_side.push_back(n);
  }
  for (std::uint64_t i = 0; i < 3; ++i) {
    use(1 + i, 1, 1, id(side_by_side[i]));
    must(set(*index, memory(side_by_side[i]), 1 + i));
  }
  // The one in the middle leaves a tombstone: the last one is behind it.
  free(2, 1, 2);
  must(index->erase(memory(side_by_side[1]), 2));
  EXPECT_EQ(index->used(), 3U);
  EXPECT_EQ(pages_of(*index, memory(side_by_side[2])), std::vector<std::uint64_t>{3});
  // A new id takes the tombstone's place, and the last one is still found.
  use(4, 1, 3, id(side_by_side[1]));
  must(set(*index, memory(side_by_side[1]), 4));
  EXPECT_EQ(index->used(), 3U);
  EXPECT_EQ(pages_of(*index, memory(side_by_side[2])), std::vector<std::uint64_t>{3});
  free(4, 1, 4);
  must(index->erase(memory(side_by_side[1]), 4));
  // When the last one goes, both buckets become empty.
  free(3, 1, 5);
  must(index->erase(memory(side_by_side[2]), 3));
  EXPECT_EQ(index->used(), 1U);
  EXPECT_EQ(pages_of(*index, memory(side_by_side[0])), std::vector<std::uint64_t>{1});
}

// A table that was replaced kept its descriptor and its mapping until the engine was closed, and a process ran out of
// descriptors after a day.
TEST_F(IdIndexTest, AReplacedTableGivesEverythingBack) {
  const auto index = rebuilt();
  mentedb::test::SimVfs other(disk);
  const auto other_directory = must(other.open_directory("/db", false));
  IdIndex peer(*other_directory, *file, words, pool, identity, true);
  for (int i = 0; i < 50; ++i) {
    must(index->rebuild(words.page_count()));
    static_cast<void>(must(peer.current()));
  }
  EXPECT_LE(vfs.open_files(), 2U) << "pages.db and one table";
  EXPECT_LE(other.open_files(), 1U);
  // A table that a reader is inside of stays until the reader has left and another table comes.
  {
    const auto pinned = must(peer.current());
    const std::uint64_t first_word = pinned->load(0);
    const std::uint64_t open_before = other.open_files();
    must(index->rebuild(words.page_count()));
    static_cast<void>(must(peer.current()));
    EXPECT_EQ(other.open_files(), open_before + 1);
    EXPECT_EQ(pinned->load(0), first_word) << "still mapped";
  }
  must(index->rebuild(words.page_count()));
  static_cast<void>(must(peer.current()));
  EXPECT_LE(other.open_files(), 1U);
}

// Writers that were killed while they built a table left it until the next boot.
TEST_F(IdIndexTest, ARebuildRemovesTheTablesOfDeadWriters) {
  store(1);
  const auto index = rebuilt();
  disk.install("/db/ids-900.idx", disk.content("/db/" + format::index_file_name(words.index_number())));
  disk.install("/db/ids-901.idx", filled(100, 0));
  must(index->rebuild(words.page_count()));
  std::size_t tables = 0;
  for (const auto& name : must(directory->list()))
    tables += std::size_t{format::parse_index_file_name(name).has_value()};
  EXPECT_EQ(tables, 1U);
}

// A reader that lacked a descriptor took the writers' lock to rebuild a table that was sound.
TEST_F(IdIndexTest, AProcessThatLacksADescriptorSaysSo) {
  store(1);
  static_cast<void>(rebuilt());
  const std::uint64_t number = words.index_number();
  const auto index = make();
  disk.set_hook([name = format::index_file_name(number)](const mentedb::test::Step& step) {
    const bool lacking = step.kind == mentedb::test::StepKind::open && step.file == name;
    return lacking ? mentedb::test::StepAction::fail(EMFILE) : mentedb::test::StepAction::proceed();
  });
  EXPECT_TRUE(is_error(index->current(), ErrorCode::io_error));
  EXPECT_TRUE(is_error(index->ensure_usable(words.page_count()), ErrorCode::io_error));
  disk.set_hook({});
  EXPECT_EQ(words.index_number(), number);
  EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{1});
}

TEST_F(IdIndexTest, ATableHasTwoBucketsForEachPage) {
  for (std::uint64_t n = 1; n <= 2000; ++n) store(n);
  const auto index = rebuilt(2'000);
  EXPECT_EQ(index->bucket_count(), 4'096U);
  for (std::uint64_t n = 1; n <= 2000; ++n) ASSERT_EQ(pages_of(*index, memory(n)), std::vector<std::uint64_t>{n});
}

TEST_F(IdIndexTest, AnotherProcessFindsTheSameTable) {
  store(1);
  const auto index = rebuilt();
  mentedb::test::SimVfs other(disk);
  const auto other_directory = must(other.open_directory("/db", false));
  IdIndex second(*other_directory, *file, words, pool, identity, true);
  const std::uint64_t number = words.index_number();
  must(second.ensure_usable(words.page_count()));
  EXPECT_EQ(words.index_number(), number);  // used, not rebuilt
  EXPECT_EQ(pages_of(second, memory(1)), std::vector<std::uint64_t>{1});
  // A slot stored by one is seen by the other, also when one of them moves on to another table.
  store(2);
  must(set(*index, memory(2), 2));
  EXPECT_EQ(pages_of(second, memory(2)), std::vector<std::uint64_t>{2});
  const auto before = must(second.current());
  must(index->rebuild(words.page_count()));
  EXPECT_FALSE(second.is_current(*before));
  EXPECT_EQ(pages_of(second, memory(2)), std::vector<std::uint64_t>{2});
  EXPECT_TRUE(second.is_current(*must(second.current())));
}

TEST_F(IdIndexTest, WhatDoesNotBelongToTheStoreIsRebuilt) {
  // Slots of before a power cut may be lost; a copied directory has other pages; and so on.
  store(1);
  const std::function<void(Identity&)> changes[] = {
      [](Identity& i) { i.boot_id[3] ^= 1; },     [](Identity& i) { i.store_id[3] ^= 1; },
      [](Identity& i) { i.incarnation[3] ^= 1; }, [](Identity& i) { i.pages.inode += 1; },
      [](Identity& i) { i.pages.device += 1; },
  };
  for (const auto& change : changes) {
    static_cast<void>(rebuilt());
    const std::uint64_t number = words.index_number();
    change(identity);
    const auto index = make();
    EXPECT_TRUE(is_error(index->current(), ErrorCode::not_found));
    must(index->ensure_usable(words.page_count()));
    EXPECT_NE(words.index_number(), number);
    EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{1});
  }
}

TEST_F(IdIndexTest, AMachineWithoutABootIdNeverTrustsAnOldTable) {
  identity.boot_id = {};
  store(1);
  static_cast<void>(rebuilt());
  EXPECT_TRUE(is_error(make()->current(), ErrorCode::not_found));
}

TEST_F(IdIndexTest, DamagedFilesAreRebuilt) {
  store(1);
  const auto expect_rebuilt = [&](const std::function<void(const std::string&)>& damage) {
    static_cast<void>(rebuilt());
    const std::uint64_t number = words.index_number();
    damage("/db/" + format::index_file_name(number));
    const auto index = make();
    must(index->ensure_usable(words.page_count()));
    EXPECT_GT(words.index_number(), number);
    EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{1});
  };
  expect_rebuilt([&](const std::string& path) { disk.erase(path); });
  expect_rebuilt([&](const std::string& path) { disk.install(path, {}); });
  expect_rebuilt([&](const std::string& path) {
    auto content = disk.content(path);
    content.resize(content.size() - 8);
    disk.install(path, content);
  });
  expect_rebuilt([&](const std::string& path) { disk.damage(path, 40, filled(1, 0x55)); });
  expect_rebuilt([&](const std::string& path) { disk.install(path, filled(12'288, 0)); });
}

TEST_F(IdIndexTest, APrivateTableServesAnEngineThatMayNotWrite) {
  store(1);
  store(2);
  const auto names = must(directory->list());
  const auto index = make(false);
  EXPECT_TRUE(is_error(index->current(), ErrorCode::not_found));
  must(index->ensure_usable(words.page_count()));
  EXPECT_EQ(pages_of(*index, memory(2)), std::vector<std::uint64_t>{2});
  EXPECT_EQ(must(directory->list()), names);  // nothing was written
  EXPECT_EQ(words.index_number(), 0U);
  // As soon as somebody who may write has a table, that one counts.
  const auto writer = rebuilt();
  store(3);
  must(set(*writer, memory(3), 3));
  EXPECT_EQ(pages_of(*index, memory(3)), std::vector<std::uint64_t>{3});
}

TEST_F(IdIndexTest, AProbeNoticesThatItsBucketChanged) {
  // R8: else a stalled reader shows a version that the id does not have yet, and its next read goes back.
  const auto index = rebuilt();
  store(1);
  must(set(*index, memory(1), 1));
  const auto table = must(index->current());
  Probe probe(*table, index->hash(memory(1)));
  EXPECT_EQ(probe.next_page(), 1U);
  EXPECT_TRUE(probe.unchanged());
  use(9, 1, 2, id(1));
  must(set(*index, memory(1), 9));
  EXPECT_FALSE(probe.unchanged());
  Probe again(*table, index->hash(memory(1)));
  EXPECT_EQ(again.next_page(), 9U);
  must(index->erase(memory(1), 9));
  EXPECT_FALSE(again.unchanged());
  EXPECT_EQ(again.next_page(), 0U);
}

TEST_F(IdIndexTest, ARebuildThatFailsLeavesTheOldTable) {
  store(1);
  const auto index = rebuilt();
  const std::uint64_t number = words.index_number();
  disk.set_capacity(1);
  EXPECT_TRUE(is_error(index->rebuild(words.page_count()), ErrorCode::no_space));
  disk.set_capacity(0);
  EXPECT_EQ(words.index_number(), number);
  EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{1});
  EXPECT_FALSE(disk.exists("/db/" + format::index_file_name(number + 1)));
}

TEST_F(IdIndexTest, AnyIndexNumberInTheSharedStateWillDo) {
  store(1);
  static_cast<void>(rebuilt());
  for (const std::uint64_t garbage : {std::uint64_t{0}, std::uint64_t{12345}, UINT64_MAX - 1}) {
    words.publish_index_number(garbage);
    const auto index = make();
    ASSERT_TRUE(ok(index->ensure_usable(words.page_count()))) << garbage;
    EXPECT_EQ(pages_of(*index, memory(1)), std::vector<std::uint64_t>{1});
  }
}

}  // namespace
}  // namespace mentedb::index

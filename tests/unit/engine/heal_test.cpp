// Damage of what the log still has: whoever reads, opens or recovers brings it back.
#include <gtest/gtest.h>

#include "format/index_format.hpp"
#include "support/store_fixture.hpp"

namespace mentedb {
namespace {

using test::is_error;
using test::memory;
using test::memory_id;
using test::must;
using test::ok;

class HealTest : public test::StoreFixture {
 protected:
  HealTest() {
    for (std::uint64_t i = 1; i <= 10; ++i) must(engine.store_memory(memory(i, std::string(i * 300, 'x'))));
    must(engine.delete_memory(memory_id(10)));
  }
  std::uint64_t run_at(PageId page) const { return geometry().page_offset(page.value); }
  std::uint64_t entry_at(PageId page) const { return geometry().entry_offset(page.value); }

  /// Damages memory 5 in each possible place, and lets `heal` bring it back.
  void expect_healed(const std::function<void(PageId)>& heal) {
    PageId page;
    const std::function<void()> damages[] = {
        [&] { flip(kPages, run_at(page) + 3); },                          // checksum
        [&] { flip(kPages, run_at(page) + sizeof(format::RunHeader)); },  // payload
        [&] { flip(kPages, run_at(page) + 1024 + 5); },                   // its second page
        [&] { overwrite(kPages, run_at(page), 512, 0); },                 // a torn write
        [&] { overwrite(kPages, run_at(page) + 512, 512, 0); },
        [&] { flip(kPages, entry_at(page) + 3); },
        [&] { overwrite(kPages, entry_at(page), 64, 0); },
        [&] {
          overwrite(kPages, run_at(page), 1024, 0xEE);
          overwrite(kPages, entry_at(page), 32, 0xEE);
        },
    };
    for (std::size_t i = 0; i < std::size(damages); ++i) {
      page = must(engine.store_memory(memory(5, std::string(1500, 'x'))));  // a recover has reset the log
      damages[i]();
      heal(page);
      const auto found = problems();
      ASSERT_TRUE(found.empty()) << "damage " << i << "\n" << text(found);
      ASSERT_EQ(must(engine.load_memory(memory_id(5))), memory(5, std::string(1500, 'x')));
    }
  }

  StorageEngine engine = open();
};

TEST_F(HealTest, ByReadPage) {
  expect_healed([&](PageId page) { EXPECT_EQ(must(engine.read_page(page)).header.page_count, 2U); });
}

TEST_F(HealTest, ByLoadWithAPage) {
  expect_healed([&](PageId page) { EXPECT_EQ(must(engine.load_memory(page)).content.size(), 1500U); });
}

TEST_F(HealTest, ByLoadWithAnId) {
  const PageId page = must(engine.find(memory_id(5)));
  for (const std::uint64_t at : {run_at(page) + 3, run_at(page) + 200, run_at(page) + 1030}) {
    flip(kPages, at);
    EXPECT_EQ(must(engine.load_memory(memory_id(5))).content.size(), 1500U) << "corruption is what the log cannot heal";
    expect_clean();
  }
}

TEST_F(HealTest, ByFindAndScan) {
  const PageId page = must(engine.find(memory_id(5)));
  flip(kPages, entry_at(page) + 20);
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 9U);
  EXPECT_EQ(must(engine.find(memory_id(5))), page);
  expect_clean();
  flip(kPages, entry_at(page) + 20);
  EXPECT_EQ(must(engine.find(memory_id(5))), page) << "corruption is what the log cannot heal";
  expect_clean();
}

TEST_F(HealTest, ByOpen) {
  expect_healed([&](PageId) { static_cast<void>(open()); });
}

TEST_F(HealTest, ByRecover) {
  expect_healed([&](PageId) { EXPECT_GE(must(engine.recover()), 1U); });
}

// A write that a device lost leaves the image of before, which verifies by itself.
TEST_F(HealTest, AnImageOlderThanItsEntryIsNotShown) {
  const Bytes older(100, std::byte{1});
  const Bytes newer(100, std::byte{2});
  const PageId page = must(engine.allocate_page());
  must(engine.write_page(page, older));
  const auto content = disk.content(kPages);
  const auto stale = std::span(content).subspan(run_at(page), geometry().page_bytes());
  must(engine.write_page(page, newer));
  disk.damage(kPages, run_at(page), stale);
  EXPECT_EQ(must(engine.read_page(page)).data, newer) << "the log still has it";
  expect_clean();
  must(engine.checkpoint());
  disk.damage(kPages, run_at(page), stale);
  EXPECT_TRUE(is_error(engine.read_page(page), ErrorCode::corruption));
}

TEST_F(HealTest, AFreedPageByOpen) {
  const PageId freed{[&] {
    for (std::uint64_t page = 1;; ++page) {
      if (entry(PageId{page})->type == format::EntryType::deleted) return page;
    }
  }()};
  overwrite(kPages, run_at(freed), 512, 0);
  flip(kPages, entry_at(freed));
  static_cast<void>(open());
  expect_clean();
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(10)), ErrorCode::not_found));
}

TEST_F(HealTest, TheIdIndexByOpenAndRecover) {
  const auto path = [&] { return "/db/ids-" + std::to_string(must(engine.stats()).index_number) + ".idx"; };
  const auto slot_of_5 = [&] {
    const auto content = disk.content(path());
    const std::uint64_t page = must(engine.find(memory_id(5))).value;
    for (std::uint64_t at = format::kIndexBucketsOffset; at < content.size(); at += 8) {
      if (format::bucket_page(base::read_struct<std::uint64_t>(content, at)) == page) return at;
    }
    ADD_FAILURE();
    return std::uint64_t{0};
  };
  const std::uint64_t at = slot_of_5();
  overwrite(path().c_str(), at, 8, 0);
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(5)), ErrorCode::not_found));
  static_cast<void>(open());  // the log still has its operation
  EXPECT_TRUE(ok(engine.load_memory(memory_id(5))));
  expect_clean();
  must(engine.checkpoint());
  overwrite(path().c_str(), at, 8, 0);
  must(engine.recover());
  EXPECT_TRUE(ok(engine.load_memory(memory_id(5))));
  expect_clean();
}

// A device is unplugged and comes back to the same boot: the index is what the last checkpoint made durable, and is not
// thrown away. Redo pointed the ids to their new pages and left the old slots, when the pages they led to were somebody
// else's by then: tools/prove disks found "slots of the id index lead to pages that hold no memory".
TEST_F(HealTest, TheIdIndexThatIsAsOldAsTheCheckpoint) {
  must(engine.checkpoint());
  const std::string path = "/db/ids-" + std::to_string(must(engine.stats()).index_number) + ".idx";
  const auto old_index = disk.content(path);
  const std::uint64_t old_page = must(engine.find(memory_id(1))).value;
  // Until a page of the first memory is another's: then only the slot's page tells that it is out of date.
  std::uint64_t newcomer = 100;
  for (bool reused = false; !reused; ++newcomer) {
    must(engine.update_memory(memory(1, std::to_string(newcomer))));
    reused = must(engine.store_memory(memory(newcomer))).value == old_page;
    ASSERT_LT(newcomer, 2'000U);
  }
  ASSERT_NE(must(engine.find(memory_id(1))).value, old_page);
  must(engine.delete_memory(memory_id(newcomer - 1)));
  disk.damage(path, 0, old_index);
  engine = open();
  expect_clean();
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, std::to_string(newcomer - 1));
}

TEST_F(HealTest, WhatTheLogNoLongerHasIsCorruptionWithItsPlace) {
  must(engine.checkpoint());
  const PageId page = must(engine.find(memory_id(5)));
  flip(kPages, run_at(page) + 100);
  const std::string place = "page " + std::to_string(page.value);
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(5)), ErrorCode::corruption, place));
  EXPECT_TRUE(is_error(engine.load_memory(page), ErrorCode::corruption, place));
  EXPECT_TRUE(is_error(engine.read_page(page), ErrorCode::corruption, place));
  EXPECT_TRUE(ok(engine.load_memory(memory_id(4))));  // the others are none the worse
  EXPECT_TRUE(ok(open().load_memory(memory_id(6))));
  // Writing it again heals it.
  must(engine.store_memory(memory(5, "again")));
  EXPECT_EQ(must(engine.load_memory(memory_id(5))).content, "again");
  expect_clean();
}

// A record that says less than its entries hides changes. verify names it, and recover writes it again.
TEST_F(HealTest, TheRecordOfAStretchByRecover) {
  must(engine.checkpoint());  // redo would write it, too
  overwrite(kPages, geometry().record_offset(0), 8, 0);
  EXPECT_FALSE(problems().empty());
  must(engine.recover());
  expect_clean();
}

TEST_F(HealTest, AReadOnlyEngineSaysWhichEngineCanRepair) {
  Options options;
  options.read_only = true;
  auto reader = open(options);
  const PageId page = must(engine.find(memory_id(5)));
  flip(kPages, run_at(page) + 100);
  EXPECT_TRUE(is_error(reader.load_memory(page), ErrorCode::busy, "mentedb recover"));
}

// ---- damage that nothing heals

// A program that polled one damaged page took the writers from 4,121 to 290 stores a second: each read made a thousand
// copies, took the lock and redid the whole log. The same bytes are remembered now.
class KnownDamageTest : public HealTest {
 protected:
  struct Cost {
    int locks = 0;
    int copies = 0;
  };
  Cost cost_of(const std::function<void()>& read) {
    Cost cost;
    disk.set_hook([&](const test::Step& step) {
      cost.locks += step.kind == test::StepKind::try_lock ? 1 : 0;
      cost.copies += step.kind == test::StepKind::copy ? 1 : 0;
      return test::StepAction::proceed();
    });
    read();
    disk.set_hook({});
    return cost;
  }
  /// `read` of damaged bytes asks the log once, and once more in each new epoch.
  void expect_cheap_polls(const std::function<void()>& damage, const std::function<void()>& read) {
    must(engine.store_memory(memory(77)));
    must(engine.checkpoint());
    damage();
    EXPECT_GE(cost_of(read).locks, 1);
    for (int poll = 0; poll < 3; ++poll) {
      must(engine.store_memory(memory(77, std::to_string(poll))));
      const Cost cost = cost_of(read);
      EXPECT_EQ(cost.locks, 0);
      EXPECT_LT(cost.copies, 130);
    }
    must(engine.checkpoint());
    EXPECT_GE(cost_of(read).locks, 1) << "a new epoch";
    EXPECT_EQ(cost_of(read).locks, 0);
  }
};

TEST_F(KnownDamageTest, APolledPage) {
  const PageId page = must(engine.find(memory_id(5)));
  expect_cheap_polls([&] { flip(kPages, run_at(page) + 200); },
                     [&] { EXPECT_TRUE(is_error(engine.read_page(page), ErrorCode::corruption)); });
  flip(kPages, run_at(page) + 300);
  EXPECT_GE(cost_of([&] { EXPECT_FALSE(engine.read_page(page)); }).locks, 1) << "other bytes";
  flip(kPages, run_at(page) + 300);
  flip(kPages, run_at(page) + 200);
  EXPECT_TRUE(ok(engine.read_page(page))) << "and the page is whole again";
}

TEST_F(KnownDamageTest, APolledId) {
  const PageId page = must(engine.find(memory_id(5)));
  expect_cheap_polls([&] { flip(kPages, run_at(page) + 200); },
                     [&] { EXPECT_TRUE(is_error(engine.load_memory(memory_id(5)), ErrorCode::corruption)); });
  must(engine.store_memory(memory(5)));
  EXPECT_TRUE(ok(engine.load_memory(memory_id(5))));
}

TEST_F(KnownDamageTest, APolledFindAndScan) {
  const PageId page = must(engine.find(memory_id(5)));
  expect_cheap_polls([&] { flip(kPages, entry_at(page) + 20); },
                     [&] { EXPECT_TRUE(is_error(engine.find(memory_id(5)), ErrorCode::corruption)); });
  const auto scan = [&] { EXPECT_TRUE(is_error(engine.scan_all_memories(), ErrorCode::corruption)); };
  expect_cheap_polls([] {}, scan);
  expect_cheap_polls([] {}, [&] { EXPECT_TRUE(is_error(engine.changes_since(Lsn{0}), ErrorCode::corruption)); });
}

}  // namespace
}  // namespace mentedb

// Read-modify-write under one hold of the lock.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <new>
#include <stdexcept>

#include <mentedb/inspect.hpp>

#include "support/store_fixture.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using test::is_error;
using test::memory;
using test::memory_id;
using test::must;
using test::ok;

class TransactTest : public test::StoreFixture {
 protected:
  StorageEngine engine = open();
};

TEST_F(TransactTest, ReadsSeeItsOwnWritesAndOthersDoNot) {
  must(engine.store_memory(memory(1, "one")));
  auto other = open();
  must(engine.transact([&](Transaction& tx) -> Result<void> {
    EXPECT_EQ(must(tx.load(memory_id(1))).content, "one");
    must(tx.update(memory(1, "two")));
    EXPECT_EQ(must(tx.load(memory_id(1))).content, "two");
    const PageId page = must(tx.store(memory(2, "new")));
    EXPECT_EQ(must(tx.find(memory_id(2))), page);
    EXPECT_EQ(must(tx.load(memory_id(2))).content, "new");
    must(tx.erase(memory_id(1)));
    EXPECT_TRUE(is_error(tx.load(memory_id(1)), ErrorCode::not_found));
    EXPECT_TRUE(is_error(tx.find(memory_id(1)), ErrorCode::not_found));
    EXPECT_TRUE(is_error(tx.erase(memory_id(1)), ErrorCode::not_found));
    EXPECT_TRUE(is_error(tx.update(memory(1)), ErrorCode::not_found));
    EXPECT_EQ(must(other.load_memory(memory_id(1))).content, "one");
    EXPECT_TRUE(is_error(other.load_memory(memory_id(2)), ErrorCode::not_found));
    return {};
  }));
  EXPECT_TRUE(is_error(other.load_memory(memory_id(1)), ErrorCode::not_found));
  EXPECT_EQ(must(other.load_memory(memory_id(2))).content, "new");
}

TEST_F(TransactTest, FindTellsTheFinalPage) {
  PageId page;
  must(engine.transact([&](Transaction& tx) -> Result<void> {
    must(tx.store(memory(1, "one")));
    must(tx.store(memory(1, "two")));
    page = must(tx.find(memory_id(1)));
    return {};
  }));
  EXPECT_EQ(must(engine.find(memory_id(1))), page);
  EXPECT_EQ(must(engine.load_memory(page)).content, "two");
}

// Every mixture of calls on one id leaves the store in order: verify looks at the index, the counters and the pages.
TEST_F(TransactTest, EveryShortHistoryOfAnIdLeavesACleanStore) {
  for (const bool exists : {false, true}) {
    for (int history = 0; history < 81; ++history) {
      must(engine.store_memory(memory(9, "someone else's")));
      const bool there = engine.find(memory_id(1)).has_value();
      if (exists && !there) must(engine.store_memory(memory(1, "before")));
      if (!exists && there) must(engine.delete_memory(memory_id(1)));
      bool live = exists;
      std::string names;
      must(engine.transact([&](Transaction& tx) -> Result<void> {
        for (int rest = history, i = 0; i < 4; ++i, rest /= 3) {
          if (rest % 3 == 0) {
            names += " store";
            must(tx.store(memory(1, std::to_string(i))));
            live = true;
          } else if (rest % 3 == 1) {
            names += " update";
            EXPECT_EQ(tx.update(memory(1, std::to_string(i))).has_value(), live);
          } else {
            names += " erase";
            EXPECT_EQ(tx.erase(memory_id(1)).has_value(), live);
            live = false;
          }
        }
        return {};
      }));
      EXPECT_EQ(engine.load_memory(memory_id(1)).has_value(), live) << names;
      const auto found = problems();
      ASSERT_TRUE(found.empty()) << (exists ? "existing:" : "absent:") << names << "\n" << text(found);
    }
  }
}

TEST_F(TransactTest, AnErrorRollsEverythingBack) {
  must(engine.store_memory(memory(1, "one")));
  const Stats before = must(engine.stats());
  const auto result = engine.transact([&](Transaction& tx) -> Result<void> {
    must(tx.update(memory(1, "two")));
    must(tx.store(memory(2, std::string(100'000, 'x'))));
    must(tx.erase(memory_id(1)));
    return std::unexpected(Error{ErrorCode::not_found, 7, "my own"});
  });
  EXPECT_TRUE(is_error(result, ErrorCode::not_found, "my own"));
  EXPECT_EQ(result.error().os_error, 7);
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "one");
  EXPECT_TRUE(is_error(engine.find(memory_id(2)), ErrorCode::not_found));
  const Stats after = must(engine.stats());
  EXPECT_EQ(after.committed_lsn, before.committed_lsn);
  EXPECT_EQ(after.memory_count, before.memory_count);
  EXPECT_EQ(after.used_pages, before.used_pages);
  EXPECT_EQ(after.log_used_bytes, before.log_used_bytes);
  expect_clean();
  must(engine.store_memory(memory(3)));
  expect_clean();
}

TEST_F(TransactTest, AnExceptionRollsBackAndIsRethrown) {
  must(engine.store_memory(memory(1, "one")));
  EXPECT_THROW(static_cast<void>(engine.transact([&](Transaction& tx) -> Result<void> {
                 must(tx.update(memory(1, "two")));
                 throw std::logic_error("mine");
               })),
               std::logic_error);
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "one");
  EXPECT_THROW(static_cast<void>(engine.transact([](Transaction&) -> Result<void> { throw 42; })), int);
  // The lock is free again, for this engine and for others.
  auto other = open();
  must(engine.store_memory(memory(2)));
  must(other.store_memory(memory(3)));
  expect_clean();
}

TEST_F(TransactTest, AFailedCallLeavesTheRest) {
  must(engine.transact([&](Transaction& tx) -> Result<void> {
    must(tx.store(memory(1)));
    EXPECT_TRUE(is_error(tx.update(memory(2)), ErrorCode::not_found));
    MemoryNode bad = memory(3);
    bad.content = "\xFF";
    EXPECT_TRUE(is_error(tx.store(bad), ErrorCode::invalid_argument));
    must(tx.store(memory(4)));
    return {};
  }));
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 2U);
  expect_clean();
}

TEST_F(TransactTest, WritesThroughTheEngineInsideAreRefused) {
  must(engine.store_memory(memory(1, "one")));
  const PageId raw = must(engine.allocate_page(10));
  must(engine.transact([&](Transaction& tx) -> Result<void> {
    constexpr auto code = ErrorCode::invalid_argument;
    EXPECT_TRUE(is_error(engine.store_memory(memory(2)), code, "transaction"));
    EXPECT_TRUE(is_error(engine.store_memory_if_absent(memory(2)), code));
    EXPECT_TRUE(is_error(engine.store_memories(std::vector<MemoryNode>{memory(2)}), code));
    EXPECT_TRUE(is_error(engine.update_memory(memory(1)), code));
    EXPECT_TRUE(is_error(engine.delete_memory(memory_id(1)), code));
    EXPECT_TRUE(is_error(engine.allocate_page(), code));
    EXPECT_TRUE(is_error(engine.write_page(raw, {}), code));
    EXPECT_TRUE(is_error(engine.free_page(raw), code));
    EXPECT_TRUE(is_error(engine.checkpoint(), code));
    EXPECT_TRUE(is_error(engine.recover(), code));
    EXPECT_TRUE(is_error(engine.transact([](Transaction&) -> Result<void> { return {}; }), code));
    EXPECT_TRUE(is_error(engine.close(), code));
    must(tx.store(memory(3)));
    // Reads are fine, and see what was committed.
    EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "one");
    EXPECT_TRUE(is_error(engine.find(memory_id(3)), ErrorCode::not_found));
    EXPECT_EQ(must(engine.scan_all_memories()).size(), 1U);
    EXPECT_EQ(must(engine.read_page(raw)).header.type, PageType::raw);
    EXPECT_EQ(must(engine.stats()).memory_count, 1U);
    EXPECT_TRUE(ok(engine.changes_since(Lsn{0})));
    return {};
  }));
  EXPECT_TRUE(ok(engine.find(memory_id(3))));
  EXPECT_TRUE(is_error(engine.find(memory_id(2)), ErrorCode::not_found));
}

TEST_F(TransactTest, ABackupInsideIsRefusedAtOnce) {
  // It needs the lock that this thread holds already.
  const auto before = vfs.now();
  must(engine.transact([&](Transaction&) -> Result<void> {
    EXPECT_TRUE(is_error(engine.backup("/copy"), ErrorCode::invalid_argument));
    return {};
  }));
  EXPECT_LT(vfs.now() - before, std::chrono::seconds(1));
  EXPECT_FALSE(disk.exists("/copy/pages.db"));
}

TEST_F(TransactTest, AnEmptyOneLogsNothing) {
  must(engine.transact([](Transaction&) -> Result<void> { return {}; }));
  EXPECT_EQ(must(engine.stats()).log_used_bytes, 0U);
}

TEST_F(TransactTest, IsOneBatch) {
  must(engine.store_memory(memory(1)));
  const std::uint64_t before = must(engine.stats()).commits;
  must(engine.transact([&](Transaction& tx) -> Result<void> {
    for (std::uint64_t i = 10; i < 60; ++i) must(tx.store(memory(i)));
    must(tx.erase(memory_id(1)));
    return {};
  }));
  EXPECT_EQ(must(engine.stats()).commits, before + 1);
  EXPECT_EQ(must(engine.stats()).memory_count, 50U);
}

TEST_F(TransactTest, TheBatchLimitIsNamed) {
  MemoryNode large = memory(1);
  large.attributes["x"] = Bytes(std::size_t{20} << 20);
  const auto result = engine.transact([&](Transaction& tx) -> Result<void> {
    for (std::uint64_t i = 1; i <= 4; ++i) {
      large.id = memory_id(i);
      if (auto stored = tx.store(large); !stored) return std::unexpected(stored.error());
    }
    return {};
  });
  EXPECT_TRUE(is_error(result, ErrorCode::capacity_exceeded, "67108864"));
  EXPECT_EQ(must(engine.stats()).memory_count, 0U);
}

// A load searched the transaction's operations from the end: n stores and loads took n squared steps under the lock.
// The places are kept through rollbacks.
TEST_F(TransactTest, LoadsOfItsOwnWritesFindTheNewestOne) {
  must(engine.transact([&](Transaction& tx) -> Result<void> {
    for (std::uint64_t i = 1; i <= 300; ++i) must(tx.store(memory(i, "first")));
    for (std::uint64_t i = 1; i <= 300; i += 3) must(tx.update(memory(i, "second")));
    for (std::uint64_t i = 2; i <= 300; i += 3) must(tx.erase(memory_id(i)));
    EXPECT_FALSE(tx.update(memory(2, "no")));  // rolled back
    EXPECT_FALSE(tx.store(memory(1, std::string(20'000'000, 'x'))));
    for (std::uint64_t i = 1; i <= 300; ++i) {
      const auto loaded = tx.load(memory_id(i));
      EXPECT_EQ(loaded.has_value(), i % 3 != 2);
      if (loaded) {
        EXPECT_EQ(loaded->content, i % 3 == 1 ? "second" : "first");
      }
    }
    return {};
  }));
}

// ---- what a function may throw and be

struct OwnBadAlloc : std::bad_alloc {};

// `std::bad_alloc` of the function came back as `out_of_memory`, as if the engine had none.
TEST_F(TransactTest, ABadAllocOfTheFunctionIsThrownAgain) {
  EXPECT_THROW(static_cast<void>(engine.transact([](Transaction& tx) -> Result<void> {
                 must(tx.store(memory(1)));
                 throw OwnBadAlloc();
               })),
               OwnBadAlloc);
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(1)), ErrorCode::not_found));
  EXPECT_TRUE(ok(engine.store_memory(memory(1)))) << "the lock is free, and the queue goes on";
}

TEST_F(TransactTest, AnEmptyFunctionIsRefused) {
  EXPECT_TRUE(is_error(engine.transact(nullptr), ErrorCode::invalid_argument, "empty"));
  EXPECT_TRUE(is_error(engine.transact(std::function<Result<void>(Transaction&)>{}), ErrorCode::invalid_argument));
}

// A second engine of the process waited for the lock that its own thread held, until lock_timeout was over.
TEST(TransactOnOneThread, CallsThroughAnotherEngineAnswerAtOnce) {
  const test::TempDirectory temp;
  Options patient;
  patient.lock_timeout = std::chrono::seconds(5);
  auto first = must(StorageEngine::open(temp / "store", patient));
  auto second = must(StorageEngine::open(temp / "store", patient));
  auto elsewhere = must(StorageEngine::open(temp / "elsewhere", patient));
  must(first.store_memory(memory(1)));
  constexpr auto kHolds = "this thread holds the lock";
  must(first.transact([&](Transaction& tx) -> Result<void> {
    must(tx.store(memory(2)));
    EXPECT_TRUE(is_error(second.store_memory(memory(3)), ErrorCode::busy, kHolds));
    EXPECT_TRUE(is_error(second.delete_memory(memory_id(1)), ErrorCode::busy, kHolds));
    EXPECT_TRUE(is_error(second.transact([](Transaction&) { return Result<void>{}; }), ErrorCode::busy, kHolds));
    EXPECT_TRUE(is_error(second.checkpoint(), ErrorCode::busy, kHolds));
    EXPECT_TRUE(is_error(second.recover(), ErrorCode::busy, kHolds));
    EXPECT_TRUE(ok(StorageEngine::open(temp / "store", patient))) << "needs no lock";
    EXPECT_TRUE(is_error(salvage(temp / "store", temp / "saved", std::chrono::seconds(5)), ErrorCode::busy, kHolds));
    EXPECT_TRUE(ok(verify_store(temp / "store", std::chrono::seconds(5)))) << "needs no lock";
    EXPECT_TRUE(is_error(first.checkpoint(), ErrorCode::invalid_argument));
    EXPECT_TRUE(is_error(first.backup(temp / "copy"), ErrorCode::invalid_argument));
    EXPECT_TRUE(ok(second.load_memory(memory_id(1)))) << "reads need no lock";
    return {};
  }));
  EXPECT_TRUE(ok(second.store_memory(memory(3)))) << "and afterwards all is well";
  // A transaction of another store in between: the thread would wait for itself in the queue of the first engine.
  must(first.transact([&](Transaction&) {
    return elsewhere.transact([&](Transaction& tx) -> Result<void> {
      EXPECT_TRUE(is_error(first.store_memory(memory(4)), ErrorCode::invalid_argument));
      EXPECT_TRUE(is_error(second.store_memory(memory(4)), ErrorCode::busy, kHolds));
      must(tx.store(memory(4)));
      return {};
    });
  }));
  EXPECT_TRUE(ok(elsewhere.load_memory(memory_id(4))));
  EXPECT_TRUE(ok(second.store_memory(memory(4))));
}

}  // namespace
}  // namespace mentedb

// R11: files that are replaced, removed or moved away under a live engine are noticed at its next write, and at its
// reads within a second. Nothing is acknowledged into a file that has no name any more. One of the original's mistakes
// was to lock such a file.
#include <thread>
#include <utility>

#include "process/process_test.hpp"

namespace mentedb::test {
namespace {

namespace fs = std::filesystem;

class ReplacedFiles : public testing::Test {
 protected:
  void SetUp() override {
    make_store(store_, 1);
    auto opened = StorageEngine::open(store_);
    ASSERT_TRUE(ok(opened));
    engine_.emplace(std::move(*opened));
  }

  // A store that holds memory 1 at `version`, closed.
  static void make_store(const fs::path& path, std::uint32_t version) {
    auto engine = StorageEngine::open(path);
    ASSERT_TRUE(ok(engine));
    ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, version))));
    ASSERT_TRUE(ok(engine->checkpoint()));
  }

  // The same bytes under new inodes, as `cp -a`, `rsync` and a restored snapshot make them.
  static void copy_over(const fs::path& from, const fs::path& to, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      fs::copy_file(from / name, to / (name + ".new"));
      fs::rename(to / (name + ".new"), to / name);
    }
  }

  // Every kind of write is refused, with a sentence that names the file.
  void expect_refused(const std::string& file) {
    const auto check = [&](const auto& result) {
      ASSERT_FALSE(result) << "acknowledged into a file without a name";
      EXPECT_EQ(result.error().code, ErrorCode::incompatible) << text_of(result.error());
      EXPECT_NE(result.error().message.find((store_ / file).string()), std::string::npos) << text_of(result.error());
    };
    for (int again = 0; again < 2; ++again) {
      check(engine_->store_memory(versioned_memory(50, 1)));
      check(engine_->update_memory(versioned_memory(1, 9)));
      check(engine_->delete_memory(memory_id(1)));
      check(engine_->transact([](Transaction& tx) { return tx.erase(memory_id(1)); }));
      check(engine_->allocate_page());
      check(engine_->checkpoint());
      check(engine_->recover());
    }
  }

  const ScratchDirectory scratch_;
  const fs::path store_ = scratch_ / "store";
  std::optional<StorageEngine> engine_;
};

TEST_F(ReplacedFiles, BothByAnotherStore) {
  make_store(scratch_ / "other", 77);
  copy_over(scratch_ / "other", store_, {"wal.log", "pages.db"});
  expect_refused("wal.log");
  const auto fresh = StorageEngine::open(store_);
  ASSERT_TRUE(ok(fresh));
  expect_healthy(*fresh);
  EXPECT_EQ(version_in(*fresh, 1), 77U);
  EXPECT_EQ(version_in(*fresh, 50), 0U);
}

TEST_F(ReplacedFiles, LogByAnotherStores) {
  make_store(scratch_ / "other", 77);
  copy_over(scratch_ / "other", store_, {"wal.log"});
  expect_refused("wal.log");
  EXPECT_TRUE(is_error(StorageEngine::open(store_), ErrorCode::corruption));
}

TEST_F(ReplacedFiles, PagesByAnotherStores) {
  make_store(scratch_ / "other", 77);
  copy_over(scratch_ / "other", store_, {"pages.db"});
  expect_refused("pages.db");
  EXPECT_TRUE(is_error(StorageEngine::open(store_), ErrorCode::corruption));
}

TEST_F(ReplacedFiles, LogRemoved) {
  fs::remove(store_ / "wal.log");
  expect_refused("wal.log");
  EXPECT_FALSE(fs::exists(store_ / "wal.log")) << "a refused write makes no files";
}

TEST_F(ReplacedFiles, PagesRemoved) {
  fs::remove(store_ / "pages.db");
  expect_refused("pages.db");
  EXPECT_FALSE(fs::exists(store_ / "pages.db"));
}

TEST_F(ReplacedFiles, BothRemoved) {
  fs::remove(store_ / "wal.log");
  fs::remove(store_ / "pages.db");
  expect_refused("wal.log");
  EXPECT_FALSE(fs::exists(store_ / "wal.log")) << "a refused write makes no new store";
}

// Writing through the moved files would be harmless, but whoever moved them thinks of the new place as at rest.
TEST_F(ReplacedFiles, DirectoryMovedAway) {
  fs::rename(store_, scratch_ / "elsewhere");
  expect_refused("wal.log");
  EXPECT_FALSE(fs::exists(store_)) << "a refused write makes no new store at the old place";
  fs::rename(scratch_ / "elsewhere", store_);
  EXPECT_TRUE(ok(engine_->store_memory(versioned_memory(2, 1)))) << "moved back, all is well";
  expect_healthy(*engine_);
}

// Restored from a copy of itself that lacks nothing: the engine opens the new files, and its write lands there.
TEST_F(ReplacedFiles, BothByTheSameStore) {
  ASSERT_TRUE(ok(engine_->store_memory(versioned_memory(2, 1))));
  copy_over(store_, store_, {"wal.log", "pages.db"});
  ASSERT_TRUE(ok(engine_->store_memory(versioned_memory(3, 1))));
  ASSERT_TRUE(ok(engine_->update_memory(versioned_memory(1, 2))));
  expect_healthy(*engine_);
  ActorProcess other = serving_actor(store_);
  EXPECT_EQ(other.ask("load 1"), "version 2");
  EXPECT_EQ(other.ask("load 2"), "version 1");
  EXPECT_EQ(other.ask("load 3"), "version 1");
  ASSERT_TRUE(other.ask("update 3 2").starts_with("ok"));
  EXPECT_EQ(version_in(*engine_, 3), 2U);
  const auto lsn = engine_->committed_lsn();
  EXPECT_EQ(other.ask("lsn"), "lsn " + std::to_string(lsn.value));
}

// An older copy of itself lacks what was acknowledged: that must not be built upon in silence.
// Each replacement left the descriptors and the mappings of the replaced files until the engine was closed.
TEST_F(ReplacedFiles, WhatWasReplacedGivesEverythingBack) {
  const auto descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = descriptors();
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto copy = scratch_ / ("copy-" + std::to_string(i));
    fs::copy(store_, copy);
    copy_over(copy, store_, {"wal.log", "pages.db"});
    ASSERT_TRUE(ok(engine_->store_memory(versioned_memory(100 + i, 1))));
  }
  EXPECT_LE(descriptors(), before + 1) << "a directory stream";
  for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(version_in(*engine_, 100 + i), 1U);
}

TEST_F(ReplacedFiles, BothByAnOlderCopyOfTheSameStore) {
  fs::create_directory(scratch_ / "old");
  copy_over(store_, scratch_ / "old", {"wal.log", "pages.db"});
  ASSERT_TRUE(ok(engine_->store_memory(versioned_memory(2, 1))));
  copy_over(scratch_ / "old", store_, {"wal.log", "pages.db"});
  expect_refused("wal.log");
}

// Only one of the two is new: the pages tell of more than the log has.
TEST_F(ReplacedFiles, LogByAnOlderCopyOfItself) {
  fs::create_directory(scratch_ / "old");
  copy_over(store_, scratch_ / "old", {"wal.log"});
  ASSERT_TRUE(ok(engine_->store_memory(versioned_memory(2, 1))));
  copy_over(scratch_ / "old", store_, {"wal.log"});
  EXPECT_FALSE(engine_->store_memory(versioned_memory(3, 1)));
  EXPECT_TRUE(is_error(StorageEngine::open(store_), ErrorCode::corruption));
}

TEST_F(ReplacedFiles, LogByAnEqualCopyOfItself) {
  ASSERT_TRUE(ok(engine_->store_memory(versioned_memory(2, 1))));
  auto peer = StorageEngine::open(store_);
  ASSERT_TRUE(ok(peer));
  copy_over(store_, store_, {"wal.log"});
  // Both engines come to lock the same new file: I6 holds and no number is used twice (I8).
  for (std::uint32_t version = 2; version < 12; version += 2) {
    ASSERT_TRUE(ok(engine_->update_memory(versioned_memory(2, version))));
    ASSERT_TRUE(ok(peer->update_memory(versioned_memory(2, version + 1))));
    EXPECT_EQ(version_in(*engine_, 2), version + 1);
  }
  expect_healthy(*peer);
}

// While a holder stands in the middle of a transaction: it has the lock of a file that is gone, somebody else has the
// lock of the new one. The holder must not be acknowledged (or only into the new file).
TEST_F(ReplacedFiles, WhileAHolderIsInTheMiddle) {
  ActorProcess holder = serving_actor(store_);
  holder.send("hold 7 1");
  ASSERT_EQ(holder.receive(), "held");
  make_store(scratch_ / "other", 77);
  copy_over(scratch_ / "other", store_, {"wal.log", "pages.db"});
  ASSERT_TRUE(holder.send("commit"));
  const auto answer = holder.receive();
  ASSERT_TRUE(answer && answer->starts_with("error incompatible")) << answer.value_or("(nothing)");
  const auto fresh = StorageEngine::open(store_);
  ASSERT_TRUE(ok(fresh));
  EXPECT_EQ(version_in(*fresh, 7), 0U);
  expect_healthy(*fresh);
}

// Many threads find out at once: one of them opens the new files, all of their writes land there.
TEST_F(ReplacedFiles, UnderManyThreads) {
  copy_over(store_, store_, {"wal.log", "pages.db"});
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 6; ++i) {
    threads.emplace_back([this, i] {
      for (std::uint64_t n = 0; n < 5; ++n) {
        EXPECT_TRUE(ok(engine_->store_memory(versioned_memory(100 + 10 * i + n, 1))));
        EXPECT_EQ(version_in(*engine_, 1), 1U);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto fresh = StorageEngine::open(store_);
  ASSERT_TRUE(ok(fresh));
  EXPECT_EQ(fresh->stats()->memory_count, 31U);
  expect_healthy(*fresh);
}

// ---- reads. An engine that only read never looked at its paths. After `mv DIR OLD; mentedb restore BACKUP --dir DIR`
// it answered from the old files for ever, without an error. Now a read looks twice a second.

// The first answer other than `before`, within a second (and a little, for a busy machine).
template <class Call, class IsBefore>
auto answer_after(Call&& call, IsBefore&& is_before) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1'500);
  for (;;) {
    auto answer = call();
    if (!is_before(answer) || std::chrono::steady_clock::now() > end) return answer;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

template <class T>
bool is_value(const Result<T>& result) {
  return result.has_value();
}

void expect_incompatible(const auto& result) { EXPECT_TRUE(is_error(result, ErrorCode::incompatible)); }

TEST_F(ReplacedFiles, AReaderNoticesARestoredBackup) {
  Options read_only;
  read_only.read_only = true;
  const auto second = StorageEngine::open(store_, read_only);
  ASSERT_TRUE(ok(second));
  ASSERT_TRUE(ok(engine_->backup(scratch_ / "backup")));
  ASSERT_TRUE(ok(engine_->load_memory(memory_id(1))));
  std::thread waiter([&] {
    const auto begin = std::chrono::steady_clock::now();
    expect_incompatible(engine_->wait_for_change(engine_->committed_lsn(), std::chrono::seconds(20)));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // into the wait; when it is late, it notices sooner
  fs::rename(store_, scratch_ / "elsewhere");
  ASSERT_TRUE(ok(StorageEngine::restore(scratch_ / "backup", store_)));
  for (const StorageEngine* engine : {std::as_const(engine_).operator->(), &*second}) {
    expect_incompatible(answer_after([&] { return engine->load_memory(memory_id(1)); }, is_value<MemoryNode>));
    for (int again = 0; again < 3; ++again) {
      expect_incompatible(engine->load_memory(memory_id(1)));
      expect_incompatible(engine->find(memory_id(1)));
      expect_incompatible(engine->scan_all_memories());
      expect_incompatible(engine->changes_since(Lsn{0}));
      expect_incompatible(engine->stats());
      EXPECT_EQ(engine->committed_lsn(), Lsn{0});
    }
  }
  waiter.join();
  fs::rename(store_, scratch_ / "restored");
  fs::rename(scratch_ / "elsewhere", store_);
  EXPECT_EQ(version_in(*engine_, 1), 1U) << "moved back, all is well at once";
}

// A copy of the same store that lacks nothing: the reader opens it, and sees what others commit there.
TEST_F(ReplacedFiles, AReaderGoesOnInACopyOfTheSameStore) {
  Options read_only;
  read_only.read_only = true;
  const auto second = StorageEngine::open(store_, read_only);
  ASSERT_TRUE(ok(second));
  copy_over(store_, store_, {"wal.log", "pages.db"});
  auto fresh = StorageEngine::open(store_);
  ASSERT_TRUE(ok(fresh));
  ASSERT_TRUE(ok(fresh->update_memory(versioned_memory(1, 2))));
  for (const StorageEngine* engine : {std::as_const(engine_).operator->(), &*second}) {
    EXPECT_EQ(answer_after([&] { return version_in(*engine, 1); }, [](std::uint32_t version) { return version == 1; }),
              2U);
  }
}

TEST_F(ReplacedFiles, AReaderNoticesThatTheDirectoryIsGone) {
  fs::remove_all(store_);
  const auto lost = answer_after([&] { return engine_->load_memory(memory_id(1)); }, is_value<MemoryNode>);
  expect_incompatible(lost);
  EXPECT_NE(lost.error().message.find("removed"), std::string::npos) << lost.error().message;
  EXPECT_FALSE(fs::exists(store_)) << "a read makes no new store";
}

}  // namespace
}  // namespace mentedb::test

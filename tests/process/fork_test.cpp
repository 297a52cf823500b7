// fork(2) without exec(3): the child's copy of an engine is refused politely and harms nobody. I6, and the trap that
// flock(2) belongs to the open file, which a child inherits.
#include <csignal>
#include <functional>
#include <thread>

#include <sys/wait.h>

#include <fcntl.h>
#include <unistd.h>

#include "format/queue_format.hpp"
#include "process/process_test.hpp"
#include "queue/area.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Runs `body` in a forked child; the exit status is its answer, 99 when it hung.
int in_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(10);  // SIGALRM ends a child that hangs
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

class Fork : public testing::Test {
 protected:
  const ScratchDirectory scratch_;
  const std::filesystem::path store_ = scratch_ / "store";
};

template <class T>
bool is_forked(const Result<T>& result) {
  return !result && result.error().code == ErrorCode::forked;
}

TEST_F(Fork, EveryCallOfTheChildAnswersForked) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  const auto page = engine->store_memory(versioned_memory(1, 1));
  ASSERT_TRUE(ok(page));
  const MemoryNode node = versioned_memory(2, 1);
  const std::vector<std::function<bool()>> calls{
      [&] { return is_forked(engine->store_memory(node)); },
      [&] { return is_forked(engine->store_memory_if_absent(node)); },
      [&] { return is_forked(engine->store_memories(std::vector{node})); },
      [&] { return is_forked(engine->store_memories({})); },
      [&] { return is_forked(engine->update_memory(versioned_memory(1, 2))); },
      [&] { return is_forked(engine->delete_memory(memory_id(1))); },
      [&] { return is_forked(engine->transact([](Transaction&) { return Result<void>{}; })); },
      [&] { return is_forked(engine->load_memory(memory_id(1))); },
      [&] { return is_forked(engine->load_memory(*page)); },
      [&] { return is_forked(engine->find(memory_id(1))); },
      [&] { return is_forked(engine->scan_all_memories()); },
      [&] { return is_forked(engine->for_each_memory([](const MemoryNode&, PageId) { return true; })); },
      [&] { return is_forked(engine->changes_since(Lsn{0})); },
      [&] { return is_forked(engine->wait_for_change(Lsn{99}, milliseconds(10))); },
      [&] { return is_forked(engine->allocate_page()); },
      [&] { return is_forked(engine->write_page(*page, {})); },
      [&] { return is_forked(engine->free_page(*page)); },
      [&] { return is_forked(engine->read_page(*page)); },
      [&] { return is_forked(engine->recover()); },
      [&] { return is_forked(engine->checkpoint()); },
      [&] { return is_forked(engine->backup(scratch_ / "copy")); },
      [&] { return is_forked(engine->verify()); },
      [&] { return is_forked(engine->stats()); },
  };
  EXPECT_EQ(in_child([&] {
              for (std::size_t i = 0; i < calls.size(); ++i) {
                if (!calls[i]()) return static_cast<int>(i) + 1;  // the number of the call that went wrong
              }
              return 0;
            }),
            0);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "copy"));
  EXPECT_EQ(version_in(*engine, 1), 1U);
  EXPECT_TRUE(ok(engine->update_memory(versioned_memory(1, 2))));
  expect_healthy(*engine);
}

TEST_F(Fork, TheChildsDestructorHarmsNoProcess) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
  const auto lsn = engine->committed_lsn();
  EXPECT_EQ(in_child([&] {
              {
                StorageEngine gone = std::move(*engine);
              }
              auto own = StorageEngine::open(store_);  // a child opens its own
              if (!own || !own->store_memory(versioned_memory(2, 1))) return 1;
              return own->close() ? 0 : 2;
            }),
            0);
  EXPECT_GT(engine->committed_lsn(), lsn);
  EXPECT_EQ(version_in(*engine, 2), 1U);
  EXPECT_TRUE(ok(engine->store_memory(versioned_memory(3, 1))));
  expect_healthy(*engine);
}

// The child's own engine may get the number of the descriptor that the fork handler closed; the inherited engine, which
// goes later, must not close it again.
TEST_F(Fork, TheInheritedEngineLeavesDescriptorsOfTheChildsOwnAlone) {
  const int placeholder = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  EXPECT_EQ(in_child([&] {
              ::close(placeholder);  // now two numbers are free: directory and log of the child's engine get them
              auto own = StorageEngine::open(store_);
              if (!own) return 1;
              {
                StorageEngine gone = std::move(*engine);
              }
              const auto stored = own->store_memory(versioned_memory(1, 1));
              if (!stored) {
                static_cast<void>(std::fprintf(stderr, "%s\n", stored.error().message.c_str()));
                return 2;
              }
              return 0;
            }),
            0);
  ::close(placeholder);
  EXPECT_EQ(version_in(*engine, 1), 1U);
}

// A call that was under way on another thread at the time of the fork never ends in the child.
TEST_F(Fork, TheChildsDestructorDoesNotWaitForThreadsThatOnlyTheParentHas) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  std::thread waiter([&] { static_cast<void>(engine->wait_for_change(Lsn{999}, milliseconds(1'000))); });
  std::this_thread::sleep_for(milliseconds(100));  // into its wait; when it is late, there is nothing to test
  EXPECT_EQ(in_child([&] {
              StorageEngine gone = std::move(*engine);
              return 0;
            }),
            0);
  waiter.join();
  EXPECT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
}

// The parent dies with the lock while a child lives that never called exec: the lock is free all the same.
TEST_F(Fork, TheLockOfAKilledParentIsFreeAlthoughItsChildLives) {
  auto witness = StorageEngine::open(store_, {.lock_timeout = milliseconds(3'000)});
  ASSERT_TRUE(ok(witness));
  int tell[2];
  ASSERT_EQ(::pipe2(tell, O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::alarm(20);
    auto engine = StorageEngine::open(store_);
    if (!engine) ::_exit(1);
    static_cast<void>(engine->transact([&](Transaction&) -> Result<void> {
      const pid_t child = ::fork();
      if (child == 0) {
        ::alarm(20);
        for (;;) ::pause();
      }
      if (::write(tell[1], &child, sizeof(child)) < 0) ::_exit(1);
      for (;;) ::pause();
    }));
    ::_exit(1);
  }
  pid_t child = 0;
  ASSERT_EQ(::read(tell[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  ::close(tell[0]);
  ::close(tell[1]);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_EQ(::kill(child, 0), 0) << "the child lives";
  EXPECT_TRUE(ok(witness->store_memory(versioned_memory(1, 1))));
  ::kill(child, SIGKILL);
}

bool a_request_waits(const std::filesystem::path& store) {
  const int queue = ::open((store / format::queue_file_name(1)).c_str(), O_RDONLY | O_CLOEXEC);
  if (queue < 0) return false;
  bool waits = false;
  for (std::size_t slot = 0; slot < format::kQueueSlots && !waits; ++slot) {
    queue::SlotWord word;
    const std::uint64_t at = format::kQueueRecordsOffset + slot * format::kQueueRecordBytes + format::kQueueStateWord;
    waits = ::pread(queue, &word, sizeof(word), static_cast<off_t>(at)) == sizeof(word) &&
            word.state() == queue::SlotState::filled;
  }
  ::close(queue);
  return waits;
}

// R14. The claim of a slot says whether the owner of a request lives. A claim belongs to an open file description, as
// the lock does, and the child also inherits the mapping of the queue, which kept the description open. So a leader
// took the request of a dead process for one of a living one: a write appeared after all had seen that it did not
// happen. Found by the kill campaign.
TEST_F(Fork, TheRequestOfAKilledParentIsNotCommittedAlthoughItsChildLives) {
  ASSERT_TRUE(ok(StorageEngine::open(store_)));
  int go[2];
  int tell[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(tell, O_CLOEXEC), 0);
  const auto await_go = [&] {
    char byte = 0;
    return ::read(go[0], &byte, 1) == 1;
  };
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::alarm(20);
    auto engine = StorageEngine::open(store_);
    // The first store waits for the lock, and gets a slot for the next time.
    if (!engine || !await_go() || !engine->store_memory(versioned_memory(2, 1))) ::_exit(1);
    const pid_t forked = ::fork();
    if (forked == 0) {
      ::alarm(20);
      for (;;) ::pause();
    }
    if (::write(tell[1], &forked, sizeof(forked)) < 0 || !await_go()) ::_exit(1);
    static_cast<void>(engine->store_memory(versioned_memory(3, 1)));
    ::_exit(1);
  }
  auto witness = StorageEngine::open(store_);
  ASSERT_TRUE(ok(witness));
  const auto with_the_lock = [&](const std::function<void()>& act) {
    EXPECT_TRUE(ok(witness->transact([&](Transaction&) -> Result<void> {
      EXPECT_EQ(::write(go[1], "g", 1), 1);
      act();
      return {};
    })));
  };
  with_the_lock([] { std::this_thread::sleep_for(milliseconds(200)); });
  pid_t child = 0;
  ASSERT_EQ(::read(tell[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  with_the_lock([&] {
    const auto end = steady_clock::now() + std::chrono::seconds(10);
    while (!a_request_waits(store_) && steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
    EXPECT_TRUE(a_request_waits(store_));
    ::kill(parent, SIGKILL);
    ::waitpid(parent, nullptr, 0);
  });
  EXPECT_EQ(::kill(child, 0), 0) << "the child lives";
  EXPECT_TRUE(ok(witness->store_memory(versioned_memory(4, 1))));
  EXPECT_TRUE(ok(witness->load_memory(versioned_memory(2, 1).id)));
  const auto lost = witness->load_memory(versioned_memory(3, 1).id);
  EXPECT_TRUE(!lost && lost.error().code == ErrorCode::not_found);
  ::kill(child, SIGKILL);
  for (const int end : {go[0], go[1], tell[0], tell[1]}) ::close(end);
}

// A child that ends by exit() or by exec() inside the parent's transaction does not give the parent's lock away (I6).
TEST_F(Fork, AnEndingChildDoesNotUnlockItsParent) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  ActorProcess other = serving_actor(store_, "timeout 50");
  ASSERT_TRUE(ok(engine->transact([&](Transaction& transaction) -> Result<void> {
    EXPECT_EQ(in_child([&] {
                {
                  StorageEngine gone = std::move(*engine);
                }
                return 0;
              }),
              0);
    EXPECT_EQ(std::system("true"), 0);
    EXPECT_TRUE(other.ask("store 5 1").starts_with("error busy"));
    const auto page = transaction.store(versioned_memory(1, 1));
    return page ? Result<void>{} : std::unexpected(page.error());
  })));
  EXPECT_TRUE(other.ask("store 5 1").starts_with("ok"));
  EXPECT_EQ(version_in(*engine, 1), 1U);
}

// The child came between the opening of wal.log and its first lock: it kept a duplicate, and with it the lock of the
// parent that took it later and died. The others then read "locked by pid N", of a dead process.
TEST_F(Fork, AChildFromBeforeTheFirstLockDoesNotKeepIt) {
  ASSERT_TRUE(ok(StorageEngine::open(store_)));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::alarm(20);
    const auto directory = vfs::posix_vfs().open_directory(store_, false);
    if (!directory) ::_exit(1);
    const auto log = (*directory)->open("wal.log", vfs::OpenMode::read_write, true);
    if (!log) ::_exit(2);
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      ::close(ends[0]);
      ::pause();
    }
    const auto taken = (*log)->try_lock();
    if (!taken || !*taken) ::_exit(3);
    if (::write(ends[1], &child, sizeof(child)) != sizeof(child)) ::_exit(4);
    ::pause();
  }
  pid_t child = 0;
  ASSERT_EQ(::read(ends[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  ::kill(parent, SIGKILL);
  int status = 0;
  ::waitpid(parent, &status, 0);
  Options at_once;
  at_once.lock_timeout = milliseconds(0);
  EXPECT_TRUE(ok(StorageEngine::open(store_, at_once)));
  ::kill(child, SIGKILL);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace mentedb::test

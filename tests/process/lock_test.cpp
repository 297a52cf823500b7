// The lock between processes: I5 (readers never wait), I6 (one writer), no lock while idle, nobody starves.
#include <algorithm>
#include <fstream>
#include <iterator>

#include <sys/file.h>

#include <fcntl.h>
#include <unistd.h>

#include "process/process_test.hpp"
#include "support/system_call_trace.hpp"

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Lock : public testing::Test {
 protected:
  const ScratchDirectory scratch_;
  const std::filesystem::path store_ = scratch_ / "store";
};

// strace writes down that the process has stopped.
bool wait_until_stopped(const std::filesystem::path& trace) {
  const auto begin = steady_clock::now();
  while (milliseconds_since(begin) < milliseconds(10'000)) {
    std::ifstream file(trace);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (text.find("stopped by SIGSTOP") != std::string::npos) return true;
    ::usleep(500);
  }
  return false;
}

// Every read that there is, while somebody else stands still with the lock. `version` is what must be seen of memory 1.
void expect_readers_go_on(ActorProcess& reader, const std::string& page, std::uint32_t version) {
  const std::string seen = "version " + std::to_string(version);
  const auto begin = steady_clock::now();
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(reader.ask("load 1"), seen);
    ASSERT_EQ(reader.ask("page " + page), seen);
    ASSERT_EQ(reader.ask("find 1"), "ok " + page);
    ASSERT_TRUE(reader.ask("count").starts_with("count "));
    ASSERT_TRUE(reader.ask("changes 1").starts_with("changes "));
  }
  // 250 answers; one single wait for the lock would take the 10 s of the reader's lock_timeout.
  EXPECT_LT(milliseconds_since(begin), milliseconds(5'000)) << "I5";
}

TEST_F(Lock, ReadersGoOnWhileTheHolderIsStopped) {
  ActorProcess holder = serving_actor(store_);
  ASSERT_TRUE(holder.ask("store 1 1").starts_with("ok"));
  ASSERT_TRUE(holder.ask("store 2 1").starts_with("ok"));
  ActorProcess reader = serving_actor(store_, "timeout 10000");
  ActorProcess writer = serving_actor(store_, "timeout 300");
  const std::string page = reader.ask("find 1").substr(3);
  holder.send("hold 1 2");
  ASSERT_EQ(holder.receive(), "held");
  holder.stop();
  expect_readers_go_on(reader, page, 1);
  const auto begin = steady_clock::now();
  const std::string busy = writer.ask("store 3 1");
  const auto waited = milliseconds_since(begin);
  EXPECT_TRUE(busy.starts_with("error busy")) << busy;
  EXPECT_NE(busy.find("pid " + std::to_string(holder.pid())), std::string::npos) << busy;
  EXPECT_GE(waited, milliseconds(300));
  EXPECT_LT(waited, milliseconds(3'000));
  // An opener has nothing to repair, and needs no lock (R3).
  ActorProcess opener = start_actor(store_, {"serve"});
  EXPECT_TRUE(opener.ask("open timeout 100").starts_with("ok"));
  EXPECT_EQ(opener.ask("load 1"), "version 1");
  holder.resume();
  ASSERT_TRUE(holder.send("commit"));
  EXPECT_EQ(holder.receive(), "ok");
  EXPECT_TRUE(writer.ask("store 3 1").starts_with("ok"));
  EXPECT_EQ(reader.ask("load 1"), "version 2");
  EXPECT_EQ(reader.ask("load 3"), "version 1");
}

// The same inside a commit, stopped as it enters each of its system calls. What a reader was shown stays (I3).
TEST_F(Lock, ReadersGoOnWhereverACommitIsStopped) {
  if (!strace_works()) GTEST_SKIP() << "strace is missing or may not trace here";
  const auto trace = scratch_ / "trace";
  std::vector<SystemCall> calls;
  for (std::size_t i = 0; i <= calls.size(); ++i) {
    const bool record = i == 0;
    SCOPED_TRACE(record ? "recording" : "stopped as it entered " + calls[i - 1].text);
    std::filesystem::remove(trace);
    const auto store = scratch_ / std::to_string(i);
    auto witness = StorageEngine::open(store);
    ASSERT_TRUE(ok(witness));
    ActorProcess writer = start_actor(
        store, {"serve"},
        {.wrapper = record ? trace_into(trace) : signal_at(calls[i - 1], "STOP", trace), .output = std::nullopt});
    for (const std::string line : {"open", "store 1 1", "store 2 1", "update 2 2"}) {
      ASSERT_TRUE(writer.ask(line).starts_with("ok"));
    }
    ASSERT_EQ(version_in(*witness, 1), 1U);
    ASSERT_TRUE(writer.send("window update 1 2"));
    if (record) {
      const auto answer = writer.receive();
      ASSERT_TRUE(answer && answer->starts_with("ok"));
      writer.ask("exit");
      writer.wait();
      calls = calls_between_marks(trace);
      ASSERT_GT(calls.size(), 5U);
      continue;
    }
    ASSERT_TRUE(wait_until_stopped(trace));
    const auto begin = steady_clock::now();
    std::uint32_t by_id = 0;
    for (int look = 0; look < 50; ++look) {
      const std::uint32_t version = version_in(*witness, 1);
      ASSERT_GE(version, std::max(by_id, 1U)) << "I3";
      by_id = version;
      const auto page = witness->find(memory_id(1));
      ASSERT_TRUE(ok(page));
      const auto by_page = witness->load_memory(*page);
      ASSERT_TRUE(ok(by_page));
      ASSERT_EQ(version_of(*by_page), version);
      const auto all = witness->scan_all_memories();
      ASSERT_TRUE(ok(all));
      ASSERT_EQ(all->size(), 2U);
      ASSERT_TRUE(ok(witness->changes_since(Lsn{1})));
    }
    EXPECT_LT(milliseconds_since(begin), milliseconds(2'000)) << "I5";
  }
}

TEST_F(Lock, IsFreeWhileEnginesAreIdle) {
  auto engine = StorageEngine::open(store_);
  ASSERT_TRUE(ok(engine));
  ActorProcess other = serving_actor(store_);
  const auto lock_is_free = [&] {
    const int descriptor = ::open((store_ / "wal.log").c_str(), O_RDONLY | O_CLOEXEC);
    const bool taken = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    ::close(descriptor);
    return taken;
  };
  EXPECT_TRUE(lock_is_free());
  ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
  EXPECT_TRUE(lock_is_free());
  ASSERT_TRUE(other.ask("update 1 2").starts_with("ok"));
  EXPECT_TRUE(lock_is_free());
  ASSERT_EQ(other.ask("checkpoint"), "ok");
  ASSERT_TRUE(ok(engine->checkpoint()));
  ASSERT_TRUE(ok(engine->recover()));
  ASSERT_TRUE(ok(engine->verify()));
  EXPECT_TRUE(lock_is_free());
  EXPECT_TRUE(is_error(engine->update_memory(versioned_memory(9, 1)), ErrorCode::not_found));
  EXPECT_TRUE(lock_is_free());
  EXPECT_FALSE(engine->transact([](Transaction&) -> Result<void> {
    return std::unexpected(Error{ErrorCode::invalid_argument, 0, "rolled back"});
  }));
  EXPECT_TRUE(lock_is_free());
  EXPECT_EQ(std::system(("flock -n '" + (store_ / "wal.log").string() + "' true").c_str()), 0);
}

// The kernel frees the lock of a killed holder; the next one finds the store as it was.
TEST_F(Lock, OfAKilledHolderIsFreeAtOnce) {
  ActorProcess holder = serving_actor(store_);
  ASSERT_TRUE(holder.ask("store 1 1").starts_with("ok"));
  ActorProcess waiter = serving_actor(store_, "timeout 20000");
  holder.send("hold 1 2");
  ASSERT_EQ(holder.receive(), "held");
  waiter.send("store 2 1");
  EXPECT_EQ(waiter.receive(milliseconds(100)), std::nullopt);
  const auto begin = steady_clock::now();
  holder.kill();
  const auto answer = waiter.receive();
  ASSERT_TRUE(answer && answer->starts_with("ok"));
  EXPECT_LT(milliseconds_since(begin), milliseconds(1'000)) << "a killed holder wakes nobody, but slices are short";
  EXPECT_EQ(waiter.ask("load 1"), "version 1");
}

TEST_F(Lock, ZeroTimeoutTriesOnce) {
  ActorProcess holder = serving_actor(store_);
  ActorProcess writer = serving_actor(store_, "timeout 0");
  holder.send("hold 1 1");
  ASSERT_EQ(holder.receive(), "held");
  const auto begin = steady_clock::now();
  EXPECT_TRUE(writer.ask("store 2 1").starts_with("error busy"));
  EXPECT_LT(milliseconds_since(begin), milliseconds(1'000));
  EXPECT_TRUE(holder.ask("commit").starts_with("ok"));
  EXPECT_TRUE(writer.ask("store 2 1").starts_with("ok"));
}

struct Shares {
  std::uint64_t least = 0;
  std::uint64_t mean = 0;
};

// `count` processes write as fast as they can for two seconds; one more comes by every 20 ms.
void compete(const std::filesystem::path& store, std::uint64_t count, Shares& result) {
  auto engine = StorageEngine::open(store);
  ASSERT_TRUE(ok(engine));
  std::vector<ActorProcess> greedy;
  for (std::uint64_t i = 0; i < count; ++i) {
    greedy.push_back(start_actor(store, {"greedy", std::to_string(100 + i)}));
    ASSERT_EQ(greedy.back().receive(), "ready");
  }
  for (ActorProcess& actor : greedy) actor.send("go");
  const auto begin = steady_clock::now();
  milliseconds longest{0};
  std::uint32_t stored = 0;
  while (milliseconds_since(begin) < milliseconds(2'000)) {
    const auto one = steady_clock::now();
    ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, ++stored))));
    longest = std::max(longest, milliseconds_since(one));
    ::usleep(20'000);
  }
  for (ActorProcess& actor : greedy) actor.signal(SIGTERM);
  std::vector<std::uint64_t> shares;
  std::uint64_t sum = 0;
  for (ActorProcess& actor : greedy) {
    const auto line = actor.receive();
    ASSERT_TRUE(line && line->starts_with("wrote ")) << line.value_or("(nothing)");
    shares.push_back(std::stoull(line->substr(6)));
    sum += shares.back();
    actor.wait();
  }
  result = {.least = *std::ranges::min_element(shares), .mean = sum / count};
  std::cout << "[ shares   ] " << testing::PrintToString(shares) << ", one-shot writes waited at most "
            << longest.count() << " ms\n";
  EXPECT_LT(longest, milliseconds(2'000));
}

// Everyone gets a share, and one that comes by once gets in soon. The lock hands nobody a processor: on a busy machine
// a process that the scheduler lets wait loses turns, hence several attempts.
TEST_F(Lock, NoProcessStarves) {
  Shares shares;
  for (int attempt = 0; attempt < 4; ++attempt) {
    ASSERT_NO_FATAL_FAILURE(compete(store_, 8, shares));
    EXPECT_GE(shares.least, 10U) << "in two seconds";
    if (shares.least * 5 >= shares.mean) return;
  }
  EXPECT_GE(shares.least * 5, shares.mean);
}

}  // namespace
}  // namespace mentedb::test

#include "vfs/fork_guard.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

namespace mentedb::vfs {
namespace {

/// What a child made by fork says: its token and that of its own child.
struct Tokens {
  std::uint64_t child = 0;
  std::uint64_t grandchild = 0;
};

Tokens tokens_of_descendants() {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const pid_t grandchild = fork();  // before the child ever asked for its own
    if (grandchild == 0) {
      const std::uint64_t token = process_token();
      static_cast<void>(!write(ends[1], &token, sizeof(token)));
      _exit(0);
    }
    int status = 0;
    waitpid(grandchild, &status, 0);
    const std::uint64_t token = process_token();
    static_cast<void>(!write(ends[1], &token, sizeof(token)));
    _exit(0);
  }
  Tokens tokens;
  static_cast<void>(!read(ends[0], &tokens.grandchild, sizeof(tokens.grandchild)));
  static_cast<void>(!read(ends[0], &tokens.child, sizeof(tokens.child)));
  int status = 0;
  waitpid(child, &status, 0);
  close(ends[0]);
  close(ends[1]);
  return tokens;
}

TEST(ProcessToken, DiffersFromThoseOfForkedChildren) {
  const std::uint64_t own = process_token();
  EXPECT_NE(own, 0U);
  const Tokens tokens = tokens_of_descendants();
  EXPECT_NE(tokens.child, 0U);
  EXPECT_NE(tokens.grandchild, 0U);
  EXPECT_NE(tokens.child, own);
  EXPECT_NE(tokens.grandchild, own);
  EXPECT_NE(tokens.child, tokens.grandchild);
  EXPECT_EQ(process_token(), own);
}

TEST(ProcessToken, IsTheSameOnAllThreads) {
  const std::uint64_t own = process_token();
  std::uint64_t others = 0;
  std::thread([&] { others = process_token(); }).join();
  EXPECT_EQ(others, own);
}

TEST(LockDescriptors, AreClosedInAChildOnceTheyAreRegistered) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  for (const bool registered : {false, true}) {
    if (registered) NoFork().add(ends[0]);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const bool closed = dup(ends[0]) == -1;
      const bool other_open = dup(ends[1]) != -1;
      _exit(closed == registered && other_open ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    const int copy = dup(ends[0]);  // the parent keeps it
    EXPECT_NE(copy, -1);
    close(copy);
  }
  close_registered(ends[0]);
  EXPECT_EQ(dup(ends[0]), -1);
  close(ends[1]);
}

// A fork between open(2) and the registration would give the child a descriptor that it never closes.
TEST(LockDescriptors, NoForkComesBetweenOpenAndRegistration) {
  std::optional<NoFork> no_fork(std::in_place);
  std::atomic<bool> forked{false};
  std::thread forker([&] {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    forked = true;
    int status = 0;
    waitpid(child, &status, 0);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(forked);
  no_fork.reset();
  forker.join();
  EXPECT_TRUE(forked);
}

}  // namespace
}  // namespace mentedb::vfs

// What an environment refuses: limits, long paths, read-only media, a missing /proc. It is told as what it is, never as
// damage or as a removal, and what is told helps the user of the command.
#include <sys/mount.h>
#include <unistd.h>

#include "command_test.hpp"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define MENTEDB_TEST_ADDRESS_SANITIZER 1
#endif
#endif

namespace mentedb::test {
namespace {

class Environment : public CommandTest {
 protected:
  CommandResult shell(const std::string& words) const { return run_command({"bash", "-c", words}, options()); }
  /// `command`'s path in quotes.
  static std::string program() { return std::string("'") + MENTEDB_COMMAND + "' "; }
};

// At 4 descriptors the boot id could not be read, and the advice was to mount /proc. At 6 `verify` called the id index
// damaged, at 7 "from another boot".
TEST_F(Environment, ALimitOnDescriptorsIsNamed) {
#ifdef MENTEDB_TEST_ADDRESS_SANITIZER
  GTEST_SKIP() << "the sanitizer needs descriptors of its own";
#endif
  stored("x");
  const std::string checked = ok({"verify"});
  // With fewer than these the system's loader already fails, before the command begins.
  for (int limit = 5; limit <= 12; ++limit) {
    for (const char* words : {"list", "store y", "verify", "export out", "backup copy", "get 1", "log", "page 1"}) {
      const CommandResult result = shell("ulimit -n " + std::to_string(limit) + "; " + program() + words);
      const std::string told = std::to_string(limit) + " " + words + ": " + result.out + result.err;
      if (told.find("error while loading shared libraries") != std::string::npos) continue;  // it never began
      EXPECT_EQ(result.signal, 0) << told;
      EXPECT_EQ(told.find("damaged"), std::string::npos) << told;
      EXPECT_EQ(told.find("another boot"), std::string::npos) << told;
      EXPECT_EQ(told.find("/proc"), std::string::npos) << told;
      if (result.status != 0) {
        EXPECT_NE(told.find("ulimit -n"), std::string::npos) << told;
      }
      std::filesystem::remove_all(path("copy"));
    }
  }
  EXPECT_TRUE(ok({"verify"}).starts_with("ok"));
}

// The signal SIGXFSZ ended the program without a word.
TEST_F(Environment, ALimitOnFileSizesIsNamed) {
  ok({"import", "-"}, memory_lines(100));
  const CommandResult result = shell("ulimit -f 1; " + program() + "export out");
  EXPECT_EQ(result.status, 1) << "signal " << result.signal;
  EXPECT_NE(result.err.find("File too large"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(path("out")));
}

// The directory could be opened and created in, but the paths of its files were too long for the kernel: "wal.log was
// removed while it was open".
TEST_F(Environment, ADirectoryWhosePathLeavesNoRoomIsRefusedAtOnce) {
  std::string deep = path("").string();
  if (deep.ends_with('/')) deep.pop_back();
  const auto at_length = [&](std::size_t length) {
    std::string whole = deep;
    while (whole.size() + 1 < length) {
      whole += "/" + std::string(std::min<std::size_t>(200, length - whole.size() - 1), 'd');
    }
    return whole;
  };
  for (const std::size_t length : {4'066U, 4'067U, 4'080U, 4'087U, 4'095U, 4'096U, 5'000U}) {
    const CommandResult result = run({"--dir", at_length(length), "store", "x"});
    if (length < 4'067) {
      EXPECT_EQ(result.status, 0) << result.err.substr(0, 20) << result.err.substr(result.err.size() - 80);
      EXPECT_EQ(run({"--dir", at_length(length), "list", "--count"}).out, "1\n");
      EXPECT_TRUE(run({"--dir", at_length(length), "verify"}).out.starts_with("ok"));
    } else {
      EXPECT_EQ(result.status, 1) << length;
      EXPECT_NE(result.err.find("File name too long; choose a shorter path"), std::string::npos) << length;
    }
  }
  stored("x");
  expect_refused({"export", std::string(300, 'e')}, 1, "File name too long; choose a shorter name");
  ok({"export", std::string(255, 'e')});  // the longest name of a file
  expect_refused({"import", std::string(300, 'e')}, 1, "choose a shorter name");
}

// In a chroot without /proc no directory could be created: "Operation not supported; look into the kernel's log".
TEST_F(Environment, WithoutProcASingleProcessWorks) {
#ifdef MENTEDB_TEST_ADDRESS_SANITIZER
  GTEST_SKIP() << "without /proc the sanitizer's leak check ends the program, and its options cannot be read";
#endif
  if (geteuid() != 0) GTEST_SKIP() << "needs root for chroot";
  const std::string root = path("root");
  const CommandResult made =
      shell("set -e; mkdir root; cp " + program() + " root/mentedb; for f in $(ldd " + program() +
            "| grep -o '/[^ ]*'); do mkdir -p root$(dirname $f); cp -L $f root$f; done");
  ASSERT_EQ(made.status, 0) << made.err;
  const auto in_root = [&](const std::string& words) { return shell("chroot root /mentedb --dir /store " + words); };
  CommandResult result = in_root("store x");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("mount /proc, or set --single-process"), std::string::npos) << result.err;
  for (const char* words : {"store x", "list", "export", "export /out", "export /out", "backup /copy", "verify",
                            "recover", "stats", "delete 00000000-0000-4000-8000-000000000001 --ignore-missing"}) {
    result = in_root(std::string("--single-process ") + words);
    EXPECT_EQ(result.status, 0) << words << ": " << result.err;
  }
  EXPECT_EQ(count_lines(read_file(path("root/out"))), 1U);
}

// "open with read_only" is nothing that a user of the command can do.
TEST_F(Environment, ReadOnlyMediaAreReadAndNotWritten) {
  if (shell("unshare -m true").status != 0) GTEST_SKIP() << "may not mount here";
  const std::string id = stored("x");
  const auto on_media = [&](const std::string& words) {
    return shell("exec unshare -m bash -c \"mount --bind memory memory && mount -o remount,bind,ro memory && " +
                 program() + words + "\"");
  };
  for (const char* words : {"list", "stats", "export", "verify", "log", "page 1", "watch --timeout 0.05", "backup copy",
                            "salvage saved", "--dir back restore memory"}) {
    const CommandResult result = on_media(words);
    EXPECT_EQ(result.status, 0) << words << ": " << result.err;
  }
  for (const std::string& words : {std::string("store y"), "delete " + id, "update " + id + " z",
                                   std::string("checkpoint"), std::string("recover")}) {
    const CommandResult result = on_media(words);
    EXPECT_EQ(result.status, 1) << words;
    EXPECT_NE(result.err.find("Read-only file system"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("only commands that read work there"), std::string::npos) << result.err;
    EXPECT_EQ(result.err.find("read_only"), std::string::npos) << result.err;
  }
  EXPECT_NE(on_media("export memory/out").err.find("choose a path elsewhere"), std::string::npos);
}

}  // namespace
}  // namespace mentedb::test

// The files that a command writes outside of a store: never onto a store, never open to others, never half.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command_test.hpp"

namespace mentedb::test {
namespace {

class OutputFile : public CommandTest {
 protected:
  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  std::size_t partial_files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path("")))
      count += entry.path().filename().string().find("partial") != std::string::npos;
    return count;
  }
};

// `mentedb --dir a export a/pages.db` reported success and destroyed the store.
TEST_F(OutputFile, NeverGoesOntoAFileOfAStore) {
  ok({"import", "-"}, memory_lines(3));
  ok({"--dir", "other", "store", "x"});
  std::filesystem::create_directory_symlink("memory", path("link"));
  std::filesystem::create_symlink("memory/pages.db", path("file-link"));
  std::filesystem::create_hard_link(path("memory/wal.log"), path("second-name"));
  std::filesystem::create_hard_link(path("other/pages.db"), path("second-name-of-other"));
  std::filesystem::create_directory(path("sub"));
  const std::vector<std::string> outputs = {"memory/pages.db",
                                            "memory/wal.log",
                                            "memory/ids-1.idx",
                                            "memory/ids-99.idx",
                                            "memory/PAGES.DB",
                                            "./memory/../memory/pages.db",
                                            "sub/../memory/pages.db",
                                            path("memory/pages.db").string(),
                                            "link/pages.db",
                                            "link/ids-7.idx",
                                            "file-link",
                                            "second-name",
                                            "other/pages.db",
                                            "second-name-of-other"};
  for (const std::string& output : outputs) {
    expect_refused({"export", output}, 1, "is a file of a store");
    for (const char* command : {"backup", "salvage"}) EXPECT_EQ(run({command, output}).status, 1) << output;
    EXPECT_EQ(run({"--dir", output, "restore", "other"}).status, 1) << output;
  }
  expect_refused({"backup", "memory/ids-99.idx"}, 1, "is a file of a store");
  expect_refused({"salvage", "memory/ids-99.idx"}, 1, "is a file of a store");
  expect_refused({"--dir", "memory/ids-99.idx", "restore", "memory"}, 1, "is a file of a store");
  EXPECT_EQ(ok({"list", "--count"}), "3\n");
  EXPECT_FALSE(std::filesystem::exists(path("memory/ids-99.idx")));
  std::filesystem::remove(path("second-name"));
  std::filesystem::remove(path("second-name-of-other"));
  for (const char* store : {"memory", "other"}) EXPECT_TRUE(ok({"--dir", store, "verify"}).starts_with("ok")) << store;
  ok({"export", "memory/export.jsonl"});  // another name is the user's choice
}

// A shell opens standard output before the command runs.
TEST_F(OutputFile, StandardStreamsNeitherAreLedOntoAStore) {
  ok({"store", "x"});
  ok({"--dir", "other", "store", "y"});
  const std::string before = read_file(path("memory/wal.log")) + read_file(path("other/wal.log"));
  const auto shell = [&](const std::string& words) {
    return run_command({"bash", "-c", std::string("'") + MENTEDB_COMMAND + "' " + words}, options());
  };
  for (const char* words :
       {"list >> memory/wal.log", "lits 2>> memory/wal.log", "--help >> memory/wal.log", "export >> other/wal.log",
        "--dir other store z 1<> other/wal.log", "version >> other/wal.log"}) {
    EXPECT_EQ(shell(words).status, 1) << words;
  }
  EXPECT_NE(shell("list >> memory/wal.log").err.find("is a file of a store"), std::string::npos);
  EXPECT_EQ(read_file(path("memory/wal.log")) + read_file(path("other/wal.log")), before);
  // An empty file of this name was filled with a store, and then the id was written over its beginning.
  std::filesystem::create_directory(path("fresh"));
  EXPECT_EQ(shell("--dir fresh store x > fresh/pages.db").status, 1);
  EXPECT_EQ(read_file(path("fresh/pages.db")), "");
}

// Private memories came out readable by all, also over a file that had been private.
TEST_F(OutputFile, IsPrivateUnlessTheReplacedFileWasNot) {
  ok({"store", "private"});
  const mode_t before = umask(0);
  for (const auto& [old_mode, new_mode] : std::vector<std::pair<mode_t, mode_t>>{
           {0, 0600}, {0600, 0600}, {0644, 0644}, {0640, 0640}, {0400, 0600}, {0666, 0666}}) {
    std::filesystem::remove(path("out.jsonl"));
    if (old_mode != 0) {
      write_file("out.jsonl", "old");
      ASSERT_EQ(chmod(path("out.jsonl").c_str(), old_mode), 0);
    }
    ok({"export", "out.jsonl"});
    EXPECT_EQ(mode_of(path("out.jsonl")), new_mode) << old_mode;
    EXPECT_EQ(count_lines(read_file(path("out.jsonl"))), 1U);
  }
  umask(before);
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path("out.jsonl").c_str(), 65'534, 65'534), 0);
    ok({"export", "out.jsonl"});
    struct stat status{};
    ASSERT_EQ(stat(path("out.jsonl").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 65'534U) << "root's export takes the file from its owner";
  }
}

TEST_F(OutputFile, AKilledExportLeavesNothing) {
  ok({"import", "-"}, memory_lines(3'000, std::string(300, 'x')));
  write_file("out.jsonl", "earlier\n");
  for (const int number : {SIGKILL, SIGHUP, SIGTERM}) {
    RunningCommand running(command({"export", "out.jsonl"}), options());
    usleep(3'000);
    running.send_signal(number);
    running.wait();
    EXPECT_EQ(partial_files(), 0U);
    const std::string text = read_file(path("out.jsonl"));
    EXPECT_TRUE(text == "earlier\n" || count_lines(text) == 3'000) << text.size();
  }
}

// Where the file system knows no files without a name, a killed export leaves one. The next export removes it, but not
// the one of an export that is at work.
TEST_F(OutputFile, WhatKilledProgramsLeftIsRemovedLater) {
  ok({"store", "x"});
  write_file(".mentedb-partial-1-0", "left");
  const std::string at_work = write_file(".mentedb-partial-2-0", "at work");
  const int descriptor = open(at_work.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(descriptor, LOCK_EX | LOCK_NB), 0);
  ok({"export", "out.jsonl"});
  EXPECT_FALSE(std::filesystem::exists(path(".mentedb-partial-1-0")));
  EXPECT_TRUE(std::filesystem::exists(path(".mentedb-partial-2-0")));
  close(descriptor);
  ok({"export", "out.jsonl"});
  EXPECT_EQ(partial_files(), 0U);
}

}  // namespace
}  // namespace mentedb::test

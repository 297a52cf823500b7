// Who may read and write what the command makes, and what it does when its surroundings are not what they should be.
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command_test.hpp"

namespace mentedb::test {
namespace {

using nlohmann::json;

class Security : public CommandTest {
 protected:
  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  void expect_private(const std::filesystem::path& directory) const {
    EXPECT_EQ(mode_of(directory), 0700U) << directory;
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      EXPECT_EQ(mode_of(entry.path()), 0600U) << entry.path();
      ++files;
    }
    EXPECT_GE(files, 2) << directory;
  }
  /// All that makes files: a store, more ids than an index holds, a recovery, a backup, a restore, a salvage.
  void make_everything(const std::string& at, const CommandOptions& options) const {
    const auto run = [&](Arguments arguments, const std::string& input = {}) {
      CommandOptions with_input = options;
      with_input.input = input;
      const CommandResult result = run_command(command(arguments), with_input);
      EXPECT_EQ(result.status, 0) << arguments[2] << ": " << result.err;
    };
    run({"--dir", at + "/deep/er", "import", "-"}, memory_lines(1'200));
    run({"--dir", at + "/deep/er", "recover"});
    run({"--dir", at + "/deep/er", "backup", at + "/backup"});
    run({"--dir", at + "/restored", "restore", at + "/backup"});
    run({"--dir", at + "/restored", "get", "00000000-0000-4000-8000-000000000001"});
    run({"--dir", at + "/deep/er", "salvage", at + "/salvaged"});
    for (const char* name : {"/deep/er", "/backup", "/restored", "/salvaged"}) expect_private(at + name);
    EXPECT_EQ(mode_of(at + "/deep"), 0700U);
  }
  std::string warnings(const Arguments& arguments) const {
    const json report = json::parse(ok(arguments));
    return report.contains("notes") ? report["notes"].dump() : report["access_warnings"].dump();
  }
};

TEST_F(Security, FilesAreTheirOwnersAloneWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{0777}, mode_t{022}}) {
    const std::string at = path("umask" + std::to_string(mask));
    std::filesystem::create_directory(at);
    const mode_t before = umask(mask);
    make_everything(at, options());
    umask(before);
  }
}

TEST_F(Security, AlsoForAUserWhomPermissionsHoldBack) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const std::string at = path("nobody");
  std::filesystem::create_directory(at);
  ASSERT_EQ(chmod(path("").c_str(), 0755), 0);
  ASSERT_EQ(chown(at.c_str(), 65'534, 65'534), 0);
  CommandOptions nobody = options();
  nobody.user = 65'534;
  const mode_t before = umask(0777);  // mode 0 until the program sets it right
  make_everything(at, nobody);
  umask(before);
}

// Whatever runs without standard streams must not get a store's file in their place: its messages would go there.
TEST_F(Security, ClosedStandardStreamsNeverBecomeAStoresFiles) {
  const auto run_closed = [&](const std::string& words) {
    return run_command({"/bin/sh", "-c", std::string("exec '") + MENTEDB_COMMAND + "' " + words + " <&- >&- 2>&-"},
                       options())
        .signal;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run_closed("store 'content with closed streams'"), 0);
  EXPECT_EQ(run_closed("list"), 0);
  EXPECT_EQ(run_closed("get nonsense"), 0);
  EXPECT_EQ(run_closed("stats"), 0);
  EXPECT_EQ(run_closed("backup copy"), 0);
  for (const char* name : {"pages.db", "wal.log"}) {
    EXPECT_EQ(read_file(store() / name).find("mentedb: "), std::string::npos) << name;
  }
  EXPECT_EQ(ok({"list", "--count"}), "3\n");
  EXPECT_TRUE(ok({"verify"}).starts_with("ok"));
  EXPECT_TRUE(ok({"--dir", "copy", "verify"}).starts_with("ok"));
}

TEST_F(Security, WhatEverybodyMayWriteIsRefused) {
  const std::string id = stored("private");
  for (const std::string name : {"", "wal.log", "pages.db"}) {
    const auto file = name.empty() ? store() : store() / name;
    const mode_t before = mode_of(file);
    ASSERT_EQ(chmod(file.c_str(), 01777), 0);  // a sticky bit helps nobody
    for (const Arguments& arguments : std::vector<Arguments>{
             {"get", id}, {"store", "x"}, {"stats"}, {"verify"}, {"backup", "copy"}, {"salvage", "copy"}}) {
      expect_refused(arguments, 1, "chmod o-w '" + file.string() + "'");
    }
    ASSERT_EQ(chmod(file.c_str(), before), 0);
  }
  EXPECT_FALSE(std::filesystem::exists(path("copy")));
  // An empty directory that everybody may write is no place for a new store either.
  std::filesystem::create_directory(path("shared"));
  ASSERT_EQ(chmod(path("shared").c_str(), 0777), 0);
  expect_refused({"--dir", "shared", "store", "x"}, 1, "chmod o-w");
  EXPECT_TRUE(std::filesystem::is_empty(path("shared")));
  EXPECT_EQ(got(id)["content"], "private");
}

TEST_F(Security, WhatAGroupMayWriteIsReported) {
  stored("private");
  EXPECT_EQ(warnings({"stats", "--json"}), "[]");
  EXPECT_EQ(warnings({"verify", "--json"}), "[]");
  for (const std::string name : {"", "wal.log", "pages.db", "ids-1.idx"}) {
    const auto file = name.empty() ? store() : store() / name;
    const mode_t before = mode_of(file);
    ASSERT_EQ(chmod(file.c_str(), before | 020), 0);
    const std::string words = "chmod g-w '" + file.string() + "'";
    EXPECT_NE(warnings({"stats", "--json"}).find(words), std::string::npos) << warnings({"stats", "--json"});
    EXPECT_NE(warnings({"verify", "--json"}).find(words), std::string::npos);
    EXPECT_NE(ok({"stats"}).find("warning"), std::string::npos);
    EXPECT_NE(ok({"verify"}).find("note"), std::string::npos);
    ASSERT_EQ(chmod(file.c_str(), before), 0);
  }
}

TEST_F(Security, FilesOfAnotherOwnerAndHardLinksAreReported) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give files away";
  stored("private");
  ASSERT_EQ(chown((store() / "pages.db").c_str(), 65'534, 65'534), 0);
  EXPECT_NE(warnings({"stats", "--json"}).find("pages.db belongs to user 65534"), std::string::npos);
  ASSERT_EQ(chown((store() / "pages.db").c_str(), 0, 0), 0);
  std::filesystem::create_hard_link(store() / "wal.log", path("second name"));
  EXPECT_NE(warnings({"verify", "--json"}).find("wal.log has 2 names"), std::string::npos);
}

// sudo mentedb ... on somebody's store: a file that root makes meanwhile must not lock the owner out.
TEST_F(Security, TheOwnerGoesOnAfterRootHasRebuiltTheIndex) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  stored("one");
  ASSERT_EQ(chmod(path("").c_str(), 0755), 0);
  ASSERT_EQ(chown(store().c_str(), 65'534, 65'534), 0);
  for (const auto& entry : std::filesystem::directory_iterator(store()))
    ASSERT_EQ(chown(entry.path().c_str(), 65'534, 65'534), 0);
  ok({"recover"});  // makes a new index, which is root's
  CommandOptions nobody = options();
  nobody.user = 65'534;
  const CommandResult result = run_command(command({"store", "two"}), nobody);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(run_command(command({"list", "--count"}), nobody).out, "2\n");
}

// Links that somebody put where the engine will write next: nothing outside the store is touched.
TEST_F(Security, NoLinkIsFollowedWhateverItsName) {
  const std::string id = stored("one");
  const std::string precious = write_file("precious", std::string(100'000, 'p'));
  for (int number = 1; number < 12; ++number) {
    const auto name = store() / ("ids-" + std::to_string(number) + ".idx");
    std::filesystem::remove(name);
    if (number % 2 == 0) {
      std::filesystem::create_symlink(precious, name);
    } else {
      std::filesystem::create_hard_link(precious, name);
    }
  }
  ok({"recover"});
  ok({"import", "-"}, memory_lines(1'500));
  EXPECT_EQ(got(id)["content"], "one");
  EXPECT_EQ(read_file(precious), std::string(100'000, 'p'));
  std::filesystem::rename(store() / "pages.db", path("pages.moved"));
  std::filesystem::create_symlink(path("pages.moved"), store() / "pages.db");
  expect_refused({"get", id}, 1, "symbolic link");
  // The directory itself may be one: that is its user's choice.
  std::filesystem::remove(store() / "pages.db");
  std::filesystem::rename(path("pages.moved"), store() / "pages.db");
  std::filesystem::create_directory_symlink(store(), path("link"));
  EXPECT_EQ(ok({"--dir", "link", "list", "--count"}), "1501\n");
}

}  // namespace
}  // namespace mentedb::test

// stats, verify, checkpoint, recover, backup, restore, watch, page, log; and stores that are missing or damaged.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command_test.hpp"

namespace mentedb::test {
namespace {

using nlohmann::json;

class StoreCommands : public CommandTest {};

TEST_F(StoreCommands, NoReadingCommandCreatesAStore) {
  const std::string id = "00000000-0000-4000-8000-000000000001";
  for (const Arguments& arguments : std::vector<Arguments>{{"get", id},
                                                           {"list"},
                                                           {"export"},
                                                           {"stats"},
                                                           {"stats", "--watch"},
                                                           {"verify"},
                                                           {"watch"},
                                                           {"page", "1"},
                                                           {"log"},
                                                           {"update", id, "x"},
                                                           {"delete", id},
                                                           {"checkpoint"},
                                                           {"recover"},
                                                           {"backup", "copy"}}) {
    expect_refused(arguments, 1, "no store in " + store().string() + "; create one with 'mentedb store'");
    std::filesystem::create_directory(store());  // an empty directory is no store either
    expect_refused(arguments, 1, "no store in ");
    EXPECT_TRUE(std::filesystem::is_empty(store())) << arguments.front();
    std::filesystem::remove(store());
  }
  const CommandResult result = run({"list", "--json"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(json::parse(result.err)["error"]["code"], "not_found");
  EXPECT_FALSE(std::filesystem::exists(path("copy")));
}

TEST_F(StoreCommands, TheDirectoryComesFromTheOptionTheEnvironmentOrTheDefault) {
  ok({"store", "environment"});
  EXPECT_TRUE(std::filesystem::exists(store() / "wal.log"));
  ok({"--dir", "before", "store", "x"});
  ok({"store", "x", "-d", "after"});
  EXPECT_EQ(ok({"list", "--count", "--dir", "before"}), "1\n");
  EXPECT_EQ(ok({"--dir", "after", "list", "--count"}), "1\n");
  CommandOptions bare = options();
  bare.environment["MENTEDB_DIR"] = "";
  std::filesystem::create_directory(path("elsewhere"));
  bare.directory = path("elsewhere");
  EXPECT_EQ(run_command(command({"store", "x"}), bare).status, 0);
  EXPECT_TRUE(std::filesystem::exists(path("elsewhere") / "memory" / "wal.log"));
}

TEST_F(StoreCommands, WhatIsNoStoreIsRefusedAndLeftAlone) {
  write_file("file", "text");
  expect_refused({"--dir", "file", "list"}, 1, "file is not a directory");
  expect_refused({"--dir", "file", "store", "x"}, 1, "file");
  expect_refused({"--dir", "file/below", "store", "x"}, 1, "file");
  EXPECT_EQ(read_file(path("file")), "text");
  // files of another program under our names
  std::filesystem::create_directory(path("other"));
  const std::string sqlite = "SQLite format 3" + std::string(5000, 'x');
  write_file("other/pages.db", sqlite);
  write_file("other/wal.log", sqlite);
  for (const Arguments& arguments :
       std::vector<Arguments>{{"list"}, {"store", "x"}, {"verify"}, {"page", "1"}, {"recover"}, {"stats"}}) {
    Arguments all = {"--dir", "other"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    EXPECT_EQ(run(all).status, 1) << arguments.front();
    EXPECT_NE(run(all).err.find("other"), std::string::npos) << run(all).err;
  }
  EXPECT_EQ(read_file(path("other/pages.db")), sqlite);
  EXPECT_EQ(read_file(path("other/wal.log")), sqlite);
}

TEST_F(StoreCommands, WithoutPermissionItSaysSo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  ok({"store", "secret"});
  chmod(path("").c_str(), 0755);
  CommandOptions nobody = options();
  nobody.user = 65'534;
  const auto refused = [&](const Arguments& arguments) {
    const CommandResult result = run_command(command(arguments), nobody);
    EXPECT_EQ(result.status, 1) << arguments.front();
    EXPECT_NE(result.err.find("ermission denied"), std::string::npos) << arguments.front() << ": " << result.err;
    EXPECT_NE(result.err.find(store().string()), std::string::npos) << result.err;
  };
  chmod(store().c_str(), 0700);
  refused({"list"});
  refused({"store", "x"});
  refused({"verify"});
  chmod(store().c_str(), 0755);
  for (const auto& entry : std::filesystem::directory_iterator(store())) chmod(entry.path().c_str(), 0600);
  refused({"list"});
  refused({"store", "x"});
  const std::string secret = write_file("secret.jsonl", memory_line(1));
  chmod(secret.c_str(), 0600);
  EXPECT_NE(run_command(command({"import", secret}), nobody).err.find("cannot read " + secret + ": Permission denied"),
            std::string::npos);
  // readable, but not writable: reading works, writing does not
  ok({"checkpoint"});
  for (const auto& entry : std::filesystem::directory_iterator(store())) chmod(entry.path().c_str(), 0644);
  EXPECT_EQ(run_command(command({"list", "--count"}), nobody).out, "1\n");
  EXPECT_EQ(run_command(command({"verify"}), nobody).status, 0);
  EXPECT_EQ(run_command(command({"store", "x"}), nobody).status, 1);
}

TEST_F(StoreCommands, ABusyStoreIsToldAfterTheLockTimeout) {
  ok({"store", "x"});
  const int log = open((store() / "wal.log").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(log, LOCK_EX), 0);
  const CommandResult result = run({"store", "y", "--lock-timeout", "0.2", "--json"});
  EXPECT_EQ(result.status, 1);
  const json error = json::parse(result.err)["error"];
  EXPECT_EQ(error["code"], "busy");
  EXPECT_NE(error["message"].get<std::string>().find(std::to_string(getpid())), std::string::npos) << error;
  close(log);
  ok({"store", "y"});
  EXPECT_EQ(ok({"list", "--count"}), "2\n");
}

TEST_F(StoreCommands, Stats) {
  for (int i = 0; i < 3; ++i) ok({"store", "text"});
  const json stats = json::parse(ok({"stats", "--json"}));
  EXPECT_EQ(stats["memory_count"], 3);
  EXPECT_EQ(stats["page_size_bytes"], 1024);
  EXPECT_EQ(stats["committed_lsn"], 3);
  const std::string shown = ok({"stats"});
  EXPECT_NE(shown.find("memories  3\n"), std::string::npos) << shown;
  EXPECT_EQ(json::parse(ok({"--dir", "large", "store", "x", "--page-size", "4096", "--json"}))["page"], 1);
  EXPECT_EQ(json::parse(ok({"--dir", "large", "stats", "--json"}))["page_size_bytes"], 4096);
  expect_refused({"--dir", "large", "store", "x", "--page-size", "512"}, 1, "4096");
}

TEST_F(StoreCommands, StatsWatchGoesOnUntilCtrlC) {
  ok({"store", "text"});
  RunningCommand watch(command({"stats", "--watch", "--json", "--interval", "0.1"}), options());
  ASSERT_TRUE(watch.wait_for_output("\"memory_count\":1", std::chrono::seconds(10)));
  ok({"store", "text"});
  ASSERT_TRUE(watch.wait_for_output("\"memory_count\":2", std::chrono::seconds(10)));
  watch.send_signal(SIGINT);
  const CommandResult result = watch.wait();
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.err, "");
}

TEST_F(StoreCommands, WatchPrintsWhatOthersCommit) {
  const std::string first = stored("first");
  RunningCommand watch(command({"watch"}), options());
  RunningCommand watch_json(command({"watch", "--json", "--count", "1"}), options());
  // It begins with what comes after its start: store until it is seen.
  std::string id;
  for (int i = 0; i < 50; ++i) {
    id = stored("hello \x1b[31m");
    if (watch.wait_for_output(id, std::chrono::milliseconds(200))) break;
  }
  ok({"update", id, "changed"});
  ASSERT_TRUE(watch.wait_for_output("updated  " + id + "  changed\n", std::chrono::seconds(10)));
  ok({"delete", id});
  ASSERT_TRUE(watch.wait_for_output("deleted  " + id + "\n", std::chrono::seconds(10)));
  watch.send_signal(SIGTERM);
  const CommandResult result = watch.wait();
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_NE(result.out.find("stored   " + id + "  hello \xEF\xBF\xBD[31m\n"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find(first), std::string::npos);

  const CommandResult counted = watch_json.wait();
  EXPECT_EQ(counted.status, 0);
  ASSERT_EQ(count_lines(counted.out), 1U) << counted.out;
  EXPECT_TRUE(json::parse(counted.out).contains("lsn"));
}

TEST_F(StoreCommands, WatchSinceTheBeginningAndWithATimeout) {
  const std::string kept = stored("kept");
  const std::string gone = stored("gone");
  ok({"update", kept, "kept, changed"});
  ok({"delete", gone});
  const std::string changes = ok({"watch", "--json", "--since", "0", "--timeout", "0.3"});
  ASSERT_EQ(count_lines(changes), 2U) << changes;
  std::istringstream lines(changes);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["id"], kept);
  EXPECT_EQ(json::parse(line)["change"], "updated");
  EXPECT_EQ(json::parse(line)["content"], "kept, changed");
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["change"], "deleted");
}

// The reader of the pipe goes away while nothing happens: the watcher does not stay behind.
TEST_F(StoreCommands, WatchEndsWithItsReader) {
  ok({"store", "x"});
  RunningCommand watch(command({"watch"}), options());
  usleep(300'000);
  watch.close_output();
  const CommandResult result = watch.wait();
  EXPECT_EQ(result.status, 0);
  EXPECT_FALSE(result.timed_out);
}

TEST_F(StoreCommands, VerifyNamesDamageAndExitsWithOne) {
  ok({"import", "-"}, memory_lines(20));
  ok({"checkpoint"});
  EXPECT_TRUE(ok({"verify"}).starts_with("ok  "));
  EXPECT_EQ(json::parse(ok({"verify", "--json"}))["ok"], true);
  const json page = json::parse(ok({"page", "3", "--json"}));
  const auto offset = page["page_offset"].get<std::streamoff>();
  {
    std::fstream file(store() / "pages.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset + 100);
    file.put('\xEE');
  }
  const CommandResult damaged = run({"verify"});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_NE(damaged.out.find("damaged  pages.db, byte "), std::string::npos) << damaged.out;
  EXPECT_NE(damaged.out.find("(page 3)"), std::string::npos);
  EXPECT_NE(damaged.out.find("1 problem; "), std::string::npos);
  const CommandResult as_json = run({"verify", "--json"});
  EXPECT_EQ(as_json.status, 1);
  EXPECT_EQ(json::parse(as_json.out)["problems"][0]["page"], 3);
  EXPECT_EQ(json::parse(as_json.out)["problems"].size(), 1U);
  // the others can still be read, and what cannot is told
  for (const char* name : {"list", "export"}) {
    const CommandResult result = run({name});
    EXPECT_EQ(result.status, 1) << name;
    EXPECT_EQ(count_lines(result.out), 19U) << name;
    EXPECT_NE(result.err.find("mentedb: "), std::string::npos);
  }
  EXPECT_NE(ok({"page", "3"}).find("NOT VALID"), std::string::npos);
}

TEST_F(StoreCommands, VerifySurvivesTruncatedAndEmptyFiles) {
  ok({"import", "-"}, memory_lines(20));
  for (const char* name : {"pages.db", "wal.log"}) {
    for (std::uintmax_t size : {std::uintmax_t{0}, std::uintmax_t{100}, std::uintmax_t{5000}}) {
      std::filesystem::remove_all(path("broken"));
      std::filesystem::copy(store(), path("broken"));
      std::filesystem::resize_file(path("broken") / name, size);
      for (const Arguments& arguments :
           std::vector<Arguments>{{"verify"}, {"page", "1"}, {"log"}, {"list"}, {"stats"}, {"recover"}}) {
        Arguments all = {"--dir", "broken"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        const CommandResult result = run(all);
        EXPECT_EQ(result.signal, 0) << arguments.front();
        if (arguments.front() == "verify") {
          EXPECT_EQ(result.status, 1) << name << ' ' << size << ": " << result.out << result.err;
        }
      }
    }
  }
}

TEST_F(StoreCommands, CheckpointAndRecover) {
  ok({"import", "-"}, memory_lines(20));
  EXPECT_NE(ok({"checkpoint"}).find("checkpoint done"), std::string::npos);
  EXPECT_EQ(json::parse(ok({"stats", "--json"}))["log_used_bytes"], 0);
  EXPECT_EQ(ok({"recover"}), "nothing to recover: every committed operation was in its pages\n");
  EXPECT_EQ(json::parse(ok({"recover", "--json"}))["redone"], 0);
}

TEST_F(StoreCommands, BackupAndRestore) {
  ok({"import", "-"}, memory_lines(20));
  ok({"backup", "copy"});
  ok({"store", "after the backup"});
  expect_refused({"backup", "copy"}, 1, "copy");
  ok({"--dir", "back", "restore", "copy"});
  EXPECT_EQ(ok({"--dir", "back", "list", "--count"}), "20\n");
  EXPECT_TRUE(ok({"--dir", "back", "verify"}).starts_with("ok"));
  expect_refused({"--dir", "back", "restore", "copy"}, 1, "back");
  expect_refused({"--dir", "third", "restore", "nothing"}, 1, "no backup or store in nothing");
  EXPECT_FALSE(std::filesystem::exists(path("third")));
  EXPECT_EQ(json::parse(ok({"backup", "copy2", "--json"})), json({{"destination", "copy2"}}));
}

TEST_F(StoreCommands, PageAndLogShowTheStructures) {
  const std::string id = stored("some text in the page");
  const std::string page = ok({"page", "1"});
  EXPECT_NE(page.find(id), std::string::npos) << page;
  EXPECT_NE(page.find("directory entry"), std::string::npos);
  EXPECT_NE(page.find("|"), std::string::npos);
  EXPECT_EQ(json::parse(ok({"page", "1", "--json"}))["is_memory"], true);
  expect_refused({"page", "99999999"}, 1, "99999999");
  expect_refused({"page", "0"}, 1, "0");
  const std::string log = ok({"log"});
  EXPECT_NE(log.find(id), std::string::npos) << log;
  EXPECT_NE(log.find("header copy 0"), std::string::npos);
  const json dump = json::parse(ok({"log", "--json"}));
  ASSERT_EQ(dump["batches"].size(), 1U);
  EXPECT_EQ(dump["batches"][0]["operations"][0]["id"], id);
  EXPECT_EQ(dump["batches"][0]["redone"], true);
  EXPECT_EQ(ok({"log", "--batches"}).find(id), std::string::npos);
}

// verify, page, log: not a byte and not a file changes, also of a store whose last writer died.
TEST_F(StoreCommands, InspectionChangesNothing) {
  RunningCommand import(command({"import", "-", "--batch", "1"}), options());
  import.write(memory_lines(50));
  for (int i = 0; i < 200 && run({"list", "--count"}).out != "50\n"; ++i) usleep(20'000);
  import.send_signal(SIGKILL);
  import.wait();
  const auto snapshot = [&] {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(store())) {
      files[entry.path().filename()] = read_file(entry.path());
    }
    return files;
  };
  const auto before = snapshot();
  ok({"verify"});
  ok({"page", "1"});
  ok({"log"});
  EXPECT_EQ(snapshot(), before);
}

}  // namespace
}  // namespace mentedb::test

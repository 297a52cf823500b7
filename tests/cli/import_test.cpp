// import and export.
#include <signal.h>

#include <fstream>
#include <set>

#include "command_test.hpp"
#include "rs_store_builder.hpp"

namespace mentedb::test {
namespace {

using nlohmann::json;

class Import : public CommandTest {
 protected:
  json import_json(Arguments more, const std::string& input, int status = 0) const {
    Arguments arguments = {"import", "-", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = run(arguments, input);
    EXPECT_EQ(result.status, status) << result.err;
    return json::parse(result.out);
  }
  [[nodiscard]] std::string count() const { return ok({"list", "--count"}); }
};

TEST_F(Import, TakesAFileOrStandardInput) {
  const std::string file = write_file("a.jsonl", memory_lines(200));
  EXPECT_TRUE(ok({"import", file}).starts_with("200 memories imported in "));
  EXPECT_EQ(count(), "200\n");
  EXPECT_EQ(import_json({}, memory_lines(210))["stored"], 10);
  EXPECT_EQ(count(), "210\n");
}

TEST_F(Import, EveryWayToEndAndSeparateLines) {
  std::string text = "\xEF\xBB\xBF" + memory_line(1) + "\n  \t\r\n" + memory_line(2);
  text.back() = '\r';
  text += "\n" + memory_line(3);
  text.pop_back();  // no line feed at the end
  EXPECT_EQ(import_json({}, text)["stored"], 3);
  EXPECT_EQ(import_json({}, "\n\n")["stored"], 0);
  EXPECT_EQ(import_json({}, "")["stored"], 0);
}

TEST_F(Import, ConflictsAreReplacedSkippedOrFail) {
  import_json({}, memory_lines(3, "old"));
  json result = import_json({"--on-conflict", "skip"}, memory_lines(4, "new"));
  EXPECT_EQ(result["skipped"], 3);
  EXPECT_EQ(result["stored"], 1);
  EXPECT_EQ(got("00000000-0000-4000-8000-000000000001")["content"], "old");

  result = import_json({}, memory_lines(4, "newer"));
  EXPECT_EQ(result["replaced"], 4);
  EXPECT_EQ(got("00000000-0000-4000-8000-000000000001")["content"], "newer");

  // fail, and stop: what stands before the conflict stays
  const std::string mixed = memory_line(8) + memory_line(9) + memory_line(2, "x") + memory_line(10);
  const CommandResult failed = run({"import", "-", "--on-conflict", "fail"}, mixed);
  EXPECT_EQ(failed.status, 1);
  EXPECT_NE(failed.err.find("standard input:3: memory 00000000-0000-4000-8000-000000000002 exists already"),
            std::string::npos)
      << failed.err;
  EXPECT_NE(failed.err.find("stopped after line 2: 2 memories were committed and stay"), std::string::npos);
  EXPECT_EQ(count(), "6\n");
  // fail, and go on
  result = import_json({"--on-conflict", "fail", "--on-error", "continue"}, mixed, 1);
  EXPECT_EQ(result["failed"], 3);
  EXPECT_EQ(result["stored"], 1);
  EXPECT_EQ(count(), "7\n");
  // an id twice in one batch
  EXPECT_EQ(import_json({"--on-conflict", "skip"}, memory_line(20, "first") + memory_line(20, "second"))["skipped"], 1);
  EXPECT_EQ(got("00000000-0000-4000-8000-000000000020")["content"], "first");
}

TEST_F(Import, ABadLineIsNamedAndStopsOrNot) {
  const std::string bad[] = {"{\"id\":\"x\"}\n",
                             "not json\n",
                             "[]\n",
                             "{\"content\":\"\xff\"}\n",
                             memory_line(5).substr(0, memory_line(5).size() - 2) + ",\"embedding\":[NaN]}\n",
                             memory_line(5).substr(0, memory_line(5).size() - 2) + ",\"embedding\":[1e39]}\n",
                             memory_line(5).substr(0, memory_line(5).size() - 2) + ",\"confidence\":7}\n"};
  int next = 100;
  for (const std::string& line : bad) {
    const std::string file = write_file("bad.jsonl", memory_line(next) + line + memory_line(next + 1));
    const CommandResult stopped = run({"import", file});
    EXPECT_EQ(stopped.status, 1) << line;
    EXPECT_NE(stopped.err.find(file + ":2: "), std::string::npos) << stopped.err;
    EXPECT_NE(stopped.err.find("stopped after line 1: 1 memory was committed and stay"), std::string::npos);
    EXPECT_TRUE(stopped.out.starts_with("1 memory imported")) << stopped.out;
    const CommandResult continued = run({"import", file, "--on-error", "continue"});
    EXPECT_EQ(continued.status, 1) << line;
    EXPECT_NE(continued.err.find(file + ":2: "), std::string::npos) << continued.err;
    EXPECT_NE(continued.out.find("1 new, 1 replaced, 0 skipped, 1 failed"), std::string::npos) << continued.out;
    next += 2;
  }
  EXPECT_EQ(count(), std::to_string(next - 100) + "\n");
  const CommandResult errors =
      run({"import", "-", "--json", "--on-error", "continue"}, "x\n" + memory_line(1) + "{}\n");
  std::istringstream lines(errors.err);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["error"]["line"], 1);
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line)["error"]["line"], 3);
  EXPECT_EQ(json::parse(line)["error"]["code"], "invalid_argument");
}

// "run it again with --on-conflict skip to go on" stopped at the same line again. Now the user does what is printed.
TEST_F(Import, TheRemedyThatIsPrintedWorks) {
  const std::string file = write_file(
      "bad.jsonl", memory_line(1) + "\n" + memory_line(2) + "bad\n" + memory_line(3) + "{}\n" + memory_line(4));
  const auto advice = [](const CommandResult& result) {
    EXPECT_EQ(result.status, 1);
    return result.err.substr(result.err.rfind("stopped after"));
  };
  EXPECT_EQ(
      advice(run({"import", file})),
      "stopped after line 3: 2 memories were committed and stay; correct line 4 and run it again with --from-line "
      "4, or run it with --from-line 4 --on-error continue to pass over bad lines\n");
  EXPECT_EQ(count(), "2\n");
  const CommandResult rest = run({"import", file, "--from-line", "4", "--on-error", "continue"});
  EXPECT_NE(rest.out.find("2 new, 0 replaced, 0 skipped, 2 failed"), std::string::npos) << rest.out;
  EXPECT_EQ(count(), "4\n");
  // A conflict has its own remedy.
  const std::string conflict = memory_line(8) + memory_line(1, "again");
  EXPECT_NE(advice(run({"import", "-", "--on-conflict", "fail"}, conflict)).find("--from-line 2 --on-conflict replace"),
            std::string::npos);
  EXPECT_EQ(import_json({"--from-line", "2", "--on-conflict", "replace"}, conflict)["replaced"], 1);
  EXPECT_EQ(got("00000000-0000-4000-8000-000000000001")["content"], "again");
  const CommandResult behind = run({"import", file, "--from-line", "9"});
  EXPECT_NE(behind.err.find("has no line 9, it ends after line 7"), std::string::npos) << behind.err;
  EXPECT_EQ(import_json({"--from-line", "2"}, memory_lines(2))["last_line"], 2);
}

// A line without a time became one of 1970, and so did one whose time was in seconds.
TEST_F(Import, AMissingTimeIsThatOfTheImportAndADoubtfulOneIsTold) {
  std::string line = memory_line(1);
  line.erase(line.find("\"created_at\""), std::string("\"created_at\":1700000000000001,").size());
  CommandResult result = run({"import", "-"}, line + line);
  EXPECT_EQ(result.status, 0);
  EXPECT_NE(result.err.find("standard input:1: there is no created_at; the time of this command is taken"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(count_lines(result.err), 1U);
  EXPECT_EQ(ok({"list", "--count", "--since", "5m"}), "1\n");
  const json node = got("00000000-0000-4000-8000-000000000001");
  EXPECT_EQ(node["created_at"], node["accessed_at"]);
  std::string seconds = memory_line(2);
  seconds.replace(seconds.find("1700000000000002"), 16, "1700000000");
  result = run({"import", "-"}, seconds);
  EXPECT_EQ(result.status, 0);
  EXPECT_NE(result.err.find("created_at 1700000000 lies in the first months of 1970"), std::string::npos) << result.err;
  seconds.replace(seconds.find("1700000000"), 10, "253402300800000000");
  EXPECT_NE(run({"import", "-"}, seconds).err.find("beyond the year 9999"), std::string::npos);
  EXPECT_NE(run({"store", "--node", line}).err.find("there is no created_at"), std::string::npos);
}

// Each was "no valid JSON at byte 1", and left an empty store behind.
TEST_F(Import, FilesOfAnotherKindAreNamed) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"\x1F\x8B\x08\0\0\0\0\0"s, "is compressed with gzip; run: gzip -dc"},
      {"PK\x03\x04\0\0\0\0"s, "is a zip archive; run: unzip -p"},
      {"\x28\xB5\x2F\xFD\0\0"s, "compressed with zstd"},
      {"\xFD"
       "7zXZ\0"s,
       "compressed with xz"},
      {"BZh91AY"s, "compressed with bzip2"},
      {"\xFF\xFE{\0\"\0"s, "is UTF-16, not UTF-8; run: iconv -f UTF-16 -t UTF-8"},
      {"\xFE\xFF\0{\0\""s, "is UTF-16"},
      {"\xFF\xFE\0\0{\0\0\0"s, "is UTF-32"},
      {"\0\0\xFE\xFF\0\0\0{"s, "is UTF-32"},
      {"{\0\"\0i\0"s, "is UTF-16"},
      {"\0{\0\"\0i"s, "is UTF-16"},
      {"[" + memory_line(1) + "]", "is a JSON array, not one object a line; run: jq -c '.[]'"},
      {"{\n  \"id\": 1\n}\n", "a JSON object on several lines"},
      {"\xEF\xBB\xBF[]", "is a JSON array"}};
  for (const auto& [bytes, words] : kinds) {
    const std::string file = write_file("other", bytes);
    expect_refused({"import", file}, 1, words);
    EXPECT_FALSE(std::filesystem::exists(store())) << words;
    const CommandResult piped = run({"import", "-", "--on-error", "continue"}, bytes);
    EXPECT_EQ(piped.status, 1) << words;
    EXPECT_NE(piped.err.find(words.substr(0, words.find(';'))), std::string::npos) << piped.err;
    std::filesystem::remove_all(store());
  }
  ok({"import", "-"}, "\xEF\xBB\xBF" + memory_line(1));
}

// From 0.45 on the original keeps its memories elsewhere: what lies in pages.db and *.v1 are old copies.
TEST_F(Import, AStoreThatTheOriginalHasConvertedIsRefused) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory("aaaaaaaa-0000-4000-8000-000000000001", "old"));
  for (const char* name : {"records.db", "records.wal", "pages.db.v1"}) {
    std::filesystem::remove_all(path("old"));
    builder.write(path("old"));
    write_file(std::string("old/") + name, "");
    expect_refused({"import", "--from", "mentedb-rs", "old"}, 1, "was taken over by version 0.45 or later");
    std::filesystem::remove(path("old/pages.db"));
    expect_refused({"import", "--from", "mentedb-rs", "old"}, 1, name);
  }
  EXPECT_FALSE(std::filesystem::exists(store()));
  std::filesystem::remove_all(path("old"));
  builder.write(path("old"));
  write_file("old/LOCK", "");  // versions before had it, too
  ok({"import", "--from", "mentedb-rs", "old"});
}

// The original would take our pages.db for its own old file, and rename it.
TEST_F(Import, NoStoreIsCreatedBesideAnotherProgramsStore) {
  for (const char* name : {"records.db", "records.wal", "LOCK", "pages.db.v1", "wal.log.v1"}) {
    std::filesystem::create_directory(store());
    write_file(std::string("memory/") + name, "theirs");
    for (const Arguments& arguments : std::vector<Arguments>{{"store", "x"}, {"import", "-"}}) {
      const CommandResult result = run(arguments, memory_line(1));
      EXPECT_EQ(result.status, 1) << name;
      EXPECT_NE(result.err.find(std::string("holds ") + name), std::string::npos) << result.err;
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(store()), {}), 1) << name;
    // Half made: a log, which a creation makes first.
    write_file("memory/wal.log", "");
    EXPECT_EQ(run({"store", "x"}).status, 1) << name;
    EXPECT_FALSE(std::filesystem::exists(store() / "pages.db"));
    std::filesystem::remove_all(store());
  }
  // A store of ours beside which such a file comes later stays usable.
  ok({"store", "x"});
  write_file("memory/LOCK", "");
  ok({"store", "y"});
}

TEST_F(Import, UnknownFieldsAreToldOnce) {
  std::string lines;
  for (int i = 1; i <= 3; ++i) lines += R"({"extra":{"a":[1]},)" + memory_line(i).substr(1);
  const CommandResult result = run({"import", "-"}, lines);
  EXPECT_EQ(result.status, 0);
  EXPECT_NE(result.err.find("standard input:1: no memory has a field \"extra\""), std::string::npos) << result.err;
  EXPECT_EQ(count_lines(result.err), 1U);
}

TEST_F(Import, FilesThatCannotBeRead) {
  expect_refused({"import", "missing.jsonl"}, 1, "cannot read missing.jsonl: No such file or directory");
  expect_refused({"import", "."}, 1, ". is a directory; expected a file of JSON lines");
  ok({"store", "x"});
  expect_refused({"import", store().string()}, 1, "--from mentedb-rs");
  expect_refused({"import", "--from", "mentedb-rs", "missing"}, 1, "missing: no store of the original engine");
  expect_refused({"import", "--from", "mentedb-rs", store().string()}, 1, "magic number");
}

// A writer that pauses: what it has written is committed and does not wait for a full batch.
TEST_F(Import, APausingPipeIsCommittedAsItComes) {
  RunningCommand import(command({"import", "-", "--batch", "1000"}), options());
  import.write(memory_lines(5));
  for (int i = 0; i < 200 && run({"list", "--count"}).out != "5\n"; ++i) usleep(20'000);
  EXPECT_EQ(count(), "5\n");
  import.write(memory_line(6));
  import.close_input();
  const CommandResult result = import.wait();
  EXPECT_EQ(result.status, 0);
  EXPECT_TRUE(result.out.starts_with("6 memories imported"));
}

TEST_F(Import, CtrlCEndsItAndSaysWhatIsCommitted) {
  for (int number : {SIGINT, SIGTERM}) {
    std::filesystem::remove_all(store());
    RunningCommand import(command({"import", "-"}), options());
    import.write(memory_lines(7));
    for (int i = 0; i < 200 && run({"list", "--count"}).out != "7\n"; ++i) usleep(20'000);
    import.send_signal(number);
    const CommandResult result = import.wait();
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.err.find("interrupted after line 7: 7 memories were committed and stay"), std::string::npos)
        << result.err;
    EXPECT_TRUE(ok({"verify"}).starts_with("ok"));
    EXPECT_EQ(count(), "7\n");
  }
}

TEST_F(Import, CtrlCInTheMiddleOfAFileKeepsWholeBatches) {
  const std::string file = write_file("many.jsonl", memory_lines(20'000));
  RunningCommand import(command({"import", file, "--batch", "5"}), options());
  for (int i = 0; i < 500 && run({"get", "00000000-0000-4000-8000-000000000100"}).status != 0; ++i) usleep(5'000);
  import.send_signal(SIGINT);
  const CommandResult result = import.wait();
  if (result.status == 0) GTEST_SKIP() << "the import was faster than the signal";
  EXPECT_EQ(result.status, 1);
  const int committed = std::stoi(count());
  EXPECT_EQ(committed % 5, 0);
  std::string told = std::to_string(committed);
  if (told.size() > 3) told.insert(told.size() - 3, ",");
  EXPECT_NE(result.err.find(": " + told + " memories were committed and stay"), std::string::npos)
      << committed << ' ' << result.err;
  const json rest = json::parse(ok({"import", file, "--on-conflict", "skip", "--json"}));
  EXPECT_EQ(rest["skipped"], committed);
  EXPECT_EQ(count(), "20000\n");
}

TEST_F(Import, TheProgressBarIsOnATerminalOnly) {
  const std::string file = write_file("many.jsonl", memory_lines(3000, std::string(200, 'x')));
  CommandOptions terminal = options();
  terminal.stderr_terminal = true;
  terminal.environment["TERM"] = "xterm";
  const CommandResult shown = run_command(command({"import", file, "--batch", "1"}), terminal);
  EXPECT_EQ(shown.status, 0);
  EXPECT_NE(shown.err.find("importing ["), std::string::npos) << shown.err;
  EXPECT_NE(shown.err.find("/s"), std::string::npos);
  EXPECT_NE(shown.err.find(" left"), std::string::npos);
  EXPECT_TRUE(shown.err.ends_with("\r\x1b[K")) << "the bar is removed at the end";
  EXPECT_EQ(run({"import", file}).err, "");
  EXPECT_EQ(run_command(command({"import", file, "--no-progress"}), terminal).err, "");
  EXPECT_EQ(run_command(command({"import", file, "--json"}), terminal).err, "");
}

TEST_F(Import, ImportGoesOnWhenNobodyReadsItsOutput) {
  RunningCommand import(command({"import", "-"}), options(memory_lines(100)));
  import.close_output();
  EXPECT_EQ(import.wait().status, 0);
  EXPECT_EQ(count(), "100\n");
}

TEST_F(Import, ReadsAStoreOfTheOriginalEngineAndLeavesItAsItIs) {
  RsStoreBuilder builder;
  builder.add_page(rs_memory("aaaaaaaa-0000-4000-8000-000000000001", "one"));
  builder.add_free_page(0);
  builder.add_page(rs_memory("bbbbbbbb-0000-4000-8000-000000000002", "damaged"));
  builder.log_write(4, rs_memory("cccccccc-0000-4000-8000-000000000003", "three"));
  builder.pages()[2 * 65'536 + 200] ^= 1;
  builder.write(path("old"));
  const std::string before = read_file(path("old") / "pages.db") + read_file(path("old") / "wal.log");
  std::filesystem::permissions(path("old"), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);

  const CommandResult stopped = run({"import", "--from", "mentedb-rs", path("old").string()});
  EXPECT_EQ(stopped.status, 1);
  EXPECT_NE(stopped.err.find("pages.db, page 3: its checksum"), std::string::npos) << stopped.err;
  const CommandResult result = run({"import", "--from", "mentedb-rs", path("old").string(), "--on-error", "continue"});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.out.find("2 new, 0 replaced, 0 skipped, 1 failed"), std::string::npos) << result.out;
  EXPECT_EQ(got("aaaaaaaa-0000-4000-8000-000000000001")["content"], "one");
  EXPECT_EQ(got("cccccccc-0000-4000-8000-000000000003")["content"], "three");
  std::filesystem::permissions(path("old"), std::filesystem::perms::owner_all);
  EXPECT_EQ(read_file(path("old") / "pages.db") + read_file(path("old") / "wal.log"), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("old")), {}), 2);
}

class Export : public CommandTest {};

TEST_F(Export, GivesBackWhatWasImported) {
  std::string lines;
  for (int i = 1; i <= 50; ++i) lines += memory_line(i, "text " + std::to_string(i) + R"( \u0001\"\\ ü)");
  ok({"import", "-"}, lines);
  const std::string exported = ok({"export"});
  EXPECT_EQ(count_lines(exported), 50U);
  EXPECT_EQ(ok({"export", "-"}), exported);
  const std::string told = ok({"export", "out.jsonl"});
  EXPECT_TRUE(told.starts_with("50 memories exported to out.jsonl in ")) << told;
  EXPECT_EQ(read_file(path("out.jsonl")), exported);
  EXPECT_EQ(json::parse(ok({"export", "out.jsonl", "--json"}))["exported"], 50);
  ok({"--dir", "copy", "import", "out.jsonl"});
  const std::string again = ok({"--dir", "copy", "export"});
  EXPECT_EQ(again, exported);
  std::set<std::string> contents;
  std::istringstream in(exported);
  for (std::string line; std::getline(in, line);) contents.insert(json::parse(line)["content"].get<std::string>());
  EXPECT_EQ(contents.size(), 50U);
  EXPECT_TRUE(contents.contains("text 7 \x01\"\\ \xC3\xBC"));
}

TEST_F(Export, AnEarlierFileStaysWhenTheNewOneFails) {
  ok({"store", "x"});
  write_file("out.jsonl", "earlier\n");
  expect_refused({"export", "missing/out.jsonl"}, 1, "cannot write missing/out.jsonl: No such file or directory");
  expect_refused({"export", "."}, 1, "Is a directory");
  expect_refused({"--dir", "no-store", "export", "out.jsonl"}, 1, "no store in no-store");
  EXPECT_EQ(read_file(path("out.jsonl")), "earlier\n");
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path(""))) files += entry.is_regular_file();
  EXPECT_EQ(files, 1U) << "nothing half written is left";
}

TEST_F(Export, ALinkStaysALink) {
  ok({"store", "x"});
  write_file("target.jsonl", "earlier\n");
  std::filesystem::create_symlink("target.jsonl", path("link.jsonl"));
  ok({"export", "link.jsonl"});
  EXPECT_TRUE(std::filesystem::is_symlink(path("link.jsonl")));
  EXPECT_EQ(count_lines(read_file(path("target.jsonl"))), 1U);
  EXPECT_TRUE(json::accept(read_file(path("target.jsonl"))));
}

TEST_F(Export, AClosedPipeEndsItQuietly) {
  ok({"import", "-"}, memory_lines(3000, std::string(300, 'x')));
  const CommandResult head = run_command(
      {"bash", "-c", std::string("set -o pipefail; '") + MENTEDB_COMMAND + "' export | head -1"}, options());
  EXPECT_EQ(head.status, 0) << head.err;
  EXPECT_EQ(count_lines(head.out), 1U);
  EXPECT_EQ(head.err, "");
  RunningCommand list(command({"list"}), options());
  list.close_output();
  const CommandResult result = list.wait();
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.err, "");
}

TEST_F(Export, AFullDiskIsAnError) {
  ok({"store", "x"});
  const CommandResult full =
      run_command({"bash", "-c", std::string("'") + MENTEDB_COMMAND + "' export > /dev/full"}, options());
  EXPECT_EQ(full.status, 1);
  EXPECT_NE(full.err.find("cannot write standard output: No space left on device"), std::string::npos) << full.err;
  EXPECT_EQ(run({"export", "/dev/full"}).status, 1);
}

}  // namespace
}  // namespace mentedb::test

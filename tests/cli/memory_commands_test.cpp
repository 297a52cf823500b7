// store, get, list, update, delete.
#include <regex>

#include "command_test.hpp"

namespace mentedb::test {
namespace {

using nlohmann::json;

class MemoryCommands : public CommandTest {};

constexpr const char* kAgent = "453589a9-be7a-5d18-adcf-667977564b68";
constexpr const char* kUser = "0a008494-b639-5423-a7ca-88d6a91b0f30";
constexpr const char* kMissing = "00000000-0000-4000-8000-00000000dead";

TEST_F(MemoryCommands, StorePrintsTheIdAndGetShowsTheMemory) {
  const std::string id = stored("User likes dark mode");
  EXPECT_TRUE(std::regex_match(id, std::regex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"))) << id;
  const json node = got(id);
  EXPECT_EQ(node["content"], "User likes dark mode");
  EXPECT_EQ(node["memory_type"], "Semantic");
  EXPECT_FALSE(node.contains("user_id"));
  EXPECT_EQ(ok({"get", "1", "--json"}), ok({"get", id, "--json"}));
  const std::string shown = ok({"get", id});
  EXPECT_NE(shown.find("id          " + id + "\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("page        1\n"), std::string::npos);
  EXPECT_NE(shown.find("user        (shared)\n"), std::string::npos);
  EXPECT_TRUE(shown.ends_with("\n\nUser likes dark mode\n"));
}

TEST_F(MemoryCommands, StoreTakesEveryField) {
  const std::string id = stored("text", {"--type",        "anti-pattern",
                                         "--agent",       kAgent,
                                         "--user",        kUser,
                                         "--space",       kUser,
                                         "--tag",         "a",
                                         "--tag",         "[b]",
                                         "--attribute",   "plain=x=y",
                                         "--attribute",   "n:int=-5",
                                         "--attribute",   "f:float=0.5",
                                         "--attribute",   "t:bool=true",
                                         "--attribute",   "raw:bytes=00ff",
                                         "--attribute",   "odd:key=1",
                                         "--embedding",   "[0.1, -2,3e-2]",
                                         "--context",     "chat",
                                         "--salience",    "0.25",
                                         "--confidence",  "0.75",
                                         "--valid-from",  "2024-05-01",
                                         "--valid-until", "2024-05-01T12:30:00.5+02:00"});
  json node = got(id);
  EXPECT_EQ(node["memory_type"], "AntiPattern");
  EXPECT_EQ(node["agent_id"], kAgent);
  EXPECT_EQ(node["user_id"], kUser);
  EXPECT_EQ(node["space_id"], kUser);
  EXPECT_EQ(node["tags"], json({"a", "[b]"}));
  EXPECT_EQ(node["attributes"], json::parse(R"({"plain":{"String":"x=y"},"n":{"Integer":-5},"f":{"Float":0.5},
      "t":{"Boolean":true},"raw":{"Bytes":[0,255]},"odd:key":{"String":"1"}})"));
  EXPECT_EQ(node["embedding"], json::parse("[0.1,-2.0,0.03]"));
  EXPECT_EQ(node["context"], "chat");
  EXPECT_EQ(node["salience"], 0.25);
  EXPECT_EQ(node["confidence"], 0.75);
  EXPECT_EQ(node["valid_from"], 1'714'521'600'000'000);
  EXPECT_EQ(node["valid_until"], 1'714'559'400'500'000);
  const std::string shown = ok({"get", id});
  EXPECT_NE(shown.find("tags        a, [b]\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("n = -5 (int)\n"), std::string::npos);
  EXPECT_NE(shown.find("raw = 00ff (2 bytes)\n"), std::string::npos);
  EXPECT_NE(shown.find("valid from  2024-05-01 00:00:00Z\n"), std::string::npos);
  EXPECT_NE(shown.find("embedding   3 numbers [0.1, -2, 0.03]\n"), std::string::npos);
}

TEST_F(MemoryCommands, StoreReadsStandardInput) {
  const std::string text = "two\nlines, \xC3\xBC and \"quotes\"";
  const std::string id = ok({"store", "-"}, text + "\n").substr(0, 36);
  EXPECT_EQ(got(id)["content"], text);
  // Nothing on standard input stored an empty memory, without a word.
  for (const char* nothing : {"", "\n", " \t\r\n"}) {
    expect_refused({"store", "-"}, 1, "standard input is empty; nothing was stored", nothing);
    expect_refused({"update", id, "-"}, 1, "standard input is empty", nothing);
  }
  expect_refused({"store", " "}, 1, "the text of the memory is empty");
  EXPECT_EQ(got(id)["content"], text);
  const std::string hyphen = ok({"store", "--", "--not an option"}).substr(0, 36);
  EXPECT_EQ(got(hyphen)["content"], "--not an option");
}

TEST_F(MemoryCommands, StoreTakesAWholeNode) {
  const json printed = json::parse(ok({"store", "--json", "--node", memory_line(7, "seven")}));
  EXPECT_EQ(printed["id"], "00000000-0000-4000-8000-000000000007");
  EXPECT_EQ(printed["page"], 1);
  ok({"store", "--node", "-"}, memory_line(8, "eight"));
  EXPECT_EQ(got("00000000-0000-4000-8000-000000000008")["content"], "eight");
  // the same id: replaced, or refused
  ok({"store", "--node", memory_line(7, "again")});
  EXPECT_EQ(got("00000000-0000-4000-8000-000000000007")["content"], "again");
  expect_refused({"store", "--if-absent", "--node", memory_line(7, "third")}, 1,
                 "00000000-0000-4000-8000-000000000007");
  expect_refused({"store", "x", "--if-absent", "--id", "00000000-0000-4000-8000-000000000007"}, 1, "exists");
  EXPECT_EQ(ok({"list", "--count"}), "2\n");
  const CommandResult unknown = run({"store", "--node", R"({"frob":1,)" + memory_line(9).substr(1)});
  EXPECT_EQ(unknown.status, 0);
  EXPECT_NE(unknown.err.find("\"frob\""), std::string::npos);
}

TEST_F(MemoryCommands, GetTakesSeveralAndSaysWhatIsMissing) {
  const std::string one = stored("one");
  const std::string two = stored("two");
  const CommandResult result = run({"get", one, kMissing, two, "--json"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(count_lines(result.out), 2U);
  EXPECT_EQ(json::parse(result.err)["error"]["code"], "not_found");
  expect_refused({"get", kMissing}, 1, kMissing);
  expect_refused({"get", "999999"}, 1, "999999");
  expect_refused({"get", "0"}, 1, "0");
  expect_refused({"get", "frob"}, 1, "'frob' is neither an id");
  expect_refused({"get", "99999999999999999999999"}, 1, "is neither an id");
}

TEST_F(MemoryCommands, ListFilters) {
  const std::string a = stored("User likes DARK mode", {"--tag", "x", "--tag", "y", "--agent", kAgent});
  const std::string b = stored("the build is dark", {"--tag", "x", "--type", "procedural", "--user", kUser});
  const std::string c = stored("third");
  ok({"store", "--node", memory_line(4, "old")});  // created in 2023
  const auto ids = [&](Arguments arguments) {
    arguments.insert(arguments.begin(), {"list", "--ids"});
    return ok(arguments);
  };
  EXPECT_EQ(count_lines(ids({})), 4U);
  EXPECT_EQ(ids({"--tag", "x"}), b + "\n" + a + "\n");
  EXPECT_EQ(ids({"--tag", "x", "--tag", "y"}), a + "\n");
  EXPECT_EQ(ids({"--agent", kAgent}), a + "\n");
  EXPECT_EQ(ids({"--user", kUser}), b + "\n");
  EXPECT_EQ(ids({"--type", "Procedural"}), b + "\n");
  EXPECT_EQ(ids({"--type", "PROCEDURAL"}), b + "\n");
  EXPECT_EQ(ids({"--contains", "dark M"}), a + "\n");
  EXPECT_EQ(ids({"--contains", "dark"}), b + "\n" + a + "\n");
  EXPECT_EQ(count_lines(ids({"--since", "1h"})), 3U);
  EXPECT_EQ(count_lines(ids({"--since", "1970-01-01"})), 4U);
  EXPECT_EQ(count_lines(ids({"--limit", "2"})), 2U);
  EXPECT_EQ(ids({"--limit", "0"}), "");
  EXPECT_EQ(ids({"--tag", "x", "--contains", "third"}), "");
  EXPECT_EQ(ok({"list", "--count", "--tag", "x"}), "2\n");
  EXPECT_EQ(json::parse(ok({"list", "--count", "--json"})), json({{"count", 4}}));
  const CommandResult nothing = run({"list", "--tag", "none"});
  EXPECT_EQ(nothing.status, 0);
  EXPECT_NE(nothing.err.find("no memory"), std::string::npos);
  expect_refused({"list", "--agent", "me"}, 1, "--agent: \"me\" is no UUID");
  expect_refused({"list", "--type", "fact"}, 1, "--type");
  expect_refused({"list", "--since", "yesterday"}, 1, "--since: 'yesterday' is no time");
}

// `list --user "$UNSET"` listed the memories of all users, and an empty FILE or --id was taken for none.
TEST_F(MemoryCommands, AnEmptyValueIsRefusedWhereverItStands) {
  const std::string id = stored("text", {"--user", kUser});
  const std::vector<Arguments> commands = {{"list", "--user", ""},
                                           {"list", "--agent", ""},
                                           {"list", "--type", ""},
                                           {"list", "--since", ""},
                                           {"list", "--contains", ""},
                                           {"list", "--tag", ""},
                                           {"list", "--limit", ""},
                                           {"list", "--order", ""},
                                           {"store", ""},
                                           {"store", "x", "--id", ""},
                                           {"store", "--node", ""},
                                           {"store", "x", "--tag", ""},
                                           {"store", "x", "--user", ""},
                                           {"update", id, ""},
                                           {"update", id, "--tag", ""},
                                           {"update", id, "--context", ""},
                                           {"update", id, "--embedding", ""},
                                           {"update", id, "--remove-tag", ""},
                                           {"get", ""},
                                           {"delete", ""},
                                           {"export", ""},
                                           {"import", ""},
                                           {"backup", ""},
                                           {"restore", ""},
                                           {"salvage", ""},
                                           {"watch", "--since", ""},
                                           {"stats", "--dir", ""},
                                           {"help", ""}};
  for (const Arguments& arguments : commands) expect_refused(arguments, 2, "is a variable unset?");
  for (const Arguments& arguments : commands) {  // --user= is the same, with and without a word behind it
    const std::string& option = arguments[arguments.size() - 2];
    if (!option.starts_with("--")) continue;
    Arguments joined(arguments.begin(), arguments.end() - 2);
    joined.push_back(option + "=");
    expect_refused(joined, 2, "is a variable unset?");
    joined.push_back("--json");
    EXPECT_EQ(run(joined).status, 2) << option;
  }
  // Without quotes the shell leaves nothing of the value, and the next option would be the value.
  expect_refused({"list", "--contains", "--count"}, 2, "--contains needs a value before --count");
  EXPECT_EQ(ok({"list", "--contains=--count", "--count"}), "0\n");
  EXPECT_EQ(got(id)["content"], "text");
  EXPECT_EQ(ok({"list", "--count"}), "1\n");
}

// "ÄÖÜ" was not found by "äöü", although the help said that upper and lower case are the same.
TEST_F(MemoryCommands, ListContainsFoldsTheCaseOfEveryScript) {
  stored(
      "\xC3\x84\xC3\x96\xC3\x9C und Stra\xC3\x9F"
      "e");                                    // AE OE UE und Strasse, with umlauts and sharp s
  stored("\xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3");  // Greek capitals with a final sigma
  const auto count = [&](const std::string& text) { return ok({"list", "--count", "--contains", text}); };
  EXPECT_EQ(count("\xC3\xA4\xC3\xB6\xC3\xBC"), "1\n");
  EXPECT_EQ(count("a\xCC\x88"), "1\n") << "a letter and an accent are the letter with the accent";
  EXPECT_EQ(count("STRASSE"), "1\n");
  EXPECT_EQ(count("\xCE\xBF\xCE\xB4\xCE\xBF\xCF\x82"), "1\n");
  EXPECT_EQ(count("\xC3\xA4x"), "0\n");
  expect_refused({"list", "--contains", "\xFF"}, 1, "--contains: ");
  expect_refused({"list", "--contains", "\xC2\xAD"}, 1, "no character that can be seen");  // a soft hyphen
}

// The order was that of the pages: it changed with every update and restore, and --limit kept arbitrary memories.
TEST_F(MemoryCommands, ListHasAnOrder) {
  ok({"import", "-"}, memory_line(3) + memory_line(1) + memory_line(2));
  const auto id = [](int number) { return "00000000-0000-4000-8000-00000000000" + std::to_string(number); };
  const auto order = [&](const Arguments& more) {
    Arguments arguments = {"list", "--ids"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::istringstream lines(ok(arguments));
    std::string digits;
    for (std::string line; std::getline(lines, line);) digits += line.back();
    return digits;
  };
  EXPECT_EQ(order({}), "321");
  EXPECT_EQ(order({"--order", "newest"}), "321");
  EXPECT_EQ(order({"--order", "oldest"}), "123");
  EXPECT_EQ(order({"--limit", "2"}), "32");
  EXPECT_EQ(order({"--order", "oldest", "--limit", "1"}), "1");
  EXPECT_EQ(order({"--limit", "18446744073709551615"}), "321");
  ok({"update", id(1), std::string(5'000, 'x')});  // moves to other pages
  ok({"update", id(3), "short"});
  EXPECT_EQ(order({}), "321");
  ok({"backup", "copy"});
  EXPECT_EQ(order({"--dir", "copy"}), "321");
  // The same time of creation: the ids decide, the same way in both orders.
  std::string same = memory_line(7) + memory_line(6) + memory_line(5);
  for (const char* digit : {"7", "6", "5"}) {
    const std::string time = std::string("170000000000000") + digit;
    same.replace(same.find(time), time.size(), "1800000000000000");
  }
  ok({"import", "-"}, same);
  EXPECT_EQ(order({}), "567321");
  EXPECT_EQ(order({"--order", "oldest"}), "123567");
  EXPECT_EQ(json::parse(ok({"list", "--limit", "1", "--json"}))["id"], id(5));
  // More than the list keeps at once.
  std::string many;
  for (int i = 0; i < 3'000; ++i) many += memory_line(100'000 + (i * 7'919) % 3'000);
  ok({"import", "-"}, many);
  EXPECT_EQ(ok({"list", "--ids", "--order", "oldest", "--limit", "3"}), id(1) + "\n" + id(2) + "\n" + id(3) + "\n");
  EXPECT_EQ(ok({"list", "--ids", "--limit", "4"}).substr(3 * 37), "00000000-0000-4000-8000-000000102999\n");
}

// Whoever sees nothing but "cannot write" stores the memory a second time.
TEST_F(MemoryCommands, WhenTheOutputIsLostItSaysWhatWasDone) {
  const auto lost = [&](const std::string& words) {
    const CommandResult result =
        run_command({"bash", "-c", std::string("'") + MENTEDB_COMMAND + "' " + words + " > /dev/full"}, options());
    EXPECT_EQ(result.status, 1) << words;
    EXPECT_NE(result.err.find("cannot write standard output: No space left on device"), std::string::npos);
    return result.err;
  };
  const std::string stored_error = lost("store x");
  const std::string id = ok({"list", "--ids"}).substr(0, 36);
  EXPECT_NE(stored_error.find("memory " + id + " is stored"), std::string::npos) << stored_error;
  EXPECT_NE(lost("update " + id + " y").find("memory " + id + " is updated"), std::string::npos);
  EXPECT_NE(lost("backup copy").find("backed up"), std::string::npos);
  EXPECT_NE(lost("salvage saved").find("1 memory saved to saved, 0 lost"), std::string::npos);
  EXPECT_NE(lost("--dir back restore copy").find("restored copy to back"), std::string::npos);
  EXPECT_NE(lost("checkpoint").find("checkpoint done"), std::string::npos);
  EXPECT_NE(lost("recover").find("nothing to recover"), std::string::npos);
  EXPECT_NE(lost("export out.jsonl").find("1 memory exported to out.jsonl"), std::string::npos);
  EXPECT_NE(lost("import out.jsonl").find("0 new, 1 replaced"), std::string::npos);
  const json error = json::parse(lost("delete " + id + " --json"))["error"];
  EXPECT_EQ(error["done"]["deleted"], json::array({id}));
  EXPECT_EQ(ok({"list", "--count"}), "0\n");
}

TEST_F(MemoryCommands, ListPrintsOneLineAMemoryAndNoControlCharacters) {
  const std::string id = ok({"store", "-"}, "first\n  second\x1b[31m red\x07").substr(0, 36);
  const std::string line = ok({"list"});
  EXPECT_EQ(count_lines(line), 1U);
  EXPECT_TRUE(line.starts_with(id + "  Semantic     20"));
  EXPECT_TRUE(line.ends_with("  first second\xEF\xBF\xBD[31m red\xEF\xBF\xBD\n")) << line;
  EXPECT_EQ(ok({"get", id}).find('\x1b'), std::string::npos);
  const json row = json::parse(ok({"list", "--json"}));
  EXPECT_EQ(row["content"], "first\n  second\x1b[31m red\x07");
  EXPECT_EQ(row["page"], 1);
}

TEST_F(MemoryCommands, UpdateChangesOnlyWhatIsGiven) {
  const std::string id = stored("text", {"--tag", "a", "--tag", "b", "--attribute", "k=v", "--attribute", "n:int=1",
                                         "--embedding", "[1]", "--context", "chat", "--user", kUser});
  const json before = got(id);
  const auto expect_only = [&](const Arguments& arguments, const json& changed) {
    Arguments all = {"update", id};
    all.insert(all.end(), arguments.begin(), arguments.end());
    json expected = got(id);
    expected.update(changed);
    for (auto member = expected.begin(); member != expected.end();) {
      member = member->is_null() ? expected.erase(member) : std::next(member);
    }
    EXPECT_EQ(ok(all), "updated " + id + "\n");
    EXPECT_EQ(got(id), expected) << arguments.front();
  };
  expect_only({"new text"}, {{"content", "new text"}});
  expect_only({"--confidence", "0.5"}, {{"confidence", 0.5}});
  expect_only({"--type", "reasoning"}, {{"memory_type", "Reasoning"}});
  expect_only({"--add-tag", "c", "--add-tag", "a", "--remove-tag", "b"}, {{"tags", {"a", "c"}}});
  expect_only({"--tag", "z"}, {{"tags", json::array({"z"})}});
  expect_only({"--attribute", "n:int=2", "--remove-attribute", "k"}, {{"attributes", {{"n", {{"Integer", 2}}}}}});
  expect_only({"--clear", "context"}, {{"context", nullptr}});
  expect_only({"--clear", "user", "--clear", "embedding", "--clear", "tags", "--tag", "new"},
              {{"user_id", nullptr}, {"embedding", json::array()}, {"tags", json::array({"new"})}});
  expect_only({"--valid-until", "@5"}, {{"valid_until", 5'000'000}});
  expect_only({"--clear", "valid-until"}, {{"valid_until", nullptr}});
  ok({"update", id, "-"}, "from standard input\n");
  EXPECT_EQ(got(id)["content"], "from standard input");
  EXPECT_EQ(got(id)["created_at"], before["created_at"]);
  const json printed = json::parse(ok({"update", id, "--salience", "2", "--json"}));
  EXPECT_EQ(printed["id"], id);
  EXPECT_EQ(ok({"get", std::to_string(printed["page"].get<int>()), "--json"}), ok({"get", id, "--json"}));

  expect_refused({"update", kMissing, "text"}, 1, kMissing);
  expect_refused({"update", id, "--confidence", "2"}, 1, "confidence is 2; it must lie between 0 and 1");
  expect_refused({"update", id, "--clear", "content"}, 2, "--clear");
  expect_refused({"update", "1", "text"}, 1, "no UUID");
}

TEST_F(MemoryCommands, DeleteIsAllOrNothing) {
  const std::string one = stored("one");
  const std::string two = stored("two");
  const std::string three = stored("three");
  expect_refused({"delete", one, kMissing, two}, 1, "nothing was deleted");
  EXPECT_EQ(ok({"list", "--count"}), "3\n");
  EXPECT_EQ(ok({"delete", one, kMissing, two, "--ignore-missing"}), "deleted " + one + "\ndeleted " + two + "\n");
  expect_refused({"get", one}, 1, one);
  EXPECT_EQ(json::parse(ok({"delete", three, "--json"})), json({{"deleted", {three}}}));
  EXPECT_EQ(ok({"list", "--count"}), "0\n");
  expect_refused({"delete", three}, 1, three);
}

TEST_F(MemoryCommands, BadFieldsAreRefusedBeforeAStoreIsCreated) {
  expect_refused({"store", "x", "--embedding", "[0.1, nan]"}, 1, "embedding[1] is nan");
  expect_refused({"store", "x", "--embedding", "[inf]"}, 1, "embedding[0] is inf");
  expect_refused({"store", "x", "--embedding", "[1e40]"}, 1, "embedding[0]: 1e40 is out of the range");
  expect_refused({"store", "x", "--embedding", "[1, two]"}, 1, "embedding[1]: 'two' is no number");
  expect_refused({"store", "x", "--embedding", "[1"}, 1, "bracket");
  expect_refused({"store", "x", "--confidence", "1.5"}, 1, "confidence is 1.5");
  expect_refused({"store", "\xff\xfe"}, 1, "content is not valid UTF-8");
  expect_refused({"store", "-"}, 1, "content is not valid UTF-8", "\xC0\x80");
  expect_refused({"store", "x", "--tag", "\xff"}, 1, "tags[0] is not valid UTF-8");
  expect_refused({"store", "x", "--agent", "me"}, 1, "--agent: \"me\" is no UUID");
  expect_refused({"store", "x", "--id", "7"}, 1, "no UUID");
  expect_refused({"store", "x", "--type", "fact"}, 1, "no memory type; expected Episodic");
  expect_refused({"store", "x", "--salience=-1e30"}, 1, "salience is -1e+30; it must lie between 0 and 1000000");
  expect_refused({"store", "x", "--valid-from", "2024-05-02", "--valid-until", "2024-05-01"}, 1,
                 "valid_until lies before valid_from");
  expect_refused({"store", "x", "--valid-until", "2h"}, 1, "write +2h");
  expect_refused({"store", "x", "--valid-from", "1714570200"}, 1, "write @1714570200 for seconds since 1970");
  expect_refused({"store", "x", "--attribute", "k=1", "--attribute", "k:int=2"}, 1, "'k' is given twice");
  expect_refused({"store", "x", "--attribute", "novalue"}, 1, "'novalue' is no attribute");
  expect_refused({"store", "x", "--attribute", "n:int=1.5"}, 1, "'1.5' is no 64-bit integer");
  expect_refused({"store", "x", "--attribute", "n:bool=yes"}, 1, "write true or false");
  expect_refused({"store", "x", "--attribute", "n:float=nan"}, 1, "'nan' is no finite number");
  expect_refused({"store", "x", "--attribute", "n:bytes=0"}, 1, "hexadecimal");
  expect_refused({"store", "x", "--valid-from", "2024-02-30"}, 1, "'2024-02-30' is no time");
  expect_refused({"store", "--node", "{"}, 1, "no valid JSON");
  expect_refused({"store", "--node", "{\"id\":5}"}, 1, "id: expected a string");
  expect_refused({"store", "x", "--page-size", "1000"}, 1, "1000");
  expect_refused({"store", "--node", "-"}, 1, "no memory", "null");
  EXPECT_FALSE(std::filesystem::exists(store() / "wal.log"));
}

TEST_F(MemoryCommands, TheLimitIsNamed) {
  const std::string too_long(17 << 20, 'x');
  expect_refused({"store", "-"}, 1, "the limit is 16777216", too_long);
  const std::string id = ok({"store", "-"}, too_long.substr(0, 16 << 20)).substr(0, 36);
  EXPECT_EQ(got(id)["content"].get<std::string>().size(), std::size_t{16} << 20);
}

}  // namespace
}  // namespace mentedb::test

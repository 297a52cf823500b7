// Each pair of options of each command works, or is refused with a sentence: no option is passed over in silence, and
// with --json standard output is JSON.
#include <map>
#include <regex>
#include <set>

#include "command_test.hpp"

namespace mentedb::test {
namespace {

using nlohmann::json;

constexpr const char* kId = "00000000-0000-4000-8000-000000000001";

class OptionPairs : public CommandTest {
 protected:
  void SetUp() override { ok({"import", "-"}, memory_lines(3)); }

  /// An option with a value that the store of these tests takes. A new option needs its line here.
  Arguments with_value(const std::string& command, const std::string& option) const {
    static const std::map<std::string, std::string> kValues = {{"--type", "Episodic"},
                                                               {"--agent", kId},
                                                               {"--user", kId},
                                                               {"--space", kId},
                                                               {"--tag", "t"},
                                                               {"--attribute", "k=v"},
                                                               {"--embedding", "[1]"},
                                                               {"--context", "c"},
                                                               {"--salience", "2"},
                                                               {"--confidence", "0.5"},
                                                               {"--valid-from", "@1"},
                                                               {"--valid-until", "@2"},
                                                               {"--id", kId},
                                                               {"--page-size", "1024"},
                                                               {"--add-tag", "a"},
                                                               {"--remove-tag", "r"},
                                                               {"--remove-attribute", "n"},
                                                               {"--clear", "space"},
                                                               {"--since", "@1"},
                                                               {"--contains", "e"},
                                                               {"--order", "oldest"},
                                                               {"--limit", "2"},
                                                               {"--from", "json"},
                                                               {"--on-conflict", "skip"},
                                                               {"--on-error", "continue"},
                                                               {"--from-line", "2"},
                                                               {"--batch", "2"},
                                                               {"--interval", "0.05"},
                                                               {"--count", "1"},
                                                               {"--timeout", "0.01"},
                                                               {"--lock-timeout", "5"},
                                                               {"--dir", "memory"}};
    if (command == "watch" && option == "--since") return {option, "0"};
    if (command == "list" && option == "--count") return {option};
    if (option == "--node") return {option, memory_line(1)};
    const auto value = kValues.find(option);
    return value == kValues.end() ? Arguments{option} : Arguments{option, value->second};
  }

  Arguments operands(const std::string& command) const {
    static const std::map<std::string, Arguments> kOperands = {
        {"store", {"text"}},   {"get", {kId}},           {"update", {kId}}, {"delete", {kId, "--ignore-missing"}},
        {"import", {"in"}},    {"export", {}},           {"page", {"1"}},   {"backup", {"copy"}},
        {"restore", {"copy"}}, {"salvage", {"rescued"}}, {"help", {"list"}}};
    const auto found = kOperands.find(command);
    return found == kOperands.end() ? Arguments{} : found->second;
  }

  std::set<std::string> options_of(const std::string& command) const {
    const std::string help = ok({command, "--help"});
    std::set<std::string> found;
    const std::regex option("(?:^|\n) +(?:-[a-z],)?(--[a-z-]+)");
    for (std::sregex_iterator match(help.begin(), help.end(), option), end; match != end; ++match) {
      if ((*match)[1] != "--help" && (*match)[1] != "--watch") found.insert((*match)[1]);  // --watch has no end
    }
    return found;
  }
};

TEST_F(OptionPairs, EachWorksOrIsRefused) {
  write_file("in", memory_lines(3));
  const std::vector<std::string> commands = {"store",  "get",        "list",          "update",  "delete",  "import",
                                             "export", "stats",      "verify",        "watch",   "page",    "log",
                                             "backup", "checkpoint", "erase-deleted", "recover", "salvage", "version"};
  std::size_t pairs = 0;
  for (const std::string& command : commands) {
    const std::set<std::string> all = options_of(command);
    for (auto first = all.begin(); first != all.end(); ++first) {
      for (auto second = std::next(first); second != all.end(); ++second) {
        Arguments arguments = {command};
        for (const Arguments& more : {operands(command), with_value(command, *first), with_value(command, *second)}) {
          arguments.insert(arguments.end(), more.begin(), more.end());
        }
        if (command == "watch" && *first != "--timeout" && *second != "--timeout") {
          arguments.insert(arguments.end(), {"--timeout", "0.01"});
        }
        std::filesystem::remove_all(path("copy"));
        std::filesystem::remove_all(path("rescued"));
        const CommandResult result = run(arguments);
        const std::string told = command + " " + *first + " " + *second + ": " + result.err;
        ++pairs;
        const bool exists = command == "store" && result.err.find("exists already") != std::string::npos;
        ASSERT_TRUE(result.status == 0 || result.status == 2 || exists) << told << " signal " << result.signal;
        if (result.status != 0) {
          EXPECT_EQ(result.out, "") << told;
          EXPECT_NE(result.err, "") << told;
        } else if (*first == "--json" || *second == "--json") {
          std::istringstream lines(result.out);
          for (std::string line; std::getline(lines, line);) EXPECT_TRUE(json::accept(line)) << told << line;
          if (command != "watch") {  // which tells about changes that are no longer on record
            EXPECT_EQ(result.err, "") << told;
          }
        }
      }
    }
  }
  EXPECT_GT(pairs, 500U);
}

// Found by going through the pairs: each of these was answered as if the one option were not there.
TEST_F(OptionPairs, NoneIsPassedOver) {
  std::istringstream ids(ok({"list", "--json", "--ids"}));
  for (std::string line; std::getline(ids, line);) EXPECT_EQ(json::parse(line).size(), 1U) << line;
  EXPECT_EQ(ok({"list", "--limit", "2", "--count"}), "2\n");
  const json log = json::parse(ok({"log", "--json", "--batches"}));
  EXPECT_FALSE(log["batches"].empty());
  for (const json& batch : log["batches"]) EXPECT_FALSE(batch.contains("operations"));
  expect_refused({"stats", "--interval", "5"}, 2, "--interval requires --watch");
  expect_refused({"list", "--ids", "--count"}, 2, "excludes");
  expect_refused({"update", kId, "--add-tag", "a", "--remove-tag", "a"}, 2, "the tag 'a' is added and removed");
  expect_refused({"update", kId, "--tag", "a", "--remove-tag", "a"}, 2, "the tag 'a' is added and removed");
  expect_refused({"update", kId, "--attribute", "k:int=1", "--remove-attribute", "k"}, 2, "is set and removed");
  expect_refused({"import", "x", "--from", "mentedb-rs", "--from-line", "2"}, 2, "--from-line is for JSON lines");
  ok({"backup", "copy"});
  ok({"--dir", "back", "restore", "copy", "--lock-timeout", "1", "--single-process"});
  EXPECT_EQ(ok({"--dir", "back", "list", "--count"}), "3\n");
}

}  // namespace
}  // namespace mentedb::test

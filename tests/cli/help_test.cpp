// Help, completion and man page: every command and every option is told in all three.
#include <regex>
#include <set>

#include "command_test.hpp"

namespace mentedb::test {
namespace {

const std::vector<std::string> kCommands = {
    "store",         "get",     "list",   "update",  "delete",  "import", "export", "stats", "verify", "checkpoint",
    "erase-deleted", "recover", "backup", "restore", "salvage", "watch",  "page",   "log",   "help",   "version"};

class Help : public CommandTest {
 protected:
  /// The long options that a command's help tells.
  std::set<std::string> options_of(const std::string& command) const {
    const std::string help = ok(command.empty() ? Arguments{"--help"} : Arguments{command, "--help"});
    std::set<std::string> found;
    const std::regex option("(?:^|\n) +(?:-[a-z],)?(--[a-z-]+)");
    for (std::sregex_iterator match(help.begin(), help.end(), option), end; match != end; ++match) {
      found.insert((*match)[1]);
    }
    return found;
  }
};

TEST_F(Help, EveryCommandTellsItsUsage) {
  const std::string overview = ok({"--help"});
  EXPECT_EQ(overview, ok({"-h"}));
  EXPECT_EQ(overview, ok({"help"}));
  for (const std::string& command : kCommands) {
    EXPECT_NE(overview.find("\n  " + command + " "), std::string::npos) << command;
    const std::string help = ok({command, "--help"});
    EXPECT_NE(help.find("Usage: mentedb " + command), std::string::npos) << help;
    EXPECT_EQ(help, ok({"help", command}));
    EXPECT_NE(help.find("--json"), std::string::npos);
    EXPECT_NE(help.find("--dir"), std::string::npos);
    EXPECT_EQ(help.find("\n\n\n"), std::string::npos);
  }
  EXPECT_FALSE(std::filesystem::exists(store()));
}

TEST_F(Help, CompletionKnowsEveryCommandAndOption) {
  const std::string script = std::string(MENTEDB_SOURCE_DIRECTORY) + "/cli/completion/mentedb.bash";
  const auto complete = [&](const std::string& words) {
    const CommandResult result =
        run_command({"bash", "-c",
                     "source '" + script + "'; COMP_WORDS=(" + words +
                         "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _mentedb; printf '%s\\n' \"${COMPREPLY[@]}\""},
                    options());
    EXPECT_EQ(result.err, "");
    std::istringstream lines(result.out);
    std::set<std::string> replies;
    for (std::string line; std::getline(lines, line);) replies.insert(line);
    return replies;
  };
  EXPECT_EQ(complete("mentedb ''"), std::set<std::string>(kCommands.begin(), kCommands.end()));
  EXPECT_EQ(complete("mentedb im"), std::set<std::string>{"import"});
  EXPECT_EQ(complete("mentedb --dir x ver"), (std::set<std::string>{"verify", "version"}));
  EXPECT_EQ(complete("mentedb import --on-conflict s"), std::set<std::string>{"skip"});
  EXPECT_EQ(complete("mentedb --"), options_of(""));
  for (const std::string& command : kCommands) {
    EXPECT_EQ(complete("mentedb " + command + " --"), options_of(command)) << command;
  }
}

TEST_F(Help, TheManPageTellsEveryCommandAndOption) {
  std::string page = read_file(std::string(MENTEDB_SOURCE_DIRECTORY) + "/cli/man/mentedb.1");
  std::erase(page, '\\');
  for (const std::string& command : kCommands) {
    EXPECT_TRUE(std::regex_search(page, std::regex("\n\\.BR? " + command + "( |\n)"))) << command;
    for (const std::string& option : options_of(command)) {
      EXPECT_NE(page.find(option), std::string::npos) << command << ' ' << option;
    }
  }
}

TEST_F(Help, TheManPageHasNoMistakes) {
  const std::string page = std::string(MENTEDB_SOURCE_DIRECTORY) + "/cli/man/mentedb.1";
  CommandResult result = run_command({"groff", "-man", "-Tutf8", "-ww", "-z", page}, options());
  if (result.status == 127) GTEST_SKIP() << "groff is not installed";
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.err, "");
  result = run_command({"man", "--warnings", "-l", page}, options());
  if (result.status == 127) GTEST_SKIP() << "man is not installed";
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.err, "");
}

TEST_F(Help, VersionIsTheSameEverywhere) {
  const std::string version = ok({"version"});
  EXPECT_TRUE(std::regex_match(version, std::regex("mentedb [0-9]+\\.[0-9]+\\.[0-9]+\n")));
  EXPECT_EQ(ok({"--version"}), version);
  EXPECT_EQ("mentedb " + nlohmann::json::parse(ok({"version", "--json"}))["version"].get<std::string>() + "\n",
            version);
}

TEST_F(Help, MistakesInTheCommandLineAreExplained) {
  expect_refused({"improt"}, 2, "there is no command 'improt'; did you mean 'import'?");
  expect_refused({"help", "lsit"}, 2, "there is no command 'lsit'; did you mean 'list'?");
  expect_refused({"list", "--limit", "2", "--limit", "3"}, 2, "--limit is given more than once");
  expect_refused({"xyzzy"}, 2, "there is no command 'xyzzy'\n");
  expect_refused({"list", "--tga", "x"}, 2, "'list' has no option '--tga'; did you mean '--tag'?");
  expect_refused({"list", "--tga", "x"}, 2, "Try 'mentedb list --help'.");
  expect_refused({"list", "extra"}, 2, "'list' does not take the argument 'extra'");
  expect_refused({"store", "two", "words"}, 2, "quote a text that has spaces");
  expect_refused({"get"}, 2, "'get' needs ID|PAGE");
  expect_refused({"import"}, 2, "'import' needs FILE|-");
  expect_refused({"list", "--limit"}, 2, "--limit needs a value");
  expect_refused({"list", "--limit", "many"}, 2, "--limit: 'many' is no whole number");
  expect_refused({"list", "--limit", "-1"}, 2, "--limit: '-1' is no whole number");
  expect_refused({"import", "f", "--on-error", "ignore"}, 2, "--on-error: ignore not in {stop,continue}");
  expect_refused({"import", "f", "--batch", "0"}, 2, "--batch");
  expect_refused({"list", "--dir", ""}, 2, "--dir: the value is empty");
  expect_refused({"--frob"}, 2, "no option '--frob'");
  expect_refused({"update", "00000000-0000-4000-8000-000000000001"}, 2, "nothing to change");
  expect_refused({"store"}, 2, "give the text of the memory");
  expect_refused({"store", "text", "--node", "{}"}, 2, "--node holds the whole memory");
  expect_refused({}, 2, "no command given");
  const CommandResult json = run({"--json", "list", "--tga"});
  EXPECT_EQ(json.status, 2);
  EXPECT_EQ(nlohmann::json::parse(json.err)["error"]["code"], "usage");
  EXPECT_FALSE(std::filesystem::exists(store()));
}

}  // namespace
}  // namespace mentedb::test

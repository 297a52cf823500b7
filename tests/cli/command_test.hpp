// What the tests of the command share: a directory of their own, and a short way to run the program.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/run_command.hpp"
#include "support/temp_directory.hpp"

namespace mentedb::test {

class CommandTest : public testing::Test {
 protected:
  using Arguments = std::vector<std::string>;

  /// The options that every run gets: the store is `store()`, times are UTC.
  [[nodiscard]] CommandOptions options(std::string input = {}) const {
    CommandOptions options;
    options.input = std::move(input);
    options.environment = {{"MENTEDB_DIR", store().string()}, {"TZ", "UTC"}};
    options.directory = directory_.path();
    return options;
  }

  static Arguments command(const Arguments& arguments) {
    Arguments all = {MENTEDB_COMMAND};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

  [[nodiscard]] CommandResult run(const Arguments& arguments, const std::string& input = {}) const {
    return run_command(command(arguments), options(input));
  }

  /// Runs it, expects success and returns standard output.
  std::string ok(const Arguments& arguments, const std::string& input = {}) const {
    const CommandResult result = run(arguments, input);
    EXPECT_EQ(result.status, 0) << arguments.front() << ": " << result.err << " signal " << result.signal;
    return result.out;
  }

  /// Runs it, expects this exit status and these words on standard error, and nothing on standard output.
  void expect_refused(const Arguments& arguments, int status, std::string_view words,
                      const std::string& input = {}) const {
    const CommandResult result = run(arguments, input);
    EXPECT_EQ(result.status, status) << arguments.front() << " signal " << result.signal;
    EXPECT_NE(result.err.find(words), std::string::npos) << result.err;
    EXPECT_TRUE(result.err.starts_with("mentedb: ")) << result.err;
    EXPECT_EQ(result.out, "");
  }

  /// Stores a memory and returns its id.
  std::string stored(const std::string& content, const Arguments& more = {}) const {
    Arguments arguments = {"store", content};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::string id = ok(arguments);
    if (!id.empty()) id.pop_back();
    return id;
  }

  [[nodiscard]] nlohmann::json got(const std::string& id) const {
    return nlohmann::json::parse(ok({"get", id, "--json"}));
  }

  std::string write_file(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
    return (directory_ / name).string();
  }

  static std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  [[nodiscard]] std::filesystem::path store() const { return directory_ / "memory"; }
  [[nodiscard]] std::filesystem::path path(const std::string& name) const { return directory_ / name; }

 private:
  TempDirectory directory_;
};

/// A JSON line with the id whose last digits are `number`, created that many microseconds after 2023-11-14T22:13:20Z.
inline std::string memory_line(int number, const std::string& content = "text") {
  const std::string digits = std::to_string(number);
  return R"({"id":"00000000-0000-4000-8000-)" + std::string(12 - digits.size(), '0') + digits +
         R"(","agent_id":"10000000-0000-4000-8000-000000000000","memory_type":"Episodic","created_at":)" +
         std::to_string(1'700'000'000'000'000 + number) + R"(,"content":")" + content + "\"}\n";
}

inline std::string memory_lines(int count, const std::string& content = "text") {
  std::string lines;
  for (int i = 1; i <= count; ++i) lines += memory_line(i, content);
  return lines;
}

inline std::size_t count_lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace mentedb::test

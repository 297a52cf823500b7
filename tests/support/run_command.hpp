// Runs a program and looks at what it prints and how it ends.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mentedb::test {

struct CommandOptions {
  std::string input;                               ///< for standard input, which is closed after it
  std::map<std::string, std::string> environment;  ///< added to the test's own
  std::filesystem::path directory;                 ///< to run in
  std::optional<uid_t> user;                       ///< to run as; the test must run as root
  bool stderr_terminal = false;                    ///< standard error is a terminal of 100 columns
  std::chrono::seconds timeout{60};                ///< then it is killed
};

struct CommandResult {
  int status = -1;  ///< exit status, or -1 when a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
  bool timed_out = false;
};

/// A program that runs beside the test.
class RunningCommand {
 public:
  RunningCommand(const std::vector<std::string>& arguments, const CommandOptions& options = {});
  ~RunningCommand();  ///< kills it when it still runs
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void send_signal(int number) const;
  /// Writes to its standard input, which stays open until `close_input` or `wait`; only without `options.input`.
  void write(const std::string& text) const;
  void close_input();
  /// Closes the reading end of its standard output.
  void close_output();
  /// Reads until its standard output contains `text` or the timeout is over.
  bool wait_for_output(const std::string& text, std::chrono::milliseconds timeout);
  /// Reads everything and waits for the end.
  CommandResult wait();

 private:
  void read_some(std::chrono::milliseconds timeout);

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  int error_ = -1;
  std::chrono::steady_clock::time_point deadline_;
  CommandResult result_;
};

CommandResult run_command(const std::vector<std::string>& arguments, const CommandOptions& options = {});

}  // namespace mentedb::test

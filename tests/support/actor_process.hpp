// A second process for a test: started by fork and exec, spoken to in lines over pipes, stopped and killed at will.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace mentedb::test {

class ActorProcess {
 public:
  struct Setup {
    std::vector<std::string> wrapper;             ///< a command that runs the program, e.g. strace and its options
    std::optional<std::filesystem::path> output;  ///< appended to instead of the pipe: nobody needs to drain it
    uid_t uid = 0;                                ///< other than 0: drop to this user
  };

  /// Throws std::system_error when the process cannot be made.
  static ActorProcess spawn(const std::vector<std::string>& command, const Setup& setup);
  static ActorProcess spawn(const std::vector<std::string>& command) { return spawn(command, Setup{}); }

  ActorProcess(ActorProcess&& other) noexcept;
  ActorProcess& operator=(ActorProcess&& other) noexcept;
  /// Kills and reaps.
  ~ActorProcess();

  pid_t pid() const { return pid_; }
  /// False when nobody reads any more.
  bool send(std::string_view line);
  /// The next line; nothing at the end of the output or after `timeout`.
  std::optional<std::string> receive(std::chrono::milliseconds timeout = std::chrono::seconds(20));
  /// Sends a line and returns the answer, or "(no answer)".
  std::string ask(std::string_view line);
  void close_input();

  void signal(int number) const;
  /// SIGSTOP; returns when the process has stopped.
  void stop() const;
  void resume() const;
  /// SIGKILL, and waits for the end.
  void kill();
  /// The status of waitpid(2); SIGKILL after `timeout`.
  int wait(std::chrono::milliseconds timeout = std::chrono::seconds(30));

 private:
  ActorProcess(pid_t pid, int input, int output) : pid_(pid), input_(input), output_(output) {}
  void release() noexcept;

  pid_t pid_ = -1;
  int input_ = -1;   ///< the process reads the other end
  int output_ = -1;  ///< the process writes the other end
  bool reaped_ = false;
  int status_ = 0;
  std::string pending_;
};

/// "exit 0", "signal 9".
std::string describe_status(int status);

}  // namespace mentedb::test

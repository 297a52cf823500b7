#include "support/run_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <thread>

namespace mentedb::test {
namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  return ends;
}

void close_if_open(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

}  // namespace

RunningCommand::RunningCommand(const std::vector<std::string>& arguments, const CommandOptions& options)
    : deadline_(std::chrono::steady_clock::now() + options.timeout) {
  std::array<int, 2> in = make_pipe();
  std::array<int, 2> out = make_pipe();
  std::array<int, 2> err{};
  if (options.stderr_terminal) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 100;
    if (openpty(&err[0], &err[1], nullptr, nullptr, &size) != 0) throw std::runtime_error("openpty");
    fcntl(err[0], F_SETFD, FD_CLOEXEC);
    fcntl(err[1], F_SETFD, FD_CLOEXEC);
  } else {
    err = make_pipe();
  }
  // Everything that allocates happens before the fork: the test may have threads.
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    if (!options.environment.contains(text.substr(0, text.find('=')))) environment.push_back(text);
  }
  for (const auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  std::vector<char*> envp;
  for (std::string& entry : environment) envp.push_back(entry.data());
  envp.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
    if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(126);
    if (options.user && (setgid(*options.user) != 0 || setuid(*options.user) != 0)) _exit(126);
    execvpe(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  input_ = in[1];
  output_ = out[0];
  error_ = err[0];
  if (!options.input.empty()) {
    // Beside the reading, or both sides could wait for each other with full pipes.
    std::thread([descriptor = input_, text = options.input] {
      sigset_t pipe_signal;
      sigemptyset(&pipe_signal);
      sigaddset(&pipe_signal, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
      std::size_t done = 0;
      while (done < text.size()) {
        const ssize_t written = ::write(descriptor, text.data() + done, text.size() - done);
        if (written <= 0) break;
        done += static_cast<std::size_t>(written);
      }
      close(descriptor);
    }).detach();
    input_ = -1;
  }
}

RunningCommand::~RunningCommand() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close_if_open(input_);
  close_if_open(output_);
  close_if_open(error_);
}

void RunningCommand::send_signal(int number) const { kill(pid_, number); }

void RunningCommand::write(const std::string& text) const {
  if (::write(input_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) throw std::runtime_error("write");
}

void RunningCommand::close_input() { close_if_open(input_); }
void RunningCommand::close_output() { close_if_open(output_); }

void RunningCommand::read_some(std::chrono::milliseconds timeout) {
  std::array<pollfd, 2> ends{pollfd{output_, POLLIN, 0}, pollfd{error_, POLLIN, 0}};
  if (poll(ends.data(), ends.size(), static_cast<int>(timeout.count())) <= 0) return;
  const auto take = [](pollfd& end, int& descriptor, std::string& to) {
    if (end.revents == 0) return;
    std::array<char, 65'536> block;
    const ssize_t got = read(descriptor, block.data(), block.size());
    if (got > 0) {
      to.append(block.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {  // a terminal answers EIO when its other side is closed
      close_if_open(descriptor);
    }
  };
  take(ends[0], output_, result_.out);
  take(ends[1], error_, result_.err);
}

bool RunningCommand::wait_for_output(const std::string& text, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (result_.out.find(text) == std::string::npos) {
    if (std::chrono::steady_clock::now() > end || output_ < 0) return false;
    read_some(std::chrono::milliseconds(50));
  }
  return true;
}

CommandResult RunningCommand::wait() {
  close_if_open(input_);
  while (output_ >= 0 || error_ >= 0) {
    if (std::chrono::steady_clock::now() > deadline_ && !result_.timed_out) {
      result_.timed_out = true;
      kill(pid_, SIGKILL);
    }
    read_some(std::chrono::milliseconds(100));
  }
  int state = 0;
  while (waitpid(pid_, &state, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFEXITED(state)) result_.status = WEXITSTATUS(state);
  if (WIFSIGNALED(state)) result_.signal = WTERMSIG(state);
  return result_;
}

CommandResult run_command(const std::vector<std::string>& arguments, const CommandOptions& options) {
  return RunningCommand(arguments, options).wait();
}

}  // namespace mentedb::test

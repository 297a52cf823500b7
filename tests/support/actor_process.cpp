#include "support/actor_process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// Between fork and exec only what is safe in a child of a process with threads.
[[noreturn]] void run_child(char* const* arguments, int input, int output, uid_t uid, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no actor outlives a test that was killed
  if (::getppid() != parent) ::_exit(126);
  ::signal(SIGPIPE, SIG_DFL);
  if (::dup2(input, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0) ::_exit(126);
  if (uid != 0 && (::setgid(uid) != 0 || ::setuid(uid) != 0)) ::_exit(126);
  ::execvp(arguments[0], arguments);
  ::_exit(127);
}

}  // namespace

ActorProcess ActorProcess::spawn(const std::vector<std::string>& command, const Setup& setup) {
  static const bool ignored = ::signal(SIGPIPE, SIG_IGN) != SIG_ERR;  // a dead actor is an answer, no reason to die
  static_cast<void>(ignored);
  std::vector<std::string> words = setup.wrapper;
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  int to[2] = {-1, -1};
  int from[2] = {-1, -1};
  if (::pipe2(to, O_CLOEXEC) != 0) fail("pipe");
  if (setup.output) {
    from[1] = ::open(setup.output->c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (from[1] < 0) fail("open");
  } else if (::pipe2(from, O_CLOEXEC) != 0) {
    fail("pipe");
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) run_child(arguments.data(), to[0], from[1], setup.uid, parent);
  const int error = errno;
  ::close(to[0]);
  ::close(from[1]);
  if (pid < 0) {
    errno = error;
    fail("fork");
  }
  return ActorProcess(pid, to[1], from[0]);
}

ActorProcess::ActorProcess(ActorProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      input_(std::exchange(other.input_, -1)),
      output_(std::exchange(other.output_, -1)),
      reaped_(other.reaped_),
      status_(other.status_),
      pending_(std::move(other.pending_)) {}

ActorProcess& ActorProcess::operator=(ActorProcess&& other) noexcept {
  if (this == &other) return *this;
  release();
  pid_ = std::exchange(other.pid_, -1);
  input_ = std::exchange(other.input_, -1);
  output_ = std::exchange(other.output_, -1);
  reaped_ = other.reaped_;
  status_ = other.status_;
  pending_ = std::move(other.pending_);
  return *this;
}

ActorProcess::~ActorProcess() { release(); }

void ActorProcess::release() noexcept {
  if (pid_ > 0) kill();
  if (input_ >= 0) ::close(std::exchange(input_, -1));
  if (output_ >= 0) ::close(std::exchange(output_, -1));
  pid_ = -1;
}

bool ActorProcess::send(std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  return ::write(input_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

std::optional<std::string> ActorProcess::receive(milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  for (;;) {
    if (const std::size_t end = pending_.find('\n'); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
    pollfd ready{.fd = output_, .events = POLLIN, .revents = 0};
    const int found = ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (found < 0 && errno == EINTR) continue;
    if (found <= 0) return std::nullopt;
    char buffer[4096];
    const ssize_t n = ::read(output_, buffer, sizeof(buffer));
    if (n <= 0) return std::nullopt;
    pending_.append(buffer, static_cast<std::size_t>(n));
  }
}

std::string ActorProcess::ask(std::string_view line) {
  send(line);
  return receive().value_or("(no answer)");
}

void ActorProcess::close_input() {
  if (input_ >= 0) ::close(std::exchange(input_, -1));
}

void ActorProcess::signal(int number) const {
  if (!reaped_ && pid_ > 0) ::kill(pid_, number);
}

void ActorProcess::stop() const {
  signal(SIGSTOP);
  int status = 0;
  ::waitpid(pid_, &status, WUNTRACED);
}

void ActorProcess::resume() const { signal(SIGCONT); }

void ActorProcess::kill() {
  if (reaped_) return;
  signal(SIGKILL);
  while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
}

int ActorProcess::wait(milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  while (!reaped_) {
    const pid_t done = ::waitpid(pid_, &status_, WNOHANG);
    if (done != 0) {
      reaped_ = true;
    } else if (steady_clock::now() >= deadline) {
      kill();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  }
  return status_;
}

std::string describe_status(int status) {
  if (WIFEXITED(status)) return "exit " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "status " + std::to_string(status);
}

}  // namespace mentedb::test

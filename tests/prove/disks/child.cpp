#include "child.hpp"

#include <array>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block_log.hpp"

namespace mentedb::prove {

Child::Child(const std::function<std::string()>& work) {
  std::array<int, 2> pipe{};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0) die("cannot make a pipe");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) die("cannot fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    ::close(pipe[0]);
    const std::string report = work();
    const bool told = report.empty() || write(pipe[1], report.data(), report.size()) > 0;
    _exit(told ? 0 : 1);
  }
  ::close(pipe[1]);
  report_ = pipe[0];
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      report_(std::exchange(other.report_, -1)),
      killed_(std::exchange(other.killed_, false)) {}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (report_ >= 0) ::close(report_);
}

void Child::kill() {
  killed_ = true;
  ::kill(pid_, SIGKILL);
}

std::string Child::wait(std::chrono::seconds timeout) {
  std::string report;
  bool hangs = false;
  // Seconds that we were running, too: a machine that is suspended or stopped is no hang.
  for (std::chrono::seconds waited{0};;) {
    constexpr int kSecondMs = 1'000;
    pollfd one{.fd = report_, .events = POLLIN, .revents = 0};
    if (poll(&one, 1, kSecondMs) == 0) {
      if (++waited < timeout) continue;
      hangs = true;
      ::kill(pid_, SIGKILL);
      break;
    }
    std::array<char, 4096> part;
    const ssize_t got = read(report_, part.data(), part.size());
    if (got <= 0) break;
    report.append(part.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  if (hangs) return "hangs for more than " + std::to_string(timeout.count()) + " s";
  if (WIFSIGNALED(status) && !killed_) return "died of " + std::string(strsignal(WTERMSIG(status)));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) return "exited with " + std::to_string(WEXITSTATUS(status));
  return report;
}

}  // namespace mentedb::prove

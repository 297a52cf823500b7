#include "process.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "clock.hpp"

namespace mentedb::compare {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;

void handle_interrupts(void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
}

/// Waits for the end of a child. After an interrupt the child is killed.
int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    if (g_interrupted != 0) kill(pid, SIGKILL);
  }
  return status;
}

}  // namespace

void catch_interrupts() {
  handle_interrupts([](int) { g_interrupted = 1; });
}

bool interrupted() { return g_interrupted != 0; }

std::uint64_t StartLine::wait() {
  waiting_.fetch_add(1);
  while (deadline_.load() == 0) usleep(50);
  return deadline_.load();
}

void StartLine::start(double seconds) { deadline_.store(now_ns() + static_cast<std::uint64_t>(seconds * 1e9)); }

Children::~Children() { kill_all(); }

void Children::start(const std::function<void()>& role) {
  if (count_ == kMost) throw std::runtime_error("too many processes");
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid > 0) {
    pids_[count_++] = pid;
    return;
  }
  handle_interrupts(SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int status = 0;
  try {
    role();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compare: %s\n", error.what());
    status = 1;
  }
  std::fflush(nullptr);
  _exit(status);
}

void Children::start_together(StartLine& line, double seconds) {
  while (line.waiting() < count_) {
    look();
    usleep(200);
  }
  line.start(seconds);
}

void Children::look() {
  if (interrupted()) throw std::runtime_error("interrupted");
  for (pid_t& pid : pids_) {
    int status = 0;
    if (pid == 0 || waitpid(pid, &status, WNOHANG) != pid) continue;
    pid = 0;
    if (status != 0) throw std::runtime_error("a process of the measurement failed");
  }
}

void Children::kill_all() {
  for (pid_t& pid : pids_) {
    if (pid == 0) continue;
    kill(pid, SIGKILL);
    wait_for(pid);
    pid = 0;
  }
}

void Children::wait() {
  bool failed = false;
  for (pid_t& pid : pids_) {
    if (pid == 0) continue;
    failed = failed || wait_for(pid) != 0;
    pid = 0;
  }
  if (failed) throw std::runtime_error("a process of the measurement failed");
}

void run_in_child(const std::function<void()>& role) {
  Children child;
  child.start(role);
  child.wait();
}

}  // namespace mentedb::compare

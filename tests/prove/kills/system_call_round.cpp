// SIGKILL as a process enters the n-th call of one name of its operation: strace(1) is attached to it before it begins,
// and peers go on all the while.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "points.hpp"
#include "round.hpp"

namespace mentedb::prove {
namespace {

using std::chrono::microseconds;

constexpr std::uint64_t kTooLongNs = 600'000'000'000;
constexpr std::string_view kWaiting = "clock_nanosleep";  // what the process does until it may begin

pid_t run_program(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = fork_or_throw();
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int null = ::open("/dev/null", O_RDWR);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, descriptor);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

std::string name_in(const std::string& line) {
  const std::size_t begin = line.find_first_not_of("0123456789 ");  // the pid that -f puts in front
  const std::size_t end = line.find('(');
  if (begin == std::string::npos || end == std::string::npos || begin >= end) return {};
  const std::string name = line.substr(begin, end - begin);
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos ? name : std::string();
}

// How often each system call was made from the beginning of the operation on.
std::map<std::string, std::uint64_t> calls_in(const std::filesystem::path& trace) {
  std::ifstream lines(trace);
  std::map<std::string, std::uint64_t> counts;
  for (std::string line; std::getline(lines, line);) {
    const std::string name = name_in(line);
    if (name == kWaiting) {
      counts.clear();
    } else if (!name.empty() && name != "exit_group" && name != "exit" && name != "restart_syscall") {
      ++counts[name];
    }
  }
  return counts;
}

class Points {
 public:
  Points(Board& board, const std::filesystem::path& scratch, Point point, std::uint64_t seed)
      : board_(board), scratch_(scratch), point_(point), seed_(seed) {
    // Where a recovery is to have something to do nobody else may do it before: peers that take no lock then.
    const bool readers_only = point == Point::recoverer;
    if (!readers_only) {
      add_peer(Role::writer, 1);
      add_peer(Role::writer, 2);
    }
    for (const std::uint32_t slot : {7U, 8U}) add_peer(Role::reader, slot);
    add_peer(Role::follower, 9);
    wait_until([this] {
      return std::ranges::all_of(
          peers_, [this](const Peer& peer) { return board_.slots[peer.slot].phase.load() >= Phase::ready; });
    });
  }

  bool violated() const { return board_.violations.load() != 0; }
  Totals& totals() { return totals_; }

  std::map<std::string, std::uint64_t> record() {
    std::map<std::string, std::uint64_t> counts;
    for (int i = 0; i < 2 && !violated(); ++i) {
      leave_something_behind();
      run(point_, {}, 0);
      for (const auto& [name, count] : calls_in(scratch_ / "trace")) counts[name] = std::max(counts[name], count);
    }
    return counts;
  }

  // False when the process made fewer such calls and ended well.
  bool kill_at(const std::string& name, std::uint64_t index) {
    leave_something_behind();
    if (violated()) return false;
    const bool killed = run(point_, name, index);
    check_peers();
    if (!killed) return false;
    ++totals_.kills_in_all;
    ++totals_.kills_at_system_calls;
    totals_.least_live_peers = std::min<std::uint64_t>(totals_.least_live_peers, peers_.size());
    if (board_.config.on_disk) ++totals_.kills_on_disk;
    ++totals_.kills[static_cast<std::size_t>(role())];
    return true;
  }

  void end() {
    board_.stop = 1;
    for (const Peer& peer : peers_) {
      int status = 0;
      wait_until([&] { return ::waitpid(peer.pid, &status, WNOHANG) != 0; });
      if (status != 0 && !violated())
        board_.note_violation("conductor", fmt::format("a peer ended with wait status {:#x}", status));
    }
    while (::waitpid(-1, nullptr, 0) > 0) {  // forked children of peers
    }
  }

 private:
  struct Peer {
    pid_t pid;
    std::uint32_t slot;
  };

  void add_peer(Role role, std::uint32_t slot) {
    peers_.push_back(
        {spawn(role, {.board = board_, .scratch = scratch_, .slot = slot, .seed = seed_ * 131 + slot}), slot});
  }

  Role role() const {
    switch (point_) {
      case Point::open:
      case Point::recoverer:
        return Role::opener;
      case Point::checkpoint:
      case Point::recover:
        return Role::keeper;
      case Point::backup:
        return Role::backup;
      case Point::read:
        return Role::reader;
      case Point::group_commit:
        return Role::group_writer;
      default:
        return Role::writer;
    }
  }

  template <class Done>
  bool wait_until(Done&& done) {
    const std::uint64_t deadline = now_ns() + kTooLongNs;
    while (!done()) {
      if (violated()) return false;
      if (now_ns() > deadline) {
        board_.note_violation("conductor", "a process hangs for ten minutes");
        return false;
      }
      std::this_thread::sleep_for(microseconds(100));
    }
    return true;
  }

  // Peers do not end by themselves; what else ends is a child that one of them has forked, or the killed process had:
  // strace follows that one, and kills it at its own n-th call.
  void check_peers() {
    int status = 0;
    for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
      const bool is_peer = std::ranges::find(peers_, pid, &Peer::pid) != peers_.end();
      const bool ended_well = status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
      if ((is_peer || !ended_well) && !violated())
        board_.note_violation(
            "conductor", fmt::format("{} ended with wait status {:#x}", is_peer ? "a peer" : "a forked child", status));
    }
  }

  // A batch that is durable and in no page: its writer is killed as it begins to write the pages.
  void leave_something_behind() {
    if (point_ == Point::recoverer) run(Point::batch, "pwrite64", 3);
  }

  // Runs the operation under strace, which kills it at the given call; true when it was killed.
  bool run(Point point, const std::string& name, std::uint64_t index) {
    const auto trace = scratch_ / "trace";
    std::filesystem::remove(trace);
    board_.go = 0;
    const std::uint32_t slot = point == Point::group_commit ? 3 : 0;
    const Actor actor{.board = board_, .scratch = scratch_, .slot = slot, .seed = seed_ + ++runs_};
    actor.enter(Phase::starting);
    const pid_t pid = fork_child(board_, "traced process", [&] { run_point(point, actor); });
    int status = 0;
    if (!wait_until([&] { return board_.slots[slot].phase.load() == Phase::ready; })) return abandon(pid);
    std::vector<std::string> words{"strace", "-f", "-s", "0", "-p", std::to_string(pid), "-o", trace.string()};
    if (name.empty()) {
      words.insert(words.end(), {"-e", "trace=all"});
    } else {
      words.insert(words.end(), {"-e", fmt::format("trace={},{}", name, kWaiting), "-e",
                                 fmt::format("inject={}:signal=KILL:when={}", name, index)});
    }
    const pid_t tracer = run_program(words);
    // Only when a call was seen is it sure that the next one will be counted.
    const bool attached = wait_until([&] {
      std::error_code none_yet;
      const auto bytes = std::filesystem::file_size(trace, none_yet);
      return !none_yet && bytes > 0;
    });
    if (!attached) {
      ::kill(tracer, SIGTERM);
      ::waitpid(tracer, nullptr, 0);
      return abandon(pid);
    }
    board_.go = 1;
    const bool ended = wait_until([&] { return ::waitpid(pid, &status, WNOHANG) == pid; });
    if (!ended) abandon(pid);
    ::waitpid(tracer, nullptr, 0);
    board_.slots[slot].phase = Phase::gone;
    if (!ended || WIFSIGNALED(status)) return ended && WTERMSIG(status) == SIGKILL;
    if (status != 0 && !violated())
      board_.note_violation("conductor", fmt::format("the traced process ended with wait status {:#x}", status));
    return false;
  }

  bool abandon(pid_t pid) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return false;
  }

  Board& board_;
  const std::filesystem::path& scratch_;
  Point point_;
  std::uint64_t seed_;
  std::uint64_t runs_ = 0;
  std::vector<Peer> peers_;
  Totals totals_;
};

}  // namespace

bool strace_works() {
  static const bool works = [] {
    const pid_t pid = run_program({"strace", "-o", "/dev/null", "true"});
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status == 0;
  }();
  return works;
}

Totals system_call_round(const Config& config, Point point, std::uint64_t first, std::uint64_t stride,
                         std::uint64_t deadline_ns) {
  const auto scratch = scratch_for(config);
  Board& board = set_up(config, scratch);
  std::string replay = replay_line(config, 0) + fmt::format(" point={}", static_cast<int>(point));
  Totals totals;
  if (board.violations.load() == 0) {
    Points points(board, scratch, point, config.seed * 7'919 + config.round);
    for (const auto& [name, count] : points.record()) {
      // In a short run no call that is made hundreds of times pushes out the others.
      const std::uint64_t step = stride == 1 ? 1 : std::max(stride, count / 12);
      for (std::uint64_t index = 1; !points.violated(); ++index) {
        if (deadline_ns != 0 && now_ns() > deadline_ns) break;
        const bool chosen = (index + name.size()) % step == first % step;
        // As often as it was recorded, and on from there for as long as there are more such calls.
        if (index > count && stride > 1) break;
        if (!chosen) continue;
        const bool killed = points.kill_at(name, index);
        if (points.violated()) replay += fmt::format(" call={} index={}", name, index);
        if (!killed && index > count) break;
        if (index > count + 50) break;
      }
    }
    points.end();
    totals = points.totals();
    if (board.violations.load() == 0) judge(board, scratch);
  }
  wind_up(board, scratch, replay, totals);
  return totals;
}

}  // namespace mentedb::prove

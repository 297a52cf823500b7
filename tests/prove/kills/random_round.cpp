// The conductor: keeps a crowd of actors alive, stops and kills them at random moments, puts others in their places.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "round.hpp"

namespace mentedb::prove {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct Seat {
  Role role;
  std::uint32_t kill_weight;
  pid_t pid = -1;
  bool stopped = false;
  bool was_killed = false;
  Phase killed_in = Phase::gone;
  std::uint64_t operations_seen = 0;
  std::uint64_t moved_at_ns = 0;
};

// Slots 0 to 2 own groups with one thread, slot 3 with three (set_up).
const std::vector<Seat> kCrowd{
    {.role = Role::writer, .kill_weight = 14},  {.role = Role::writer, .kill_weight = 14},
    {.role = Role::writer, .kill_weight = 14},  {.role = Role::group_writer, .kill_weight = 14},
    {.role = Role::keeper, .kill_weight = 12},  {.role = Role::opener, .kill_weight = 12},
    {.role = Role::backup, .kill_weight = 6},   {.role = Role::reader, .kill_weight = 5},
    {.role = Role::follower, .kill_weight = 5}, {.role = Role::reader, .kill_weight = 4}};
constexpr std::uint64_t kLeastPeers = 3;
constexpr std::uint64_t kHangNs = 600'000'000'000;  // longer than kLockTimeout

// The only place that sends signals: kill(2) takes numbers below 1 for whole groups of processes.
bool signal(const Seat& seat, int number) { return seat.pid > 0 && ::kill(seat.pid, number) == 0; }

bool holds_the_lock(pid_t pid) {
  std::ifstream locks("/proc/locks");
  const std::string holder = fmt::format("FLOCK  ADVISORY  WRITE {} ", pid);
  for (std::string line; std::getline(locks, line);) {
    if (line.contains(holder) && !line.contains("->")) return true;
  }
  return false;
}

class Conductor {
 public:
  Conductor(Board& board, std::filesystem::path scratch, std::uint64_t seed)
      : board_(board), scratch_(std::move(scratch)), random_(seed), seats_(kCrowd) {
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) start(slot);
  }

  Totals& totals() { return totals_; }
  bool violated() const { return board_.violations.load() != 0; }
  bool log_is_full() const {
    return std::ranges::any_of(board_.lanes,
                               [](const Lane& lane) { return lane.log_size.load() > kLogRecords * 9 / 10; });
  }

  // One to four of them at once, as long as enough others are alive.
  void strike() {
    const std::uint32_t victim = choose();
    if (!wait_for_peers(victim)) return;
    aim(victim);
    if (violated()) return;
    std::vector<std::uint32_t> victims{victim};
    const bool with_a_stop = random_() % 10 == 0;
    if (with_a_stop) {
      stop(victim);
      std::this_thread::sleep_for(microseconds(random_() % 4'000));
      if (random_() % 3 == 0) victims.clear();  // that one goes on, others are killed meanwhile
    }
    for (std::uint64_t more = random_() % 4; more > 0; --more) {
      const std::uint32_t other = choose();
      if (board_.slots[other].phase.load() == Phase::starting && random_() % 4 != 0) continue;  // it has had its share
      if (other != victim && std::ranges::find(victims, other) == victims.end()) victims.push_back(other);
    }
    for (const std::uint32_t slot : victims) {
      if (live_peers(slot) >= kLeastPeers) send_kill(slot);
    }
    for (const std::uint32_t slot : victims) finish_kill(slot);
    resume(victim);
  }

  // I5: a stopped process, whatever it holds, stops no reader by id that has the store open.
  void hold_a_writer() {
    const std::uint32_t victim = static_cast<std::uint32_t>(random_() % 4);
    const std::uint32_t slot = static_cast<std::uint32_t>(seats_.size());
    const Actor actor{.board = board_, .scratch = scratch_, .slot = slot, .seed = random_()};
    actor.enter(Phase::starting);
    board_.go = 0;
    const pid_t reader = fork_child(board_, "reader by id", [&] { read_by_id(actor); });
    while (board_.slots[slot].phase.load() != Phase::ready && !violated()) std::this_thread::sleep_for(milliseconds(1));
    if (wait_for_peers(victim)) {
      aim(victim);
      stop(victim);
      const Word& reads = actor.lane().operations[static_cast<std::size_t>(Op::read_id)];
      const std::uint64_t wanted = reads.load() + 500;
      const std::uint64_t deadline = now_ns() + kHangNs;
      while (reads.load() < wanted && now_ns() < deadline && !violated()) std::this_thread::sleep_for(milliseconds(1));
      if (reads.load() < wanted && !violated())
        board_.note_violation("conductor", "I5: a reader by id does not go on while a writer is stopped");
      resume(victim);
    }
    board_.go = 1;
    int status = 0;
    if (!violated() && ::waitpid(reader, &status, 0) == reader && status != 0)
      board_.note_violation("conductor", fmt::format("the reader by id ended with wait status {:#x}", status));
  }

  void reap();
  void look_for_hangs();
  void end();

 private:
  void start(std::uint32_t slot) {
    Seat& seat = seats_[slot];
    seat.moved_at_ns = now_ns();
    seat.stopped = false;
    seat.pid = spawn(seat.role, {.board = board_, .scratch = scratch_, .slot = slot, .seed = random_()});
  }

  bool is_live(std::uint32_t slot) const {
    return !seats_[slot].stopped && !seats_[slot].was_killed && board_.slots[slot].phase.load() >= Phase::ready;
  }
  std::uint64_t live_peers(std::uint32_t victim) const {
    std::uint64_t live = 0;
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) live += slot != victim && is_live(slot) ? 1U : 0U;
    return live;
  }
  bool wait_for_peers(std::uint32_t victim) {
    while (live_peers(victim) < kLeastPeers) {
      if (violated()) return false;
      reap();
      look_for_hangs();
      std::this_thread::sleep_for(microseconds(100));
    }
    return true;
  }

  std::uint32_t choose() {
    std::uint64_t at = random_() % 100;
    for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) {
      if (at < seats_[slot].kill_weight) return slot;
      at -= seats_[slot].kill_weight;
    }
    return 0;
  }

  // A moment: any, or just when it is in a call, in a transaction (the lock is held), or opening.
  void aim(std::uint32_t victim) {
    const auto& phase = board_.slots[victim].phase;
    const std::uint64_t choice = random_() % 10;
    const bool while_opening = choice == 0;
    const Phase wanted = choice < 3 ? Phase::ready : choice < 7 ? Phase::in_call : Phase::in_transaction;
    const bool can_write = victim < 5;
    const std::uint64_t give_up = now_ns() + 1'000'000;
    while (!while_opening && now_ns() < give_up) {
      if (phase.load() == wanted || (!can_write && phase.load() >= Phase::ready)) break;
    }
    const std::uint64_t until = now_ns() + random_() % (choice < 2 ? 1'500'000 : 150'000);
    if (choice < 2) return std::this_thread::sleep_for(microseconds(random_() % 1'500));
    while (now_ns() < until) {
    }
  }

  void stop(std::uint32_t slot) {
    Seat& seat = seats_[slot];
    if (!signal(seat, SIGSTOP)) return;
    int status = 0;
    if (::waitpid(seat.pid, &status, WUNTRACED) == seat.pid && !WIFSTOPPED(status)) return died(slot, status);
    seat.stopped = true;
    ++totals_.stops;
    if (holds_the_lock(seat.pid)) ++totals_.stops_of_lock_holders;
  }
  void resume(std::uint32_t slot) {
    if (!seats_[slot].stopped) return;
    seats_[slot].stopped = false;
    signal(seats_[slot], SIGCONT);
  }

  void send_kill(std::uint32_t slot) {
    Seat& seat = seats_[slot];
    totals_.least_live_peers = std::min(totals_.least_live_peers, live_peers(slot));
    seat.killed_in = board_.slots[slot].phase.load();
    seat.was_killed = signal(seat, SIGKILL);
  }

  void finish_kill(std::uint32_t slot) {
    Seat& seat = seats_[slot];
    if (!std::exchange(seat.was_killed, false)) return;
    int status = 0;
    while (::waitpid(seat.pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) return died(slot, status);
    ++totals_.kills_in_all;
    ++totals_.kills[static_cast<std::size_t>(seat.role)];
    if (seat.killed_in == Phase::starting) ++totals_.kills_while_opening;
    if (seat.killed_in == Phase::in_call) ++totals_.kills_in_a_call;
    if (seat.killed_in == Phase::in_transaction) ++totals_.kills_in_a_transaction;
    if (seat.stopped) ++totals_.kills_while_stopped;
    if (board_.slots[slot].forked.load() != 0) ++totals_.kills_of_parents;
    if (board_.config.on_disk) ++totals_.kills_on_disk;
    start(slot);
  }

  void died(std::uint32_t slot, int status) {
    seats_[slot].pid = -1;
    if (violated()) return;  // it said why
    board_.note_violation("conductor",
                          fmt::format("{} in slot {} ended with wait status {:#x}",
                                      kRoleNames[static_cast<std::size_t>(seats_[slot].role)], slot, status));
  }

  Board& board_;
  std::filesystem::path scratch_;
  std::mt19937_64 random_;
  std::vector<Seat> seats_;
  Totals totals_;
};

// Actors end only when they are killed; children of killed ones come to us (we are their subreaper) and end well.
void Conductor::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    const auto seat = std::ranges::find(seats_, pid, &Seat::pid);
    if (seat != seats_.end()) {
      died(static_cast<std::uint32_t>(seat - seats_.begin()), status);
    } else if (status != 0 && !violated()) {
      board_.note_violation("conductor", fmt::format("a forked child ended with wait status {:#x}", status));
    }
  }
}

void Conductor::look_for_hangs() {
  const std::uint64_t now = now_ns();
  for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) {
    std::uint64_t operations = 0;
    for (std::size_t thread = 0; thread < kThreadsPerSlot; ++thread) {
      for (const Word& word : board_.lanes[slot * kThreadsPerSlot + thread].operations) operations += word.load();
    }
    Seat& seat = seats_[slot];
    if (operations != seat.operations_seen || seat.stopped) {
      seat.operations_seen = operations;
      seat.moved_at_ns = now;
    } else if (now - seat.moved_at_ns > kHangNs && !violated()) {
      board_.note_violation("conductor", fmt::format("{} in slot {} (pid {}) hangs for ten minutes in phase {}",
                                                     kRoleNames[static_cast<std::size_t>(seat.role)], slot, seat.pid,
                                                     static_cast<std::uint32_t>(board_.slots[slot].phase.load())));
    }
  }
}

void Conductor::end() {
  board_.stop = 1;
  for (std::uint32_t slot = 0; slot < seats_.size(); ++slot) resume(slot);
  const std::uint64_t deadline = now_ns() + kHangNs;
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid < 0) return;
    if (pid == 0) {
      if (now_ns() > deadline || (violated() && now_ns() > deadline - kHangNs + 5'000'000'000)) break;
      std::this_thread::sleep_for(microseconds(300));
    } else if (status != 0 && !violated()) {
      board_.note_violation("conductor", fmt::format("process {} ended with wait status {:#x}", pid, status));
    }
  }
  if (!violated()) board_.note_violation("conductor", "an actor does not end within ten minutes");
  for (Seat& seat : seats_) {
    signal(seat, SIGKILL);
  }
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
}

}  // namespace

Totals random_round(const Config& config, std::uint64_t kills, std::uint64_t deadline_ns) {
  const auto scratch = scratch_for(config);
  Board& board = set_up(config, scratch);
  Totals totals;
  if (board.violations.load() == 0) {
    Conductor conductor(board, scratch, config.seed * 7'919 + config.round);
    const std::uint64_t hold_at = kills / 2;
    bool held = false;
    while (conductor.totals().kills_in_all < kills && !conductor.violated() && !conductor.log_is_full()) {
      if (deadline_ns != 0 && now_ns() > deadline_ns) break;
      if (!held && conductor.totals().kills_in_all >= hold_at) {
        held = true;
        conductor.hold_a_writer();
      }
      conductor.strike();
      conductor.reap();
      conductor.look_for_hangs();
    }
    conductor.end();
    totals = conductor.totals();
    if (board.violations.load() == 0) judge(board, scratch);
  }
  wind_up(board, scratch, replay_line(config, kills), totals);
  return totals;
}

}  // namespace mentedb::prove

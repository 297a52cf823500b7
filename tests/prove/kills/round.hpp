// One round: a fresh store, its actors, the conductor that kills them, and the judgement at the end.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "points.hpp"
#include "roles.hpp"

namespace mentedb::prove {

/// What a round or all of them have done.
struct Totals {
  std::array<std::uint64_t, static_cast<std::size_t>(Role::count)> kills{};
  std::array<std::uint64_t, static_cast<std::size_t>(Op::count)> operations{};
  std::uint64_t kills_in_all = 0;
  std::uint64_t kills_while_opening = 0;
  std::uint64_t kills_in_a_call = 0;
  std::uint64_t kills_in_a_transaction = 0;
  std::uint64_t kills_while_stopped = 0;
  std::uint64_t kills_of_parents = 0;  ///< whose forked children lived on
  std::uint64_t kills_at_system_calls = 0;
  std::uint64_t kills_on_disk = 0;
  std::uint64_t stops = 0;
  std::uint64_t stops_of_lock_holders = 0;
  std::uint64_t checks = 0;
  std::uint64_t log_records = 0;
  std::uint64_t lsns_in_order = 0;
  std::uint64_t backups_of_one_moment = 0;
  std::uint64_t least_live_peers = UINT64_MAX;
  std::uint64_t rounds = 0;
  std::vector<std::string> violations;

  void add(const Totals& other);
};

/// Everything of round `number` follows from the seed, but for when the kernel lets whom run.
Config config_of(std::uint64_t seed, std::uint64_t number, bool on_disk);
std::string replay_line(const Config& config, std::uint64_t kills);

/// Where rounds live: a directory in memory, where a sync costs nothing and so kills are many, or on the disk.
std::filesystem::path scratch_for(const Config& config);

/// Makes board and store, and the groups that writers share or never delete.
Board& set_up(const Config& config, const std::filesystem::path& scratch);

/// The conductor runs this much ahead of its actors, where it may, or a busy machine lets it kill too seldom.
inline constexpr int kConductorsLead = 10;

/// fork(2) that throws, so that no -1 ever gets to kill(2), which would take it for everybody.
pid_t fork_or_throw();
/// Runs `body` in a forked child that dies with us, may be traced by anybody, and ends with status 0 or a violation.
pid_t fork_child(Board& board, std::string_view who, const std::function<void()>& body);
/// Forks `role` into a slot. The slot's phase is `starting` when this returns.
pid_t spawn(Role role, const Actor& actor);

/// In a child of its own: opens the store when all is quiet and compares everything with the board. Notes violations.
void judge(Board& board, const std::filesystem::path& scratch);

/// Counts, log check, violations; removes the directory, or keeps it when something was violated.
void wind_up(Board& board, const std::filesystem::path& scratch, const std::string& replay, Totals& totals);

/// SIGKILL at random moments, until `kills` or the deadline (CLOCK_MONOTONIC, 0: none).
Totals random_round(const Config& config, std::uint64_t kills, std::uint64_t deadline_ns);

/// False when strace(1) is missing or may not trace here.
bool strace_works();
/// SIGKILL at the system calls of one kind of operation: every `stride`-th of them from `first` on.
Totals system_call_round(const Config& config, Point point, std::uint64_t first, std::uint64_t stride,
                         std::uint64_t deadline_ns);

}  // namespace mentedb::prove

#include "round.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "content.hpp"
#include "log_check.hpp"

namespace mentedb::prove {

void Totals::add(const Totals& other) {
  const auto sum = [](auto& to, const auto& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  sum(kills, other.kills);
  sum(operations, other.operations);
  kills_in_all += other.kills_in_all;
  kills_while_opening += other.kills_while_opening;
  kills_in_a_call += other.kills_in_a_call;
  kills_in_a_transaction += other.kills_in_a_transaction;
  kills_while_stopped += other.kills_while_stopped;
  kills_of_parents += other.kills_of_parents;
  kills_at_system_calls += other.kills_at_system_calls;
  kills_on_disk += other.kills_on_disk;
  stops += other.stops;
  stops_of_lock_holders += other.stops_of_lock_holders;
  checks += other.checks;
  log_records += other.log_records;
  lsns_in_order += other.lsns_in_order;
  backups_of_one_moment += other.backups_of_one_moment;
  least_live_peers = std::min(least_live_peers, other.least_live_peers);
  rounds += other.rounds;
  violations.insert(violations.end(), other.violations.begin(), other.violations.end());
}

Config config_of(std::uint64_t seed, std::uint64_t number, bool on_disk) {
  std::mt19937_64 random(seed * 1'000'003 + number);
  Config config{.seed = seed, .round = number, .on_disk = on_disk};
  constexpr std::array<std::uint32_t, 4> kPageSizes{1'024, 512, 1'024, 4'096};
  constexpr std::array<std::uint32_t, 4> kLimits{64, 128, 256, 1'024};
  constexpr std::array<std::uint32_t, 4> kContents{600, 3'000, 6'000, 20'000};
  constexpr std::array<std::uint32_t, 4> kBulks{8, 24, 60, 150};
  config.page_size_bytes = kPageSizes[random() % 4];
  config.wal_limit_kib = kLimits[random() % 4];
  config.content_bytes = kContents[random() % 4];
  config.bulk = kBulks[random() % 4];
  return config;
}

std::string replay_line(const Config& config, std::uint64_t kills) {
  return fmt::format("seed={} round={} kills={} disk={}", config.seed, config.round, kills, config.on_disk ? 1 : 0);
}

std::filesystem::path scratch_for(const Config& config) {
  std::filesystem::path base = std::filesystem::temp_directory_path();
  struct statvfs space{};
  if (!config.on_disk && ::statvfs("/dev/shm", &space) == 0 && ::access("/dev/shm", W_OK) == 0 &&
      std::uint64_t{space.f_bavail} * space.f_frsize > std::uint64_t{512} << 20) {
    base = "/dev/shm";
  }
  std::string name = (base / "mentedb-kills-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), name);
  return name;
}

namespace {

void add_group(Board& board, Kind kind, std::uint32_t owner, std::uint32_t members) {
  Group& group = board.groups.at(board.group_count);
  group.kind = kind;
  group.owner = owner;
  group.first_member = board.member_count;
  group.member_count = members;
  for (std::uint32_t i = 0; i < members; ++i) board.members.at(board.member_count + i).group = board.group_count;
  board.member_count += members;
  ++board.group_count;
}

void run_quietly(const std::function<void()>& body, Board& board, std::string_view who) {
  const pid_t pid = fork_child(board, who, body);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0 && board.violations.load() == 0)
    board.note_violation(who, fmt::format("ended with wait status {:#x}", status));
}

}  // namespace

Board& set_up(const Config& config, const std::filesystem::path& scratch) {
  Board& board = map_board(scratch / "board");
  board.config = config;
  for (std::uint32_t i = 0; i < 8; ++i) add_group(board, Kind::permanent, kShared, 1);
  for (std::uint32_t i = 0; i < 4; ++i) add_group(board, Kind::permanent, kShared, 2);
  for (std::uint32_t lane = 0; lane < 4 * kThreadsPerSlot; ++lane) {
    if (lane < 3 * kThreadsPerSlot && lane % kThreadsPerSlot != 0) continue;  // slots 0 to 2 have one thread
    add_group(board, Kind::permanent, lane, 2);
    add_group(board, Kind::deletable, lane, 1);
    add_group(board, Kind::raw, lane, 1);
    add_group(board, Kind::deletable, lane, 2);
    for (std::uint32_t i = 0; i < 4; ++i) add_group(board, Kind::permanent, lane, 1);
    for (std::uint32_t i = 0; i < 6; ++i) add_group(board, Kind::deletable, lane, 1);
    add_group(board, Kind::raw, lane, 1);
    add_group(board, Kind::deletable, lane, config.bulk);
  }
  run_quietly(
      [&] {
        Witness witness(board, "setup", board.lanes[kMaxLanes - 1]);
        StorageEngine engine =
            witness.good(StorageEngine::open(scratch / "store", round_options(config)), "open of a new store");
        for (std::uint32_t i = 0; i < board.group_count; ++i) {
          Group& group = board.groups[i];
          if (group.kind != Kind::permanent) continue;
          std::vector<MemoryNode> nodes;
          for (std::uint32_t m = 0; m < group.member_count; ++m)
            nodes.push_back(make_memory(config, group.first_member + m, 1));
          const auto pages = witness.good(engine.store_memories(nodes), "store_memories");
          for (std::uint32_t m = 0; m < group.member_count; ++m)
            board.members[group.first_member + m].where.store(std::uint64_t{1} << 32 | pages[m].value);
          group.attempted = 1;
          group.acked = 1;
        }
        witness.good(engine.close(), "close");
      },
      board, "setup");
  return board;
}

pid_t fork_or_throw() {
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  return pid;
}

pid_t fork_child(Board& board, std::string_view who, const std::function<void()>& body) {
  const pid_t parent = ::getpid();
  const pid_t pid = fork_or_throw();
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // no actor outlives a conductor that was killed
  if (::getppid() != parent) ::_exit(0);
  ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + kConductorsLead);
  try {
    body();
  } catch (const std::exception& error) {
    board.fail(who, error.what());
  }
  ::_exit(0);
}

pid_t spawn(Role role, const Actor& actor) {
  actor.board.slots[actor.slot].forked = 0;
  actor.enter(Phase::starting);
  const std::string who = fmt::format("{} slot {}", kRoleNames[static_cast<std::size_t>(role)], actor.slot);
  return fork_child(actor.board, who, [&] { run_role(role, actor); });
}

namespace {

// Every memory in its last version, in every way of looking, and nothing else (I1, I2, I12).
void judge_store(Board& board, const std::filesystem::path& store, std::string_view how) {
  Witness witness(board, fmt::format("judge, {}", how), board.lanes[kMaxLanes - 1]);
  StorageEngine engine = witness.good(StorageEngine::open(store, round_options(board.config)), "open");
  if (const auto missing = witness.good(engine.recover(), "recover"); missing != 0)
    witness.fail(fmt::format("I9: open left {} operations to a second recovery", missing));
  witness.verify(engine, "the store");
  std::uint64_t memories = 0;
  for (std::uint32_t i = 0; i < board.group_count; ++i) {
    Group& group = board.groups[i];
    for (std::uint32_t m = 0; m < group.member_count; ++m) {
      Member& member = board.members[group.first_member + m];
      if (group.kind == Kind::raw) {
        witness.read_raw(engine, member);
        continue;
      }
      witness.read_id(engine, member);
      witness.read_where(engine, member);
      const bool there = engine.load_memory(memory_id(group.first_member + m)).has_value();
      if (there) ++memories;
      if (m > 0 && there != engine.load_memory(memory_id(group.first_member)).has_value())
        witness.fail(fmt::format("I2: of group {} only some memories are there", i));
      if (m > 0 && member.shown.load() != board.members[group.first_member].shown.load())
        witness.fail(fmt::format("I2: group {} ends at versions {} and {}", i,
                                 board.members[group.first_member].shown.load(), member.shown.load()));
    }
  }
  witness.scan(engine);
  witness.for_each(engine);
  witness.committed(engine);
  const Stats stats = witness.good(engine.stats(), "stats");
  if (stats.memory_count != memories)
    witness.fail(fmt::format("I12: stats count {} memories, there are {}", stats.memory_count, memories));
  witness.good(engine.close(), "close");
}

}  // namespace

void judge(Board& board, const std::filesystem::path& scratch) {
  const auto store = scratch / "store";
  run_quietly([&] { judge_store(board, store, "new engine"); }, board, "judge");
  if (board.violations.load() != 0) return;
  for (const auto& file : std::filesystem::directory_iterator(store)) {
    if (file.path().extension() == ".idx") std::filesystem::remove(file.path());
  }
  run_quietly([&] { judge_store(board, store, "without an id index"); }, board, "judge");
}

void wind_up(Board& board, const std::filesystem::path& scratch, const std::string& replay, Totals& totals) {
  ++totals.rounds;
  for (const Lane& lane : board.lanes) {
    for (std::size_t i = 0; i < totals.operations.size(); ++i) totals.operations[i] += lane.operations[i].load();
    totals.checks += lane.checks.load();
  }
  const LogVerdict verdict = check_logs(board);
  totals.log_records += verdict.records;
  totals.lsns_in_order += verdict.writes_in_order;
  totals.backups_of_one_moment += verdict.backups;
  std::vector<std::string> found = verdict.violations;
  for (std::size_t i = 0; i < std::min<std::size_t>(board.violations.load(), board.violation_text.size()); ++i)
    found.emplace_back(board.violation_text[i].data());
  for (const std::string& what : found) {
    totals.violations.push_back(fmt::format("VIOLATION {} (kept: {}) | replay: tools/prove kills --replay '{}'", what,
                                            scratch.string(), replay));
  }
  if (found.empty()) {
    std::filesystem::remove_all(scratch);
  } else {
    std::ofstream(scratch / "log") << tail_of_logs(board, 200);
  }
  unmap_board(board);
}

}  // namespace mentedb::prove

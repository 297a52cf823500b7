#include "roles.hpp"

#include <algorithm>
#include <csignal>
#include <thread>
#include <unordered_map>

#include <sys/prctl.h>
#include <unistd.h>

#include "content.hpp"

namespace mentedb::prove {

using std::chrono::milliseconds;

namespace {

constexpr unsigned kChildSeconds = 400;

StorageEngine open_store(const Actor& actor, Witness& witness, const Options& options) {
  auto engine = witness.good(StorageEngine::open(actor.store(), options), "open");
  witness.count(Op::open);
  return engine;
}

Member& any_member(Board& board, std::mt19937_64& random, Kind kind) {
  for (;;) {
    // Half of the time one of a few hot ones: of shared groups, which come first.
    const std::uint64_t among = random() % 2 == 0 ? std::min(board.member_count, 24U) : board.member_count;
    Member& member = board.members[random() % among];
    if ((board.region_of(member).kind == Kind::raw) == (kind == Kind::raw)) return member;
    if (kind == Kind::raw) {
      for (std::uint32_t i = 0; i < board.member_count; ++i) {
        Member& other = board.members[(random() + i) % board.member_count];
        if (board.region_of(other).kind == Kind::raw) return other;
      }
    }
  }
}

void read_something(Board& board, const StorageEngine& engine, Witness& witness, std::mt19937_64& random) {
  const std::uint64_t choice = random() % 32;
  Member& member = any_member(board, random, choice == 0 || choice > 29 ? Kind::raw : Kind::permanent);
  switch (choice) {
    case 0:
    case 30:
    case 31:
      return witness.read_raw(engine, member);
    case 1:
      return witness.find(engine, member);
    case 2:
      return witness.read_page(engine, member);
    case 3:
    case 4:
      return witness.read_where(engine, member);
    case 5:
    case 6:
      return witness.read_backwards(engine, board.region_of(member));
    default:
      return witness.read_id(engine, member);
  }
}

// Processor time is what limits the number of kills, and readers would take all of it.
void pause_for_the_others(std::mt19937_64& random) {
  std::this_thread::sleep_for(std::chrono::microseconds(1'000 + random() % 4'000));
}

void read(const Actor& actor) {
  Witness witness(actor.board, fmt::format("reader slot {}", actor.slot), actor.lane());
  std::mt19937_64 random(actor.seed);
  StorageEngine engine = open_store(actor, witness, round_options(actor.board.config));
  actor.enter(Phase::ready);
  while (!actor.stopping()) {
    for (int i = 0; i < 300 && !actor.stopping(); ++i) read_something(actor.board, engine, witness, random);
    if (random() % 2 == 0) witness.scan(engine);
    if (random() % 8 == 0) witness.for_each(engine);
    const Lsn lsn = witness.committed(engine);
    pause_for_the_others(random);
    if (witness.good(engine.wait_for_change(lsn, milliseconds(2)), "wait_for_change") < lsn)
      witness.fail("I8: wait_for_change went back");
    witness.count(Op::wait);
  }
  witness.good(engine.close(), "close");
}

struct Follower {
  Lsn cursor;
  std::unordered_map<MemoryId, Lsn> under_way;  // told with an LSN above the cursor
};

// I4: what was acknowledged before the call is among the changes, and the cursor is not behind it. A change that was
// told above the cursor is told again.
void follow_once(Board& board, const StorageEngine& engine, Witness& witness, Follower& follower) {
  Lsn& cursor = follower.cursor;
  const std::uint64_t acked = board.acked_lsn.load();
  std::vector<std::uint64_t> wanted(board.group_count);
  for (std::uint32_t i = 0; i < board.group_count; ++i) wanted[i] = board.groups[i].acked_lsn.load();
  const auto changes = engine.changes_since(cursor);
  witness.count(Op::changes, board.group_count);
  if (is_code(changes, ErrorCode::resync_required)) {
    follower = {.cursor = witness.committed(engine), .under_way = {}};
    return witness.for_each(engine);
  }
  if (!changes) witness.good(changes, "changes_since");
  if (changes->cursor < cursor || changes->cursor.value < acked)
    witness.fail(fmt::format("I4: the cursor went from {} to {}, and {} was acknowledged before", cursor.value,
                             changes->cursor.value, acked));
  std::unordered_map<MemoryId, Lsn> told;
  std::unordered_map<MemoryId, Lsn> under_way;
  Lsn last = cursor;
  for (const Change& change : changes->changes) {
    if (change.lsn <= last || !told.emplace(change.id, change.lsn).second)
      witness.fail(fmt::format("changes_since({}) up to {}: LSN {} is out of order, or an id comes twice", cursor.value,
                               changes->cursor.value, change.lsn.value));
    last = change.lsn;
    if (change.lsn > changes->cursor) under_way.emplace(change.id, change.lsn);
    if (const auto member = member_of(change.id, board.member_count)) {
      witness.read_id(engine, board.members[*member]);
    } else {
      witness.fail("changes_since tells of a memory that is none of ours");
    }
  }
  const auto expect_told = [&](const MemoryId& id, Lsn since) {
    const auto found = told.find(id);
    if (found == told.end() || found->second < since)
      witness.fail(fmt::format("I4: changes_since({}) up to {} does not tell of member {}, changed at LSN {} or later",
                               cursor.value, changes->cursor.value, *member_of(id, board.member_count), since.value));
  };
  for (const auto& [id, lsn] : follower.under_way) expect_told(id, lsn);
  for (std::uint32_t i = 0; i < board.group_count; ++i) {
    const Group& group = board.groups[i];
    if (group.kind == Kind::raw || wanted[i] <= cursor.value) continue;
    for (std::uint32_t m = 0; m < group.member_count; ++m) {
      expect_told(memory_id(group.first_member + m), Lsn{wanted[i]});
    }
  }
  follower = {.cursor = changes->cursor, .under_way = std::move(under_way)};
}

void follow(const Actor& actor) {
  Witness witness(actor.board, fmt::format("follower slot {}", actor.slot), actor.lane());
  std::mt19937_64 random(actor.seed);
  StorageEngine engine = open_store(actor, witness, round_options(actor.board.config));
  actor.enter(Phase::ready);
  Follower follower{.cursor = witness.committed(engine), .under_way = {}};
  while (!actor.stopping()) {
    const std::uint64_t acked = actor.board.acked_lsn.load();
    const Lsn now = witness.good(engine.wait_for_change(follower.cursor, milliseconds(20)), "wait_for_change");
    if (now.value < acked) witness.fail(fmt::format("I4: wait_for_change answered {}, after {}", now.value, acked));
    witness.count(Op::wait);
    follow_once(actor.board, engine, witness, follower);
    pause_for_the_others(random);
  }
  witness.good(engine.close(), "close");
}

void write(const Actor& actor, std::uint32_t threads) {
  Witness witness(actor.board, fmt::format("writer slot {}", actor.slot), actor.lane());
  StorageEngine engine = open_store(actor, witness, round_options(actor.board.config));
  const auto work = [&](std::uint32_t thread) {
    Writer writer(actor, engine, thread);
    writer.resolve();
    actor.enter(Phase::ready);
    for (std::uint64_t step = 1; !actor.stopping(); ++step) {
      writer.step();
      if (step % 8 == 0) std::this_thread::sleep_for(milliseconds(1));
    }
  };
  std::vector<std::jthread> others;
  for (std::uint32_t thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  others.clear();
  witness.good(engine.close(), "close");
}

void keep(const Actor& actor) {
  Witness witness(actor.board, fmt::format("checkpointer slot {}", actor.slot), actor.lane());
  std::mt19937_64 random(actor.seed);
  StorageEngine engine = open_store(actor, witness, round_options(actor.board.config));
  actor.enter(Phase::ready);
  while (!actor.stopping()) {
    actor.enter(Phase::in_call);
    switch (random() % 6) {
      case 0:
        witness.good(engine.recover(), "recover");
        witness.count(Op::recover);
        break;
      case 1:
        witness.verify(engine, "the store while others write");
        break;
      default:
        witness.good(engine.checkpoint(), "checkpoint");
        witness.count(Op::checkpoint);
        break;
    }
    actor.enter(Phase::ready);
    for (int i = 0; i < 50; ++i) read_something(actor.board, engine, witness, random);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3'000));
  }
  witness.good(engine.close(), "close");
}

void open_and_close(const Actor& actor) {
  Witness witness(actor.board, fmt::format("opener slot {}", actor.slot), actor.lane());
  std::mt19937_64 random(actor.seed);
  while (!actor.stopping()) {
    Options options = round_options(actor.board.config);
    options.read_only = random() % 4 == 0;
    const Floors floors = witness.floors();
    auto opened = StorageEngine::open(actor.store(), options);
    witness.count(options.read_only ? Op::open_read_only : Op::open);
    // Somebody was killed, and this engine may not repair it: the documented answer.
    if (options.read_only && is_code(opened, ErrorCode::busy) && opened.error().message.contains("mentedb recover")) {
      actor.enter(Phase::ready);
      continue;
    }
    StorageEngine engine = witness.good(std::move(opened), "open");
    actor.enter(Phase::ready);
    for (int i = 0; i < 100; ++i) {
      Member& member = any_member(actor.board, random, Kind::permanent);
      if (!options.read_only) {
        witness.read_id(engine, member);
        continue;
      }
      // What a read-only engine may not repair it may decline, and nothing else.
      const auto node = engine.load_memory(memory_id(actor.board.index_of(member)));
      if (node && witness.identify(*node, "read-only").second < floors[actor.board.index_of(member)])
        witness.fail(fmt::format("I1: member {} went back in a read-only engine", actor.board.index_of(member)));
      if (!node && !is_code(node, ErrorCode::not_found) && !is_code(node, ErrorCode::busy))
        witness.good(node, "read-only load_memory");
    }
    if (!options.read_only && random() % 4 == 0) {
      witness.good(engine.recover(), "recover");
      witness.count(Op::recover);
    }
    if (random() % 2 == 0) {
      witness.good(engine.close(), "close");
      witness.count(Op::close);
    }
  }
}

void back_up(const Actor& actor) {
  Witness witness(actor.board, fmt::format("backup slot {}", actor.slot), actor.lane());
  StorageEngine engine = open_store(actor, witness, round_options(actor.board.config));
  actor.enter(Phase::ready);
  while (!actor.stopping()) {
    make_backup(actor, engine, witness);
    std::this_thread::sleep_for(milliseconds(5));
  }
  witness.good(engine.close(), "close");
}

// Killed in the middle of this, nobody takes the rest for a backup.
void remove_whole(const std::filesystem::path& directory) {
  const std::filesystem::path away = directory.string() + "-removed";
  std::filesystem::remove_all(away);
  std::filesystem::rename(directory, away);
  std::filesystem::remove_all(away);
}

}  // namespace

Options round_options(const Config& config) {
  Options options;
  options.page_size_bytes = config.page_size_bytes;
  options.wal_limit_bytes = std::uint64_t{config.wal_limit_kib} << 10;
  options.lock_timeout = kLockTimeout;
  return options;
}

void make_backup(const Actor& actor, StorageEngine& engine, Witness& witness) {
  Board& board = actor.board;
  const auto copy_path = actor.scratch / fmt::format("copy-{}", actor.slot);
  Options read_only;
  read_only.read_only = true;
  if (std::filesystem::exists(copy_path)) {
    // Of a killed predecessor: refused, or it was finished and is whole.
    auto half = StorageEngine::open(copy_path, read_only);
    if (half) {
      witness.verify(*half, "a backup that outlived its maker");
    } else if (!is_code(half, ErrorCode::corruption) && !is_code(half, ErrorCode::not_found)) {
      witness.good(std::move(half), "open of a killed backup");
    }
    remove_whole(copy_path);
  }
  const Floors floors = witness.floors();
  actor.enter(Phase::in_call);
  witness.good(engine.backup(copy_path), "backup");
  actor.enter(Phase::ready);
  StorageEngine copy = witness.good(StorageEngine::open(copy_path), "open of the backup");
  witness.verify(copy, "the backup");
  std::vector<std::optional<std::uint64_t>> seen(board.member_count);
  witness.good(copy.for_each_memory([&](const MemoryNode& node, PageId) {
    const auto [member, version] = witness.identify(node, "in a backup");
    seen[member] = version;
    return true;
  }),
               "for_each of the backup");
  witness.judge_all(floors, seen, "in a backup");
  const std::uint64_t number = board.backups.fetch_add(1) + 1;
  for (std::uint32_t i = 0; i < board.group_count; ++i) {
    const Group& group = board.groups[i];
    if (group.kind == Kind::raw) continue;
    const auto first = seen[group.first_member];
    for (std::uint32_t m = 1; m < group.member_count; ++m) {
      if (seen[group.first_member + m] == first) continue;
      witness.fail(fmt::format("I2: a backup has group {} at versions {} and {} (0: none)", i, first.value_or(0),
                               seen[group.first_member + m].value_or(0)));
    }
    if (!first) continue;
    Record& record = log_record(board, actor.slot * kThreadsPerSlot, i, *first, Op::backup);
    record.lsn = number;
    record.what.store(What::in_backup);
  }
  witness.count(Op::backup, board.member_count);
  witness.good(copy.close(), "close of the backup");
  remove_whole(copy_path);
}

// The child outlives its parent when that is killed meanwhile. What it inherited must answer `forked` and must not hold
// anybody's lock; what it opens itself works.
void fork_a_child(const Actor& actor, StorageEngine& engine, Witness& witness) {
  const pid_t child = ::fork();
  if (child < 0) witness.fail("fork failed");
  if (child > 0) {
    actor.board.slots[actor.slot].forked.fetch_add(1);
    witness.count(Op::fork);
    return;
  }
  ::alarm(kChildSeconds);  // a child that hangs ends, and is noticed
  Board& board = actor.board;
  Witness own(board, fmt::format("child of slot {}", actor.slot), board.lanes[kMaxLanes - 1]);
  std::mt19937_64 random(actor.seed);
  Member& member = any_member(board, random, Kind::permanent);
  const auto refused = [&](const auto& result, std::string_view call) {
    if (!is_code(result, ErrorCode::forked)) own.fail(fmt::format("I6: {} in a forked child was not refused", call));
  };
  // flock(2) belongs to the open file: whoever has a descriptor of it has the parent's lock.
  for (const auto& descriptor : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    if (std::filesystem::read_symlink(descriptor.path(), closed) == actor.store() / "wal.log")
      own.fail("I6: a forked child has inherited the descriptor of the lock");
  }
  const MemoryId id = memory_id(board.index_of(member));
  refused(engine.load_memory(id), "load_memory");
  refused(engine.store_memory(make_memory(board.config, 0, 0xF000'0002)), "store_memory");
  refused(engine.delete_memory(id), "delete_memory");
  refused(engine.checkpoint(), "checkpoint");
  refused(engine.scan_all_memories(), "scan_all_memories");
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 5'000));
  {
    const StorageEngine mine =
        own.good(StorageEngine::open(actor.store(), round_options(board.config)), "open in a forked child");
    for (int i = 0; i < 20; ++i) own.read_id(mine, any_member(board, random, Kind::permanent));
  }
  refused(engine.load_memory(id), "load_memory");
  ::_exit(0);
}

void read_by_id(const Actor& actor) {
  Witness witness(actor.board, "reader by id", actor.lane());
  std::mt19937_64 random(actor.seed);
  const StorageEngine engine = open_store(actor, witness, round_options(actor.board.config));
  actor.enter(Phase::ready);
  while (actor.board.go.load() == 0) witness.read_id(engine, any_member(actor.board, random, Kind::permanent));
}

void run_role(Role role, const Actor& actor) {
  switch (role) {
    case Role::writer:
      return write(actor, 1);
    case Role::group_writer:
      return write(actor, kThreadsPerSlot);
    case Role::reader:
      return read(actor);
    case Role::follower:
      return follow(actor);
    case Role::keeper:
      return keep(actor);
    case Role::opener:
      return open_and_close(actor);
    case Role::backup:
      return back_up(actor);
    case Role::count:
      break;
  }
}

}  // namespace mentedb::prove

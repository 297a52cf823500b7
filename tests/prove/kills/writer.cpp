#include "writer.hpp"

#include <algorithm>
#include <optional>

#include "content.hpp"

namespace mentedb::prove {
namespace {

constexpr std::uint64_t where_of(std::uint64_t version, std::uint64_t page) { return version << 32 | page; }

}  // namespace

Record& log_record(Board& board, std::uint32_t lane, std::uint32_t group, std::uint64_t version, Op op) {
  const std::uint64_t at = board.lanes[lane].log_size.load(std::memory_order_relaxed);
  Record& record = board.logs[lane][std::min<std::uint64_t>(at, kLogRecords - 1)];
  record.invoked_ns = now_ns();
  record.returned_ns = 0;
  record.lsn = 0;
  record.group = group;
  record.version = static_cast<std::uint32_t>(version);
  record.op = op;
  record.what.store(What::attempted);
  if (at < kLogRecords) board.lanes[lane].log_size.store(at + 1);
  return record;
}

Writer::Writer(const Actor& actor, StorageEngine& engine, std::uint32_t thread)
    : actor_(actor),
      board_(actor.board),
      engine_(engine),
      lane_(actor.slot * std::uint32_t{kThreadsPerSlot} + thread),
      witness_(actor.board, fmt::format("writer slot {} thread {}", actor.slot, thread), actor.lane(thread)),
      random_(actor.seed + thread) {
  for (std::uint32_t i = 0; i < board_.group_count; ++i) {
    Group& group = board_.groups[i];
    if (group.owner == lane_) own_.push_back(&group);
    if (group.owner == kShared) shared_.push_back(&group);
  }
}

// Some are hot, so that readers and writers meet.
Group& Writer::pick(const std::vector<Group*>& from) {
  const std::size_t among = random_() % 2 == 0 ? std::min<std::size_t>(from.size(), 4) : from.size();
  return *from[random_() % among];
}

std::vector<MemoryNode> Writer::nodes(const Group& group, std::uint64_t version) const {
  std::vector<MemoryNode> made;
  for (std::uint32_t i = 0; i < group.member_count; ++i)
    made.push_back(make_memory(board_.config, group.first_member + i, version));
  return made;
}

std::uint64_t Writer::lsn_of(PageId page) {
  const std::uint64_t lsn =
      witness_.good(engine_.read_page(page), "read_page of what was just written").header.lsn.value;
  if (page.value < kPageLsns) raise(board_.page_lsn[page.value], lsn);
  return lsn;
}

// ---- what a dead predecessor left

void Writer::resolve() {
  const bool all = random_() % 16 == 0;
  std::vector<Group*> open;
  for (Group* const group : own_) {
    if (all || group->attempted.load() != group->acked.load()) open.push_back(group);
  }
  witness_.good(engine_.transact([&](Transaction& transaction) -> Result<void> {
    for (Group* const group : open) resolve_group(*group, transaction);
    return {};
  }),
                "transact to resolve");
  witness_.count(Op::resolve, open.size());
}

// Under the lock everything that was ever durable is visible: the write of the killed process happened or it did not,
// as a whole (I2), and that stays so.
void Writer::resolve_group(Group& group, Transaction& transaction) {
  const std::uint64_t attempted = group.attempted.load();
  std::optional<std::uint64_t> version;
  for (std::uint32_t i = 0; i < group.member_count; ++i) {
    const std::uint32_t number = group.first_member + i;
    Member& member = board_.members[number];
    std::uint64_t found = 0;
    const auto absent_version = [&] {
      const std::uint64_t cycle = absent_cycle(group.kind);
      return cycle == 0 ? 0 : attempted / cycle * cycle;
    };
    if (group.kind == Kind::raw) {
      const auto page = engine_.read_page(PageId{member.where.load() & 0xFFFF'FFFF});  // page 0 is nobody's
      std::optional<std::uint64_t> held;
      if (page && page->header.type == PageType::raw) {
        const bool empty = page->data.empty() && group.acked.load() % 8 == 1;
        held = empty ? std::optional(group.acked.load()) : version_of(number, page->data);
      } else if (!page && !is_code(page, ErrorCode::not_found)) {
        witness_.good(page, "read_page under the lock");
      }
      found = held.value_or(absent_version());
    } else if (const auto node = transaction.load(memory_id(number)); node) {
      const auto held = version_of(board_.config, number, *node);
      if (!held) witness_.fail(fmt::format("member {} under the lock is no whole version", number));
      found = *held;
      const PageId page = witness_.good(transaction.find(memory_id(number)), "find under the lock");
      member.where.store(where_of(found, page.value));
    } else if (is_code(node, ErrorCode::not_found)) {
      found = absent_version();
    } else {
      witness_.good(node, "load under the lock");
    }
    if (found < board_.floor_of(member) || (found != attempted && found + 1 != attempted)) {
      witness_.fail(
          fmt::format("I1/I3: member {} of group {} is at version {} under the lock, acked {}, shown {}, "
                      "attempted {}",
                      number, board_.index_of(group), found, group.acked.load(), member.shown.load(), attempted));
    }
    if (version && *version != found) {
      witness_.fail(fmt::format("I2: group {} is at versions {} and {} under the lock (members {} and {})",
                                board_.index_of(group), *version, found, group.first_member, number));
    }
    version = found;
  }
  std::uint64_t lsn = 0;
  if (!is_absent(group.kind, *version) && *version != 0)
    lsn = lsn_of(PageId{board_.members[group.first_member].where.load() & 0xFFFF'FFFF});
  Record& record = log_record(board_, lane_, board_.index_of(group), *version, Op::resolve);
  record.lsn = lsn;
  record.what.store(What::resolved);
  group.attempted.store(*version);
  settle(group, *version, lsn);
}

void Writer::settle(Group& group, std::uint64_t version, std::uint64_t lsn) {
  raise(group.acked, version);
  if (lsn != 0) raise(group.acked_lsn, lsn);
}

// ---- changes

Writer::Pending Writer::begin(Group& group, std::uint64_t version, Op op) {
  Record& record = log_record(board_, lane_, board_.index_of(group), version, op);
  group.attempted.store(version);
  return {.group = group, .version = version, .record = record, .floor_lsn = board_.acked_lsn.load()};
}

void Writer::acknowledged(const Pending& pending, const std::vector<PageId>& pages) {
  Group& group = pending.group;
  pending.record.returned_ns = now_ns();
  pending.record.what.store(What::acked);
  for (std::size_t i = 0; i < pages.size(); ++i)
    board_.members[group.first_member + i].where.store(where_of(pending.version, pages[i].value));
  raise(group.acked, pending.version);
  // I8, R9: later in real time is later in LSNs, over all processes.
  std::uint64_t lsn = pending.floor_lsn + 1;  // a deletion tells no LSN: it is above this
  if (!pages.empty() && group.owner != kShared) {
    lsn = pending.record.lsn = lsn_of(pages.front());
    if (lsn <= pending.floor_lsn) {
      witness_.fail(fmt::format("I8: group {} version {} has LSN {}, and {} was acknowledged before it began",
                                board_.index_of(group), pending.version, lsn, pending.floor_lsn));
    }
    raise(board_.acked_lsn, lsn);
  } else if (witness_.committed(engine_).value < lsn) {
    witness_.fail(fmt::format("I8: group {} version {} was acknowledged at committed LSN below {}",
                              board_.index_of(group), pending.version, lsn));
  }
  raise(group.acked_lsn, lsn);
  witness_.count(pending.record.op, 2);
}

Group& Writer::group(Kind kind, std::uint32_t least_members, std::uint32_t most_members) {
  const auto found = std::ranges::find_if(own_, [&](const Group* one) {
    return one->kind == kind && one->member_count >= least_members && one->member_count <= most_members;
  });
  if (found == own_.end()) witness_.fail("this lane owns no such group");
  return **found;
}

void Writer::advance(Group& group, std::uint64_t version) {
  while ((group.acked.load() + 1) % absent_cycle(group.kind) != version) change(group);
}

void Writer::change(Group& group) {
  if (group.owner == kShared) return change_shared(group);
  actor_.enter(Phase::in_call);
  if (group.kind == Kind::raw) {
    change_raw(group);
  } else if (is_absent(group.kind, group.acked.load() + 1)) {
    erase_memories(group);
  } else {
    change_memories(group);
  }
  actor_.enter(Phase::ready);
}

void Writer::step() {
  if (random_() % 6 == 0) return change(pick(shared_));
  Group& group = pick(own_);
  if (random_() % 40 == 0) roll_back(group);
  if (random_() % 300 == 0) fork_a_child(actor_, engine_, witness_);
  change(group);
  if (random_() % 3 == 0) read_back(group);
}

void Writer::change_memories(Group& group) {
  const std::uint64_t version = group.acked.load() + 1;
  const bool is_new = group.kind == Kind::deletable && version % 4 == 1;
  const auto made = nodes(group, version);
  std::vector<PageId> pages;
  if (random_() % 4 == 0) {
    const Pending pending = begin(group, version, Op::transact);
    witness_.good(engine_.transact([&](Transaction& transaction) -> Result<void> {
      enter_transaction();
      pages.clear();
      for (const MemoryNode& node : made) pages.push_back(witness_.good(transaction.store(node), "transaction store"));
      return {};
    }),
                  "transact");
    return acknowledged(pending, pages);
  }
  if (group.member_count > 1) {
    const Pending pending = begin(group, version, Op::batch);
    pages = witness_.good(engine_.store_memories(made), "store_memories");
    return acknowledged(pending, pages);
  }
  const MemoryNode& node = made.front();
  const bool plain = random_() % 3 == 0;
  const Pending pending = begin(group, version, is_new || plain ? Op::store : Op::update);
  if (is_new && !plain) {
    pages = {witness_.good(engine_.store_memory_if_absent(node), "store_memory_if_absent")};
  } else if (plain) {
    pages = {witness_.good(engine_.store_memory(node), "store_memory")};
  } else {
    pages = {witness_.good(engine_.update_memory(node), "update_memory")};
  }
  acknowledged(pending, pages);
}

void Writer::erase_memories(Group& group) {
  const Pending pending = begin(group, group.acked.load() + 1, Op::erase);
  const std::uint64_t choice = random_() % 4;
  if (group.member_count == 1 && choice == 0) {
    const PageId page{board_.members[group.first_member].where.load() & 0xFFFF'FFFF};
    witness_.good(engine_.free_page(page), "free_page of a memory");
  } else if (group.member_count == 1 && choice != 1) {
    witness_.good(engine_.delete_memory(memory_id(group.first_member)), "delete_memory");
  } else {
    witness_.good(engine_.transact([&](Transaction& transaction) -> Result<void> {
      enter_transaction();
      for (std::uint32_t i = 0; i < group.member_count; ++i)
        witness_.good(transaction.erase(memory_id(group.first_member + i)), "transaction erase");
      return {};
    }),
                  "transact");
  }
  acknowledged(pending, {});
}

// Everybody's lock is held from here on; now and then for long enough to be stopped or killed with it.
void Writer::enter_transaction() {
  actor_.enter(Phase::in_transaction);
  if (random_() % 8 != 0) return;
  const std::uint64_t until = now_ns() + random_() % 300'000;
  while (now_ns() < until) {
  }
}

// I6: whoever has the lock sees the last version and adds one to it.
void Writer::change_shared(Group& group) {
  std::optional<Pending> pending;
  const std::uint64_t fork_at = random_() % 150;
  actor_.enter(Phase::in_call);
  witness_.good(engine_.transact([&](Transaction& transaction) -> Result<void> {
    enter_transaction();
    std::optional<std::uint64_t> version;
    for (std::uint32_t i = 0; i < group.member_count; ++i) {
      Member& member = board_.members[group.first_member + i];
      const std::uint64_t floor = board_.floor_of(member);
      const MemoryNode node =
          witness_.good(transaction.load(memory_id(group.first_member + i)), "load of a shared memory");
      const std::uint64_t now = witness_.identify(node, "under the lock").second;
      if (now < floor || now > group.attempted.load()) {
        witness_.fail(fmt::format("I1/I3/I6: shared member {} is at version {} under the lock, after {}, attempted {}",
                                  group.first_member + i, now, floor, group.attempted.load()));
      }
      if (version && *version != now)
        witness_.fail(fmt::format("I2: shared group {} is at versions {} and {} under the lock", board_.index_of(group),
                                  *version, now));
      version = now;
    }
    const PageId page = witness_.good(transaction.find(memory_id(group.first_member)), "find under the lock");
    Record& observed = log_record(board_, lane_, board_.index_of(group), *version, Op::transact);
    observed.lsn = lsn_of(page);
    observed.what.store(What::observed);
    pending.emplace(begin(group, *version + 1, Op::transact));
    if (fork_at == 0) fork_a_child(actor_, engine_, witness_);
    for (const MemoryNode& node : nodes(group, *version + 1)) {
      witness_.good(transaction.update(node), "transaction update");
    }
    return {};
  }),
                "transact");
  acknowledged(*pending, {});
  actor_.enter(Phase::ready);
}

void Writer::change_raw(Group& group) {
  Member& member = board_.members[group.first_member];
  const std::uint64_t version = group.acked.load() + 1;
  const PageId page{member.where.load() & 0xFFFF'FFFF};
  const Pending pending = begin(group, version, Op::raw_write);
  if (is_absent(Kind::raw, version)) {
    witness_.good(engine_.free_page(page), "free_page");
    return acknowledged(pending, {});
  }
  if (version % 8 == 1) {
    const PageId fresh = witness_.good(engine_.allocate_page(kRawBytes), "allocate_page");
    return acknowledged(pending, {fresh});
  }
  witness_.good(engine_.write_page(page, make_raw(group.first_member, version)), "write_page");
  acknowledged(pending, {page});
}

// What a rolled back transaction has stored may never be seen: its version is far above what was attempted.
void Writer::roll_back(Group& group) {
  if (group.kind == Kind::raw) return;
  const auto done = engine_.transact([&](Transaction& transaction) -> Result<void> {
    for (const MemoryNode& node : nodes(group, 0xF000'0001)) witness_.good(transaction.store(node), "store");
    return std::unexpected(Error{ErrorCode::busy, 0, "rolled back"});
  });
  if (done) witness_.fail("a transaction whose function failed was committed");
  if (done.error().message != "rolled back") witness_.good(done, "transact");
  witness_.count(Op::rollback);
}

// I4: nobody else writes this group, so it is exactly what was acknowledged.
void Writer::read_back(Group& group) {
  const std::uint64_t version = group.acked.load();
  Member& member = board_.members[group.first_member + random_() % group.member_count];
  if (group.kind == Kind::raw) {
    witness_.read_raw(engine_, member);
  } else {
    witness_.read_id(engine_, member);
    witness_.read_where(engine_, member);
  }
  if (member.shown.load() > version)
    witness_.fail(fmt::format("I3: member {} was shown at version {}, after {}", board_.index_of(member),
                              member.shown.load(), version));
  witness_.count(Op::read_back);
}

}  // namespace mentedb::prove

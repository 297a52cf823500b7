#include "witness.hpp"

#include <algorithm>

#include "content.hpp"

namespace mentedb::prove {

void Witness::count(Op op, std::uint64_t checks) {
  const auto add = [](Word& word, std::uint64_t more) {
    word.store(word.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  };
  add(lane_.operations[static_cast<std::size_t>(op)], 1);
  add(lane_.checks, checks);
}

std::string Witness::name(Member& member) const {
  const Group& group = board_.region_of(member);
  return fmt::format("member {} of group {} (first {}, count {}, kind {}, owner {}, attempted {}, acked {}, shown {})",
                     board_.index_of(member), board_.index_of(group), group.first_member, group.member_count,
                     static_cast<std::uint32_t>(group.kind), group.owner, group.attempted.load(), group.acked.load(),
                     member.shown.load());
}

void Witness::judge_value(Member& member, std::uint64_t floor, std::uint64_t version, std::string_view path) {
  const Group& group = board_.region_of(member);
  const std::uint64_t attempted = group.attempted.load();
  if (version < floor) fail(fmt::format("I1/I3: {} at version {} {}, after {}", name(member), version, path, floor));
  if (version > attempted || is_absent(group.kind, version)) {
    fail(fmt::format("value from nowhere: {} at version {} {}, attempted {}", name(member), version, path, attempted));
  }
}

std::uint64_t Witness::judge_absent(Member& member, std::uint64_t floor, std::string_view path) {
  const Group& group = board_.region_of(member);
  const std::uint64_t attempted = group.attempted.load();
  const std::uint64_t version = group.kind == Kind::permanent ? UINT64_MAX : next_absent(group.kind, floor);
  if (version > attempted)
    fail(
        fmt::format("I1/I3: {} is not there {}, after version {}, attempted {}", name(member), path, floor, attempted));
  return version;
}

std::optional<std::uint64_t> Witness::read_id_from(const StorageEngine& engine, Member& member, std::uint64_t floor) {
  const std::uint32_t number = board_.index_of(member);
  const auto node = engine.load_memory(memory_id(number));
  if (node) {
    const auto version = version_of(board_.config, number, *node);
    if (!version) fail(fmt::format("{} by id is no whole version: {}", name(member), node->access_count));
    judge_value(member, floor, *version, "by id");
    raise(member.shown, *version);
    return version;
  }
  if (!is_code(node, ErrorCode::not_found)) good(node, "load_memory(id)");
  raise(member.shown, judge_absent(member, floor, "by id"));
  return std::nullopt;
}

void Witness::read_id(const StorageEngine& engine, Member& member) {
  read_id_from(engine, member, board_.floor_of(member));
  count(Op::read_id);
}

void Witness::read_backwards(const StorageEngine& engine, Group& group) {
  Member& last = board_.members[group.first_member + group.member_count - 1];
  Member& first = board_.members[group.first_member];
  const auto version = read_id_from(engine, last, board_.floor_of(last));
  const std::uint64_t floor = board_.floor_of(first);
  read_id_from(engine, first, std::max(floor, version.value_or(0)));
  count(Op::read_id, 2);
}

void Witness::read_where(const StorageEngine& engine, Member& member) {
  const std::uint64_t where = member.where.load();
  if (where == 0) return;
  const std::uint64_t acked = where >> 32;
  const auto node = engine.load_memory(PageId{where & 0xFFFF'FFFF});
  const std::uint32_t number = board_.index_of(member);
  if (node && node->id == memory_id(number)) {
    const auto version = version_of(board_.config, number, *node);
    if (!version) fail(fmt::format("{} by page is no whole version", name(member)));
    judge_value(member, acked, *version, "by page");
  } else {
    if (node) {
      identify(*node, "by page");
    } else if (!is_code(node, ErrorCode::not_found) && !is_code(node, ErrorCode::invalid_argument)) {
      good(node, "load_memory(page)");
    }
    if (board_.region_of(member).attempted.load() <= acked)
      fail(fmt::format("I1/I3: {} is not on page {}, where version {} was acknowledged", name(member),
                       where & 0xFFFF'FFFF, acked));
  }
  count(Op::read_page);
}

void Witness::read_page(const StorageEngine& engine, Member& member) {
  const std::uint64_t page = member.where.load() & 0xFFFF'FFFF;
  if (page == 0) return;
  Word& shown = board_.page_lsn[page % kPageLsns];
  const std::uint64_t floor = page < kPageLsns ? shown.load() : 0;
  const auto copy = engine.read_page(PageId{page});
  if (copy) {
    if (copy->header.lsn.value < floor)
      fail(fmt::format("I3: page {} went from LSN {} to {}", page, floor, copy->header.lsn.value));
    if (page < kPageLsns) raise(shown, copy->header.lsn.value);
  } else if (!is_code(copy, ErrorCode::not_found)) {
    good(copy, "read_page");
  }
  count(Op::read_page);
}

void Witness::read_raw(const StorageEngine& engine, Member& member) {
  const std::uint64_t floor = board_.floor_of(member);
  const std::uint64_t where = member.where.load();
  if (where == 0) return;
  const auto copy = engine.read_page(PageId{where & 0xFFFF'FFFF});
  const std::uint32_t number = board_.index_of(member);
  std::optional<std::uint64_t> version;
  if (copy && copy->header.type == PageType::raw) {
    if (!is_whole_raw(copy->data)) fail(fmt::format("{} is torn on page {}", name(member), where & 0xFFFF'FFFF));
    version = copy->data.empty() ? std::optional(where >> 32) : version_of(number, copy->data);
  } else if (!copy && !is_code(copy, ErrorCode::not_found)) {
    good(copy, "read_page of a raw page");
  }
  // A page that was freed and given to somebody else is as good as not there.
  if (!version || (copy->data.empty() && floor > *version)) {
    raise(member.shown, judge_absent(member, floor, "as a raw page"));
  } else {
    judge_value(member, floor, *version, "as a raw page");
    raise(member.shown, *version);
  }
  count(Op::read_raw);
}

void Witness::find(const StorageEngine& engine, Member& member) {
  const std::uint64_t floor = board_.floor_of(member);
  const auto page = engine.find(memory_id(board_.index_of(member)));
  if (is_code(page, ErrorCode::not_found)) {
    judge_absent(member, floor, "by find");
  } else {
    good(page, "find");
  }
  count(Op::find);
}

Floors Witness::floors() {
  Floors floors(board_.member_count);
  for (std::uint32_t i = 0; i < board_.member_count; ++i) floors[i] = board_.floor_of(board_.members[i]);
  return floors;
}

// A deletion leaves the id index before the directory, so until it is acknowledged a scan may still list what reads by
// id no longer find. All else that was shown by id is listed.
Floors Witness::scan_floors() {
  Floors floors(board_.member_count);
  for (std::uint32_t i = 0; i < board_.member_count; ++i) {
    Member& member = board_.members[i];
    const Group& group = board_.region_of(member);
    const std::uint64_t acked = group.acked.load();
    const std::uint64_t shown = member.shown.load();
    floors[i] = std::max(acked, shown != 0 && is_absent(group.kind, shown) ? shown - 1 : shown);
  }
  return floors;
}

void Witness::judge_all(const Floors& floors, const std::vector<std::optional<std::uint64_t>>& seen,
                        std::string_view path) {
  for (std::uint32_t i = 0; i < board_.member_count; ++i) {
    Member& member = board_.members[i];
    if (board_.region_of(member).kind == Kind::raw) continue;
    if (seen[i]) {
      judge_value(member, floors[i], *seen[i], path);
    } else {
      judge_absent(member, floors[i], path);
    }
  }
}

std::pair<std::uint32_t, std::uint64_t> Witness::identify(const MemoryNode& node, std::string_view path) const {
  const auto member = member_of(node.id, board_.member_count);
  if (!member) fail(fmt::format("memory {} {} is none of ours", node.id.to_string(), path));
  const auto version = version_of(board_.config, *member, node);
  if (!version) fail(fmt::format("member {} {} is no whole version: {}", *member, path, node.access_count));
  return {*member, *version};
}

void Witness::scan(const StorageEngine& engine) {
  const Floors before = scan_floors();
  const auto all = good(engine.scan_all_memories(), "scan_all_memories");
  std::vector<bool> there(board_.member_count);
  for (const auto& [id, page] : all) {
    const auto member = member_of(id, board_.member_count);
    if (!member || there[*member]) fail(fmt::format("scan shows {} twice or from nowhere", id.to_string()));
    there[*member] = true;
  }
  for (std::uint32_t i = 0; i < board_.member_count; ++i) {
    if (!there[i] && board_.region_of(board_.members[i]).kind != Kind::raw)
      judge_absent(board_.members[i], before[i], "in a scan");
  }
  count(Op::scan, board_.member_count);
}

void Witness::for_each(const StorageEngine& engine) {
  const Floors before = scan_floors();
  std::vector<std::optional<std::uint64_t>> seen(board_.member_count);
  good(engine.for_each_memory([&](const MemoryNode& node, PageId) {
    const auto [member, version] = identify(node, "in for_each");
    if (seen[member]) fail(fmt::format("for_each shows member {} twice", member));
    seen[member] = version;
    return true;
  }),
       "for_each_memory");
  // Not raised: for_each reads by page, and may run ahead of reads by id by one batch.
  judge_all(before, seen, "in for_each");
  count(Op::for_each, board_.member_count);
}

Lsn Witness::committed(const StorageEngine& engine) {
  const std::uint64_t floor = std::max(board_.shown_lsn.load(), board_.acked_lsn.load());
  const Lsn lsn = engine.committed_lsn();
  if (lsn.value < floor) fail(fmt::format("I4/I8: committed_lsn is {}, after {}", lsn.value, floor));
  raise(board_.shown_lsn, lsn.value);
  return lsn;
}

void Witness::verify(const StorageEngine& engine, std::string_view what) {
  const auto report = good(engine.verify(), "verify");
  if (!report.problems.empty()) {
    const Problem& problem = report.problems.front();
    fail(fmt::format("I12: verify of {}: {} problems, first {} byte {} page {}: {}", what, report.problems.size(),
                     problem.file, problem.offset, problem.page.value, problem.message));
  }
  count(Op::verify, report.memories_checked);
}

}  // namespace mentedb::prove

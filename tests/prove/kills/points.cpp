#include "points.hpp"

#include <ctime>
#include <thread>

#include "content.hpp"

namespace mentedb::prove {
namespace {

void wait_for_go(const Actor& actor) {
  actor.enter(Phase::ready);
  while (actor.board.go.load() == 0) {
    const timespec pause{.tv_sec = 0, .tv_nsec = 200'000};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
  }
}

void write_twice(Point point, const Actor& actor, StorageEngine& engine) {
  Writer writer(actor, engine, 0);
  writer.resolve();
  const auto twice = [&](Group& group) {
    wait_for_go(actor);
    writer.change(group);
    writer.change(group);
  };
  const auto once_at = [&](Group& group, std::uint64_t version) {
    writer.advance(group, version);
    wait_for_go(actor);
    writer.change(group);
  };
  switch (point) {
    case Point::create:
      return once_at(writer.group(Kind::deletable), 1);
    case Point::erase:
      return once_at(writer.group(Kind::deletable), 0);
    case Point::raw_allocate:
      return once_at(writer.group(Kind::raw), 1);
    case Point::raw_write:
      return once_at(writer.group(Kind::raw), 5);
    case Point::raw_free:
      return once_at(writer.group(Kind::raw), 0);
    case Point::batch:
      return twice(writer.group(Kind::permanent, 2, 2));
    case Point::bulk:
      return twice(writer.group(Kind::deletable, 5, 1'000));
    case Point::shared:
      return twice(writer.shared_group());
    default:
      return twice(writer.group(Kind::permanent));
  }
}

void commit_in_groups(const Actor& actor, StorageEngine& engine) {
  Writer first(actor, engine, 0);
  Writer second(actor, engine, 1);
  Writer third(actor, engine, 2);
  for (Writer* const writer : {&first, &second, &third}) writer->resolve();
  wait_for_go(actor);
  const auto work = [](Writer& writer) {
    for (int i = 0; i < 2; ++i) {
      writer.change(writer.group(Kind::permanent));
      writer.change(writer.group(Kind::deletable));
    }
  };
  std::jthread other(work, std::ref(second));
  std::jthread another(work, std::ref(third));
  work(first);
}

void read_all(const Actor& actor, StorageEngine& engine, Witness& witness) {
  wait_for_go(actor);
  witness.scan(engine);
  witness.for_each(engine);
  for (std::uint32_t i = 0; i < actor.board.member_count; ++i) {
    Member& member = actor.board.members[i];
    if (actor.board.region_of(member).kind == Kind::raw) {
      witness.read_raw(engine, member);
    } else {
      witness.read_id(engine, member);
      witness.read_where(engine, member);
    }
  }
  const Lsn lsn = witness.committed(engine);
  witness.good(engine.wait_for_change(lsn, std::chrono::milliseconds(3)), "wait_for_change");
  if (const auto changes = engine.changes_since(Lsn{0}); !changes && !is_code(changes, ErrorCode::resync_required))
    witness.good(changes, "changes_since");
}

}  // namespace

void run_point(Point point, const Actor& actor) {
  Witness witness(actor.board, fmt::format("{} to be killed", kPointNames[static_cast<std::size_t>(point)]),
                  actor.lane());
  const Options options = round_options(actor.board.config);
  if (point == Point::open || point == Point::recoverer) {
    wait_for_go(actor);
    const StorageEngine opened = witness.good(StorageEngine::open(actor.store(), options), "open");
    for (std::uint32_t i = 0; i < 30; ++i) witness.read_id(opened, actor.board.members[i]);
    return witness.count(Op::open);
  }
  StorageEngine engine = witness.good(StorageEngine::open(actor.store(), options), "open");
  witness.count(Op::open);
  switch (point) {
    case Point::growth: {
      // Too long for any gap, and never freed: the file has to grow each time.
      wait_for_go(actor);
      witness.good(engine.allocate_page(600'000), "allocate_page");
      return witness.count(Op::raw_write);
    }
    case Point::checkpoint:
    case Point::close: {
      Writer writer(actor, engine, 0);
      writer.resolve();
      // Over a quarter of the log's limit, so that close makes a checkpoint.
      for (int i = 0; i < 6; ++i) writer.change(writer.group(Kind::deletable, 5, 1'000));
      wait_for_go(actor);
      witness.good(point == Point::close ? engine.close() : engine.checkpoint(), "checkpoint");
      return witness.count(point == Point::close ? Op::close : Op::checkpoint);
    }
    case Point::recover:
      wait_for_go(actor);
      witness.good(engine.recover(), "recover");
      return witness.count(Op::recover);
    case Point::backup:
      wait_for_go(actor);
      return make_backup(actor, engine, witness);
    case Point::read:
      return read_all(actor, engine, witness);
    case Point::group_commit:
      return commit_in_groups(actor, engine);
    default:
      return write_twice(point, actor, engine);
  }
}

}  // namespace mentedb::prove

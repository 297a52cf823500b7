// Writes that other processes commit: a full disk, erased text, a queue that is gone.
#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/engine_impl.hpp"
#include "format/queue_format.hpp"
#include "support/crash/combined_writes.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"
#include "support/sim/sim_scheduler.hpp"

namespace mentedb::test {
namespace {

constexpr const char* kQueueFile = "/store/queue-1.shm";

bool has_secret(const SimDisk& disk) {
  const auto bytes = disk.content(kQueueFile);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.find("walrus") != std::string::npos;
}

MemoryNode secret(std::uint64_t number) {
  MemoryNode node = make_memory(number, 1);
  node.content.clear();
  for (int i = 0; i < 200; ++i) node.content += "walrus ";
  return node;
}

// One process holds the lock in a transaction until the others wait. Before that each of the others has waited once,
// and has a slot now.
class CombinedWrites : public testing::Test {
 protected:
  static Options options() {
    Options options = small_options();
    options.lock_timeout = std::chrono::seconds(20);
    return options;
  }
  /// `body` of each process runs while another one holds the lock. `between` runs when all of them wait in their slots.
  void run(std::vector<std::function<void(StorageEngine&)>> bodies, const std::function<void()>& between = [] {}) {
    Process::idle(disk).open_and_close();
    SimScheduler scheduler(disk, {.policy = SchedulePolicy::round_robin, .quantum = 20});
    std::size_t waiting = 0;
    std::size_t ready = 0;
    std::uint32_t holder = 0;
    const auto hold_until = [&](StorageEngine& engine, SimVfs& vfs, bool& holds, auto&& done) {
      must(engine.transact([&](Transaction&) -> Result<void> {
        holds = true;
        while (!done()) vfs.sleep(std::chrono::microseconds(50));
        return {};
      }));
    };
    scheduler.add([&](SimVfs& vfs) {
      holder = vfs.process();
      auto engine = must(EngineAccess::open(vfs, kStorePath, options()));
      hold_until(engine, vfs, held, [&] { return waiting >= bodies.size(); });
      while (ready < bodies.size()) vfs.sleep(std::chrono::microseconds(50));
      waiting = 0;
      hold_until(engine, vfs, in_slots, [&] {
        if (waiting < bodies.size()) return false;
        between();
        return true;
      });
    });
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      scheduler.add([&, i](SimVfs& vfs) {
        auto engine = must(EngineAccess::open(vfs, kStorePath, options()));
        while (!held) vfs.sleep(std::chrono::microseconds(50));
        must(engine.store_memory(make_memory(500 + i, 1)));
        ++ready;
        while (!in_slots) vfs.sleep(std::chrono::microseconds(50));
        while (waiting < i) vfs.sleep(std::chrono::microseconds(50));
        bodies[i](engine);
      });
    }
    std::set<std::uint32_t> seen;
    disk.set_hook([&](const Step& step) {
      const bool waits = held && step.kind == StepKind::wait && (!in_slots || on_queue(step, StepKind::wait));
      if (waits && step.process != holder && seen.insert(step.process).second) ++waiting;
      if (waiting == 0 && in_slots) {
        if (!cleared) seen.clear();
        cleared = true;
      }
      if (kill_in_its_slot && in_slots && waits && step.process != holder) {
        kill_in_its_slot = false;
        return StepAction::kill();
      }
      return StepAction::proceed();
    });
    scheduler.run();
    disk.set_hook({});
  }

  SimDisk disk;
  bool held = false;
  bool in_slots = false;
  bool cleared = false;
  bool kill_in_its_slot = false;
};

TEST_F(CombinedWrites, ADeletionDoesNotFailWithTheStoreBesideIt) {
  {
    Process process(disk);
    store_memories(*process, 1, 30);
    for (std::uint64_t i = 31; must(process->stats()).free_pages >= 30; ++i)
      must(process->store_memory(make_memory(i, 1)));
    must(process->checkpoint());
  }
  Result<PageId> stored = PageId{};
  Result<void> deleted;
  run({[&](StorageEngine& engine) { stored = engine.store_memory(make_memory(900, 1, 30'000)); },
       [&](StorageEngine& engine) { deleted = engine.delete_memory(memory_id(7)); }},
      [&] { leave_room(disk, 0); });
  EXPECT_TRUE(is_error(stored, ErrorCode::no_space));
  EXPECT_TRUE(ok(deleted));
  Process after(disk);
  EXPECT_EQ(version_of(after, 7), 0U);
  EXPECT_EQ(version_of(after, 900), 0U);
  expect_sound(disk);
}

TEST_F(CombinedWrites, EachGetsItsOwnAnswer) {
  Result<PageId> first = PageId{};
  Result<PageId> second = PageId{};
  Result<PageId> missing = PageId{};
  run({[&](StorageEngine& engine) { first = engine.store_memory_if_absent(make_memory(1, 1)); },
       [&](StorageEngine& engine) { second = engine.store_memory_if_absent(make_memory(1, 2)); },
       [&](StorageEngine& engine) { missing = engine.update_memory(make_memory(2, 1)); }});
  EXPECT_NE(first.has_value(), second.has_value());
  EXPECT_TRUE(is_error(first ? second : first, ErrorCode::already_exists, "memory"));
  EXPECT_TRUE(is_error(missing, ErrorCode::not_found, "to update"));
  Process after(disk);
  EXPECT_EQ(must(after->find(memory_id(1))), first ? *first : *second);
  EXPECT_EQ(version_of(after, 1), first ? 1U : 2U);
}

TEST_F(CombinedWrites, TheOwnerZeroesItsRequest) {
  run({[&](StorageEngine& engine) { must(engine.store_memory(secret(1))); },
       [&](StorageEngine& engine) { must(engine.store_memory(secret(2))); }});
  ASSERT_TRUE(disk.exists(kQueueFile));
  EXPECT_FALSE(has_secret(disk));
}

TEST_F(CombinedWrites, EraseDeletedZeroesTheRequestOfADeadOwner) {
  kill_in_its_slot = true;
  run({[&](StorageEngine& engine) { static_cast<void>(engine.store_memory(secret(1))); }});
  ASSERT_TRUE(has_secret(disk));
  Process other(disk);
  must(other->erase_deleted());
  EXPECT_FALSE(has_secret(disk));
  EXPECT_EQ(version_of(other, 1), 0U);
}

// The owner died in its slot: nothing of it appears, neither with the next leader nor with the next owner of the slot.
TEST_F(CombinedWrites, NothingOfADeadOwnerAppears) {
  kill_in_its_slot = true;
  run({[&](StorageEngine& engine) { static_cast<void>(engine.store_memory(secret(1))); }});
  must(Process(disk)->store_memory(make_memory(4, 1)));
  held = in_slots = cleared = false;
  run({[&](StorageEngine& engine) { must(engine.store_memory(make_memory(2, 1))); },
       [&](StorageEngine& engine) { must(engine.store_memory(make_memory(3, 1))); }});
  Process after(disk);
  EXPECT_TRUE(is_error(after->load_memory(memory_id(1)), ErrorCode::not_found));
  EXPECT_EQ(version_of(after, 2), 1U);
  EXPECT_EQ(version_of(after, 3), 1U);
}

// A user removes the file while engines are open: writes go on.
TEST_F(CombinedWrites, ARemovedQueueIsReplaced) {
  run({[&](StorageEngine& engine) { must(engine.store_memory(make_memory(1, 1))); },
       [&](StorageEngine& engine) { must(engine.store_memory(make_memory(2, 1))); }},
      [&] {
        SimVfs vfs(disk);
        must(must(vfs.open_directory(kStorePath, false))->remove("queue-1.shm"));
      });
  held = in_slots = cleared = false;
  run({[&](StorageEngine& engine) { must(engine.store_memory(make_memory(3, 1))); },
       [&](StorageEngine& engine) { must(engine.store_memory(make_memory(4, 1))); }});
  EXPECT_TRUE(disk.exists("/store/queue-2.shm"));
  Process after(disk);
  for (const std::uint64_t number : {1U, 2U, 3U, 4U}) EXPECT_EQ(version_of(after, number), 1U);
  expect_sound(disk);
}

// A power cut takes the queue's meaning: the next boot makes another one.
TEST_F(CombinedWrites, AQueueOfAnotherBootIsNotUsed) {
  run({[&](StorageEngine& engine) { must(engine.store_memory(make_memory(1, 1))); },
       [&](StorageEngine& engine) { must(engine.store_memory(make_memory(2, 1))); }});
  const auto found = disk.after_power_cut(Fate::everything_kept(disk.pending()));
  Process after(*found);
  for (const std::uint64_t number : {1U, 2U}) EXPECT_EQ(version_of(after, number), 1U);
  must(after->store_memory(make_memory(3, 1)));
  expect_sound(*found);
}

}  // namespace
}  // namespace mentedb::test

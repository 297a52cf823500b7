// Changes memories, as one thread of an actor slot.
#pragma once

#include <random>
#include <vector>

#include "witness.hpp"

namespace mentedb::prove {

struct Actor {
  Board& board;
  std::filesystem::path scratch;  ///< of the round
  std::uint32_t slot;
  std::uint64_t seed;  ///< of this life

  std::filesystem::path store() const { return scratch / "store"; }
  Lane& lane(std::uint32_t thread = 0) const { return board.lanes[slot * kThreadsPerSlot + thread]; }
  bool stopping() const { return board.stop.load(std::memory_order_relaxed) != 0; }
  void enter(Phase phase) const { board.slots[slot].phase.store(phase, std::memory_order_relaxed); }
};

/// Appends to the lane's log. What is there stays, whatever happens to this process.
Record& log_record(Board& board, std::uint32_t lane, std::uint32_t group, std::uint64_t version, Op op);

class Writer {
 public:
  Writer(const Actor& actor, StorageEngine& engine, std::uint32_t thread);

  /// Finds out under the lock what became of the writes of this lane's last life.
  void resolve();
  /// One change of one group.
  void step();

  /// A group of this lane.
  Group& group(Kind kind, std::uint32_t least_members = 1, std::uint32_t most_members = 1);
  Group& shared_group() { return *shared_.front(); }
  /// Changes the group until its next version is `version` modulo its cycle.
  void advance(Group& group, std::uint64_t version);
  void change(Group& group);

 private:
  struct Pending {
    Group& group;
    std::uint64_t version;
    Record& record;
    std::uint64_t floor_lsn;
  };

  void resolve_group(Group& group, Transaction& transaction);
  void settle(Group& group, std::uint64_t version, std::uint64_t lsn);
  Pending begin(Group& group, std::uint64_t version, Op op);
  void acknowledged(const Pending& pending, const std::vector<PageId>& pages);

  void enter_transaction();
  void change_memories(Group& group);
  void erase_memories(Group& group);
  void change_shared(Group& group);
  void change_raw(Group& group);
  void roll_back(Group& group);
  void read_back(Group& group);

  std::vector<MemoryNode> nodes(const Group& group, std::uint64_t version) const;
  Group& pick(const std::vector<Group*>& from);
  std::uint64_t lsn_of(PageId page);

  const Actor& actor_;
  Board& board_;
  StorageEngine& engine_;
  std::uint32_t lane_;
  Witness witness_;
  std::mt19937_64 random_;
  std::vector<Group*> own_;
  std::vector<Group*> shared_;
};

/// fork(2) here and now; the child tries the inherited engine, then its own, and is gone. Returns in the parent.
void fork_a_child(const Actor& actor, StorageEngine& engine, Witness& witness);

}  // namespace mentedb::prove

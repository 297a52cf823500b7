// The commit queue (ADR 15): the requests that wait for the lock, of all threads of all processes. Who gets the lock
// leads: it takes the requests that wait, commits them in one batch, and answers each.
//
//     free --owner--> filled --leader--> taken --leader--> answered --owner--> free
//                     filled --owner (lock_timeout)--> free
//                     filled --leader (the owner is dead)--> free
//                     taken  --next lock holder (the leader died)--> answered, filled, or free (given up)
//
// R13  Settle first. The leader stores answer and mark of each request of a batch before it appends the batch, and
// makes
//      them `answered` before it appends again. A lock holder that may write settles before it plans: a slot that is
//      still `taken` belongs to a dead leader, and the mark tells whether the log has its batch.
// R14  One change wins. States change by compare and swap of a word that counts generations. A leader takes no request
//      of a dead owner.
//
// An owner is an engine: it has a claim on the slot's byte of the file (vfs::File::try_claim), which ends with its
// process. Owners are threads without the lock. Everything else here is for the lock holder.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <mentedb/error.hpp>

#include "base/mutex.hpp"
#include "queue/area.hpp"
#include "shared/identity.hpp"
#include "shared/shared_state.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::queue {

/// A request that a leader has taken.
struct Taken {
  std::size_t slot = 0;
  SlotWord word;  ///< as it was filled
  /// Header and edits. Nothing: the bytes in the slot do not verify.
  std::optional<std::vector<std::byte>> request;
  Answer answer;
};

class CommitQueue {
 public:
  /// References outlive the queue. Its file may be read and written by those who may read and write `pages`.
  CommitQueue(vfs::Directory& directory, const vfs::File& pages, shared::SharedState& state,
              const shared::Identity& identity)
      : directory_(directory), pages_file_(pages), state_(state), identity_(identity) {}
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  // ---- for owners

  class Slot;
  /// A slot for a request. Nothing when the request does not fit, and when this engine has no idle slot: then the
  /// caller waits for the lock.
  std::optional<Slot> claim(std::size_t request_bytes, std::size_t edits) MENTEDB_EXCLUDES(mutex_);
  /// After the lock was released: wakes the owner of a filled slot, which leads. Nothing leads without it until the
  /// next owner looks by itself.
  void wake_a_leader() const MENTEDB_EXCLUDES(mutex_);

  // ---- for the lock holder

  /// R13. `next_lsn`: of the tail. @errors a queue that is there and cannot be mapped
  Result<void> settle(std::uint64_t next_lsn) MENTEDB_EXCLUDES(mutex_);
  /// Claims one more slot for the threads of this engine, and makes the file when there is none. For a thread that had
  /// to wait for the lock. Without a slot it works, too; then each write waits for the lock. (Only under the lock: a
  /// leader that meets a claim of a slot takes the request in the slot for one of the claim's owner.)
  void claim_another() MENTEDB_EXCLUDES(mutex_);
  /// Takes each request that waits, except those of dead owners, which go.
  std::vector<Taken> take() MENTEDB_EXCLUDES(mutex_);
  /// R13: before the append of the batch that has these requests. Allocates nothing.
  void mark(std::span<const Taken> taken, std::uint64_t first_lsn);
  /// The requests are `filled` again. No batch that had them was appended.
  void put_back(std::span<const Taken> taken);
  /// Makes the requests `answered`. Allocates nothing. When the records take no store, the next holder settles them.
  void answer(std::span<const Taken> taken);
  /// After the release of the lock.
  void wake(std::span<const Taken> taken) const;
  /// Zeroes the requests that dead owners left behind, and syncs. Removes queues of other boots.
  Result<void> erase() MENTEDB_EXCLUDES(mutex_);

 private:
  /// The area that the shared state names. Null when there is none.
  Result<std::shared_ptr<Area>> current() MENTEDB_REQUIRES(mutex_);
  Result<std::shared_ptr<Area>> map(std::uint64_t number) const;
  Result<std::shared_ptr<Area>> create(std::uint64_t number) const;
  bool try_slot(Area& area, std::size_t slot) MENTEDB_REQUIRES(mutex_);
  bool try_make() MENTEDB_REQUIRES(mutex_);
  Result<void> erase_old_files() MENTEDB_REQUIRES(mutex_);
  Result<void> erase_bodies() MENTEDB_REQUIRES(mutex_);
  std::shared_ptr<Area> area() const MENTEDB_EXCLUDES(mutex_);
  void give_back(const std::shared_ptr<Area>& area, std::size_t slot) MENTEDB_EXCLUDES(mutex_);

  vfs::Directory& directory_;
  const vfs::File& pages_file_;
  shared::SharedState& state_;
  shared::Identity identity_;
  mutable base::Mutex mutex_;
  std::shared_ptr<Area> area_ MENTEDB_GUARDED_BY(mutex_);
  enum class Mine : std::uint8_t { no, idle, in_use };
  std::array<Mine, format::kQueueSlots> mine_ MENTEDB_GUARDED_BY(mutex_){};  ///< the slots that this engine has claimed
  std::uint64_t claims_to_pass_ MENTEDB_GUARDED_BY(mutex_) = 0;              ///< before the next try to get a slot
};

/// The owner's side of one request.
class CommitQueue::Slot {
 public:
  Slot(Slot&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), area_(std::move(other.area_)), slot_(other.slot_) {}
  Slot& operator=(Slot&&) = delete;
  ~Slot() {
    if (queue_ != nullptr) queue_->give_back(area_, slot_);
  }

  /// Hands the request over. From then on any process may commit it. `request` has a QueueRequestHeader in front,
  /// without its checksum. @errors as vfs::Mapping::make_writable: nothing was handed over
  Result<void> fill(std::span<std::byte> request);
  /// False when the store has another queue now: then no leader comes to this slot.
  bool is_current() const { return queue_->state_.has_queue() && queue_->state_.queue_number() == area_->number(); }
  /// True when the answer is there.
  bool is_answered() const { return area_->word(slot_) == filled_.in(SlotState::answered); }
  /// Takes the request back. False when a leader has taken it: then it may be committed. Passes on the wake-up that
  /// this thread may have got.
  bool take_back();
  /// The same for a thread that has the lock and leads now.
  bool take_back_to_lead();
  /// No thread waits for the answer any more.
  void give_up();
  /// Read it first, then look, then try the lock, then `wait`: a wake-up between the first and the last is not lost.
  std::uint64_t wakes() const { return area_->wakes(slot_); }
  /// Sleeps until `wakes` may have moved from `seen`, or until `time` is over.
  void wait(std::uint64_t seen, std::chrono::microseconds time) const { area_->wait(slot_, seen, time); }
  /// The answer of a request that is answered. The slot is free then.
  Answer take_answer();

 private:
  friend class CommitQueue;
  Slot(CommitQueue& queue, std::shared_ptr<Area> area, std::size_t slot)
      : queue_(&queue), area_(std::move(area)), slot_(slot) {}

  CommitQueue* queue_;
  std::shared_ptr<Area> area_;
  std::size_t slot_;
  SlotWord filled_;
  std::size_t bytes_ = 0;
};

}  // namespace mentedb::queue

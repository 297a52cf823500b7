#include "shared/shared_state.hpp"

#include <algorithm>
#include <bit>

#include "base/checksum.hpp"
#include "base/error.hpp"
#include "format/geometry.hpp"

namespace mentedb::shared {
namespace {

// Byte offsets in the block (docs/format.md "Shared state"). Words that different kinds of callers store lie on
// different cache lines.
constexpr std::size_t kTailCheck = 0;
constexpr std::size_t kTail = 8;
constexpr std::size_t kCommitted = SharedState::kCommittedOffset;
constexpr std::size_t kIndexNumber = 136;
constexpr std::size_t kPageCount = SharedState::kPageCountOffset;
constexpr std::size_t kReuseHorizon = SharedState::kReuseHorizonOffset;
constexpr std::size_t kQueue = 160;  // number << 1 | there
constexpr std::size_t kPoisonGeneration = 192;
constexpr std::size_t kSyncPending = 200;
constexpr std::size_t kReleased = 256;
constexpr std::size_t kLockWaiting = 264;
constexpr std::size_t kCommitWaiting = 272;
constexpr std::size_t kCommitWoken = 280;
constexpr std::size_t kSelfTest = 320;
constexpr std::size_t kRecovered = 512;

}  // namespace

SharedState::SharedState(std::unique_ptr<vfs::Mapping> mapping, std::uint64_t seed)
    : mapping_(std::move(mapping)), seed_(seed) {}

std::uint64_t SharedState::tail_check(const TailWords& words) const {
  const std::uint64_t check = base::checksum(std::as_bytes(std::span(words)), seed_);
  return check == 0 || ~check == 0 ? 1 : check;  // a check word of 0 says that there is no tail, valid or in doubt
}

std::optional<wal::Tail> SharedState::tail_if(Standing standing) const {
  static_assert(sizeof(wal::Tail) == sizeof(TailWords));
  TailWords words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = mapping_->load(kTail + 8 * i);
  const std::uint64_t check = tail_check(words);
  if (mapping_->load(kTailCheck) != (standing == Standing::valid ? check : ~check)) return std::nullopt;
  const auto tail = std::bit_cast<wal::Tail>(words);
  const bool possible = tail.epoch != 0 && tail.epoch < format::kMostLsn && tail.next_lsn != 0 &&
                        tail.next_lsn < format::kMostLsn && tail.offset >= format::kLogStart &&
                        tail.offset < format::kMostLsn && tail.offset % base::kBlockBytes == 0 &&
                        format::counters_possible(tail.counters);
  if (!possible) return std::nullopt;
  return tail;
}

std::optional<wal::Tail> SharedState::cached_tail() const { return tail_if(Standing::valid); }
std::optional<wal::Tail> SharedState::doubtful_tail() const { return tail_if(Standing::in_doubt); }

// One store, so a kill leaves the tail valid or in doubt.
void SharedState::invalidate_cached_tail() {
  if (cached_tail()) mapping_->store(kTailCheck, ~mapping_->load(kTailCheck));
}

void SharedState::forget_cached_tail() { mapping_->store(kTailCheck, 0); }

void SharedState::publish_cached_tail(const wal::Tail& tail) {
  const auto words = std::bit_cast<TailWords>(tail);
  for (std::size_t i = 0; i < words.size(); ++i) mapping_->store(kTail + 8 * i, words[i]);
  mapping_->store(kTailCheck, tail_check(words));  // R9: last, and over all of them
}

Result<void> SharedState::publish(const wal::Tail& tail) {
  MENTEDB_TRY(make_writable());
  raise_reuse_horizon(tail.counters.reuse_horizon);
  publish_committed_lsn(tail.next_lsn - 1);
  publish_cached_tail(tail);
  return {};
}

std::uint64_t SharedState::committed_lsn() const {
  return std::max(mapping_->load(kCommitted), least_committed_lsn_.load());
}

void SharedState::publish_committed_lsn(std::uint64_t lsn) {
  mapping_->store(kCommitted, lsn);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // against a waiter that announces itself and then looks
  if (mapping_->load(kCommitWaiting) == 0) return;
  mapping_->store(kCommitWaiting, 0);
  mapping_->store(kCommitWoken, mapping_->wake(kCommitted));
}

std::uint64_t SharedState::commit_waiters_woken() const { return mapping_->load(kCommitWoken); }

void SharedState::wait_for_commit(std::uint64_t seen, std::chrono::microseconds timeout, bool may_write) const {
  if (may_write && ready_to_store()) mapping_->store(kCommitWaiting, 1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint64_t word = mapping_->load(kCommitted);
  if (std::max(word, least_committed_lsn_.load()) != seen) return;
  mapping_->wait(kCommitted, static_cast<std::uint32_t>(word), timeout);
}

std::uint64_t SharedState::page_count() const { return std::max(mapping_->load(kPageCount), least_page_count_.load()); }
void SharedState::publish_page_count(std::uint64_t count) { mapping_->store(kPageCount, count); }

std::uint64_t SharedState::index_number() const { return mapping_->load(kIndexNumber); }
void SharedState::publish_index_number(std::uint64_t number) { mapping_->store(kIndexNumber, number); }

std::uint64_t SharedState::queue_number() const { return mapping_->load(kQueue) >> 1; }
bool SharedState::has_queue() const { return (mapping_->load(kQueue) & 1) != 0; }
void SharedState::publish_queue(std::uint64_t number, bool there) {
  mapping_->store(kQueue, number << 1 | (there ? 1 : 0));
}

std::uint64_t SharedState::poison_generation() const { return mapping_->load(kPoisonGeneration); }
void SharedState::raise_poison_generation() {
  // The marks go first: an opener that finds its mark has seen the older generation before, and is poisoned, too.
  for (std::size_t i = 0; i < kMarks; ++i) mapping_->store(kRecovered + 8 * i, 0);
  mapping_->store(kPoisonGeneration, poison_generation() + 1);
}

bool SharedState::is_recovered(std::uint64_t mark) const {
  bool found = false;
  for (std::size_t i = 0; mark != 0 && !found && i < kMarks; ++i) found = mapping_->load(kRecovered + 8 * i) == mark;
  return found;
}
void SharedState::note_recovered(std::uint64_t mark) {
  if (mark == 0 || is_recovered(mark)) return;
  std::size_t place = mark % kMarks;  // another mount has to recover once more when there are too many
  for (std::size_t i = 0; i < kMarks; ++i) {
    if (mapping_->load(kRecovered + 8 * i) == 0) place = i;
  }
  mapping_->store(kRecovered + 8 * place, mark);
}

bool SharedState::sync_pending() const { return mapping_->load(kSyncPending) != 0; }
void SharedState::set_sync_pending(bool pending) { mapping_->store(kSyncPending, pending ? 1 : 0); }

std::uint64_t SharedState::reuse_horizon() const {
  return std::max(mapping_->load(kReuseHorizon), least_reuse_horizon_.load());
}
void SharedState::raise_reuse_horizon(std::uint64_t lsn) {
  if (mapping_->load(kReuseHorizon) < lsn) mapping_->store(kReuseHorizon, lsn);
}

std::uint64_t SharedState::released_count() const { return mapping_->load(kReleased); }
void SharedState::announce_lock_waiter() const {
  if (!ready_to_store()) return;  // then no process wakes this waiter, and its waits are short
  mapping_->store(kLockWaiting, 1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
void SharedState::wait_for_release(std::uint64_t seen, std::chrono::microseconds timeout) const {
  mapping_->wait(kReleased, static_cast<std::uint32_t>(seen), timeout);
}
bool SharedState::publish_release() const {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (mapping_->load(kLockWaiting) == 0 || !ready_to_store()) return false;
  mapping_->store(kLockWaiting, 0);
  mapping_->store(kReleased, released_count() + 1);
  mapping_->wake(kReleased);
  return true;
}

std::uint64_t SharedState::self_test_offset() { return format::kSharedStateOffset + kSelfTest; }
std::uint64_t SharedState::self_test_word() const { return mapping_->load(kSelfTest); }

void SharedState::advance_minimum(std::uint64_t committed_lsn, std::uint64_t page_count, std::uint64_t reuse_horizon) {
  least_committed_lsn_ = std::max(least_committed_lsn_.load(), committed_lsn);
  least_page_count_ = std::max(least_page_count_.load(), page_count);
  least_reuse_horizon_ = std::max(least_reuse_horizon_.load(), reuse_horizon);
}

}  // namespace mentedb::shared

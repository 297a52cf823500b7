#include "pages/shared_words.hpp"

#include <algorithm>
#include <bit>

#include "base/checksum.hpp"
#include "base/error.hpp"
#include "format/geometry.hpp"

namespace mentedb::pages {
namespace {

// Byte offsets in the block (docs/format.md "Shared words"). Words of different writers' habits lie on
// different cache lines.
constexpr std::size_t kHintCheck = 0;
constexpr std::size_t kHint = 8;
constexpr std::size_t kCommitted = SharedWords::kCommittedOffset;
constexpr std::size_t kIndexNumber = 136;
constexpr std::size_t kPageCount = SharedWords::kPageCountOffset;
constexpr std::size_t kReuseHorizon = SharedWords::kReuseHorizonOffset;
constexpr std::size_t kPoisonGeneration = 192;
constexpr std::size_t kSyncPending = 200;
constexpr std::size_t kCursor = 208;
constexpr std::size_t kReleased = 256;
constexpr std::size_t kLockWaiting = 264;
constexpr std::size_t kCommitWaiting = 272;
constexpr std::size_t kSelfTest = 320;
constexpr std::size_t kGroupLsns = SharedWords::kGroupLsnsOffset;

using HintWords = std::array<std::uint64_t, 9>;
static_assert(sizeof(wal::Tail) == sizeof(HintWords));

}  // namespace

SharedWords::SharedWords(std::unique_ptr<vfs::Mapping> mapping, std::uint64_t seed)
    : mapping_(std::move(mapping)), seed_(seed) {}

std::uint64_t SharedWords::hint_check(const std::array<std::uint64_t, kHintWords>& words) const {
  const std::uint64_t check = base::checksum(std::as_bytes(std::span(words)), seed_);
  return check == 0 ? 1 : check;  // 0 says invalid
}

std::optional<wal::Tail> SharedWords::hint() const {
  HintWords words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = mapping_->load(kHint + 8 * i);
  if (mapping_->load(kHintCheck) != hint_check(words)) return std::nullopt;
  const auto tail = std::bit_cast<wal::Tail>(words);
  const bool possible = tail.epoch != 0 && tail.next_lsn != 0 && tail.offset >= format::kLogStart &&
                        tail.offset % base::kBlockBytes == 0 && format::counters_possible(tail.counters);
  if (!possible) return std::nullopt;
  return tail;
}

void SharedWords::invalidate_hint() { mapping_->store(kHintCheck, 0); }

void SharedWords::publish_hint(const wal::Tail& tail) {
  const auto words = std::bit_cast<HintWords>(tail);
  for (std::size_t i = 0; i < words.size(); ++i) mapping_->store(kHint + 8 * i, words[i]);
  mapping_->store(kHintCheck, hint_check(words));  // R9: last, and over all of them
}

std::uint64_t SharedWords::committed_lsn() const {
  return std::max(mapping_->load(kCommitted), floor_committed_lsn_.load());
}

void SharedWords::publish_committed_lsn(std::uint64_t lsn) {
  mapping_->store(kCommitted, lsn);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // against a waiter that announces itself and then looks
  if (mapping_->load(kCommitWaiting) == 0) return;
  mapping_->store(kCommitWaiting, 0);
  mapping_->wake(kCommitted);
}

void SharedWords::wait_for_commit(std::uint64_t seen, std::chrono::microseconds timeout, bool may_write) {
  if (may_write && make_writable()) mapping_->store(kCommitWaiting, 1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint64_t word = mapping_->load(kCommitted);
  if (std::max(word, floor_committed_lsn_.load()) != seen) return;
  mapping_->wait(kCommitted, static_cast<std::uint32_t>(word), timeout);
}

std::uint64_t SharedWords::page_count() const { return std::max(mapping_->load(kPageCount), floor_page_count_.load()); }
void SharedWords::publish_page_count(std::uint64_t count) { mapping_->store(kPageCount, count); }

std::uint64_t SharedWords::index_number() const { return mapping_->load(kIndexNumber); }
void SharedWords::publish_index_number(std::uint64_t number) { mapping_->store(kIndexNumber, number); }

std::uint64_t SharedWords::poison_generation() const { return mapping_->load(kPoisonGeneration); }
void SharedWords::raise_poison_generation() { mapping_->store(kPoisonGeneration, poison_generation() + 1); }

bool SharedWords::sync_pending() const { return mapping_->load(kSyncPending) != 0; }
void SharedWords::set_sync_pending(bool pending) { mapping_->store(kSyncPending, pending ? 1 : 0); }
void SharedWords::doubt_pages() {
  if (!make_writable()) return;
  set_sync_pending(true);
  invalidate_hint();
}
Result<void> SharedWords::announce_sync(const std::function<Result<void>()>& sync, bool rewritten) {
  const bool failed_before = sync_pending() && !rewritten;
  const auto tail = hint();
  MENTEDB_TRY(make_writable());
  set_sync_pending(true);
  invalidate_hint();
  MENTEDB_TRY(sync());
  MENTEDB_TRY(make_writable());  // they are part of what may have been written back
  set_sync_pending(failed_before);
  if (tail) publish_hint(*tail);
  return {};
}

std::uint64_t SharedWords::reuse_horizon() const {
  return std::max(mapping_->load(kReuseHorizon), floor_reuse_horizon_.load());
}
void SharedWords::raise_reuse_horizon(std::uint64_t lsn) {
  if (mapping_->load(kReuseHorizon) < lsn) mapping_->store(kReuseHorizon, lsn);
}

std::uint64_t SharedWords::cursor() const { return mapping_->load(kCursor); }
void SharedWords::set_cursor(std::uint64_t page) { mapping_->store(kCursor, page); }

std::uint64_t SharedWords::group_lsn(std::uint64_t group) const {
  // Behind a floor the words on disk are older than the pages: any group may hold anything up to it.
  return std::max(mapping_->load(kGroupLsns + 8 * (group % kGroupLsnCount)), floor_committed_lsn_.load());
}
void SharedWords::raise_group_lsn(std::uint64_t group, std::uint64_t lsn) {
  // Stored also when it is there already: after a failed sync (R7) the word has to reach the disk again.
  const std::size_t word = kGroupLsns + 8 * (group % kGroupLsnCount);
  mapping_->store(word, std::max(mapping_->load(word), lsn));
}

std::uint64_t SharedWords::released_count() const { return mapping_->load(kReleased); }
void SharedWords::announce_lock_waiter() {
  if (!make_writable()) return;  // nobody wakes us then: waits are short
  mapping_->store(kLockWaiting, 1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
void SharedWords::wait_for_release(std::uint64_t seen, std::chrono::microseconds timeout) {
  mapping_->wait(kReleased, static_cast<std::uint32_t>(seen), timeout);
}
bool SharedWords::publish_release() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (mapping_->load(kLockWaiting) == 0 || !make_writable()) return false;
  mapping_->store(kLockWaiting, 0);
  mapping_->store(kReleased, released_count() + 1);
  mapping_->wake(kReleased);
  return true;
}

std::uint64_t SharedWords::self_test_offset() { return format::kSharedWordsOffset + kSelfTest; }
std::uint64_t SharedWords::self_test_word() const { return mapping_->load(kSelfTest); }

void SharedWords::raise_floor(std::uint64_t committed_lsn, std::uint64_t page_count, std::uint64_t reuse_horizon) {
  floor_committed_lsn_ = std::max(floor_committed_lsn_.load(), committed_lsn);
  floor_page_count_ = std::max(floor_page_count_.load(), page_count);
  floor_reuse_horizon_ = std::max(floor_reuse_horizon_.load(), reuse_horizon);
}

}  // namespace mentedb::pages

// The Writer's part of R12 (pages/reclaimer.hpp): which free pages, when, and how many at a time.

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.hpp"
#include "shared/pending_sync.hpp"
#include "store/store.hpp"
#include "store/writer.hpp"

namespace mentedb::store {
namespace {

// After a checkpoint that a write has made: a quarter of a slice.
constexpr std::uint64_t kColdStretches = 256;
constexpr std::uint64_t kColdRuns = 64;
constexpr std::uint64_t kLeastColdBytes = 64 * 1024;

// For a user who asks for it. A slice of 256 runs holds the lock for 20 to 50 ms (ext4, 2 cores).
constexpr std::uint64_t kStretchesAtOnce = 1'024;
constexpr std::uint64_t kRunsAtOnce = 256;
constexpr std::uint64_t kLogBytesAtOnce = std::uint64_t{4} << 20;

}  // namespace

// What stayed free for an epoch is not needed soon. A hole that the next write fills again would cost two syncs.
void Writer::give_back_cold_space() {
  const std::uint64_t before = std::exchange(ended_epoch_lsn_, 0);
  if (before == 0) return;
  try {
    const auto next = store_->reclaimer_.give_back(store_->reclaimed_to_, {.page_count = tail_.counters.page_count,
                                                                           .before_lsn = before,
                                                                           .least_bytes = kLeastColdBytes,
                                                                           .stretches = kColdStretches,
                                                                           .runs = kColdRuns});
    store_->reclaimed_to_ = next ? next->value_or(0) : 0;
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the next checkpoint tries again
  }
}

// All free pages that the log does not speak of. Under `sync pending` the pages have to be written again first.
Result<pages::Reclaimer::Slice> Writer::slice_of(std::string_view purpose) {
  MENTEDB_TRY(refuse_if_read_only(purpose));
  if (store_->state_.sync_pending()) MENTEDB_TRY(checkpoint());
  return pages::Reclaimer::Slice{.page_count = tail_.counters.page_count,
                                 .before_lsn = store_->header_.start_lsn,
                                 .least_bytes = 1,
                                 .stretches = kStretchesAtOnce,
                                 .runs = kRunsAtOnce};
}

Result<std::optional<std::uint64_t>> Writer::give_back_space(std::uint64_t stretch) {
  MENTEDB_TRY_ASSIGN(auto slice, slice_of("to give space back"));
  slice.again = true;
  return store_->reclaimer_.give_back(stretch, slice);
}

Result<std::optional<std::uint64_t>> Writer::erase_free_pages(std::uint64_t stretch, std::uint64_t& unjudged) {
  MENTEDB_TRY_ASSIGN(auto slice, slice_of("to erase"));
  slice.unused = true;
  return store_->reclaimer_.erase(stretch, slice, unjudged);
}

Result<std::optional<std::uint64_t>> Writer::erase_log(std::uint64_t offset) {
  MENTEDB_TRY(slice_of("to erase"));
  Store& store = *store_;
  wal::Log& log = store.files_.log();
  offset = std::max(offset, tail_.offset);
  MENTEDB_TRY_ASSIGN(const std::uint64_t capacity, log.capacity_bytes());
  if (offset >= capacity) return std::nullopt;
  MENTEDB_TRY_ASSIGN(auto pending, shared::PendingSync::begin(store.state_));
  MENTEDB_TRY(log.erase(offset, kLogBytesAtOnce));
  MENTEDB_TRY(pending.succeeded());
  return offset + kLogBytesAtOnce;
}

}  // namespace mentedb::store

// Checkpoint: everything the log holds is made durable in the pages, then a new epoch begins at the log's start.

#include <algorithm>

#include "base/error.hpp"
#include "engine/store.hpp"

namespace mentedb::engine {

// R7: while the mark is set, somebody's sync of pages.db failed or was cut short, and the kernel may have dropped dirty
// pages that a later sync would not mention. The log still has them all.
Result<void> Store::sync_pages(Hold& hold) {
  if (words_->sync_pending()) {
    MENTEDB_TRY_ASSIGN(const Recovered recovered, redo(Redo::with_rewrite));
    hold.tail = recovered.tail;
  }
  MENTEDB_TRY(page_file_->sync(true));
  // The id index has to be as durable as the log that could rebuild it. A table that cannot be synced is replaced.
  if (index_->sync()) return {};
  MENTEDB_TRY(index_->rebuild(hold.tail.counters.page_count, hold.tail.counters.memory_count));
  // Its number, too: else the table that it replaced may be taken for the current one, and the log is gone.
  return page_file_->sync(true);
}

Result<void> Store::checkpoint(Hold& hold) {
  if (options_.read_only) {
    return base::failf(ErrorCode::read_only, "{} was opened with read_only; open it without for a checkpoint",
                       path_.string());
  }
  if (hold.tail.offset == format::kLogStart && !words_->sync_pending()) return {};
  MENTEDB_TRY(sync_pages(hold));  // upholds I7: only then may the log be overwritten
  if (hold.tail.offset == format::kLogStart) return {};
  // The slot that stays valid should the next one be torn has to be on the disk (R1).
  if (auto durable = log_->ensure_slot_durable(slot_); !durable) return poison(std::move(durable).error());
  format::LogSlot next = slot_;
  next.epoch = slot_.epoch + 1;
  next.start_lsn = hold.tail.next_lsn;  // upholds I8
  next.counters = hold.tail.counters;
  vfs_.random_bytes(std::as_writable_bytes(std::span(&next.seed, 1)));
  words_->invalidate_hint();
  if (auto reset = log_->reset(next); !reset) return poison(std::move(reset).error());
  MENTEDB_TRY_ASSIGN(const auto slots, log_->read_slots());
  if (slots.newest() == nullptr || slots.newest()->epoch != next.epoch) {
    return poison(Error{ErrorCode::io_error, 0, fmt::format("{} does not read back what was written", log_->path())});
  }
  slot_ = *slots.newest();
  hold.tail = wal::Tail{.epoch = slot_.epoch,
                        .offset = format::kLogStart,
                        .next_lsn = slot_.start_lsn,
                        .previous_checksum = slot_.checksum,
                        .counters = slot_.counters};
  MENTEDB_TRY(publish(hold.tail));
  ++checkpoints_;
  return {};
}

// A checkpoint waits for every dirty page; those that were written back before cost nothing then.
void Store::write_back_early(const wal::Tail& tail) {
  constexpr std::uint64_t kSteps = 8;  // of the log's limit, in every epoch
  const std::uint64_t filled = (tail.offset - format::kLogStart) * kSteps / options_.wal_limit_bytes;
  const std::uint64_t reached = tail.epoch * kSteps + std::min(filled, kSteps - 1);
  std::uint64_t started = write_back_mark_.load();
  if (reached > started && write_back_mark_.compare_exchange_strong(started, reached)) pages_file_->start_writeback();
}

}  // namespace mentedb::engine

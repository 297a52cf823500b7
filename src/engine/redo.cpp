// Redo: the one routine that serves open(), the takeover from a dead writer, a reader's repair, recover() and the
// checkpoint after a failed sync (R7). It always starts at the checkpoint, may be killed anywhere and run again (I9),
// and runs while readers and other processes are alive.
//
// Two passes over the log (R4): the first notes which operation is the last one for its pages and ids, the second
// applies just those, where page, entry, index or freed page are behind (R6).

#include <algorithm>

#include "base/error.hpp"
#include "engine/store.hpp"
#include "pages/entry_reader.hpp"

namespace mentedb::engine {

using format::Operation;

namespace {

struct LoggedOperations {
  std::vector<Operation> operations;    // payloads are not kept
  std::vector<std::uint64_t> batch_of;  // offset of the batch in the log
  std::vector<std::size_t> payload_at;  // offset of the payload in the batch

  Result<void> add(const std::string& path, std::uint64_t offset, std::span<const std::byte> batch,
                   std::uint32_t page_bytes) {
    format::OperationReader reader(batch);
    bool fits = true;
    while (auto operation = reader.next()) {
      fits &= format::pages_for_payload(operation->header.payload_bytes, page_bytes) <= operation->header.run_pages;
      payload_at.push_back(static_cast<std::size_t>(operation->payload.data() - batch.data()));
      operation->payload = {};
      operations.push_back(*operation);
      batch_of.push_back(offset);
    }
    if (reader.is_damaged() || !fits) {
      return base::failf(ErrorCode::corruption,
                         "the batch at byte {} of {} makes no sense although its checksum holds; run mentedb verify, "
                         "then mentedb salvage",
                         offset, path);
    }
    return {};
  }
};

// Reads payloads of operations in log order; a batch is read and verified once. Nothing else uses the log meanwhile.
class LogPayloads {
 public:
  LogPayloads(wal::Log& log, const LoggedOperations& logged, std::uint64_t seed)
      : log_(log), logged_(logged), seed_(seed) {}

  Result<std::span<const std::byte>> operator()(std::size_t number) {
    if (logged_.batch_of[number] != offset_) {
      offset_ = 0;
      MENTEDB_TRY_ASSIGN(batch_, log_.read_batch(logged_.batch_of[number], seed_));
      offset_ = logged_.batch_of[number];
    }
    const std::size_t at = logged_.payload_at[number];
    const std::size_t bytes = logged_.operations[number].header.payload_bytes;
    if (at <= batch_.size() && bytes <= batch_.size() - at) return batch_.subspan(at, bytes);
    return base::failf(ErrorCode::corruption, "{} changed while it was replayed; check the disk", log_.path());
  }

 private:
  wal::Log& log_;
  const LoggedOperations& logged_;
  std::uint64_t seed_;
  std::uint64_t offset_ = 0;  ///< of batch_; no batch lies at 0
  std::span<const std::byte> batch_;
};

}  // namespace

// What was committed can be proven in three ways; a chain that ends before it was damaged after it was synced.
Result<void> Store::check_log_is_whole(const wal::Log::Slots& slots, const wal::WalkEnd& end,
                                       const std::optional<wal::Tail>& hint) {
  const auto damaged = [&](const std::string& proof) {
    return base::failf(ErrorCode::corruption,
                       "{} is damaged at byte {}: {}, so synced bytes were changed. Restore a backup, or run: "
                       "mentedb salvage --dir '{}' DEST",
                       log_->path(), end.tail.offset, proof, path_.string());
  };
  if (hint && (hint->epoch > slot_.epoch || (hint->epoch == slot_.epoch && hint->next_lsn > end.tail.next_lsn))) {
    return damaged(fmt::format("operations up to LSN {} were committed", hint->next_lsn - 1));
  }
  MENTEDB_TRY_ASSIGN(const auto behind, log_->find_batch_behind(slot_, end.tail));
  if (behind) return damaged(fmt::format("a complete batch follows at byte {}", *behind));
  if (slots.damaged[0] || slots.damaged[1]) {
    // A slot is one sector and so never torn. Was it the newest?
    MENTEDB_TRY_ASSIGN(const std::uint64_t lsn, highest_lsn_in_pages(end.tail.counters.page_count));
    if (lsn >= end.tail.next_lsn)
      return damaged(fmt::format("its newest header does not verify and pages hold LSN {}", lsn));
  }
  return {};
}

Result<std::uint64_t> Store::highest_lsn_in_pages(std::uint64_t page_count) {
  std::uint64_t highest = 0;
  pages::EntryReader entries(*pool_, page_count);
  for (std::uint64_t page = 1; page <= page_count; ++page) {
    MENTEDB_TRY_ASSIGN(const auto entry, entries.at(page));
    if (entry) highest = std::max(highest, entry->lsn);
  }
  return highest;
}

// R2: only the last batch of the chain can be unsynced, since a writer appends to a chain that it knows to be durable.
Result<void> Store::adopt_last_batch(const format::LogSlot& slot, const wal::WalkEnd& end) {
  MENTEDB_TRY(log_->ensure_slot_durable(slot));  // R1: the hint is going to speak of this epoch
  if (end.last_batch_offset == 0) return {};
  return log_->adopt(end.last_batch_offset, end.last_batch_bytes, slot.seed);
}

Result<void> Store::publish(const wal::Tail& tail) {
  MENTEDB_TRY(words_->make_writable());
  words_->raise_reuse_horizon(tail.counters.reuse_horizon);
  words_->publish_committed_lsn(tail.next_lsn - 1);
  words_->publish_hint(tail);
  return {};
}

Result<Store::Recovered> Store::redo(Redo how) {
  const bool check_only = how == Redo::check_only;
  MENTEDB_TRY_ASSIGN(const auto slots, log_->read_slots());
  const format::LogSlot* const newest = slots.newest();
  if (newest == nullptr || newest->store_id != superblock_.store_id || newest->incarnation != superblock_.incarnation) {
    return base::failf(
        ErrorCode::corruption, "{} {}; restore a backup, or run: mentedb salvage --dir '{}' DEST", log_->path(),
        newest == nullptr ? "has no valid header" : "belongs to another store than pages.db", path_.string());
  }
  slot_ = *newest;
  const auto hint = words_->hint();

  LoggedOperations logged;
  MENTEDB_TRY_ASSIGN(const wal::WalkEnd end, log_->walk(slot_, [&](std::uint64_t offset, const format::BatchHeader&,
                                                                   std::span<const std::byte> batch) {
    return logged.add(log_->path(), offset, batch, superblock_.page_bytes);
  }));
  MENTEDB_TRY_ASSIGN(const std::uint64_t pages_bytes, pages_file_->size_bytes());
  if (pages_bytes < pool_->geometry().file_bytes(end.tail.counters.page_count)) {
    return base::failf(ErrorCode::corruption,
                       "{} is cut short: {} bytes instead of at least {}; restore a backup, or run: "
                       "mentedb salvage --dir '{}' DEST",
                       pages_file_->path(), pages_bytes, pool_->geometry().file_bytes(end.tail.counters.page_count),
                       path_.string());
  }
  if (check_only) {
    words_->raise_floor(0, end.tail.counters.page_count, end.tail.counters.reuse_horizon);
  } else if (words_->page_count() < end.tail.counters.page_count) {
    MENTEDB_TRY(words_->make_writable());
    words_->publish_page_count(end.tail.counters.page_count);
  }
  const bool proven = hint && *hint == end.tail;
  if (!proven) MENTEDB_TRY(check_log_is_whole(slots, end, hint));
  // Not earlier: a hint that proves damage has to be there for the next opener, too.
  if (!check_only) {
    MENTEDB_TRY(words_->make_writable());
    words_->invalidate_hint();
    words_->publish_page_count(end.tail.counters.page_count);
    words_->raise_reuse_horizon(end.tail.counters.reuse_horizon);
  }
  if (!proven && !check_only) {
    if (auto adopted = adopt_last_batch(slot_, end); !adopted) return poison(std::move(adopted).error());
  }
  if (const std::size_t other = 1 - slot_.epoch % 2; slots.damaged[other] && !check_only) {
    MENTEDB_TRY(log_->ensure_slot_durable(slot_));
    MENTEDB_TRY(log_->clear_slot(other));
  }

  const ApplyPlan plan(logged.operations, true);
  const bool index_fits = check_only || index_->current().has_value();
  const auto rebuild = [&]() -> Result<void> {
    return index_->rebuild(end.tail.counters.page_count, end.tail.counters.memory_count);
  };
  // R7: under the mark nothing that looks current is believed.
  const ApplyMode mode = check_only                                            ? ApplyMode::count_only
                         : how == Redo::with_rewrite || words_->sync_pending() ? ApplyMode::rewrite
                                                                               : ApplyMode::redo;
  const LogPayloads payloads(*log_, logged, slot_.seed);
  auto missing =
      applier_->apply(plan, logged.operations, payloads, mode, index_fits ? std::function<Result<void>()>() : rebuild);
  if (!missing && missing.error().code == ErrorCode::capacity_exceeded)
    missing = applier_->apply(plan, logged.operations, payloads, mode, rebuild);
  if (!missing) return std::unexpected(missing.error());
  // For an engine that may not write, too: an older hint that a power cut left behind is not its tail.
  highest_next_lsn_ = std::max(highest_next_lsn_, end.tail.next_lsn);
  if (check_only && *missing == 0) {  // else a reader could believe that it has seen what is not in the pages yet
    words_->raise_floor(end.tail.next_lsn - 1, end.tail.counters.page_count, end.tail.counters.reuse_horizon);
  }
  if (!check_only) {
    MENTEDB_TRY(index_->recount());
    MENTEDB_TRY(publish(end.tail));
    redone_ += *missing;
  }
  return Recovered{.tail = end.tail, .missing = *missing};
}

Result<void> Store::recover(Hold& hold) {
  if (options_.read_only) {
    return base::failf(ErrorCode::read_only, "{} was opened with read_only; open it without to recover",
                       path_.string());
  }
  MENTEDB_TRY_ASSIGN(const Recovered recovered, redo(Redo::normal));
  MENTEDB_TRY(index_->rebuild(recovered.tail.counters.page_count, recovered.tail.counters.memory_count));
  hold.tail = recovered.tail;
  return {};
}

}  // namespace mentedb::engine

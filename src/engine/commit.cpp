// The life of a write: log, sync, pages, words (docs/architecture.md). Nothing is acknowledged before the log is
// durable (I1) and nothing is shown before it (I3).

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "engine/batch.hpp"
#include "engine/store.hpp"

namespace mentedb::engine {

// Makes the batch fit: a checkpoint when it would pass this engine's limit, a longer file when it still does not.
Result<void> Store::make_log_room(Hold& hold, std::uint64_t padded_bytes) {
  const std::uint64_t limit = format::kLogStart + options_.wal_limit_bytes;
  if (hold.tail.offset + padded_bytes > limit && hold.tail.offset > format::kLogStart) MENTEDB_TRY(checkpoint(hold));
  const std::uint64_t needed = hold.tail.offset + padded_bytes;
  if (needed <= log_->known_capacity_bytes()) return {};
  MENTEDB_TRY_ASSIGN(const std::uint64_t capacity, log_->capacity_bytes());
  if (needed <= capacity) return {};
  return words_->announce_sync([&] { return log_->grow(std::max(needed, std::min(2 * capacity, limit))); });
}

Result<void> Store::append_to_log(const wal::Tail& tail, std::span<const std::byte> padded) {
  words_->invalidate_hint();  // R5: whoever comes after a dead writer has to look
  auto appended = log_->append(tail.offset, padded);
  if (appended) return {};
  // A full disk (copy-on-write file systems need space to overwrite) leaves a torn end at worst, and "no_space"
  // promises that nothing changed. Anything else leaves unknown bytes on the device.
  if (appended.error().code == ErrorCode::no_space && log_->erase_unwritten(tail.offset)) {
    return std::unexpected(std::move(appended).error());
  }
  return poison(std::move(appended).error());
}

Result<void> Store::commit(Hold& hold, Batch& batch) {
  if (batch.empty()) return {};
  if (options_.read_only) {
    return base::failf(ErrorCode::read_only, "{} was opened with read_only; open it without to write", path_.string());
  }
  // Everything that can fail for want of space or memory comes before the append: afterwards nothing allocates (R10).
  MENTEDB_TRY(make_log_room(hold, batch.padded_bytes()));
  const wal::Tail& tail = hold.tail;
  const auto operations = batch.operations(tail.next_lsn);
  const ApplyPlan plan(operations, batch.overlapping());
  page_file_->prepare(plan.max_run_pages());
  MENTEDB_TRY(index_->reserve(batch.new_ids(), tail.counters.page_count, batch.counters().memory_count));
  MENTEDB_TRY(index_->make_writable(batch.changed_ids()));
  const auto image = batch.seal(tail, slot_.seed);
  const auto header = base::read_struct<format::BatchHeader>(image);
  // What no reader would believe is not acknowledged: counters that a damaged directory led astray.
  if (!format::parse_batch_header(image, tail.offset)) {
    return base::failf(ErrorCode::corruption,
                       "the counters of {} make no sense; run mentedb verify, then mentedb salvage", path_.string());
  }
  const wal::Tail next{.epoch = tail.epoch,
                       .offset = tail.offset + image.size(),
                       .next_lsn = tail.next_lsn + operations.size(),
                       .previous_checksum = header.checksum,
                       .counters = batch.counters()};
  if (auto durable = log_->ensure_slot_durable(slot_); !durable) return poison(std::move(durable).error());  // R1

  MENTEDB_TRY(append_to_log(tail, image));  // durable from here on; upholds I1

  const PayloadSource payload = [&operations](std::size_t i) -> Result<std::span<const std::byte>> {
    return operations[i].payload;
  };
  const auto show = [&](ApplyMode mode) -> Result<void> {
    MENTEDB_TRY(words_->make_writable());
    // Not before the batch is durable: one that is given up would have to take pages away from readers again.
    words_->publish_page_count(next.counters.page_count);
    words_->raise_reuse_horizon(next.counters.reuse_horizon);
    MENTEDB_TRY(applier_->apply(plan, operations, payload, mode));
    return publish(next);
  };
  auto shown = show(ApplyMode::commit);
  if (!shown) shown = show(ApplyMode::redo);  // R10: once more
  if (!shown) {
    Error error = std::move(shown).error();
    error.code = ErrorCode::io_error;
    error.message = fmt::format(
        "durable, not yet visible: the log has the write, but {}; the next write or open completes it", error.message);
    return std::unexpected(std::move(error));
  }
  hold.tail = next;
  ++commits_;
  auto same = check_files();  // R11: not acknowledged when it went into files that somebody has replaced
  if (!same && is_replaced(same.error())) same.error().os_error = EIDRM;
  return same;
}

}  // namespace mentedb::engine

#include "store/writer.hpp"

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "shared/pending_sync.hpp"
#include "store/recovery.hpp"
#include "store/store.hpp"

namespace mentedb::store {

// ---- taking the lock

Outcome<Writer> Writer::acquire(Store& store, std::chrono::milliseconds timeout) {
  MENTEDB_TRY_ASSIGN(StoreLock::Hold hold, store.lock_->acquire(timeout));
  return begin_hold(store, std::move(hold));
}

Outcome<std::optional<Writer>> Writer::try_acquire(Store& store, StoreLock::Turn turn) {
  MENTEDB_TRY_ASSIGN(auto hold, store.lock_->try_acquire(turn));
  if (!hold) return std::nullopt;
  MENTEDB_TRY_ASSIGN(Writer writer, begin_hold(store, std::move(*hold)));
  return std::optional(std::move(writer));
}

Outcome<Writer> Writer::begin_hold(Store& store, StoreLock::Hold hold) {
  Writer writer(store, std::move(hold));
  MENTEDB_TRY(store.files_.check_unchanged());  // R11
  MENTEDB_TRY(store.poison_.check(store.files_.log_file().path()));
  const bool may_write = !store.options().read_only;
  if (may_write) MENTEDB_TRY(store.state_.make_writable());
  MENTEDB_TRY(writer.find_tail());                                         // R5
  if (may_write) MENTEDB_TRY(store.queue_.settle(writer.tail_.next_lsn));  // R13
  // A lock holder looks ids up. It needs a table that fits, because a look-up without one would wait for the lock.
  if (may_write) MENTEDB_TRY(store.index_.ensure_usable(writer.tail_.counters.page_count));
  return writer;
}

// A tail older than one that this engine has seen comes from a page of the shared state that the kernel lost and read
// again. A tail with more pages than the file has is forged (I10): this engine would write as many.
bool Writer::may_believe(const std::optional<wal::Tail>& tail) const {
  return tail && tail->next_lsn >= store_->highest_next_lsn_ && tail->counters.page_count <= store_->pool_.page_count();
}

// R5: a valid cached tail says that the last holder finished. The log's header has the epoch's seed, and
// an engine reads it once an epoch.
Result<void> Writer::find_tail() {
  Store& store = *store_;
  const auto cached = store.state_.cached_tail();
  if (may_believe(cached)) {
    bool known = cached->epoch == store.header_.epoch;
    if (!known) {
      MENTEDB_TRY_ASSIGN(const auto headers, store.files_.log().read_headers());
      const format::LogHeader* const newest = headers.newest();
      known = newest != nullptr && newest->epoch == cached->epoch;
      if (known) store.header_ = *newest;
    }
    if (known && store.highest_next_lsn_ == 0) {
      // This engine has read no log: its `open` found that the pages are whole. The page of the shared state may be
      // one that the kernel lost and read again, as above; then the log goes on behind its tail.
      MENTEDB_TRY_ASSIGN(const bool goes_on, store.files_.log().goes_on_behind(*cached, store.header_.seed));
      known = !goes_on;
    }
    if (known) {
      tail_ = *cached;
      store.highest_next_lsn_ = std::max(store.highest_next_lsn_, tail_.next_lsn);
      return {};
    }
  }
  MENTEDB_TRY_ASSIGN(const bool taken_over, take_over());
  if (taken_over) return {};
  // An engine that may not write cannot make the cached tail valid: no process has written to a fresh backup, or the
  // last writer died. For such an engine it is enough that the pages have every operation.
  const bool read_only = store.options().read_only;
  MENTEDB_TRY_ASSIGN(const std::uint64_t missing, recover_from_log(read_only ? RedoMode::check : RedoMode::repair));
  if (!read_only || missing == 0) return {};
  return base::failf(ErrorCode::busy,
                     "{} has operations that are not in their pages yet; run: mentedb recover --dir '{}'",
                     store.files_.log_file().path(), store.files_.path().string());
}

// The mark of a recovery through this mount says that the page cache has everything acknowledged (R3).
Result<bool> Writer::take_over() {
  Store& store = *store_;
  if (store.options().read_only || !may_believe(store.state_.doubtful_tail()) || !store.is_recovered()) return false;
  MENTEDB_TRY_ASSIGN(const auto recovered, store::take_over(store.recovery_parts()));
  if (!recovered) return false;
  adopt(*recovered);
  store.reapplied_ += recovered->reapplied;
  return true;
}

Result<std::uint64_t> Writer::recover_from_log(RedoMode mode, bool new_index) {
  Store& store = *store_;
  MENTEDB_TRY_ASSIGN(const Recovered recovered, store::recover(store.recovery_parts(), mode, new_index));
  adopt(recovered);
  if (mode != RedoMode::check) store.reapplied_ += recovered.reapplied;
  return recovered.reapplied;
}

void Writer::adopt(const Recovered& recovered) {
  tail_ = recovered.tail;
  store_->header_ = recovered.header;
  // For an engine that may not write, too: an older cached tail that a power cut left behind is not its tail.
  store_->highest_next_lsn_ = std::max(store_->highest_next_lsn_, tail_.next_lsn);
}

Result<void> Writer::refuse_if_read_only(std::string_view purpose) const {
  if (!store_->options().read_only) return {};
  return base::failf(ErrorCode::read_only, "{} was opened with read_only; open it without {}",
                     store_->files_.path().string(), purpose);
}

// ---- the life of a write (docs/architecture.md). Nothing is acknowledged before the log is durable (I1), and nothing
// is shown before that (I3).

Batch Writer::begin() const {
  // From so many bytes on, one more sync costs less than a copy of the payload in the log does: its write, and the
  // checkpoint that comes the sooner.
  constexpr std::uint64_t kEarlyBytes = 256 * 1024;
  constexpr std::uint64_t kPartOfLog = 8;
  const std::uint64_t early_bytes = std::min(kEarlyBytes, store_->options().wal_limit_bytes / kPartOfLog);
  return Batch(store_->reader_, store_->pool_, store_->allocator_, tail_, early_bytes, store_->spare_image_);
}

namespace {

class BatchPayloads final : public PayloadSource {
 public:
  explicit BatchPayloads(std::span<const format::Operation> operations) : operations_(operations) {}
  Result<std::span<const std::byte>> payload(std::size_t operation) override { return operations_[operation].payload; }

 private:
  std::span<const format::Operation> operations_;
};

// Runs a step behind the append. When the step fails, puts its error into `hidden`, as far as the memory for that is
// there.
template <class Step>
bool succeeds(Failure& hidden, Step&& step) {
  try {
    const Result<void> done = step();
    if (done) return true;
    hidden.os_error = done.error().os_error;
    hidden.message =
        fmt::format("durable, not yet visible: the log has the write, but {}; the next write or open completes it",
                    done.error().message);
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): `hidden` has a message already
  }
  return false;
}

}  // namespace

// R7. The cached tail was valid when this Writer took the lock. It is not any more when a sync failed since: pages.db
// or the id index did not grow while the batch was planned. The batch may stand on pages that the device has lost. So
// it is given up, and the next Writer redoes the log first.
Result<void> Writer::check_no_sync_failed() const {
  if (store_->state_.cached_tail()) return {};
  return base::failf(ErrorCode::io_error,
                     "a sync of {} or of its id index failed while the write was planned; nothing of this write was "
                     "acknowledged. Try it again",
                     store_->files_.pages_file().path());
}

bool Writer::may_commit() const { return store_->state_.cached_tail().has_value(); }

queue::CommitQueue& Writer::queue() const { return store_->queue_; }

Outcome<void> Writer::commit(Batch& batch, std::span<const queue::Taken> taken) {
  if (batch.empty()) return {};
  MENTEDB_TRY(refuse_if_read_only("to write"));
  Store& store = *store_;
  MENTEDB_TRY(check_no_sync_failed());

  // 1. Everything that can fail for want of space or memory. From the append on nothing allocates (R10).
  MENTEDB_TRY(make_log_room(batch.padded_bytes()));
  auto operations = batch.operations(tail_.next_lsn);
  const ApplyPlan plan(operations, batch.overlapping());
  store.page_file_.prepare(plan.max_run_pages(), plan.puts().size());
  MENTEDB_TRY(store.index_.reserve(batch.new_ids(), tail_.counters.page_count, batch.counters().page_count));
  MENTEDB_TRY(store.index_.make_writable(batch.changed_ids()));
  const std::uint64_t end = tail_.offset + batch.padded_bytes();
  // Before the append: a batch that this process may log and not apply would be another process's to finish.
  MENTEDB_TRY(store.files_.log_file().check_size_limit(end));
  const std::uint64_t pages_bytes = store.pool_.geometry().file_bytes(batch.counters().page_count);
  MENTEDB_TRY(store.files_.pages_file().check_size_limit(pages_bytes));
  MENTEDB_TRY(make_pages_ready(batch, plan, operations));
  const auto image = batch.seal(tail_, store.header_.seed, operations);
  const auto header = base::read_struct<format::BatchHeader>(image);
  // A damaged directory can lead to impossible counters. A walk of the log would end at such a batch, so the batch is
  // not written.
  if (!format::parse_batch_header(image, tail_.offset)) {
    return base::failf(ErrorCode::corruption,
                       "the counters of {} are impossible; run mentedb verify, then mentedb salvage",
                       store.files_.path().string());
  }
  const wal::Tail next{.epoch = tail_.epoch,
                       .offset = end,
                       .next_lsn = tail_.next_lsn + operations.size(),
                       .previous_checksum = header.checksum,
                       .counters = batch.counters()};
  MENTEDB_ASSERT(next.offset % base::kBlockBytes == 0 && next.next_lsn > tail_.next_lsn);
  MENTEDB_TRY(check_no_sync_failed());  // since the first look, too
  Failure hidden = durable_not_visible();
  MENTEDB_TRY(store.poison_.unless([&] { return store.files_.log().ensure_header_durable(store.header_); }));  // R1

  // 2. The log. Durable from here on (I1).
  store.queue_.mark(taken, tail_.next_lsn);  // R13
  MENTEDB_TRY(append_to_log(image));

  // 3. Pages, id index, shared state. Visible from here on (I4). R10: a failure is tried once more.
  const auto visible = [&](Attempt attempt) {
    return succeeds(hidden, [&] { return make_visible(plan, operations, next, attempt); });
  };
  if (!visible(Attempt::first) && !visible(Attempt::second)) return std::unexpected(std::move(hidden));
  tail_ = next;
  batch.committed(next.next_lsn);
  ++store.commits_;

  // 4. R11: a write that went into files that were replaced is not acknowledged.
  Outcome<void> unchanged;
  const bool looked = succeeds(hidden, [&]() -> Result<void> {
    unchanged = store.files_.check_unchanged(FilesReplaced::after_commit);
    if (!unchanged && unchanged.error().replaced == FilesReplaced::no) return std::unexpected(unchanged.error());
    return {};
  });
  if (!looked) return std::unexpected(std::move(hidden));
  // Not before: the batch stood on free pages. The write is done, whatever becomes of this.
  give_back_cold_space();
  return unchanged;
}

// Makes the batch fit: a checkpoint when it would pass this engine's limit, a longer file when it still does not.
Result<void> Writer::make_log_room(std::uint64_t padded_bytes) {
  Store& store = *store_;
  wal::Log& log = store.files_.log();
  const std::uint64_t limit = format::kLogStart + store.options().wal_limit_bytes;
  if (tail_.offset + padded_bytes > limit && tail_.offset > format::kLogStart) MENTEDB_TRY(checkpoint());
  const std::uint64_t needed = tail_.offset + padded_bytes;
  if (needed <= log.known_capacity_bytes()) return {};
  MENTEDB_TRY_ASSIGN(const std::uint64_t capacity, log.capacity_bytes());
  if (needed <= capacity) return {};
  auto grown = grow_log(std::max(needed, std::min(2 * capacity, limit)));
  if (grown || grown.error().code != ErrorCode::no_space || tail_.offset == format::kLogStart) return grown;
  // The disk is full. A checkpoint makes room in the log, and takes none on the disk.
  MENTEDB_TRY(checkpoint());
  MENTEDB_TRY_ASSIGN(const std::uint64_t emptied, log.capacity_bytes());
  return tail_.offset + padded_bytes <= emptied ? Result<void>() : grown;
}

Result<void> Writer::grow_log(std::uint64_t bytes) {
  Store& store = *store_;
  MENTEDB_TRY(store.files_.log().reserve(bytes));  // not under `sync pending`: a full disk is no reason for a redo
  MENTEDB_TRY_ASSIGN(auto pending, shared::PendingSync::begin(store.state_));
  MENTEDB_TRY(store.files_.log().grow(bytes));
  return pending.succeeded();
}

// R15. The log is going to speak of new pages and of early runs: all of them are durable first.
Result<void> Writer::make_pages_ready(Batch& batch, const ApplyPlan& plan, std::span<format::Operation> operations) {
  Store& store = *store_;
  const bool grew = batch.counters().page_count > tail_.counters.page_count;
  if (!grew && !batch.writes_early()) return {};
  if (batch.writes_early()) MENTEDB_TRY(store.applier_.write_early(plan, operations, batch.new_pages()));
  MENTEDB_TRY(store.page_file_.fill(batch.new_pages()));
  return store.page_file_.sync();
}

Result<void> Writer::append_to_log(std::span<const std::byte> padded) {
  Store& store = *store_;
  wal::Log& log = store.files_.log();
  store.state_.invalidate_cached_tail();  // R5: the holder that comes after a dead writer has to look
  // A full disk (copy-on-write file systems need space to overwrite) leaves a torn end at worst, and `no_space`
  // promises that nothing changed. Any other error leaves unknown bytes on the device.
  Result<void> full;
  MENTEDB_TRY(store.poison_.unless([&]() -> Result<void> {
    auto appended = log.append(tail_.offset, padded);
    if (appended || appended.error().code != ErrorCode::no_space || !log.erase_unwritten(tail_.offset)) return appended;
    full = std::move(appended);
    return {};
  }));
  return full;
}

Result<void> Writer::make_visible(const ApplyPlan& plan, std::span<const format::Operation> operations,
                                  const wal::Tail& next, Attempt attempt) {
  Store& store = *store_;
  MENTEDB_TRY(store.state_.make_writable());
  // Not before the batch is durable: a batch that fails would have to take the pages away from readers again.
  store.state_.publish_page_count(next.counters.page_count);
  store.state_.raise_reuse_horizon(next.counters.reuse_horizon);
  if (attempt == Attempt::first) {
    MENTEDB_TRY(store.applier_.write(plan, operations));
  } else {
    BatchPayloads payloads(operations);
    MENTEDB_TRY(store.applier_.redo(plan, operations, payloads, RedoMode::repair));
  }
  return store.state_.publish(next);
}

// ---- checkpoint and recovery

// R7: while `sync pending` is set, a sync of the store's files failed or was cut short, and the kernel may have dropped
// dirty pages that a later sync would not report. The log still has them all.
Result<void> Writer::sync_pages() {
  Store& store = *store_;
  if (store.state_.sync_pending()) MENTEDB_TRY(recover_from_log(RedoMode::rewrite));
  MENTEDB_TRY(store.page_file_.sync_after_rewrite());
  // The id index has to be as durable as the log that could rebuild it. A table that cannot be synced is replaced.
  if (store.index_.sync()) return {};
  MENTEDB_TRY(store.index_.rebuild(tail_.counters.page_count));
  // The index number, too: else the replaced table may be taken for the current one, and the log is gone.
  return store.page_file_.sync_after_rewrite();
}

Result<void> Writer::checkpoint() {
  MENTEDB_TRY(refuse_if_read_only("for a checkpoint"));
  Store& store = *store_;
  wal::Log& log = store.files_.log();
  if (tail_.offset == format::kLogStart && !store.state_.sync_pending()) return {};
  MENTEDB_TRY(sync_pages());  // upholds I7: only then may the log be overwritten
  if (tail_.offset == format::kLogStart) return {};
  // If a power cut loses the next header copy, this epoch's copy counts. So it has to be durable first (R1).
  MENTEDB_TRY(store.poison_.unless([&] { return log.ensure_header_durable(store.header_); }));
  format::LogHeader next = store.header_;
  next.epoch = store.header_.epoch + 1;
  next.start_lsn = tail_.next_lsn;  // upholds I8
  next.counters = tail_.counters;
  store.vfs().random_bytes(std::as_writable_bytes(std::span(&next.seed, 1)));
  store.state_.invalidate_cached_tail();
  MENTEDB_TRY(store.poison_.unless([&] { return log.reset(next); }));
  MENTEDB_TRY_ASSIGN(const auto headers, log.read_headers());
  if (headers.newest() == nullptr || headers.newest()->epoch != next.epoch) {
    return store.poison_.poison(
        Error{ErrorCode::io_error, 0,
              fmt::format("{} reads back another header than was written; check the disk", log.path())});
  }
  ended_epoch_lsn_ = store.header_.start_lsn;
  store.header_ = *headers.newest();
  tail_ = wal::start_of_epoch(store.header_);
  MENTEDB_TRY(store.state_.publish(tail_));
  ++store.checkpoints_;
  return {};
}

Result<void> Writer::redo_log() {
  MENTEDB_TRY(recover_from_log(RedoMode::repair));
  return {};
}

Result<void> Writer::recover() {
  MENTEDB_TRY(refuse_if_read_only("to recover"));
  MENTEDB_TRY(redo_log());
  MENTEDB_TRY(store_->page_file_.reset_stretches(tail_.counters.page_count, tail_.next_lsn - 1));
  return store_->index_.rebuild(tail_.counters.page_count);
}

}  // namespace mentedb::store

#include "store/recovery.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "pages/directory_cursor.hpp"

namespace mentedb::store {

using format::Operation;

namespace {

// A take-over looks so far behind the end of the chain for a batch that proves damage. One read has as many bytes.
constexpr std::uint64_t kLookBehindBytes = 128 * 1024;

struct LoggedOperations {
  std::vector<Operation> operations;    // payloads are not kept
  std::vector<std::uint64_t> batch_of;  // offset of the batch in the log
  std::vector<std::size_t> payload_at;  // offset of the payload in the batch
  std::size_t batches = 0;

  Result<void> add(const std::string& path, std::uint64_t offset, std::span<const std::byte> batch,
                   std::uint32_t page_bytes) {
    ++batches;
    format::OperationReader reader(batch);
    bool fits = true;
    while (auto operation = reader.next()) {
      fits &= format::pages_for_payload(operation->header.payload_bytes, page_bytes) <= operation->header.run_pages;
      payload_at.push_back(operation->is_early() ? 0
                                                 : static_cast<std::size_t>(operation->payload.data() - batch.data()));
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
class LogPayloads final : public PayloadSource {
 public:
  LogPayloads(wal::Log& log, const LoggedOperations& logged, std::uint64_t seed)
      : log_(log), logged_(logged), seed_(seed) {}

  Result<std::span<const std::byte>> payload(std::size_t number) override {
    if (logged_.batch_of[number] != offset_) {
      offset_ = 0;
      MENTEDB_TRY_ASSIGN(batch_, log_.read_batch(logged_.batch_of[number], seed_));
      offset_ = logged_.batch_of[number];
    }
    const std::size_t at = logged_.payload_at[number];
    const std::size_t bytes = logged_.operations[number].header.payload_bytes;
    if (at <= batch_.size() && bytes <= batch_.size() - at) return batch_.subspan(at, bytes);
    return base::failf(ErrorCode::corruption, "{} changed between two reads; check the disk", log_.path());
  }

 private:
  wal::Log& log_;
  const LoggedOperations& logged_;
  std::uint64_t seed_;
  std::uint64_t offset_ = 0;  ///< of batch_; no batch lies at 0
  std::span<const std::byte> batch_;
};

class Recovery {
 public:
  Recovery(const RecoveryParts& parts, RedoMode mode, bool new_index)
      : files_(parts.files),
        log_(parts.files.log()),
        pool_(parts.pool),
        state_(parts.state),
        index_(parts.index),
        applier_(parts.applier),
        poison_(parts.poison),
        mode_(mode),
        new_index_(new_index) {}

  Result<Recovered> run();
  Result<std::optional<Recovered>> take_over();

 private:
  Result<void> read_headers();
  Result<void> read_log_behind(const wal::Tail& tail);
  Result<void> check_pages_are_whole();
  Result<void> show_pages();
  Result<void> check_log_is_whole();
  Result<std::uint64_t> highest_lsn_in_pages();
  Result<void> complete_last_batch();
  Result<void> clear_torn_header();
  Result<std::uint64_t> redo();
  bool writes() const { return mode_ != RedoMode::check; }
  const wal::Tail& tail() const { return end_.tail; }

  StoreFiles& files_;
  wal::Log& log_;
  const pages::BufferPool& pool_;
  shared::SharedState& state_;
  index::IdIndex& index_;
  Applier& applier_;
  Poison& poison_;
  RedoMode mode_;
  bool new_index_;

  wal::Log::Headers headers_;
  format::LogHeader header_{};  // the newest
  LoggedOperations logged_;
  wal::WalkEnd end_;
  std::optional<wal::Tail> cached_tail_;  // as it was when recovery began: valid, or in doubt
};

// Two passes over the log (R4). The first one, here, notes the operations, and the plan finds which one is the last for
// its pages and ids. The second one, in `redo`, applies just those, where page, entry, index or freed page are behind.
Result<Recovered> Recovery::run() {
  MENTEDB_TRY(read_headers());
  cached_tail_ = state_.cached_tail();
  const bool finished = cached_tail_.has_value();  // the last lock holder
  if (!finished) cached_tail_ = state_.doubtful_tail();
  MENTEDB_TRY(read_log_behind(wal::start_of_epoch(header_)));
  MENTEDB_TRY(check_pages_are_whole());
  MENTEDB_TRY(show_pages());
  const bool proven = finished && *cached_tail_ == tail();
  if (!proven) MENTEDB_TRY(check_log_is_whole());
  if (writes()) {
    // Not earlier: a cached tail that proves damage has to stay for the next `open`, too.
    MENTEDB_TRY(state_.make_writable());
    state_.forget_cached_tail();
    state_.publish_page_count(tail().counters.page_count);
    state_.raise_reuse_horizon(tail().counters.reuse_horizon);
    if (!proven) MENTEDB_TRY(complete_last_batch());
    MENTEDB_TRY(clear_torn_header());
  }
  MENTEDB_TRY_ASSIGN(const std::uint64_t reapplied, redo());
  if (writes()) {
    MENTEDB_TRY(index_.recount());
    MENTEDB_TRY(state_.publish(tail()));
  } else if (reapplied == 0) {
    // Only then. Else a reader would take operations for visible that are not in their pages yet.
    state_.advance_minimum(tail().next_lsn - 1, tail().counters.page_count, tail().counters.reuse_horizon);
  }
  return Recovered{.tail = tail(), .header = header_, .reapplied = reapplied};
}

// R5, the short form. Everything up to the doubtful tail is in the page cache, and nothing here overwrites it. So the
// tail stays in doubt until the end, and a killed take-over is done again. The index's count of used buckets may be too
// high afterwards (IdIndex::recount).
Result<std::optional<Recovered>> Recovery::take_over() {
  const auto doubtful = state_.doubtful_tail();
  if (!doubtful || state_.sync_pending()) return std::nullopt;  // R7
  MENTEDB_TRY(read_headers());
  if (header_.epoch != doubtful->epoch) return std::nullopt;
  MENTEDB_TRY(read_log_behind(*doubtful));
  // A holder publishes each batch before it appends the next one. More than one says that the tail is an old one.
  if (logged_.batches > 1) return std::nullopt;
  MENTEDB_TRY_ASSIGN(const auto behind, log_.find_batch_behind(header_, tail(), kLookBehindBytes));
  if (behind) return std::nullopt;
  MENTEDB_TRY(check_pages_are_whole());
  MENTEDB_TRY(complete_last_batch());
  MENTEDB_TRY(show_pages());
  MENTEDB_TRY(state_.make_writable());
  state_.raise_reuse_horizon(tail().counters.reuse_horizon);
  MENTEDB_TRY_ASSIGN(const std::uint64_t reapplied, redo());
  MENTEDB_TRY(state_.publish(tail()));
  return Recovered{.tail = tail(), .header = header_, .reapplied = reapplied};
}

Result<void> Recovery::read_headers() {
  MENTEDB_TRY_ASSIGN(headers_, log_.read_headers());
  const format::LogHeader* const newest = headers_.newest();
  if (newest == nullptr || !format::belongs_to(*newest, files_.superblock())) {
    return base::failf(
        ErrorCode::corruption, "{} {}; restore a backup, or run: mentedb salvage --dir '{}' DEST", log_.path(),
        newest == nullptr ? "has no valid header" : "belongs to another store than pages.db", files_.path().string());
  }
  header_ = *newest;
  return {};
}

Result<void> Recovery::read_log_behind(const wal::Tail& tail) {
  const auto note = [this](std::uint64_t offset, const format::BatchHeader&, std::span<const std::byte> batch) {
    return logged_.add(log_.path(), offset, batch, files_.superblock().page_bytes);
  };
  MENTEDB_TRY_ASSIGN(end_, log_.walk_behind(tail, header_, note));
  return {};
}

Result<void> Recovery::check_pages_are_whole() {
  const vfs::File& file = files_.pages_file();
  MENTEDB_TRY_ASSIGN(const std::uint64_t bytes, file.size_bytes());
  const std::uint64_t needed = pool_.geometry().file_bytes(tail().counters.page_count);
  if (bytes >= needed) return {};
  return base::failf(ErrorCode::corruption,
                     "{} is cut short: {} bytes instead of at least {}; restore a backup, or run: "
                     "mentedb salvage --dir '{}' DEST",
                     file.path(), bytes, needed, files_.path().string());
}

// The pages that the log speaks of may be read from now on.
Result<void> Recovery::show_pages() {
  const auto& counters = tail().counters;
  if (!writes()) {
    state_.advance_minimum(0, counters.page_count, counters.reuse_horizon);
  } else if (state_.page_count() < counters.page_count) {
    MENTEDB_TRY(state_.make_writable());
    state_.publish_page_count(counters.page_count);
  }
  return {};
}

// There are three proofs that more was committed than the chain of batches holds. A chain that ends before that was
// damaged after it was synced.
Result<void> Recovery::check_log_is_whole() {
  const auto damaged = [this](const std::string& proof) {
    return base::failf(ErrorCode::corruption,
                       "{} is damaged at byte {}: {}, so synced bytes were changed. Restore a backup, or run: "
                       "mentedb salvage --dir '{}' DEST",
                       log_.path(), tail().offset, proof, files_.path().string());
  };
  const auto& cached = cached_tail_;
  if (cached &&
      (cached->epoch > header_.epoch || (cached->epoch == header_.epoch && cached->next_lsn > tail().next_lsn))) {
    return damaged(fmt::format("operations up to LSN {} were committed", cached->next_lsn - 1));
  }
  MENTEDB_TRY_ASSIGN(const auto behind, log_.find_batch_behind(header_, tail()));
  if (behind) return damaged(fmt::format("a complete batch follows at byte {}", *behind));
  if (headers_.any_damaged()) {
    // A header copy is one sector, so a power cut leaves it old or new. The damaged copy may have been the newest: then
    // the pages hold later LSNs.
    MENTEDB_TRY_ASSIGN(const std::uint64_t lsn, highest_lsn_in_pages());
    if (lsn >= tail().next_lsn)
      return damaged(fmt::format("its newest header does not verify and pages hold LSN {}", lsn));
  }
  return {};
}

Result<std::uint64_t> Recovery::highest_lsn_in_pages() {
  std::uint64_t highest = 0;
  for (pages::DirectoryCursor cursor(pool_, tail().counters.page_count); cursor.next();) {
    MENTEDB_TRY_ASSIGN(const auto entry, cursor.entry());
    if (entry) highest = std::max(highest, entry->lsn);
  }
  return highest;
}

// R2: only the last batch of the chain can be unsynced, since a writer appends to a chain that it knows to be durable.
Result<void> Recovery::complete_last_batch() {
  auto completed = log_.ensure_header_durable(header_);  // R1: the cached tail is going to speak of this epoch
  if (completed && end_.last_batch_offset != 0) {
    completed = log_.rewrite_batch(end_.last_batch_offset, end_.last_batch_bytes, header_.seed);
  }
  if (!completed) return poison_.poison(std::move(completed).error());
  return {};
}

// Zeroes a header copy that does not verify and was not the newest, so that no later check takes it for damage.
Result<void> Recovery::clear_torn_header() {
  const std::size_t other = 1 - header_.epoch % 2;
  if (!headers_.damaged[other]) return {};
  MENTEDB_TRY(log_.ensure_header_durable(header_));
  return log_.clear_header(other);
}

Result<std::uint64_t> Recovery::redo() {
  const ApplyPlan plan(logged_.operations, true);
  const std::uint64_t page_count = tail().counters.page_count;
  const bool index_fits = !writes() || (!new_index_ && index_.is_usable());
  // R7: under `sync pending` no page is believed that looks current.
  const RedoMode mode = mode_ == RedoMode::repair && state_.sync_pending() ? RedoMode::rewrite : mode_;
  LogPayloads payloads(log_, logged_, header_.seed);
  auto reapplied =
      applier_.redo(plan, logged_.operations, payloads, mode, index_fits ? std::optional<std::uint64_t>() : page_count);
  if (!reapplied && reapplied.error().code == ErrorCode::capacity_exceeded)
    reapplied = applier_.redo(plan, logged_.operations, payloads, mode, page_count);
  return reapplied;
}

}  // namespace

Result<Recovered> recover(const RecoveryParts& parts, RedoMode mode, bool new_index) {
  return Recovery(parts, mode, new_index).run();
}

Result<std::optional<Recovered>> take_over(const RecoveryParts& parts) {
  return Recovery(parts, RedoMode::repair, false).take_over();
}

}  // namespace mentedb::store

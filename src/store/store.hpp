// One store as one engine has it open: the owner of its parts. It hands out a Reader, whose parts are const, and a
// Writer, which is the lock, held.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>

#include <mentedb/error.hpp>
#include <mentedb/options.hpp>
#include <mentedb/report.hpp>

#include "index/id_index.hpp"
#include "pages/allocator.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"
#include "shared/shared_state.hpp"
#include "store/apply.hpp"
#include "store/failure.hpp"
#include "store/files.hpp"
#include "store/lock.hpp"
#include "store/poison.hpp"
#include "store/reader.hpp"
#include "store/recovery.hpp"
#include "store/writer.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::store {

class Store {
 public:
  /// See StorageEngine::open.
  static Result<std::unique_ptr<Store>> open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options,
                                             IfAbsent if_absent = IfAbsent::create);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const Reader& reader() const { return reader_; }
  /// Takes the lock; waits for it as long as the options say.
  Outcome<Writer> writer() { return Writer::acquire(*this, options().lock_timeout); }

  const StoreFiles& files() const { return files_; }
  const Options& options() const { return files_.options(); }
  vfs::Vfs& vfs() const { return files_.vfs(); }
  const shared::SharedState& state() const { return state_; }
  const pages::BufferPool& pool() const { return pool_; }
  const StoreLock& lock() const { return *lock_; }
  /// For requests that wait for the lock.
  queue::CommitQueue& queue() { return queue_; }

  Result<Stats> stats();
  /// Starts write-back of the pages, so that a checkpoint waits for fewer. Call it without the lock.
  void start_write_back() { files_.pages_file().start_writeback(); }
  /// The same when the log has grown by another eighth of its limit.
  void start_write_back_early(const wal::Tail& tail);
  /// Logged operations that this engine found missing in their pages.
  std::uint64_t reapplied() const { return reapplied_; }

 private:
  friend class Writer;
  Store(StoreFiles files, std::unique_ptr<StoreLock> lock, std::unique_ptr<vfs::Mapping> state);
  static Outcome<std::unique_ptr<Store>> open_once(vfs::Vfs& vfs, const std::filesystem::path& path,
                                                   const Options& options, IfAbsent if_absent);
  Result<void> self_test();
  std::uint64_t recovery_mark() const;
  bool is_recovered() const;
  /// A writer may have died, or a sync may have failed.
  bool is_in_doubt() const { return state_.sync_pending() || !state_.cached_tail(); }
  Result<void> recover_at_open(Writer& writer);
  RecoveryParts recovery_parts();

  StoreFiles files_;
  std::unique_ptr<StoreLock> lock_;
  shared::SharedState state_;
  pages::BufferPool pool_;
  index::IdIndex index_;
  queue::CommitQueue queue_;
  Reader reader_;

  // Only a Writer touches these.
  pages::PageFile page_file_;
  pages::Reclaimer reclaimer_;
  pages::Allocator allocator_;
  Applier applier_;
  base::AlignedBuffer spare_image_;  ///< for the next batch
  Poison poison_;
  format::LogHeader header_{};          ///< of the newest epoch that this engine knows
  std::uint64_t highest_next_lsn_ = 0;  ///< of all tails that this engine has seen
  std::uint64_t reclaimed_to_ = 0;      ///< the stretch where the next checkpoint looks for cold space

  std::atomic<std::uint64_t> write_back_mark_{0};
  std::atomic<std::uint64_t> reapplied_{0};
  std::atomic<std::uint64_t> checkpoints_{0};
  std::atomic<std::uint64_t> commits_{0};
};

}  // namespace mentedb::store

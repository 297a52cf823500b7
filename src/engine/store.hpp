// One store as one engine has it open: the files, what is mapped of them, and the protocol between them.
//
// States of the store, in the shared words, and who moves it (only ever the holder of the lock):
//
//     hint valid    --- commit, checkpoint, backup begin: invalidate_hint --->   hint invalid
//     hint invalid  --- the same holder finishes: publish_hint ------------->   hint valid
//     hint invalid  --- the holder dies; the next one: recover ------------->   hint valid
//
// So R5 ("every lock holder looks behind the tail first") is one load: a valid hint means that nothing is behind it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/options.hpp>
#include <mentedb/page.hpp>
#include <mentedb/report.hpp>

#include "engine/apply.hpp"
#include "engine/store_lock.hpp"
#include "format/superblock.hpp"
#include "index/id_index.hpp"
#include "pages/allocator.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"
#include "pages/shared_words.hpp"
#include "vfs/vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::engine {

inline constexpr std::string_view kLogName = "wal.log";
inline constexpr std::string_view kPagesName = "pages.db";

/// The files of a store whose id index has this number (0: none).
std::vector<std::string> file_names(std::uint64_t index_number);

/// As format::decode_superblock; but beside a log of this version (`log_slot`: its newest header, when there is one) an
/// unknown magic or version is damage, and not the file of another program or a later version.
Result<format::Superblock> read_superblock(std::span<const std::byte> block, const std::string& path,
                                           const format::LogSlot* log_slot);

class Batch;

/// Where an id lives.
struct Location {
  std::uint64_t page = 0;
  format::Entry entry;
};

class Store {
 public:
  /// What to do about files that are not there. A read-only engine never creates any.
  enum class Missing { create, refuse };

  /// See StorageEngine::open.
  static Result<std::unique_ptr<Store>> open(vfs::Vfs& vfs, const std::filesystem::path& path, const Options& options,
                                             Missing missing = Missing::create);
  ~Store();

  // ---- the lock (store.cpp)

  /// The lock, and the tail of the log as of now: everything committed is in its pages while it is held.
  struct Hold {
    StoreLock::Hold lock;
    wal::Tail tail;
  };
  /// R11, the poison check and R5, in this order. @errors `busy`, `poisoned`, and a replaced-files error
  Result<Hold> acquire(std::chrono::milliseconds timeout);
  /// R11: the paths still lead to the files that are open.
  Result<void> check_files() const;
  /// True for the error of `check_files`: the engine may open the store again.
  static bool is_replaced(const Error& error);
  /// True for that error when a commit made it: the files that were open have the write.
  static bool is_replaced_after_commit(const Error& error);
  bool has_same_files(const Store& other) const { return log_id_ == other.log_id_ && pages_id_ == other.pages_id_; }

  // ---- writing (commit.cpp, checkpoint.cpp), with the lock held

  /// Logs the batch, makes it durable and visible. On success the hold's tail has moved.
  Result<void> commit(Hold& hold, Batch& batch);
  Result<void> checkpoint(Hold& hold);
  /// Redo from the checkpoint and a fresh id index; the log is not reset.
  Result<void> recover(Hold& hold);
  /// Logged operations that this engine found missing in the pages and redid.
  std::uint64_t redone() const { return redone_; }
  /// Starts write-back of the pages when the log has grown enough; call without the lock.
  void write_back_early(const wal::Tail& tail);
  /// Takes the lock and brings what the log holds into pages that are damaged.
  Result<void> heal() { return heal(0); }
  void start_write_back() { pages_file_->start_writeback(); }

  // ---- reading (reader.cpp, scan.cpp, changes.cpp), without the lock

  Result<MemoryNode> load(const MemoryId& id);
  Result<MemoryNode> load(PageId page);
  Result<Page> read_page(PageId page);
  /// Nothing when no live memory has the id.
  Result<std::optional<Location>> locate(const MemoryId& id);
  Result<std::vector<std::pair<MemoryId, PageId>>> scan();
  Result<Changes> changes_since(Lsn since);
  Result<Stats> stats();

  // ---- parts

  vfs::Vfs& vfs() { return vfs_; }
  vfs::Directory& directory() { return *directory_; }
  vfs::File& log_file() { return *log_file_; }
  const Options& options() const { return options_; }
  const std::filesystem::path& path() const { return path_; }
  const format::Superblock& superblock() const { return superblock_; }
  pages::SharedWords& words() { return *words_; }
  pages::BufferPool& pool() { return *pool_; }
  pages::PageFile& page_file() { return *page_file_; }
  pages::Allocator& allocator() { return *allocator_; }
  index::IdIndex& index() { return *index_; }

 private:
  Store(vfs::Vfs& vfs, std::filesystem::path path, const Options& options, Missing missing);

  // store_open.cpp
  Result<void> open_files(StoreLock::Hold& hold);
  Result<std::unique_ptr<vfs::File>> open_log();
  Result<bool> pages_are_in_use();
  Result<void> open_pages();
  Result<bool> needs_creation();
  Result<void> create();
  Result<void> finish_creation();
  Result<void> self_test();
  Result<void> map_store();

  // redo.cpp
  enum class Redo { normal, with_rewrite, check_only };
  struct Recovered {
    wal::Tail tail;
    std::uint64_t missing = 0;
  };
  Result<Recovered> redo(Redo how);
  Result<void> check_log_is_whole(const wal::Log::Slots& slots, const wal::WalkEnd& end,
                                  const std::optional<wal::Tail>& hint);
  Result<std::uint64_t> highest_lsn_in_pages(std::uint64_t page_count);
  Result<void> adopt_last_batch(const format::LogSlot& slot, const wal::WalkEnd& end);
  Result<wal::Tail> tail_from_hint();
  Result<void> publish(const wal::Tail& tail);

  Result<void> make_log_room(Hold& hold, std::uint64_t padded_bytes);
  Result<void> append_to_log(const wal::Tail& tail, std::span<const std::byte> padded);
  Result<void> sync_pages(Hold& hold);
  std::unexpected<Error> poison(Error error);
  enum class Seen { wanted, other, damaged };
  template <class Look>
  Result<std::optional<std::uint64_t>> probe_id(const MemoryId& id, Look&& look);
  Result<Page> read_page_once(std::uint64_t page, bool& retry, std::uint64_t& looked_bytes);
  Result<void> heal(std::uint64_t page);
  /// Sees a used entry, and the committed LSN at the beginning of its pass.
  using Visitor = std::function<void(std::uint64_t page, const format::Entry&, std::uint64_t committed)>;
  /// Visits every entry with an LSN above `since`, and again those that were written meanwhile, until nothing was.
  /// The last committed LSN: everything up to it was visited, unless a commit under way has overwritten it.
  Result<std::uint64_t> passes(std::uint64_t since, const Visitor& visit);

  vfs::Vfs& vfs_;
  std::filesystem::path path_;
  Options options_;
  bool may_create_;
  std::unique_ptr<vfs::Directory> directory_;
  std::unique_ptr<vfs::File> log_file_;
  std::unique_ptr<vfs::File> pages_file_;
  vfs::FileId log_id_;
  vfs::FileId pages_id_;
  format::Superblock superblock_{};
  std::unique_ptr<StoreLock> lock_;
  std::unique_ptr<pages::SharedWords> words_;
  std::unique_ptr<pages::BufferPool> pool_;
  std::unique_ptr<pages::PageFile> page_file_;
  std::unique_ptr<pages::Allocator> allocator_;
  std::unique_ptr<index::IdIndex> index_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<wal::Log> log_;
  format::LogSlot slot_{};               ///< of the newest epoch this engine knows; guarded by the lock
  std::uint64_t poison_generation_ = 0;  ///< at open
  bool poisoned_ = false;                ///< by this engine; guarded by the lock
  std::uint64_t highest_next_lsn_ = 0;   ///< guarded by the lock
  std::atomic<std::uint64_t> write_back_mark_{0};
  std::atomic<std::uint64_t> redone_{0};
  std::atomic<std::uint64_t> checkpoints_{0};
  std::atomic<std::uint64_t> commits_{0};
};

}  // namespace mentedb::engine

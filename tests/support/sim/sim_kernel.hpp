// Inside of the simulator: the state of one simulated machine and the gate that every step passes. Tests use SimDisk,
// SimVfs and SimScheduler instead.
//
// Rules
// - `mutex` guards files, directories, counters and trace. It is never held while a hook or another process runs.
// - A process dies once. Its death releases its locks at once; afterwards its calls fail and change nothing. The call
//   in which it dies throws; when it dies elsewhere (in unlock, wake, or by another's hand), the next call that may
//   throw does. Nothing is thrown while the stack unwinds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>

#include "support/sim/sim_fate.hpp"
#include "support/sim/sim_file.hpp"
#include "support/sim/sim_step.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::test {

struct SimKernel;

struct SimDiskOptions {
  std::uint64_t seed = 1;
  /// Space for file content, counted in 4 KiB blocks; 0 = unlimited.
  std::uint64_t capacity_bytes = 0;
  /// Files beyond it fail with EFBIG.
  std::uint64_t max_file_bytes = std::uint64_t{1} << 32U;
  /// Not 0: write_at and Mapping::copy happen in aligned parts of this many bytes, each a step of its own, so that
  /// other processes see and make torn copies.
  std::size_t tear_bytes = 0;
  bool tracing = false;
};

enum class Life : std::uint8_t { alive, killed, power_lost };

struct SimProcess {
  std::shared_ptr<SimKernel> kernel;
  std::uint32_t id = 0;
  bool support_direct = true;
  SimRandom random{0};
  std::atomic<Life> life = Life::alive;
  std::atomic<bool> throw_pending = false;
  std::atomic<std::uint32_t> calls_while_dead = 0;
  std::atomic<std::uint64_t> open_files = 0;  ///< descriptors and mappings, one for both of a file
  std::uint32_t failed_try_locks = 0;         ///< since the last success
};

/// An open file description: files and mappings share it, and it holds the flock.
struct OpenFile {
  std::shared_ptr<SimFile> file;
  std::shared_ptr<SimProcess> process;
  vfs::OpenMode mode = vfs::OpenMode::read_only;
  bool direct = false;
  ~OpenFile();
};

struct SimDirectory {
  std::string path;
  std::uint64_t inode = 0;
  std::map<std::string, std::uint64_t, std::less<>> current;  ///< name -> inode
  std::map<std::string, std::uint64_t, std::less<>> durable;
};

struct TraceEntry {
  std::uint32_t process = 0;
  StepKind kind = StepKind::open;
  std::uint32_t file = 0;  ///< index into SimKernel::trace_names
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// What the kernel needs of a SimScheduler.
class StepScheduler {
 public:
  virtual ~StepScheduler() = default;
  /// False for threads that it did not start: their calls run as they come.
  [[nodiscard]] virtual bool owns_this_thread() const = 0;
  virtual void before_step(std::uint64_t index) = 0;
  virtual void stop_self() = 0;
  virtual void block_on_lock(const SimFile& file) = 0;
  virtual void block_on_word(const SimFile& file, std::uint64_t offset, std::uint64_t timeout_us) = 0;
  virtual void block_for(std::uint64_t time_us) = 0;
  /// Lets another process run; false when none can.
  virtual bool yield() = 0;
  virtual void lock_released(const SimFile& file) = 0;
  virtual std::size_t woken(const SimFile& file, std::uint64_t offset) = 0;
};

/// What the gate answers to the call that takes a step.
struct Verdict {
  enum class Kind : std::uint8_t {
    proceed,
    fail,      ///< report os_error; `effect` and `bytes` say what happens all the same
    dead,      ///< report that the process is dead, do nothing
    kill_mid,  ///< leave `bytes` bytes of the write, then die
  };
  Kind kind = Kind::proceed;
  int os_error = 0;
  Effect effect = Effect::none;
  std::uint64_t bytes = 0;

  [[nodiscard]] bool proceeds() const { return kind == Kind::proceed; }
  [[nodiscard]] Error error(std::string_view file, std::string_view what) const;
  [[nodiscard]] Error sync_error(std::string_view file) const;
};

/// The Error for an errno, as the POSIX binding reports it.
[[nodiscard]] Error errno_error(int os_error, std::string_view file, std::string_view what);

/// Ends the test program: the code under test did what would be undefined or fatal on a real machine.
[[noreturn]] void sim_abort(const std::string& message);

struct SimKernel {
  explicit SimKernel(const SimDiskOptions& disk_options);
  /// A machine with the same disk, clock and counters, where no process runs. Tracing on, hook and scheduler are not
  /// taken over. Call with `other.mutex` held.
  SimKernel(const SimKernel& other, bool with_files);
  SimKernel& operator=(const SimKernel&) = delete;

  // ---- steps
  Verdict begin(SimProcess& process, StepKind kind, std::string_view file, std::uint64_t offset = 0,
                std::uint64_t length = 0, bool may_throw = true);
  /// Ends the process inside its own call: throws when that may be, else leaves the throw to a later call.
  Verdict die(SimProcess& process, Life how, bool may_throw);
  /// The answer to a call of a dead process; throws when a throw is pending and may be.
  Verdict refuse(SimProcess& process, bool may_throw);
  /// Ends any process from outside its calls. Under a scheduler its next call throws, else its calls just fail.
  void kill(SimProcess& process, Life how);
  void cut_power();
  [[nodiscard]] bool scheduled() const { return scheduler != nullptr && scheduler->owns_this_thread(); }

  // ---- locks; call with the mutex held
  bool take_lock(OpenFile& open);
  void release_lock(OpenFile& open);

  // ---- files; call with the mutex held
  [[nodiscard]] SimDirectory* find_directory(std::string_view path);
  [[nodiscard]] std::shared_ptr<SimFile> find_file(std::uint64_t inode) const;
  std::shared_ptr<SimFile> create_file(SimDirectory& directory, std::string_view name);
  /// Some name, cached or durable, leads to it. Other files are gone once nobody has them open.
  [[nodiscard]] bool is_named(const SimFile& file) const;
  [[nodiscard]] std::uint64_t free_chunks() const;
  /// Must be called after every change of content, size or names.
  void changed() { ++version; }
  [[nodiscard]] Pending pending() const;
  [[nodiscard]] std::shared_ptr<SimKernel> after_power_cut(const Fate& fate) const;

  SimDiskOptions options;
  mutable std::mutex mutex;
  std::vector<std::shared_ptr<SimFile>> files;  ///< ascending inodes
  std::map<std::string, SimDirectory, std::less<>> directories;
  std::vector<std::weak_ptr<SimProcess>> processes;
  std::atomic<std::uint64_t> clock_us = 1'000'000;
  std::uint64_t next_inode = 2;
  std::uint64_t write_sequence = 0;
  std::uint64_t boot_count = 1;
  std::uint64_t mount_count = 1;  ///< a lost page cache means another mount, also within a boot
  std::uint32_t next_process = 0;
  SimRandom random;
  bool power_lost = false;

  std::uint64_t step_count = 0;
  StepHook hook;
  StepScheduler* scheduler = nullptr;
  std::vector<TraceEntry> trace;
  std::vector<std::string> trace_names;

 private:
  struct OrderedSector {
    std::uint64_t sequence;
    std::uint32_t file;         ///< index in files
    std::uint32_t dirty_chunk;  ///< index in SimFile::dirty()
    std::uint8_t sector;        ///< in the chunk
  };
  const std::vector<OrderedSector>& write_order() const;
  [[nodiscard]] std::vector<PendingName> pending_names() const;
  void record(const Step& step);

  std::uint64_t version = 0;
  // Many fates are tried on one state: its write order is sorted once.
  mutable std::vector<OrderedSector> order_;
  mutable std::uint64_t order_version_ = ~std::uint64_t{0};
};

}  // namespace mentedb::test

// One simulated process: a vfs::Vfs on a SimDisk. Several of them on one disk share files, locks and the page cache.
//
// Rules
// - A process that died fails every call with io_error "process is dead" and changes nothing; void calls do nothing and
//   loads return 0. See sim_kernel.hpp for when it throws.
// - flock belongs to the open file: a mapping keeps its file's lock alive, as mmap does on Linux.
// - Touching a mapping beyond the end of the file or in an unreadable range ends the test program (SIGBUS in reality),
//   and so do unaligned reads and writes of a direct file.
// - A write that does not fit writes what fits and answers no_space; allocate changes nothing then.
// - now() advances 1 us a call, every step 1 us, a wait by its timeout unless it is woken.
// - Without a SimScheduler nothing blocks for simulated time: Mapping::wait advances the clock and returns, and
//   File::lock waits a few real seconds for another thread before it ends the program.
// - Safe for many threads; deterministic when the calls of all processes come from one thread or a SimScheduler.
#pragma once

#include <memory>
#include <optional>

#include "support/sim/sim_disk.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::test {

struct SimVfsOptions {
  bool support_direct = true;           ///< false: Directory::open ignores `direct`
  std::optional<std::uint64_t> seed{};  ///< of random_bytes. Default: derived from the disk's seed and the process id
};

class SimVfs final : public vfs::Vfs {
 public:
  explicit SimVfs(SimDisk& disk, const SimVfsOptions& options = {});

  [[nodiscard]] std::uint32_t process() const { return process_->id; }
  [[nodiscard]] bool is_alive() const { return process_->life == Life::alive; }
  /// Kills the process between two of its calls. Its later calls fail and do not throw (they do under a scheduler).
  void kill() { process_->kernel->kill(*process_, Life::killed); }
  /// The files that the process has open or mapped.
  [[nodiscard]] std::uint64_t open_files() const { return process_->open_files; }
  [[nodiscard]] const std::shared_ptr<SimProcess>& state() const { return process_; }

  Result<std::unique_ptr<vfs::Directory>> open_directory(const std::filesystem::path& path, bool create) override;
  Result<std::unique_ptr<vfs::Directory>> create_directory(const std::filesystem::path& path) override;
  Result<void> remove_directory(const std::filesystem::path& path) override;
  std::chrono::microseconds now() const override;
  void sleep(std::chrono::microseconds time) override;
  void random_bytes(std::span<std::byte> out) override;
  std::array<std::uint8_t, 16> boot_id() const override;
  std::uint64_t process_token() const override { return process_->id + 1; }

 private:
  std::shared_ptr<SimProcess> process_;
};

}  // namespace mentedb::test

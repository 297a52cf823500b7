// A simulated machine: its disk, its page cache, and the steps its processes take. Simulated processes are SimVfs
// objects on it; sim_file.hpp has the model of a file, sim_fate.hpp what a power cut may do, sim_step.hpp the hook.
//
// Cut power at every step of a run, with every fate, in one run:
//
//   SimDisk disk;
//   disk.set_hook([&](const Step& step) {
//     for (const Fate& fate : enumerate_fates(disk.pending())) {
//       const auto found = disk.after_power_cut(fate);
//       SimVfs rebooted(*found);
//       check(rebooted, step, fate);
//     }
//     return StepAction::proceed();
//   });
//   SimVfs process(disk);
//   workload(process);
//
// Rules
// - Names are durable once their directory is synced; directories themselves at once (the seam promises it).
// - A name created, removed or replaced several times between two syncs of its directory has two candidates: what the
//   device knows, and the newest.
// - Inode numbers are never used again, on this disk or on its copies. The root directory "/" exists.
// - Symbolic links and permissions are not modelled; a hook can make `open` fail instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/sim/sim_fate.hpp"
#include "support/sim/sim_kernel.hpp"
#include "support/sim/sim_step.hpp"

namespace mentedb::test {

class SimDisk {
 public:
  explicit SimDisk(const SimDiskOptions& options = {});
  /// Kills the processes that are left. Their handles stay valid objects.
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  /// The same disk and page cache at this moment, with no process on it, no hook and no step taken.
  [[nodiscard]] std::unique_ptr<SimDisk> clone() const;

  // ---- power
  [[nodiscard]] Pending pending() const;
  /// The disk as it is found after a power cut at this moment. This disk is left as it is.
  [[nodiscard]] std::unique_ptr<SimDisk> after_power_cut(const Fate& fate) const;
  /// Ends every process here. The state stays as it is, to look at and to take fates from.
  void cut_power();

  // ---- steps
  void set_hook(StepHook hook);
  [[nodiscard]] std::uint64_t step_count() const;
  void set_tracing(bool on);
  [[nodiscard]] const std::vector<TraceEntry>& trace() const { return kernel_->trace; }
  /// One line a step: "12 p0 write wal.log 4096+512".
  [[nodiscard]] std::string trace_text() const;

  // ---- the hands of the test; no steps, and durable at once
  [[nodiscard]] bool exists(std::string_view path) const;
  /// What every process sees. Empty when there is no such file.
  [[nodiscard]] std::vector<std::byte> content(std::string_view path) const;
  /// Puts a new file in the place of whatever the name led to, as rename(2) would. Makes the directory when missing.
  void install(std::string_view path, std::span<const std::byte> content);
  void erase(std::string_view path);
  /// The file system is unmounted and mounted again, in the same boot. Processes go on as if nothing had happened.
  void remount();
  /// Damages bytes of an existing file, on the device and in the page cache, as an opener meets them after `remount`.
  void damage(std::string_view path, std::uint64_t offset, std::span<const std::byte> bytes);
  /// Makes a range unreadable: read_at and populate report EIO, touching it through a mapping ends the test.
  void set_bad(std::string_view path, std::uint64_t offset, std::uint64_t length);
  void set_capacity(std::uint64_t capacity_bytes);
  [[nodiscard]] std::uint64_t free_bytes() const;

  [[nodiscard]] const std::shared_ptr<SimKernel>& kernel() const { return kernel_; }

 private:
  explicit SimDisk(std::shared_ptr<SimKernel> kernel);
  [[nodiscard]] std::shared_ptr<SimFile> file_at(std::string_view path) const;

  std::shared_ptr<SimKernel> kernel_;
};

}  // namespace mentedb::test

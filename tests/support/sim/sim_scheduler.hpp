// Runs several simulated processes on one SimDisk, one at a time, deterministically.
//
//   SimScheduler scheduler(disk, {.seed = seed});
//   scheduler.add([](SimVfs& vfs) { ... });
//   scheduler.add([](SimVfs& vfs) { ... });
//   scheduler.run();
//
// Rules
// - Each body runs on a thread of its own, but only the one that holds the baton runs. The baton changes hands before a
//   step, by the policy, and when a process blocks, stops or ends. So a run depends on the options only.
// - A body keeps to its thread: calls into the seam from threads that it starts itself are not scheduled.
// - A process waiting for a lock runs again when the lock is free, one in Mapping::wait when it is woken or its time
// has
//   come. When nobody can run, time jumps to the nearest timeout. When there is none either, the run is dead-locked:
//   the waiting processes are killed, with Outcome::deadlocked.
// - A stopped process keeps its locks and is not run until continued. When only stopped ones are left, they are killed
//   to unwind their stacks, with Outcome::stopped; their deaths are no events of the run.
// - A failed try_lock passes the baton on, so that polling cannot starve the holder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include "support/sim/sim_vfs.hpp"

namespace mentedb::test {

enum class SchedulePolicy : std::uint8_t {
  random,         ///< before each step, with `switch_probability`, to another process drawn by the seed
  round_robin,    ///< every `quantum` steps to the next process
  explicit_list,  ///< as `switches` say, else only when the running process cannot go on
};

/// Before the step of this index (SimDisk numbering) the baton goes to `process` (order of add), when it can run.
struct SwitchPoint {
  std::uint64_t step = 0;
  std::size_t process = 0;
};

struct SimSchedulerOptions {
  std::uint64_t seed = 1;
  SchedulePolicy policy = SchedulePolicy::random;
  double switch_probability = 0.2;
  std::uint64_t quantum = 1;
  std::vector<SwitchPoint> switches{};  ///< ascending steps
  /// Kills every process after so many steps of this run, with Outcome::step_limit: a livelock.
  std::uint64_t max_steps = 10'000'000;
  SimVfsOptions vfs{};
};

enum class Outcome : std::uint8_t { not_run, finished, killed, power_cut, deadlocked, stopped, step_limit };

class SimScheduler final : public StepScheduler {
 public:
  using Body = std::function<void(SimVfs&)>;

  explicit SimScheduler(SimDisk& disk, SimSchedulerOptions options = {});
  ~SimScheduler() override;
  SimScheduler(const SimScheduler&) = delete;
  SimScheduler& operator=(const SimScheduler&) = delete;

  /// Adds a process before run(); returns its number here, from 0.
  std::size_t add(Body body);
  /// Runs all processes to their ends, once. Rethrows the first exception of a body other than the simulator's own.
  void run();

  [[nodiscard]] Outcome outcome(std::size_t process) const { return tasks_[process]->outcome; }
  [[nodiscard]] SimVfs& vfs(std::size_t process) { return tasks_[process]->vfs; }

  // From a hook or a body. A process that stops itself goes on stopped from its next step.
  void kill(std::size_t process);
  void stop(std::size_t process) { tasks_[process]->stopped = true; }
  void resume(std::size_t process) { tasks_[process]->stopped = false; }
  [[nodiscard]] bool is_stopped(std::size_t process) const { return tasks_[process]->stopped; }

  // StepScheduler
  bool owns_this_thread() const override;
  void before_step(std::uint64_t index) override;
  void stop_self() override;
  void block_on_lock(const SimFile& file) override;
  void block_on_word(const SimFile& file, std::uint64_t offset, std::uint64_t timeout_us) override;
  void block_for(std::uint64_t time_us) override;
  bool yield() override;
  void lock_released(const SimFile& file) override;
  std::size_t woken(const SimFile& file, std::uint64_t offset) override;

 private:
  enum class Wait : std::uint8_t { none, lock, word };
  struct Task {
    Task(SimDisk& disk, const SimVfsOptions& options, Body task_body)
        : vfs(disk, options), body(std::move(task_body)) {}
    SimVfs vfs;
    Body body;
    Wait waiting = Wait::none;
    const SimFile* file = nullptr;  ///< what it waits for
    std::uint64_t offset = 0;
    std::uint64_t deadline_us = 0;
    bool stopped = false;
    bool done = false;
    Outcome outcome = Outcome::not_run;
    std::exception_ptr error;
    std::binary_semaphore baton{0};
    std::thread thread;
  };

  void run_body(Task& task);
  [[nodiscard]] bool can_run(const Task& task) const;
  [[nodiscard]] std::vector<Task*> runnable() const;
  /// A process that can run, other than the current one if possible; lets time pass or ends processes until there is
  /// one. Null when all are done.
  Task* choose();
  bool unblock();
  void end(Task& task, Outcome outcome);
  void give_baton(Task& to);
  void pass_on();

  std::shared_ptr<SimKernel> kernel_;
  SimDisk& disk_;
  SimSchedulerOptions options_;
  SimRandom random_;
  std::vector<std::unique_ptr<Task>> tasks_;
  Task* current_ = nullptr;
  std::size_t next_switch_ = 0;
  std::uint64_t steps_ = 0;
  std::binary_semaphore all_done_{0};
};

}  // namespace mentedb::test

#include "support/sim/sim_scheduler.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace mentedb::test {
namespace {

// Whose thread this is. A hook may run a second scheduler, on other threads.
thread_local const SimScheduler* this_thread_scheduler = nullptr;

// Only one of the threads runs at a time: on one core the baton changes hands several times as fast. A cached tail; it
// does not matter when it is refused.
void keep_on_core(int core) {
  if (core < 0) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof cores, &cores));
}

}  // namespace

SimScheduler::SimScheduler(SimDisk& disk, SimSchedulerOptions options)
    : kernel_(disk.kernel()), disk_(disk), options_(std::move(options)), random_(options_.seed) {
  if (kernel_->scheduler != nullptr) sim_abort("a SimDisk takes one SimScheduler at a time");
  kernel_->scheduler = this;
}

SimScheduler::~SimScheduler() {
  const std::scoped_lock lock(kernel_->mutex);
  kernel_->scheduler = nullptr;
}

std::size_t SimScheduler::add(Body body) {
  tasks_.push_back(std::make_unique<Task>(disk_, options_.vfs, std::move(body)));
  return tasks_.size() - 1;
}

void SimScheduler::run() {
  if (tasks_.empty()) return;
  const int core = sched_getcpu();
  for (const auto& task : tasks_) {
    task->thread = std::thread([this, core, &task = *task] {
      keep_on_core(core);
      run_body(task);
    });
  }
  const bool by_seed = options_.policy == SchedulePolicy::random;
  current_ = tasks_[by_seed ? random_.below(tasks_.size()) : 0].get();
  if (Task* first = can_run(*current_) ? current_ : choose(); first != nullptr) {
    current_ = first;
    first->baton.release();
  }
  all_done_.acquire();
  for (const auto& task : tasks_) task->thread.join();
  for (const auto& task : tasks_) {
    if (task->error) std::rethrow_exception(task->error);
  }
}

void SimScheduler::run_body(Task& task) {
  this_thread_scheduler = this;
  task.baton.acquire();
  try {
    // A process that ended before its first step has nothing to run.
    if (task.vfs.is_alive()) task.body(task.vfs);
  } catch (const ProcessKilled&) {
  } catch (const PowerCut&) {
  } catch (...) {
    task.error = std::current_exception();
  }
  if (task.outcome == Outcome::not_run) {
    switch (task.vfs.state()->life) {
      case Life::alive:
        task.outcome = Outcome::finished;
        break;
      case Life::killed:
        task.outcome = Outcome::killed;
        break;
      case Life::power_lost:
        task.outcome = Outcome::power_cut;
        break;
    }
  }
  // The captures and handles of the body go while it still has the baton: closing a file releases its lock.
  task.body = nullptr;
  task.done = true;
  Task* next = choose();
  if (next == nullptr) {
    all_done_.release();
    return;
  }
  current_ = next;
  next->baton.release();
}

bool SimScheduler::can_run(const Task& task) const {
  if (task.done) return false;
  if (!task.vfs.is_alive()) return true;  // to unwind
  if (task.stopped) return false;
  if (task.waiting == Wait::word) return task.deadline_us <= kernel_->clock_us;
  return task.waiting == Wait::none;
}

std::vector<SimScheduler::Task*> SimScheduler::runnable() const {
  std::vector<Task*> tasks;
  // In turn after the current one, which the policies other than random rely on.
  const auto self = static_cast<std::size_t>(
      std::ranges::find(tasks_, current_, [](const auto& task) { return task.get(); }) - tasks_.begin());
  for (std::size_t i = 1; i < tasks_.size(); ++i) {
    Task* task = tasks_[(self + i) % tasks_.size()].get();
    if (can_run(*task)) tasks.push_back(task);
  }
  return tasks;
}

SimScheduler::Task* SimScheduler::choose() {
  for (;;) {
    const std::vector<Task*> others = runnable();
    if (!others.empty()) return others[options_.policy == SchedulePolicy::random ? random_.below(others.size()) : 0];
    if (can_run(*current_)) return current_;
    if (!unblock()) return nullptr;
  }
}

bool SimScheduler::unblock() {
  // Sleepers first: time passes.
  Task* nearest = nullptr;
  for (const auto& task : tasks_) {
    if (task->done || task->stopped || task->waiting != Wait::word) continue;
    if (nearest == nullptr || task->deadline_us < nearest->deadline_us) nearest = task.get();
  }
  if (nearest != nullptr) {
    kernel_->clock_us = std::max(kernel_->clock_us.load(), nearest->deadline_us);
    return true;
  }
  bool any = false;
  for (const Outcome outcome : {Outcome::deadlocked, Outcome::stopped}) {
    for (const auto& task : tasks_) {
      if (task->done || task->stopped != (outcome == Outcome::stopped)) continue;
      end(*task, outcome);
      any = true;
    }
    if (any) break;
  }
  return any;
}

void SimScheduler::end(Task& task, Outcome outcome) {
  task.outcome = outcome;
  task.vfs.kill();
}

void SimScheduler::kill(std::size_t process) { tasks_[process]->vfs.kill(); }

void SimScheduler::give_baton(Task& to) {
  Task& self = *current_;
  if (&to == &self) return;
  current_ = &to;
  to.baton.release();
  self.baton.acquire();
}

/// Runs somebody who can run; returns when the calling process can go on and has its turn.
void SimScheduler::pass_on() {
  Task* next = choose();
  MENTEDB_ASSERT(next != nullptr);  // the caller is not done
  give_baton(*next);
}

bool SimScheduler::owns_this_thread() const { return this_thread_scheduler == this; }

void SimScheduler::before_step(std::uint64_t index) {
  if (++steps_ > options_.max_steps) {
    for (const auto& task : tasks_) {
      if (!task->done && task->vfs.is_alive()) end(*task, Outcome::step_limit);
    }
    return;
  }
  if (!can_run(*current_)) {  // stopped by itself or by its hook
    pass_on();
    return;
  }
  switch (options_.policy) {
    case SchedulePolicy::random:
      if (random_.chance(options_.switch_probability)) pass_on();
      break;
    case SchedulePolicy::round_robin:
      if (steps_ % options_.quantum == 0) pass_on();
      break;
    case SchedulePolicy::explicit_list:
      while (next_switch_ < options_.switches.size() && options_.switches[next_switch_].step <= index) {
        const SwitchPoint point = options_.switches[next_switch_++];
        MENTEDB_ASSERT(point.process < tasks_.size());
        if (point.step == index && can_run(*tasks_[point.process])) give_baton(*tasks_[point.process]);
      }
      break;
  }
}

void SimScheduler::stop_self() {
  current_->stopped = true;
  pass_on();
}

void SimScheduler::block_on_lock(const SimFile& file) {
  Task& self = *current_;
  self.waiting = Wait::lock;
  self.file = &file;
  pass_on();
  self.waiting = Wait::none;
}

void SimScheduler::block_on_word(const SimFile& file, std::uint64_t offset, std::uint64_t timeout_us) {
  Task& self = *current_;
  self.waiting = Wait::word;
  self.file = &file;
  self.offset = offset;
  const std::uint64_t now = kernel_->clock_us;
  self.deadline_us = timeout_us < ~std::uint64_t{0} - now ? now + timeout_us : ~std::uint64_t{0};
  pass_on();
  self.waiting = Wait::none;
}

void SimScheduler::block_for(std::uint64_t time_us) {
  Task& self = *current_;
  self.waiting = Wait::word;
  self.file = nullptr;  // nothing wakes it but the time
  self.deadline_us = kernel_->clock_us + time_us;
  pass_on();
  self.waiting = Wait::none;
}

bool SimScheduler::yield() {
  if (runnable().empty()) return false;
  pass_on();
  return true;
}

void SimScheduler::lock_released(const SimFile& file) {
  for (const auto& task : tasks_) {
    if (task->waiting == Wait::lock && task->file == &file) task->waiting = Wait::none;
  }
}

std::size_t SimScheduler::woken(const SimFile& file, std::uint64_t offset) {
  std::size_t count = 0;
  for (const auto& task : tasks_) {
    if (task->waiting != Wait::word || task->file != &file || task->offset != offset) continue;
    task->waiting = Wait::none;
    ++count;
  }
  return count;
}

}  // namespace mentedb::test

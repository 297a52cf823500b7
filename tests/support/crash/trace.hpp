// Says in sentences what happens at which step of a run on the simulated disk.
//
//   Trace trace(disk);
//   trace.fail(writer, sync_of(kWalLog), EIO);                               // its next sync of wal.log fails
//   trace.kill(writer, any_step().after(sync_of(kWalLog)));                  // and it dies at the step behind that
//   trace.before_each(opener, any_step(), [&] { EXPECT_EQ(version_of(reader, 1), 3U); });
//   const Event append = trace.watch(writer, append_to_log());
//   ...
//   EXPECT_TRUE(header.came_before(append));
//   const auto found = power_cut(disk, all_but(in(kWalLog).below(format::kLogStart)));
//
// Rules
// - Sentences hold from when they are said until `calm`, or the end of the Trace. A disk has one Trace at a time.
// - A moment is judged by the steps of its process only, from when its sentence was said: nth(2) is the second such
// step
//   that this process takes from then on.
// - What a sentence does may take steps itself, of other processes, too. Those steps are told to all sentences but the
//   one that is at work.
// - When several sentences decide one step, the first that was said wins.
// - Failures of checks within an action name the step before which it ran.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/sim/sim_disk.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::test {

inline constexpr std::string_view kPagesDb = "pages.db";
inline constexpr std::string_view kWalLog = "wal.log";
inline constexpr std::string_view kIdIndex = "ids";  ///< the id index, whichever of its files

/// Which steps a sentence is about.
class Moment {
 public:
  using Comes = std::function<bool(const Step&)>;
  explicit Moment(Comes comes) : comes_(std::move(comes)) {}

  /// Only those that begin at this byte of the file, at it or behind it, before it.
  [[nodiscard]] Moment at_byte(std::uint64_t offset) const;
  [[nodiscard]] Moment from_byte(std::uint64_t offset) const;
  [[nodiscard]] Moment below_byte(std::uint64_t offset) const;
  /// Only those behind the first step of `earlier`.
  [[nodiscard]] Moment after(Moment earlier) const;
  /// Only those in front of the first step of `later`.
  [[nodiscard]] Moment before(Moment later) const;
  /// Only the n-th of them, from 1.
  [[nodiscard]] Moment nth(std::uint64_t n) const;
  /// Only those whose number on the disk is a multiple of n: about every n-th.
  [[nodiscard]] Moment every(std::uint64_t n) const;
  [[nodiscard]] Moment except(Moment other) const;
  [[nodiscard]] Moment or_at(Moment other) const;
  /// Only while the condition holds; it is asked at the step.
  [[nodiscard]] Moment when(std::function<bool()> condition) const;

  /// To be asked about each step once, in order.
  bool comes(const Step& step) { return comes_(step); }

 private:
  Comes comes_;
};

Moment any_step();
/// Steps of this kind, on files whose name begins with `file`.
Moment step(StepKind kind, std::string_view file = "");
inline Moment sync_of(std::string_view file) { return step(StepKind::sync, file); }
inline Moment write_of(std::string_view file) { return step(StepKind::write, file); }
/// A write is under way, and a part of it is done (SimDiskOptions::tear_bytes).
inline Moment middle_of_write_of(std::string_view file) { return step(StepKind::write_slice, file); }
inline Moment read_of(std::string_view file) { return step(StepKind::read, file); }
/// One word of shared memory is loaded, stored to, copied from.
inline Moment load_of(std::string_view file) { return step(StepKind::load, file); }
inline Moment store_to(std::string_view file) { return step(StepKind::store, file); }
inline Moment copy_of(std::string_view file) { return step(StepKind::copy, file); }
inline Moment opening_of(std::string_view file) { return step(StepKind::open, file); }
/// A batch is written to the log, or a header copy of it.
Moment append_to_log();
Moment header_of_log();
/// The sync that would make a new header copy of the log durable.
Moment sync_of_new_header();
/// The step behind the sync of the log: the batch is durable, nothing of it is visible.
Moment batch_durable();

/// How often the steps of a sentence came, and when first.
class Event {
 public:
  [[nodiscard]] bool came() const { return record_->times > 0; }
  [[nodiscard]] std::size_t times() const { return record_->times; }
  /// It came, and `other` had not come by then.
  [[nodiscard]] bool came_before(const Event& other) const;

 private:
  friend class Trace;
  struct Record {
    std::size_t times = 0;
    std::uint64_t first = std::numeric_limits<std::uint64_t>::max();
  };
  explicit Event(std::shared_ptr<const Record> record) : record_(std::move(record)) {}
  std::shared_ptr<const Record> record_;
};

/// Whose steps a sentence is about.
class Who {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a process is who
  Who(const SimVfs& process) : process_(process.process()), anyone_(false) {}
  static Who anyone() { return {}; }
  [[nodiscard]] bool takes(const Step& step) const { return anyone_ || step.process == process_; }

 private:
  Who() = default;
  std::uint32_t process_ = 0;
  bool anyone_ = true;
};

class Trace {
 public:
  explicit Trace(SimDisk& disk);
  ~Trace() { disk_.set_hook({}); }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// The process that takes the first such step dies before it. Of a write, that many bytes get there.
  Event kill(const Who& who, Moment moment, std::uint64_t bytes = 0);
  /// The same within `call`. False when there was no such step: then no process was killed and `call` has ended.
  template <std::invocable Call>
  bool kill(const Who& who, Moment moment, Call call);
  /// The first such step fails, and each of them.
  Event fail(const Who& who, Moment moment, int os_error, Effect effect = Effect::none, std::uint64_t bytes = 0);
  Event keep_failing(const Who& who, Moment moment, int os_error, Effect effect = Effect::none,
                     std::uint64_t bytes = 0);
  /// Something happens before the first such step, and before each of them.
  Event before(const Who& who, Moment moment, std::function<void()> action);
  Event before_each(const Who& who, Moment moment, std::function<void()> action);
  /// Nothing happens. The answer tells which steps came.
  Event watch(const Who& who, Moment moment);
  /// Nothing that was said holds any longer.
  void calm() { sentences_.clear(); }

 private:
  struct Sentence {
    Who who;
    Moment moment;
    bool once = false;
    StepAction decision;
    std::function<void()> action;
    std::shared_ptr<Event::Record> record = std::make_shared<Event::Record>();
    bool at_work = false;
  };
  Event say(Sentence sentence);
  void forget(const Event& event);
  StepAction at(const Step& step);

  SimDisk& disk_;
  std::vector<std::shared_ptr<Sentence>> sentences_;
  std::uint64_t now_ = 0;  ///< steps seen
};

/// Runs the call of a process that is to be killed. False when it lived to the end of it.
template <class Call>
bool dies(Call call) {
  try {
    static_cast<void>(call());
    return false;
  } catch (const ProcessKilled&) {
    return true;
  }
}

template <std::invocable Call>
bool Trace::kill(const Who& who, Moment moment, Call call) {
  const Event killed = kill(who, std::move(moment));
  dies(std::move(call));
  forget(killed);
  return killed.came();
}

// ---- power cuts

/// A range of the sectors that are not durable yet.
class Sectors {
 public:
  explicit Sectors(std::string_view file) : file_(file) {}
  [[nodiscard]] Sectors from(std::uint64_t offset) const;
  [[nodiscard]] Sectors below(std::uint64_t offset) const;
  [[nodiscard]] bool has(const PendingSector& sector) const;

 private:
  std::string file_;
  std::uint64_t from_ = 0;
  std::uint64_t below_ = std::numeric_limits<std::uint64_t>::max();
};

/// Of files whose name begins with `file`.
inline Sectors in(std::string_view file) { return Sectors(file); }
/// How many of them are not durable.
std::size_t not_durable(const SimDisk& disk, const Sectors& sectors);

/// What a power cut leaves of the writes that no sync made durable.
struct Leaves {
  std::function<bool(const PendingSector&)> sector;
  bool names_and_sizes = true;
  bool boot_id = false;

  /// The page cache is lost without a reboot, as when the device is plugged out and in.
  [[nodiscard]] Leaves in_the_same_boot() const;
};
Leaves nothing();
Leaves everything();
Leaves all_but(const Sectors& lost);
Leaves only(const Sectors& kept);

/// The disk as it is found after a power cut at this moment.
std::unique_ptr<SimDisk> power_cut(const SimDisk& disk, const Leaves& leaves = nothing());

}  // namespace mentedb::test

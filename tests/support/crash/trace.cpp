#include "support/crash/trace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "format/log_format.hpp"

namespace mentedb::test {
namespace {

class AtWork {
 public:
  explicit AtWork(bool& flag) : flag_(flag) { flag_ = true; }
  ~AtWork() { flag_ = false; }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

 private:
  bool& flag_;
};

}  // namespace

// A moment that remembers is asked about every step, whatever another one answers.

Moment Moment::at_byte(std::uint64_t offset) const {
  return Moment(
      [moment = *this, offset](const Step& step) mutable { return moment.comes(step) && step.offset == offset; });
}

Moment Moment::from_byte(std::uint64_t offset) const {
  return Moment(
      [moment = *this, offset](const Step& step) mutable { return moment.comes(step) && step.offset >= offset; });
}

Moment Moment::below_byte(std::uint64_t offset) const {
  return Moment(
      [moment = *this, offset](const Step& step) mutable { return moment.comes(step) && step.offset < offset; });
}

Moment Moment::after(Moment earlier) const {
  return Moment([moment = *this, earlier = std::move(earlier), passed = false](const Step& step) mutable {
    const bool behind = passed;
    passed |= earlier.comes(step);
    return moment.comes(step) && behind;
  });
}

Moment Moment::before(Moment later) const {
  return Moment([moment = *this, later = std::move(later), passed = false](const Step& step) mutable {
    passed |= later.comes(step);
    return moment.comes(step) && !passed;
  });
}

Moment Moment::nth(std::uint64_t n) const {
  return Moment([moment = *this, n, seen = std::uint64_t{0}](const Step& step) mutable {
    return moment.comes(step) && ++seen == n;
  });
}

Moment Moment::every(std::uint64_t n) const {
  return Moment([moment = *this, n](const Step& step) mutable { return moment.comes(step) && step.index % n == 0; });
}

Moment Moment::except(Moment other) const {
  return Moment([moment = *this, other = std::move(other)](const Step& step) mutable {
    const bool excepted = other.comes(step);
    return moment.comes(step) && !excepted;
  });
}

Moment Moment::or_at(Moment other) const {
  return Moment([moment = *this, other = std::move(other)](const Step& step) mutable {
    const bool there = other.comes(step);
    return moment.comes(step) || there;
  });
}

Moment Moment::when(std::function<bool()> condition) const {
  return Moment([moment = *this, condition = std::move(condition)](const Step& step) mutable {
    return moment.comes(step) && condition();
  });
}

Moment any_step() {
  return Moment([](const Step&) { return true; });
}

Moment step(StepKind kind, std::string_view file) {
  return Moment(
      [kind, file = std::string(file)](const Step& step) { return step.kind == kind && step.file.starts_with(file); });
}

Moment append_to_log() { return write_of(kWalLog).from_byte(format::kLogStart); }
Moment header_of_log() { return write_of(kWalLog).below_byte(format::kLogStart); }
Moment sync_of_new_header() { return sync_of(kWalLog).after(header_of_log()); }
Moment batch_durable() { return any_step().after(sync_of(kWalLog)); }

bool Event::came_before(const Event& other) const { return came() && record_->first < other.record_->first; }

Trace::Trace(SimDisk& disk) : disk_(disk) {
  disk_.set_hook([this](const Step& step) { return at(step); });
}

Event Trace::kill(const Who& who, Moment moment, std::uint64_t bytes) {
  return say(
      {.who = who, .moment = std::move(moment), .once = true, .decision = StepAction::kill(bytes), .action = {}});
}

Event Trace::fail(const Who& who, Moment moment, int os_error, Effect effect, std::uint64_t bytes) {
  return say({.who = who,
              .moment = std::move(moment),
              .once = true,
              .decision = StepAction::fail(os_error, effect, bytes),
              .action = {}});
}

Event Trace::keep_failing(const Who& who, Moment moment, int os_error, Effect effect, std::uint64_t bytes) {
  return say(
      {.who = who, .moment = std::move(moment), .decision = StepAction::fail(os_error, effect, bytes), .action = {}});
}

Event Trace::before(const Who& who, Moment moment, std::function<void()> action) {
  return say({.who = who, .moment = std::move(moment), .once = true, .decision = {}, .action = std::move(action)});
}

Event Trace::before_each(const Who& who, Moment moment, std::function<void()> action) {
  return say({.who = who, .moment = std::move(moment), .decision = {}, .action = std::move(action)});
}

Event Trace::watch(const Who& who, Moment moment) {
  return say({.who = who, .moment = std::move(moment), .decision = {}, .action = {}});
}

Event Trace::say(Sentence sentence) {
  sentences_.push_back(std::make_shared<Sentence>(std::move(sentence)));
  return Event(sentences_.back()->record);
}

void Trace::forget(const Event& event) {
  std::erase_if(sentences_, [&](const auto& sentence) { return sentence->record == event.record_; });
}

StepAction Trace::at(const Step& step) {
  const std::uint64_t now = now_++;
  StepAction decision;
  const auto sentences = sentences_;  // an action may say more, or calm the trace
  for (const auto& sentence : sentences) {
    Event::Record& record = *sentence->record;
    if (sentence->at_work || !sentence->who.takes(step) || (sentence->once && record.times > 0)) continue;
    if (!sentence->moment.comes(step)) continue;
    record.first = std::min(record.first, now);
    ++record.times;
    if (decision.kind == StepAction::Kind::proceed) decision = sentence->decision;
    if (!sentence->action) continue;
    SCOPED_TRACE("before step " + std::to_string(step.index) + ", " + std::string(to_string(step.kind)) + " of " +
                 std::string(step.file));
    const AtWork at_work(sentence->at_work);
    sentence->action();
  }
  return decision;
}

Sectors Sectors::from(std::uint64_t offset) const {
  Sectors sectors = *this;
  sectors.from_ = offset;
  return sectors;
}

Sectors Sectors::below(std::uint64_t offset) const {
  Sectors sectors = *this;
  sectors.below_ = offset;
  return sectors;
}

bool Sectors::has(const PendingSector& sector) const {
  const std::uint64_t offset = sector.sector * 512;
  return sector.file.starts_with(file_) && offset >= from_ && offset < below_;
}

std::size_t not_durable(const SimDisk& disk, const Sectors& sectors) {
  const Pending pending = disk.pending();
  return static_cast<std::size_t>(
      std::ranges::count_if(pending.sectors, [&](const PendingSector& sector) { return sectors.has(sector); }));
}

Leaves Leaves::in_the_same_boot() const {
  Leaves leaves = *this;
  leaves.boot_id = true;
  return leaves;
}

Leaves nothing() {
  return {.sector = [](const PendingSector&) { return false; }, .names_and_sizes = false};
}

Leaves everything() {
  return {.sector = [](const PendingSector&) { return true; }};
}

Leaves all_but(const Sectors& lost) {
  return {.sector = [lost](const PendingSector& sector) { return !lost.has(sector); }};
}

Leaves only(const Sectors& kept) {
  return {.sector = [kept](const PendingSector& sector) { return kept.has(sector); }};
}

std::unique_ptr<SimDisk> power_cut(const SimDisk& disk, const Leaves& leaves) {
  const Pending pending = disk.pending();
  Fate fate = leaves.names_and_sizes ? Fate::everything_kept(pending) : Fate::nothing_kept();
  fate.keep_boot_id = leaves.boot_id;
  fate.sectors.resize(pending.sectors.size());
  for (std::size_t i = 0; i < pending.sectors.size(); ++i) fate.sectors[i] = leaves.sector(pending.sectors[i]);
  return disk.after_power_cut(fate);
}

}  // namespace mentedb::test

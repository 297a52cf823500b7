#include "faults.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <random>
#include <vector>

#include <unistd.h>

#include "child.hpp"
#include "engine/engine_impl.hpp"
#include "oracle.hpp"

namespace mentedb::prove {
namespace {

constexpr std::uint32_t kWriters = 2;
constexpr std::size_t kOperations = 40;
constexpr std::size_t kSafeOperations = 6;  // before the device begins to fail

// Counts go through the log, too: as marks of writers that do not exist.
constexpr std::uint32_t kErrors = 100;
constexpr std::uint32_t kPoisoned = 101;
constexpr std::uint32_t kReopened = 102;
constexpr std::uint32_t kDead = 103;

const char* name_of(FaultTarget target) {
  static constexpr const char* kNames[] = {"none", "write", "read", "flush"};
  return kNames[static_cast<std::size_t>(target)];
}
const char* name_of(FaultEffect effect) {
  static constexpr const char* kNames[] = {"error", "lose_cache", "lie"};
  return kNames[static_cast<std::size_t>(effect)];
}

// An error that a broken device may lead to: with a code that says so and a sentence that says what to do.
std::string unexpected(const Error& error) {
  switch (error.code) {
    case ErrorCode::io_error:
    case ErrorCode::poisoned:
    case ErrorCode::read_only:
      break;
    default:
      return "the error is " + engine_says(error);
  }
  if (error.code == ErrorCode::poisoned && error.message.find("open the store again") == std::string::npos)
    return "no remedy in " + engine_says(error);
  return {};
}

class Writer {
 public:
  Writer(Device& device, const std::string& store, const Script& script, const FaultCase& fault)
      : device_(device),
        store_(store),
        script_(script),
        fault_(fault),
        vfs_(altered_vfs(fault.breakage, Boot::same)),
        client_(static_cast<int>(script.writer()) + 1) {}

  std::string run() {
    for (int life = 0; life < 8; ++life) {
      auto engine = EngineAccess::open(vfs_, store_, options_of(Scenario::mixed));
      if (!engine) {
        note(kErrors);
        note(kDead);
        return unexpected(engine.error());
      }
      if (life > 0) note(kReopened);
      std::string problem;
      at_ = settle(*engine, {.script = script_, .bounds = {.low = at_, .high = attempted_}}, problem);
      if (!problem.empty()) {
        // Memories that cannot be read now are for the check after the next mount.
        if (problem.find("failed") == std::string::npos && problem.find("io_error") == std::string::npos)
          return problem;
        note(kDead);
        return {};
      }
      mark(RecordKind::shown, at_);
      attempted_ = at_;
      if (const std::string said = live(*engine); !said.empty()) return said;
      if (at_ == script_.size()) return {};
    }
    return {};
  }

 private:
  // Until the script's end or an error.
  std::string live(StorageEngine& engine) {
    while (at_ < script_.size()) {
      if (script_.writer() == 0 && at_ == kSafeOperations && !armed_) {
        device_.arm(client_, fault_.fault);
        armed_ = true;
      }
      attempted_ = at_ + 1;
      mark(RecordKind::attempted, at_ + 1);
      const auto done = perform(engine, script_.operation(at_));
      if (done) {
        mark(RecordKind::acknowledged, ++at_);
        continue;
      }
      note(kErrors);
      if (done.error().code == ErrorCode::poisoned) note(kPoisoned);
      if (std::string wrong = unexpected(done.error()); !wrong.empty()) return wrong;
      // Another call of the same engine: an answer, whatever it is.
      const auto next = engine.checkpoint();
      if (!next) {
        note(kErrors);
        if (next.error().code == ErrorCode::poisoned) note(kPoisoned);
        if (std::string wrong = unexpected(next.error()); !wrong.empty()) return wrong;
      }
      const auto scan = engine.scan_all_memories();
      if (!scan && scan.error().code != ErrorCode::io_error) return "scan: " + engine_says(scan.error());
      static_cast<void>(engine.close());
      break;
    }
    return {};
  }

  void mark(RecordKind kind, std::size_t operation) { device_.mark(client_, kind, script_.writer(), operation); }
  void note(std::uint32_t what) { device_.mark(client_, RecordKind::shown, what, 0); }

  Device& device_;
  std::string store_;
  const Script& script_;
  FaultCase fault_;
  vfs::Vfs& vfs_;
  int client_;
  std::size_t at_ = 0;
  std::size_t attempted_ = 0;
  bool armed_ = false;
};

}  // namespace

std::string FaultCase::text() const {
  return std::string("fault ") + prove::name_of(kind) + " " + name_of(fault.target) + " " + name_of(fault.effect) +
         " " + std::to_string(fault.after) + " " + std::to_string(fault.count) + " " + std::to_string(seed);
}

FaultCase draw_fault_case(Kind kind, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  FaultCase one{.kind = kind, .fault = {}, .seed = seed, .breakage = Breakage::none};
  static constexpr std::pair<FaultTarget, FaultEffect> kKinds[] = {
      {FaultTarget::write, FaultEffect::error},      {FaultTarget::write, FaultEffect::error},
      {FaultTarget::flush, FaultEffect::error},      {FaultTarget::flush, FaultEffect::lose_cache},
      {FaultTarget::flush, FaultEffect::lose_cache}, {FaultTarget::write, FaultEffect::lie},
      {FaultTarget::read, FaultEffect::error}};
  const auto& [target, effect] = kKinds[random() % std::size(kKinds)];
  one.fault = {.target = target,
               .effect = effect,
               .after = random() % (target == FaultTarget::read ? 4 : 60),
               .count = random() % 3 == 0 ? 1'000'000 : 1 + random() % 3};
  return one;
}

FaultCounts& FaultCounts::operator+=(const FaultCounts& other) {
  cases += other.cases;
  fired += other.fired;
  errors += other.errors;
  poisoned += other.poisoned;
  reopened += other.reopened;
  dead += other.dead;
  unmountable += other.unmountable;
  violations += other.violations;
  return *this;
}

FaultCounts try_fault(const Workplace& workplace, const FaultCase& fault) {
  FaultCounts counts{.cases = 1};
  const auto violation = [&](const std::string& what) {
    ++counts.violations;
    if (fault.breakage != Breakage::none) return;
    printf("VIOLATION %s | replay: tools/prove disks --replay '%s'\n", what.c_str(), fault.text().c_str());
    fflush(stdout);
  };
  std::mt19937_64 random(fault.seed + 1);
  make_file_system(fault.kind, workplace.path("image"));
  const std::string mounted = workplace.directory("mounted");
  const std::string store = mounted + "/store";
  BlockLog log;
  Device device(log, workplace.path("image"), workplace.directory("device"));
  const LoopDevice loop(device.file());
  device.use_as_disk();
  if (const std::string error = mount_device(fault.kind, loop.path(), mounted); !error.empty())
    die("cannot mount a new " + std::string(prove::name_of(fault.kind)) + ": " + error);
  std::vector<Script> scripts;
  for (std::uint32_t writer = 0; writer < kWriters; ++writer)
    scripts.emplace_back(Scenario::mixed, writer, fault.seed, kOperations);
  {
    std::vector<Child> writers;
    for (const Script& script : scripts)
      writers.emplace_back([&] { return Writer(device, store, script, fault).run(); });
    for (Child& writer : writers) {
      if (const std::string said = writer.wait(); !said.empty()) violation(said);
    }
  }
  counts.fired = device.fired() > 0 ? 1 : 0;
  device.arm(0, {});
  // Half of them lose power before the file system is unmounted.
  if (random() % 2 == 0) device.lose_cache();
  if (const std::string error = unmount(mounted); !error.empty()) die("cannot unmount: " + error);
  loop.forget();
  for (const Record& record : log.records()) {
    counts.errors += record.writer == kErrors;
    counts.poisoned += record.writer == kPoisoned;
    counts.reopened += record.writer == kReopened;
    if (record.writer == kDead) counts.dead = 1;
  }
  if (const std::string error = mount_device(fault.kind, loop.path(), mounted); !error.empty()) {
    counts.unmountable = 1;
    return counts;
  }
  std::vector<Expectation> expectations;
  for (const Script& script : scripts) {
    expectations.push_back(
        {.script = script, .bounds = bounds_at(log.records(), 0, log.records().size(), script.writer(), {})});
  }
  const Boot boot = random() % 2 == 0 ? Boot::same : Boot::next;
  const std::string problem = run_in_child([&] {
    return check(nullptr, store, Scenario::mixed, expectations, Script(Scenario::mixed, kWriters, fault.seed, 4), boot);
  });
  if (!problem.empty()) violation("mounted again: " + problem);
  if (const std::string error = unmount(mounted); !error.empty()) die("cannot unmount: " + error);
  return counts;
}

}  // namespace mentedb::prove

#include "cuts.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <sstream>

#include <unistd.h>

#include "child.hpp"
#include "engine/engine_impl.hpp"
#include "oracle.hpp"

namespace mentedb::prove {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kWriters = 2;
constexpr std::size_t kOperations = 40;
constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kDeepEvery = 6;  // images
constexpr std::uint64_t kDeepImages = 4;

// The life of one writer. Marks go into the device's log before and after each operation.
std::string write(Device& device, const std::string& store, Scenario scenario, const Script& script, Bounds known,
                  vfs::Vfs& vfs) {
  const int client = static_cast<int>(script.writer()) + 1;
  auto engine = EngineAccess::open(vfs, store, options_of(scenario));
  if (!engine) return "open: " + engine_says(engine.error());
  // After a kill: was the operation under way done? The next lock holder decides that, and `open` may have found the
  // lock taken. What we are shown afterwards counts as acknowledged from here on (I3).
  const auto decided = engine->transact([](Transaction&) -> Result<void> { return {}; });
  if (!decided) return "after a kill: " + engine_says(decided.error());
  std::string problem;
  std::size_t at = settle(*engine, {.script = script, .bounds = known}, problem);
  if (!problem.empty()) return "after a kill: " + problem;
  device.mark(client, RecordKind::shown, script.writer(), at);
  for (; at < script.size(); ++at) {
    const Operation& operation = script.operation(at);
    device.mark(client, RecordKind::attempted, script.writer(), at + 1);
    if (operation.action == Action::reopen) {
      static_cast<void>(engine->close());
      engine = EngineAccess::open(vfs, store, options_of(scenario));
      if (!engine) return "open: " + engine_says(engine.error());
    } else if (const auto done = perform(*engine, operation); !done) {
      return "operation " + std::to_string(at + 1) + ": " + engine_says(done.error());
    }
    device.mark(client, RecordKind::acknowledged, script.writer(), at + 1);
  }
  return {};
}

// One device, one file system, one recorded workload.
class Recording {
 public:
  Recording(const Workplace& workplace, const Cuts& cuts)
      : workplace_(workplace), cuts_(cuts), vfs_(altered_vfs(cuts.breakage, Boot::same)), random_(cuts.seed) {
    make_file_system(cuts.kind, workplace.path("image"));
    mounted_ = workplace.directory("mounted");
    store_ = mounted_ + "/store";
    device_.emplace(log_, workplace.path("image"), workplace.directory("device"));
    loop_.emplace(device_->file());
  }

  CutCounts run();

 private:
  struct Fate {
    enum Kind { none, all, one_lost, one_kept, some, torn } kind;
    std::uint64_t seed;
  };
  struct Image {
    std::uint64_t point;
    Fate fate;
  };

  void record();
  std::vector<Piece> unsynced(std::uint64_t from, std::uint64_t point) const;
  std::vector<Piece> survivors(const std::vector<Piece>& unsynced, Fate fate) const;
  Fate draw_fate();
  std::uint64_t last_flush(std::uint64_t from, std::uint64_t point) const;
  bool try_image(std::uint64_t durable, const std::vector<Piece>& pieces, const std::vector<Expectation>& expectations,
                 const Script& going_on, bool deep, bool torn);
  void cut_again(std::uint64_t durable, const std::vector<Piece>& first_cut,
                 const std::vector<Expectation>& expectations, const Script& went_on, std::uint64_t begin);
  void show(std::uint64_t durable, const std::vector<Piece>& pieces);
  void report(const std::string& problem, std::uint64_t durable, const std::vector<Piece>& pieces,
              const std::vector<Expectation>& expectations);

  const Workplace& workplace_;
  Cuts cuts_;
  vfs::Vfs& vfs_;
  std::mt19937_64 random_;
  BlockLog log_;
  std::optional<Device> device_;
  std::optional<LoopDevice> loop_;
  std::string mounted_;
  std::string store_;
  std::vector<Script> scripts_;
  std::uint64_t begin_ = 0;  // of the log: the file system is mounted
  std::uint64_t end_ = 0;
  CutCounts counts_;
};

void Recording::record() {
  device_->start_log();
  if (const std::string error = mount_device(cuts_.kind, loop_->path(), mounted_); !error.empty())
    die("cannot mount a new " + std::string(name_of(cuts_.kind)) + ": " + error);
  begin_ = log_.records().size();
  const std::size_t operations = cuts_.scenario == Scenario::growth ? kOperations / 2 : kOperations;
  for (std::uint32_t writer = 0; writer < kWriters; ++writer)
    scripts_.emplace_back(cuts_.scenario, writer, cuts_.seed, operations);
  const auto start = [&](std::uint32_t writer) {
    const Bounds known = bounds_at(log_.records(), 0, log_.records().size(), writer, {});
    return Child([&, known, writer] { return write(*device_, store_, cuts_.scenario, scripts_[writer], known, vfs_); });
  };
  std::vector<Child> writers;
  for (std::uint32_t writer = 0; writer < kWriters; ++writer) writers.push_back(start(writer));
  // The first writer is killed a few times; another process finishes what it was doing (R2).
  std::string problem;
  for (std::uint64_t i = 0; i < 3 && problem.empty(); ++i) {
    usleep(static_cast<useconds_t>(20'000 + random_() % 150'000));
    writers[0].kill();
    problem = writers[0].wait();
    ++counts_.kills;
    std::vector<Child> fresh;
    fresh.push_back(start(0));
    fresh.push_back(std::move(writers[1]));
    writers.swap(fresh);
  }
  for (Child& writer : writers) {
    if (const std::string said = writer.wait(); !said.empty()) problem = said;
  }
  end_ = log_.records().size();
  device_->stop_log();
  if (!problem.empty()) {
    ++counts_.violations;
    printf(
        "VIOLATION %s %s seed %lu, while it was recorded: %s | replay: tools/prove disks --replay 'record %s %s "
        "%lu'\n",
        name_of(cuts_.kind), name_of(cuts_.scenario), cuts_.seed, problem.c_str(), name_of(cuts_.kind),
        name_of(cuts_.scenario), cuts_.seed);
  }
  if (const std::string error = unmount(mounted_); !error.empty()) die("cannot unmount: " + error);
  for (const Record& record : log_.records().subspan(begin_, end_ - begin_)) {
    counts_.writes += record.kind == RecordKind::write;
    counts_.flushes += record.kind == RecordKind::flush;
    counts_.operations += record.kind == RecordKind::acknowledged;
  }
}

std::uint64_t Recording::last_flush(std::uint64_t from, std::uint64_t point) const {
  while (point > from && log_.records()[point - 1].kind != RecordKind::flush) --point;
  return point;
}

std::vector<Piece> Recording::unsynced(std::uint64_t from, std::uint64_t point) const {
  std::vector<Piece> writes;
  for (std::uint64_t i = from; i < point; ++i) {
    const Record& record = log_.records()[i];
    if (record.kind == RecordKind::write) writes.push_back({.record = i, .skip = 0, .length = record.length});
  }
  return writes;
}

Recording::Fate Recording::draw_fate() {
  static constexpr Fate::Kind kKinds[] = {Fate::none,     Fate::none, Fate::all,  Fate::one_lost,
                                          Fate::one_kept, Fate::some, Fate::torn, Fate::torn};
  return {.kind = kKinds[random_() % std::size(kKinds)], .seed = random_()};
}

std::vector<Piece> Recording::survivors(const std::vector<Piece>& writes, Fate fate) const {
  std::mt19937_64 random(fate.seed);
  std::vector<Piece> kept;
  const std::size_t chosen = writes.empty() ? 0 : random() % writes.size();
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const bool keep = fate.kind == Fate::all || (fate.kind == Fate::one_lost && i != chosen) ||
                      (fate.kind == Fate::one_kept && i == chosen) || (fate.kind == Fate::some && random() % 2 == 0);
    if (keep) kept.push_back(writes[i]);
    if (fate.kind != Fate::torn) continue;
    for (std::uint64_t skip = 0; skip < writes[i].length; skip += kSectorBytes) {
      if (random() % 2 == 0) kept.push_back({.record = writes[i].record, .skip = skip, .length = kSectorBytes});
    }
  }
  return kept;
}

void Recording::show(std::uint64_t durable, const std::vector<Piece>& pieces) {
  std::ranges::copy(pieces, log_.pieces(pieces.size()).begin());
  device_->show_image(durable, pieces.size());
  loop_->forget();
}

void Recording::report(const std::string& problem, std::uint64_t durable, const std::vector<Piece>& pieces,
                       const std::vector<Expectation>& expectations) {
  ++counts_.violations;
  if (cuts_.breakage != Breakage::none) return;
  std::string line = std::string("image ") + name_of(cuts_.kind) + " " + name_of(cuts_.scenario);
  const std::string file = cuts_.save_to + "/" + name_of(cuts_.kind) + "-" + name_of(cuts_.scenario) + "-" +
                           std::to_string(cuts_.seed) + "-" + std::to_string(counts_.violations) + ".img";
  show(durable, pieces);
  fs::create_directories(cuts_.save_to);
  device_->save(file);
  line += " " + file;
  for (const auto& [script, bounds] : expectations)
    line += " " + script.text() + "," + std::to_string(bounds.low) + "," + std::to_string(bounds.high);
  printf("VIOLATION %s %s: %s | replay: tools/prove disks --replay '%s'\n", name_of(cuts_.kind),
         name_of(cuts_.scenario), problem.c_str(), line.c_str());
  fflush(stdout);
}

// True when the file system could be mounted.
bool Recording::try_image(std::uint64_t durable, const std::vector<Piece>& pieces,
                          const std::vector<Expectation>& expectations, const Script& going_on, bool deep, bool torn) {
  show(durable, pieces);
  if (deep) device_->start_log();
  if (const std::string error = mount_device(cuts_.kind, loop_->path(), mounted_); !error.empty()) {
    device_->stop_log();
    if (torn) {
      ++counts_.unmountable;
    } else {
      report("cannot mount: " + error, durable, pieces, expectations);
    }
    return false;
  }
  // A machine comes up again; or a device was unplugged and comes back to the same boot, whose id index is not thrown
  // away.
  const Boot boot = random_() % 3 == 0 ? Boot::same : Boot::next;
  const std::string problem = run_in_child(
      [&] { return check(deep ? &*device_ : nullptr, store_, cuts_.scenario, expectations, going_on, boot); });
  device_->stop_log();
  if (const std::string error = unmount(mounted_); !error.empty()) die("cannot unmount: " + error);
  if (!problem.empty()) report(problem, durable, pieces, expectations);
  return true;
}

// A second power cut, anywhere between the mount of the first image and the last write of its check.
void Recording::cut_again(std::uint64_t durable, const std::vector<Piece>& first_cut,
                          const std::vector<Expectation>& expectations, const Script& went_on, std::uint64_t begin) {
  const std::uint64_t end = log_.records().size();
  if (end == begin) return;
  for (std::uint64_t i = 0; i < kDeepImages; ++i) {
    const std::uint64_t point = begin + random_() % (end - begin) + 1;
    const std::uint64_t synced = last_flush(begin, point);
    std::vector<Piece> pieces = first_cut;
    for (const Piece& piece : unsynced(begin, synced)) pieces.push_back(piece);
    const Fate fate = draw_fate();
    for (const Piece& piece : survivors(unsynced(synced, point), fate)) pieces.push_back(piece);
    std::vector<Expectation> now = expectations;
    now.push_back({.script = went_on, .bounds = {}});
    for (Expectation& one : now) one.bounds = bounds_at(log_.records(), begin, point, one.script.writer(), one.bounds);
    const Script going_on(Scenario::mixed, went_on.writer() + 1, fate.seed % 1000, 2);
    ++counts_.images;
    ++counts_.deep_images;
    counts_.torn_images += fate.kind == Fate::torn;
    try_image(durable, pieces, now, going_on, false, fate.kind == Fate::torn);
    if (counts_.violations > 0 && cuts_.breakage != Breakage::none) break;
  }
}

CutCounts Recording::run() {
  record();
  std::vector<Image> images;
  for (std::uint64_t i = 0; i < cuts_.images; ++i) {
    const std::uint64_t point = begin_ + 1 + random_() % (end_ - begin_);
    images.push_back({.point = point, .fate = draw_fate()});
  }
  std::ranges::sort(images, {}, &Image::point);  // the medium only goes forward
  for (const auto& [point, fate] : images) {
    const std::uint64_t durable = last_flush(0, point);
    const std::vector<Piece> pieces = survivors(unsynced(durable, point), fate);
    std::vector<Expectation> expectations;
    for (const Script& script : scripts_) {
      expectations.push_back({.script = script, .bounds = bounds_at(log_.records(), 0, point, script.writer(), {})});
    }
    const Script going_on(Scenario::mixed, kWriters, fate.seed % 1000, 4);
    const bool torn = fate.kind == Fate::torn;
    const bool deep = counts_.images % (kDeepEvery + kDeepImages) == 0;
    const std::uint64_t begin = log_.records().size();
    ++counts_.images;
    counts_.torn_images += torn;
    if (try_image(durable, pieces, expectations, going_on, deep, torn) && deep)
      cut_again(durable, pieces, expectations, going_on, begin);
    log_.truncate(begin);
    if (counts_.violations > 3 || (counts_.violations > 0 && cuts_.breakage != Breakage::none)) break;
  }
  return counts_;
}

}  // namespace

CutCounts& CutCounts::operator+=(const CutCounts& other) {
  writes += other.writes;
  flushes += other.flushes;
  operations += other.operations;
  kills += other.kills;
  images += other.images;
  deep_images += other.deep_images;
  torn_images += other.torn_images;
  unmountable += other.unmountable;
  violations += other.violations;
  return *this;
}

CutCounts replay_cuts(const Workplace& workplace, const Cuts& cuts) { return Recording(workplace, cuts).run(); }

std::string replay_saved_image(const Workplace& workplace, const std::string& line) {
  std::istringstream words(line);
  std::string what, kind_name, scenario_name, file;
  words >> what >> kind_name >> scenario_name >> file;
  const auto kind = parse_kind(kind_name);
  const auto* const scenario =
      std::ranges::find(kScenarios, scenario_name, [](Scenario one) { return std::string(name_of(one)); });
  if (!kind || scenario == std::end(kScenarios)) return "no such file system or scenario in '" + line + "'";
  std::vector<Expectation> expectations;
  for (std::string part; words >> part;) {
    const auto script = Script::parse(part);
    const std::size_t high_at = part.rfind(',');
    const std::size_t low_at = part.rfind(',', high_at - 1);
    if (!script) return "cannot read '" + part + "'";
    expectations.push_back(
        {.script = *script,
         .bounds = {.low = std::stoull(part.substr(low_at + 1)), .high = std::stoull(part.substr(high_at + 1))}});
  }
  const std::string copy = workplace.path("saved");
  fs::copy_file(file, copy, fs::copy_options::overwrite_existing);
  BlockLog log;
  Device device(log, copy, workplace.directory("device"));
  const LoopDevice loop(device.file());
  const std::string mounted = workplace.directory("mounted");
  if (const std::string error = mount_device(*kind, loop.path(), mounted); !error.empty()) return "mount: " + error;
  const Script going_on(Scenario::mixed, kWriters + 2, 1, 4);
  const std::string problem =
      run_in_child([&] { return check(nullptr, mounted + "/store", *scenario, expectations, going_on, Boot::same); });
  unmount(mounted);
  return problem;
}

}  // namespace mentedb::prove

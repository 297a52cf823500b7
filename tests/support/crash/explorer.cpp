#include "support/crash/explorer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "engine/engine_impl.hpp"
#include "offline/verify.hpp"

namespace mentedb::test {
namespace {

// What the store may hold now.
class Oracle {
 public:
  void attempt(const Operation& operation) { pending_ = &operation; }
  void acknowledge(const Actor& actor) {
    for (Model& model : models_) pending_->apply(model, actor);
    pending_ = nullptr;
  }
  void fail(const Actor& actor) {
    models_ = allowed(actor);
    pending_ = nullptr;
  }
  std::vector<Model> allowed(const Actor& actor) const {
    std::vector<Model> all = models_;
    if (pending_ == nullptr) return all;
    for (Model model : models_) {
      pending_->apply(model, actor);
      if (std::ranges::find(all, model) == all.end()) all.push_back(std::move(model));
    }
    return all;
  }
  const std::string& doing() const {
    static const std::string idle = "idle";
    return pending_ == nullptr ? idle : pending_->name;
  }

 private:
  std::vector<Model> models_{Model{}};
  const Operation* pending_ = nullptr;
};

std::string compare(const std::vector<Model>& allowed, const Model& found) {
  if (std::ranges::find(allowed, found) != allowed.end()) return {};
  std::string text;
  for (const Model& model : allowed) text += (text.empty() ? "" : " / or ") + difference(model, found);
  return text;
}

// Opens the store on a disk as a new process would and compares. An empty answer is a pass.
std::string check_store(SimDisk& disk, const Options& options, const std::vector<Model>& allowed,
                        const std::vector<PageId>& raw, std::uint64_t min_lsn, Model* settled = nullptr) {
  SimVfs vfs(disk);
  auto engine = EngineAccess::open(vfs, kStorePath, options);
  if (!engine) return "open: " + engine.error().message;
  std::string problem;
  const Model found = read_all(*engine, raw, problem);
  if (!problem.empty()) return problem;
  if (std::string wrong = compare(allowed, found); !wrong.empty()) return wrong;
  if (engine->committed_lsn().value < min_lsn)
    return fmt::format("LSN went back from {} to {} (I8)", min_lsn, engine->committed_lsn().value);
  const auto report = offline::verify_directory(vfs, kStorePath, std::chrono::seconds(1));
  if (!report) return "verify: " + report.error().message;
  if (!report->problems.empty()) {
    const Problem& first = report->problems.front();
    return fmt::format("verify: {} byte {} page {}: {}", first.file, first.offset, first.page.value, first.message);
  }
  // I9: a second recovery finds nothing to do and changes nothing.
  const auto again = engine->recover();
  if (!again) return "recover: " + again.error().message;
  if (*again != 0) return fmt::format("a second recovery redid {} operations (I9)", *again);
  const Model second = read_all(*engine, raw, problem);
  if (!problem.empty() || second != found)
    return "a second recovery changed the store: " + problem + difference(found, second);
  // And the store goes on.
  if (const auto stored = engine->store_memory(make_memory(900, 1)); !stored)
    return "store after recovery: " + stored.error().message;
  if (const auto loaded = engine->load_memory(memory_id(900)); !loaded || *loaded != make_memory(900, 1))
    return "load after recovery";
  if (settled != nullptr) *settled = found;
  return {};
}

std::uint64_t committed(Actor& actor) { return actor.engine ? actor.engine->committed_lsn().value : 0; }

// Runs the script's operations; `outcome` is told after each.
void run(const Script& script, Actor& actor, Oracle& oracle) {
  for (const Operation& operation : script.operations()) {
    oracle.attempt(operation);
    if (!actor.engine) {
      if (auto opened = actor.open(); !opened) {
        oracle.fail(actor);
        continue;
      }
    }
    const auto result = operation.run(actor);
    if (result) {
      oracle.acknowledge(actor);
    } else {
      oracle.fail(actor);
      actor.engine.reset();
    }
  }
}

void prepare(const Scenario& scenario, SimVfs& vfs, Actor& actor, Oracle& oracle) {
  actor.vfs = &vfs;
  actor.options = scenario.options;
  if (scenario.setup.operations().empty()) return;  // the accident may happen while the store is created
  if (!actor.open()) std::abort();
  run(scenario.setup, actor, oracle);
}

class PowerCutExplorer {
 public:
  PowerCutExplorer(const Scenario& scenario, const ExploreLimits& limits) : scenario_(scenario), limits_(limits) {}

  ExploreResult explore() {
    SimDisk disk({.seed = limits_.seed});
    SimVfs vfs(disk);
    Actor actor;
    Oracle oracle;
    prepare(scenario_, vfs, actor, oracle);
    std::uint64_t acked_lsn = committed(actor);
    bool changed = true;
    disk.set_hook([&](const Step& step) {
      ++result_.steps;
      // Fates change only with what happened before.
      if (changed || changes_something(step.kind))
        explore_fates(disk, oracle.allowed(actor), actor.raw_pages, acked_lsn,
                      fmt::format("{} step {} ({})", oracle.doing(), step.index, to_string(step.kind)), 1);
      changed = changes_something(step.kind);
      return StepAction::proceed();
    });
    for (const Operation& operation : scenario_.script.operations()) {
      if (!actor.engine && !actor.open()) {
        result_.violations.push_back(scenario_.name + ": the store cannot be opened");
        break;
      }
      oracle.attempt(operation);
      if (const auto done = operation.run(actor); !done) {
        result_.violations.push_back(
            fmt::format("{}: {} failed without a fault: {}", scenario_.name, operation.name, done.error().message));
        break;
      }
      oracle.acknowledge(actor);
      acked_lsn = committed(actor);
    }
    disk.set_hook({});
    explore_fates(disk, oracle.allowed(actor), actor.raw_pages, acked_lsn, "the end", 1);
    return std::move(result_);
  }

 private:
  void explore_fates(const SimDisk& disk, const std::vector<Model>& allowed, const std::vector<PageId>& raw,
                     std::uint64_t acked_lsn, const std::string& where, int depth) {
    if (result_.states >= limits_.max_states || result_.violations.size() >= 10) return;
    const Pending pending = disk.pending();
    auto fates =
        enumerate_fates(pending, {.seed = limits_.seed, .max_fates_per_kind = depth == 1 ? limits_.fates_per_kind : 2});
    if (depth > 1 && fates.size() > 6) fates.resize(6);
    for (Fate& fate : fates) {
      const auto found = disk.after_power_cut(fate);
      ++result_.states;
      const bool crash_again = depth < limits_.depth && result_.states % limits_.nested_every == 0;
      if (crash_again) recover_with_crashes(*found, allowed, raw, acked_lsn, where + " " + to_string(fate), depth + 1);
      const std::string wrong = check_store(*found, scenario_.options, allowed, raw, acked_lsn);
      if (!wrong.empty())
        result_.violations.push_back(
            fmt::format("{}: cut at {} fate {}: {}", scenario_.name, where, to_string(fate), wrong));
      if (result_.states >= limits_.max_states || result_.violations.size() >= 10) return;
    }
  }

  // The power fails again at every step of the recovery.
  void recover_with_crashes(const SimDisk& image, const std::vector<Model>& allowed, const std::vector<PageId>& raw,
                            std::uint64_t acked_lsn, const std::string& where, int depth) {
    const auto disk = image.clone();
    SimVfs vfs(*disk);
    bool changed = true;
    disk->set_hook([&](const Step& step) {
      if (changed || changes_something(step.kind)) {
        const std::uint64_t before = result_.states;
        explore_fates(*disk, allowed, raw, acked_lsn,
                      fmt::format("{}, again in recovery step {} ({})", where, step.index, to_string(step.kind)),
                      depth);
        result_.nested += result_.states - before;
      }
      changed = changes_something(step.kind);
      return StepAction::proceed();
    });
    const auto engine = EngineAccess::open(vfs, kStorePath, scenario_.options);
    disk->set_hook({});
    if (!engine)
      result_.violations.push_back(fmt::format("{}: {}: open: {}", scenario_.name, where, engine.error().message));
  }

  const Scenario& scenario_;
  const ExploreLimits& limits_;
  ExploreResult result_;
};

}  // namespace

ExploreResult explore_power_cuts(const Scenario& scenario, const ExploreLimits& limits) {
  return PowerCutExplorer(scenario, limits).explore();
}

ExploreResult explore_kills(const Scenario& scenario, const ExploreLimits& limits) {
  ExploreResult result;
  for (std::uint64_t kill_at = 0;; ++kill_at) {
    SimDisk disk({.seed = limits.seed});
    SimVfs vfs(disk);
    Actor actor;
    Oracle oracle;
    prepare(scenario, vfs, actor, oracle);
    SimVfs peer_vfs(disk);
    Actor peer{.vfs = &peer_vfs, .options = scenario.options, .engine = std::nullopt, .raw_pages = {}};
    if (!scenario.setup.operations().empty() && !peer.open()) std::abort();
    std::uint64_t acked_lsn = committed(actor);
    std::uint64_t step_count = 0;
    std::string where;
    disk.set_hook([&](const Step& step) {
      if (step.process != vfs.process() || step_count++ != kill_at) return StepAction::proceed();
      where =
          fmt::format("{} step {} ({} {} {})", oracle.doing(), kill_at, to_string(step.kind), step.file, step.offset);
      // Writes of several blocks are also cut in the middle, as SIGKILL cuts them between pages.
      const bool torn = step.kind == StepKind::write && step.length > 512 && kill_at % 2 == 1;
      return StepAction::kill(torn ? step.length / 2 : 0);
    });
    bool killed = false;
    try {
      for (const Operation& operation : scenario.script.operations()) {
        if (!actor.engine && !actor.open()) break;
        oracle.attempt(operation);
        const auto done = operation.run(actor);
        if (!vfs.is_alive()) throw ProcessKilled{};
        if (!done) {
          result.violations.push_back(
              fmt::format("{}: {} failed without a fault: {}", scenario.name, operation.name, done.error().message));
          return result;
        }
        oracle.acknowledge(actor);
        acked_lsn = committed(actor);
      }
    } catch (const ProcessKilled&) {
      killed = true;
    }
    disk.set_hook({});
    result.steps = step_count;
    ++result.states;
    const auto violation = [&](const std::string& what) {
      result.violations.push_back(fmt::format("{}: killed at {}: {}", scenario.name, where, what));
    };
    const auto allowed = oracle.allowed(actor);
    if (peer.engine) {
      // I5: the peer reads at once, without the lock. I3: what it sees stays.
      std::map<MemoryId, MemoryNode> shown;
      for (const Model& model : allowed) {
        for (const auto& [id, node] : model.memories) {
          const auto loaded = peer.engine->load_memory(id);
          if (loaded) {
            shown[id] = *loaded;
            const bool possible = std::ranges::any_of(
                allowed, [&](const Model& m) { return m.memories.contains(id) && m.memories.at(id) == *loaded; });
            if (!possible) violation(fmt::format("the peer read '{:.40}'", loaded->content));
          } else if (loaded.error().code != ErrorCode::not_found) {
            violation("the peer's read: " + loaded.error().message);
          } else if (std::ranges::all_of(allowed, [&](const Model& m) { return m.memories.contains(id); })) {
            violation(fmt::format("the peer lost '{:.40}'", node.content));
          }
        }
      }
      if (const auto scanned = peer.engine->scan_all_memories(); !scanned) {
        violation("the peer's scan: " + scanned.error().message);
      } else {
        for (const auto& [id, page] : *scanned) {
          if (std::ranges::none_of(allowed, [&](const Model& m) { return m.memories.contains(id); }))
            violation("the peer's scan found what is deleted");
        }
        const auto in_scan = [&](const MemoryId& id) {
          return std::ranges::any_of(*scanned, [&](const auto& item) { return item.first == id; });
        };
        for (const auto& [id, node] : allowed.front().memories) {
          const bool certain = std::ranges::all_of(allowed, [&](const Model& m) { return m.memories.contains(id); });
          if (certain && !in_scan(id)) violation(fmt::format("the peer's scan missed '{:.40}'", node.content));
        }
      }
      // The next writer completes or drops what the dead one left.
      if (const auto stored = peer.engine->store_memory(make_memory(901, 1)); !stored)
        violation("the peer's store: " + stored.error().message);
      std::string problem;
      const Model found = read_all(*peer.engine, actor.raw_pages, problem);
      std::vector<Model> with_store = allowed;
      for (Model& model : with_store) model.memories[memory_id(901)] = make_memory(901, 1);
      if (!problem.empty()) violation("the peer's reads: " + problem);
      if (const std::string wrong = compare(with_store, found); !wrong.empty() && problem.empty())
        violation("the peer's store: " + wrong);
      for (const auto& [id, node] : shown) {
        const auto now = found.memories.find(id);
        const bool forward =
            now != found.memories.end()
                ? now->second == node || now->second.access_count >= node.access_count
                : std::ranges::any_of(allowed, [&](const Model& m) { return !m.memories.contains(id); });
        if (!forward) violation(fmt::format("'{:.40}' was shown and went back (I3)", node.content));
      }
      if (const std::string wrong = check_store(disk, scenario.options, {found}, actor.raw_pages, acked_lsn);
          !wrong.empty())
        violation("a new opener: " + wrong);
      peer.engine.reset();
    } else if (const std::string wrong = check_store(disk, scenario.options, allowed, actor.raw_pages, acked_lsn);
               !wrong.empty()) {
      violation("a new opener: " + wrong);
    }
    if (!killed || result.violations.size() >= 10 || result.states >= limits.max_states) return result;
  }
}

ExploreResult explore_failures(const Scenario& scenario, int os_error, bool from_then_on, const ExploreLimits& limits) {
  ExploreResult result;
  for (std::uint64_t fail_at = 0;; ++fail_at) {
    SimDisk disk({.seed = limits.seed + fail_at});
    SimVfs vfs(disk);
    Actor actor;
    Oracle oracle;
    prepare(scenario, vfs, actor, oracle);
    std::uint64_t step_count = 0;
    bool fired = false;
    std::string where;
    disk.set_hook([&](const Step& step) {
      const bool now = step_count == fail_at || (from_then_on && step_count > fail_at && step_count < fail_at + 200);
      ++step_count;
      if (!now) return StepAction::proceed();
      if (!fired)
        where =
            fmt::format("{} step {} ({} {} {})", oracle.doing(), fail_at, to_string(step.kind), step.file, step.offset);
      fired = true;
      const Effect effect = step_count % 3 == 0   ? Effect::partial
                            : step_count % 3 == 1 ? Effect::none
                                                  : Effect::complete;
      return StepAction::fail(os_error, effect, step.length / 2 / 512 * 512);
    });
    run(scenario.script, actor, oracle);
    disk.set_hook({});
    result.steps = step_count;
    ++result.states;
    const auto violation = [&](const std::string& what) {
      result.violations.push_back(fmt::format("{}: errno {} at {}: {}", scenario.name, os_error, where, what));
    };
    const auto allowed = oracle.allowed(actor);
    // What the running engine shows must be possible, and what a crash now leaves too.
    for (const Fate& fate : {Fate::nothing_kept(), Fate::everything_kept(disk.pending())}) {
      const auto found = disk.after_power_cut(fate);
      const std::string wrong = check_store(*found, scenario.options, allowed, actor.raw_pages, 0);
      if (!wrong.empty()) violation("after a power cut " + to_string(fate) + ": " + wrong);
    }
    actor.engine.reset();
    if (const std::string wrong = check_store(disk, scenario.options, allowed, actor.raw_pages, 0); !wrong.empty())
      violation("reopened: " + wrong);
    if (!fired || result.violations.size() >= 10 || result.states >= limits.max_states) return result;
  }
}

}  // namespace mentedb::test

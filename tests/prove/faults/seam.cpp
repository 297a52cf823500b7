// Every call of the seam fails, with every errno, at every index, once and from then on, in every role.
//
// Checked after each fault
// - the answer is success or a code that the header documents for the call, and never one that says something untrue
//   about the data (`not_found` of a memory that is there, `corruption` of a store that is whole);
// - no hang: a limit of steps;
// - the engine goes on, or says `poisoned` until it is opened again; so does a peer in another process;
// - nothing acknowledged is lost, batches are whole: in the running store, after a power cut, and reopened; `verify`
//   finds nothing and a second recovery has nothing to do;
// - no handle, mapping or lock is left when the engine is gone.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "campaign.hpp"
#include "documented_errors.hpp"
#include "engine/engine_impl.hpp"
#include "errnos.hpp"
#include "offline/verify.hpp"
#include "seam_roles.hpp"
#include "support/sim/sim_handles.hpp"

namespace mentedb::faults {
namespace {

using test::Effect;
using test::Fate;
using test::kStorePath;
using test::make_memory;
using test::memory_id;
using test::SimDisk;
using test::SimVfs;
using test::Step;
using test::StepAction;
using test::StepKind;

constexpr std::uint64_t kMostSteps = 3'000'000;

struct Fault {
  std::uint64_t step = 0;  ///< among the victim's steps that can fail
  int number = 0;
  bool from_then_on = false;
  Effect effect = Effect::none;
};

/// Thrown out of the engine when it goes on for ever.
struct TooManySteps {};

std::string effect_name(Effect effect) {
  return effect == Effect::none ? "none" : effect == Effect::partial ? "partial" : "complete";
}

/// How much of a failing call may have happened all the same.
std::vector<Effect> effects_of(StepKind kind, int number) {
  if (kind == StepKind::write && number == EIO) return {Effect::none, Effect::partial, Effect::complete};
  // A write that found no room wrote what fitted before.
  if (kind == StepKind::write && (number == ENOSPC || number == EDQUOT || number == EFBIG))
    return {Effect::none, Effect::partial};
  if (kind == StepKind::sync) return {Effect::none, Effect::partial, Effect::complete};
  return {Effect::none};
}

/// The states that the store may be in.
class Oracle {
 public:
  explicit Oracle(const Model& model) : models_{model} {}

  void succeeded(const Operation& operation, const Actor& actor) {
    for (Model& model : models_) operation.apply(model, actor);
  }
  /// Somebody held the lock and completed what was not visible yet.
  void settle() { hidden_.clear(); }
  void failed(const Operation& operation, const Actor& actor, const Error& error) {
    if (error.message.starts_with("durable, not yet visible")) {
      const std::vector<Model> before = models_;
      succeeded(operation, actor);
      hidden_ = before;
      return;
    }
    // "The file system is full; nothing changed", and so it is with what came before any write.
    if (error.code == ErrorCode::no_space || error.code == ErrorCode::poisoned || error.code == ErrorCode::busy) return;
    std::vector<Model> all = models_;
    for (Model model : models_) {
      operation.apply(model, actor);
      if (std::ranges::find(all, model) == all.end()) all.push_back(std::move(model));
    }
    models_ = std::move(all);
  }
  bool is_hidden() const { return !hidden_.empty(); }
  std::set<MemoryId> known_ids() const {
    std::set<MemoryId> ids;
    for (const auto* models : {&models_, &hidden_}) {
      for (const Model& model : *models) {
        for (const auto& [id, node] : model.memories) ids.insert(id);
      }
    }
    return ids;
  }
  std::string compare(const Model& found) const {
    if (std::ranges::find(models_, found) != models_.end()) return {};
    return test::difference(models_.front(), found);
  }
  /// As `compare`, for an engine that was open all the time: until the next holder of the lock completes it, a change
  /// that is durable and not yet visible may be seen in part.
  std::string compare_running(const Model& found) const {
    if (!is_hidden()) return compare(found);
    for (const auto& [id, node] : found.memories) {
      if (!possible(id, &node)) return "a memory is in a state that it never had";
    }
    for (const Model& model : models_) {
      for (const auto& [id, node] : model.memories) {
        if (!found.memories.contains(id) && !possible(id, nullptr)) return test::difference(model, found);
      }
    }
    return {};
  }

 private:
  bool possible(const MemoryId& id, const MemoryNode* node) const {
    const auto says = [&](const Model& model) {
      const auto at = model.memories.find(id);
      return at == model.memories.end() ? node == nullptr : node != nullptr && at->second == *node;
    };
    return std::ranges::any_of(models_, says) || std::ranges::any_of(hidden_, says);
  }

  std::vector<Model> models_;
  std::vector<Model> hidden_;  ///< what readers may still see
};

class Trial {
 public:
  Trial(const Role& role, const Fault& fault) : role_(role), fault_(fault), oracle_(role.model) {}

  /// The kinds of the victim's steps that can fail, without any fault.
  std::vector<StepKind> count_steps() {
    fault_.step = ~std::uint64_t{0};
    run();
    if (!wrong_.empty()) {
      std::fprintf(stderr, "role %s without a fault: %s\n", role_.name.c_str(), wrong_.front().c_str());
      std::exit(2);
    }
    return kinds_;
  }

  std::vector<std::string> run();

 private:
  void stage_takeover();
  void call(const Call& call);
  void judge(const std::string& call, const Result<void>& result);
  void check_copy(const Call& call, const Result<void>& result);
  void check_power_cuts();
  void check_usable();
  void check_store(SimDisk& disk, const std::string& when);
  Model read_each(StorageEngine& engine, std::string& problem) const;
  void check_handles(const SimVfs& vfs, const std::string& whose);
  StepAction hook(const Step& step);
  void violation(const std::string& what) {
    wrong_.push_back(fmt::format("{}: {} at {}: {}", role_.name, name_of_errno(fault_.number), where_, what));
  }

  const Role& role_;
  Fault fault_;
  Oracle oracle_;
  std::unique_ptr<SimDisk> disk_;
  std::unique_ptr<SimVfs> vfs_;
  std::unique_ptr<SimVfs> peer_vfs_;
  Actor actor_;
  Actor peer_;
  std::vector<StepKind> kinds_;
  bool armed_ = false;
  bool fired_ = false;
  std::uint64_t all_steps_ = 0;
  std::string doing_;
  std::string where_;
  std::vector<std::string> wrong_;
};

StepAction Trial::hook(const Step& step) {
  if (++all_steps_ > kMostSteps) throw TooManySteps{};
  if (step.process != vfs_->process() || !armed_) return StepAction::proceed();
  const auto& numbers = errnos_of(step.kind);
  if (numbers.empty()) return StepAction::proceed();
  const std::uint64_t index = kinds_.size();
  kinds_.push_back(step.kind);
  const bool possible = std::ranges::find(numbers, fault_.number) != numbers.end();
  if (index < fault_.step || !possible || (index > fault_.step && !fault_.from_then_on)) return StepAction::proceed();
  if (!fired_) where_ = fmt::format("{} ({} {} {})", doing_, to_string(step.kind), step.file, step.offset);
  fired_ = true;
  const auto effects = effects_of(step.kind, fault_.number);
  const bool fits = std::ranges::find(effects, fault_.effect) != effects.end();
  return StepAction::fail(fault_.number, fits ? fault_.effect : Effect::none, step.length / 2 / 512 * 512);
}

// Another process stores memory 50 and dies after its log is durable, before its pages are written.
void Trial::stage_takeover() {
  SimVfs dying(*disk_);
  auto engine = EngineAccess::open(dying, kStorePath, role_.options);
  if (!engine) std::abort();
  bool synced = false;
  disk_->set_hook([&](const Step& step) {
    if (step.process != dying.process()) return StepAction::proceed();
    if (synced && step.kind == StepKind::write) return StepAction::kill();
    synced |= step.kind == StepKind::sync;
    return StepAction::proceed();
  });
  const Operation store = test::Script().store(50, 1).operations().front();
  try {
    static_cast<void>(engine->store_memory(make_memory(50, 1)));
    std::abort();
  } catch (const test::ProcessKilled&) {
    oracle_.failed(store, actor_, Error{ErrorCode::io_error, 0, "killed"});
  }
  disk_->set_hook({});
}

// The answer itself. A code that says something about the data must be true of it.
void Trial::judge(const std::string& call, const Result<void>& result) {
  if (result) return;
  const Error& error = result.error();
  if (error.message == kSomeLost) return;  // salvage says what it could not read
  if (error.message.starts_with(kWrongAnswer)) return violation(fmt::format("{}: {}", call, error.message));
  if (!is_documented(call, error.code)) {
    return violation(
        fmt::format("{} answered {}, which is not documented: {}", call, to_string(error.code), error.message));
  }
  const bool about_files = fired_ && is_about_names(fault_.number);
  const bool says_of_data = error.code == ErrorCode::corruption || error.code == ErrorCode::not_found ||
                            error.code == ErrorCode::already_exists || error.code == ErrorCode::invalid_argument ||
                            error.code == ErrorCode::incompatible || error.code == ErrorCode::unsupported_filesystem ||
                            error.code == ErrorCode::resync_required || error.code == ErrorCode::capacity_exceeded;
  const bool about_paths = call == "open" || call == "backup" || call == "restore" || call == "salvage" ||
                           call == "verify" || error.code == ErrorCode::incompatible;
  if (says_of_data && !(about_files && about_paths))
    violation(fmt::format("{} answered {}, which is not true: {}", call, to_string(error.code), error.message));
  if (error.message.empty()) violation(call + " failed without a message");
}

void Trial::check_copy(const Call& call, const Result<void>& result) {
  const auto copy = disk_->clone();
  SimVfs reader(*copy);
  Options options;
  options.read_only = true;
  auto engine = EngineAccess::open(reader, kCopy, options);
  if (!result && result.error().message != kSomeLost) {
    const bool told = result.error().message.find("is not whole and could not be removed") != std::string::npos;
    if (engine && !told) violation("half a copy can be opened");
    if (!told && result.error().code != ErrorCode::already_exists && copy->exists(fmt::format("{}/pages.db", kCopy)))
      violation("a failed " + call.name + " left its destination behind");
    return;
  }
  if (!engine) return violation("the copy cannot be opened: " + engine.error().message);
  std::string problem;
  const Model found = test::read_all(*engine, {}, problem);
  if (problem.empty() && result && found.memories != role_.model.memories)
    problem = test::difference(role_.model, found);
  for (const auto& [id, node] : found.memories) {
    const auto known = role_.model.memories.find(id);
    if (known == role_.model.memories.end() || known->second != node) problem = "a memory that the store does not have";
  }
  if (!problem.empty()) violation("the copy: " + problem);
  const auto report = offline::verify_directory(reader, kCopy, std::chrono::seconds(1));
  if (!report || !report->problems.empty()) violation("the copy does not verify");
}

void Trial::call(const Call& call) {
  if (call.needs_engine && !actor_.engine) {
    doing_ = "open";
    const auto opened = actor_.open();
    judge("open", opened);
    if (!opened) return;  // nothing was attempted
  }
  doing_ = call.name;
  const auto committed = [this] { return actor_.engine ? actor_.engine->committed_lsn() : Lsn{}; };
  const Lsn before = committed();
  const auto result = call.operation.run(actor_);
  judge(call.name, result);
  if (result) {
    oracle_.succeeded(call.operation, actor_);
    if (committed() > before) oracle_.settle();
  } else {
    // A raw page whose number nobody was told is looked for by nobody.
    if (call.name != "allocate_page") oracle_.failed(call.operation, actor_, result.error());
    // The documented remedy.
    if (result.error().code == ErrorCode::poisoned) actor_.engine.reset();
  }
  if (call.makes_copy) check_copy(call, result);
}

// The store as a new process finds it.
void Trial::check_store(SimDisk& disk, const std::string& when) {
  SimVfs vfs(disk);
  Options options = role_.options;
  options.read_only = false;
  auto engine = EngineAccess::open(vfs, kStorePath, options);
  if (!engine) return violation(fmt::format("{}: open: {}", when, engine.error().message));
  std::string problem;
  const Model found = test::read_all(*engine, actor_.raw_pages, problem);
  if (problem.empty()) problem = oracle_.compare(found);
  if (!problem.empty()) return violation(fmt::format("{}: {}", when, problem));
  const auto report = offline::verify_directory(vfs, kStorePath, std::chrono::seconds(1));
  if (!report) return violation(fmt::format("{}: verify: {}", when, report.error().message));
  if (!report->problems.empty()) {
    const Problem& first = report->problems.front();
    return violation(fmt::format("{}: verify: {} byte {} page {}: {}", when, first.file, first.offset, first.page.value,
                                 first.message));
  }
  const auto again = engine->recover();
  if (!again) return violation(fmt::format("{}: recover: {}", when, again.error().message));
  if (*again != 0) violation(fmt::format("{}: a second recovery redid {} operations (I9)", when, *again));
  if (const auto stored = engine->store_memory(make_memory(900, 1)); !stored)
    violation(fmt::format("{}: a new store: {}", when, stored.error().message));
}

// What is found when the power fails now, with nothing of what was not synced, with all of it, with some.
void Trial::check_power_cuts() {
  const auto pending = disk_->pending();
  std::vector<Fate> fates{Fate::nothing_kept(), Fate::everything_kept(pending)};
  Fate some = fates.back();
  test::SimRandom random(fault_.step * 31 + static_cast<std::uint64_t>(fault_.number));
  for (std::size_t i = 0; i < some.sectors.size(); ++i) some.sectors[i] = random.coin();
  fates.push_back(some);
  for (const Fate& fate : fates) {
    const auto found = disk_->after_power_cut(fate);
    check_store(*found, fmt::format("after a power cut ({} kept)", &fate == &fates[0]   ? "nothing"
                                                                   : &fate == &fates[1] ? "everything"
                                                                                        : "some"));
  }
}

// The fault is over: the engine goes on, or is poisoned and says so; opened again it goes on. So does the peer.
void Trial::check_usable() {
  const auto use = [&](Actor& actor, std::uint64_t number, const std::string& whose) {
    if (!actor.engine) {
      if (const auto opened = actor.open(); !opened)
        return violation(whose + " cannot open: " + opened.error().message);
    }
    std::string problem;
    const Model found = oracle_.is_hidden() ? read_each(*actor.engine, problem)
                                            : test::read_all(*actor.engine, actor_.raw_pages, problem);
    if (problem.empty()) problem = oracle_.compare_running(found);
    if (!problem.empty()) return violation(fmt::format("{} reads: {}", whose, problem));
    if (actor.options.read_only) return;
    const Operation store = test::Script().store(number, 1).operations().front();
    auto stored = store.run(actor);
    if (!stored && stored.error().code == ErrorCode::poisoned) {
      if (const auto opened = actor.open(); !opened)
        return violation(whose + " cannot reopen: " + opened.error().message);
      stored = store.run(actor);
    }
    if (!stored) return violation(fmt::format("{} cannot go on: {}", whose, stored.error().message));
    oracle_.succeeded(store, actor_);
    oracle_.settle();
  };
  if (peer_.engine) use(peer_, 801, "the peer");
  use(actor_, 800, "the engine");
  for (const Call& call : role_.calls) {
    if (!call.is_read || (call.needs_engine && !actor_.engine)) continue;
    if (call.makes_copy) {
      if (disk_->exists(fmt::format("{}/{}", kCopy, "pages.db"))) continue;
    } else if (call.name != "verify") {
      continue;  // read above
    }
    const auto result = call.operation.run(actor_);
    const bool left_over = !result && result.error().code == ErrorCode::already_exists && fault_.from_then_on;
    if (!result && !left_over) violation(fmt::format("{} once more: {}", call.name, result.error().message));
  }
}

// As read_all, while a batch is visible in part: scan, id index and pages need not agree about its memories.
Model Trial::read_each(StorageEngine& engine, std::string& problem) const {
  Model model;
  for (const MemoryId& id : oracle_.known_ids()) {
    const auto loaded = engine.load_memory(id);
    if (loaded) {
      model.memories[id] = *loaded;
    } else if (loaded.error().code != ErrorCode::not_found) {
      problem = loaded.error().message;
    }
  }
  if (const auto all = engine.scan_all_memories(); !all) problem = "scan: " + all.error().message;
  return model;
}

void Trial::check_handles(const SimVfs& vfs, const std::string& whose) {
  // The SimVfs itself is the only one left that knows its process.
  if (vfs.state().use_count() != 1)
    violation(fmt::format("{} left {} handles open", whose, vfs.state().use_count() - 1));
  for (const auto& file : disk_->kernel()->files) {
    if (file->lock_owner != nullptr) violation(fmt::format("{} is still locked", file->name()));
  }
}

std::vector<std::string> Trial::run() {
  where_ = doing_ = "start";
  disk_ = role_.disk->clone();
  vfs_ = std::make_unique<SimVfs>(*disk_);
  actor_ = Actor{.vfs = vfs_.get(), .options = role_.options, .engine = std::nullopt, .raw_pages = role_.raw_pages};
  peer_vfs_ = std::make_unique<SimVfs>(*disk_);
  peer_ = Actor{.vfs = peer_vfs_.get(), .options = role_.options, .engine = std::nullopt, .raw_pages = {}};
  if (role_.peer && !peer_.open()) std::abort();
  if (role_.opened && !actor_.open()) std::abort();
  if (role_.takeover) stage_takeover();
  disk_->set_hook([this](const Step& step) { return hook(step); });
  try {
    armed_ = true;
    for (const Call& one : role_.calls) call(one);
    // Between two calls a handle of a failed open must be gone already.
    armed_ = false;
    if (!actor_.engine) check_handles(*vfs_, "the failed call");
    check_power_cuts();
    check_usable();
    armed_ = true;  // closing and destroying may fail, too
    actor_.engine.reset();
    armed_ = false;
    peer_.engine.reset();
  } catch (const TooManySteps&) {
    violation("it does not come to an end");
    std::_Exit(1);
  }
  disk_->set_hook({});
  check_handles(*vfs_, "the engine");
  check_store(*disk_, "reopened");
  return wrong_;
}

std::vector<Case> cases_of(const Role& role) {
  std::vector<Case> cases;
  const auto kinds = Trial(role, {}).count_steps();
  for (std::size_t step = 0; step < kinds.size(); ++step) {
    for (const int number : errnos_of(kinds[step])) {
      for (const Effect effect : effects_of(kinds[step], number)) {
        for (const char* how : {"once", "on"}) {
          cases.push_back({"seam", role.name, std::to_string(step), name_of_errno(number), how, effect_name(effect)});
        }
      }
    }
  }
  return cases;
}

Fault fault_of(const Case& words) {
  return {.step = std::strtoull(words.at(2).c_str(), nullptr, 10),
          .number = errno_of_name(words.at(3)),
          .from_then_on = words.at(4) == "on",
          .effect = words.at(5) == "none"      ? Effect::none
                    : words.at(5) == "partial" ? Effect::partial
                                               : Effect::complete};
}

}  // namespace

int run_seam(Campaign& campaign, const Case* replay) {
  const std::vector<Role> roles = make_roles();
  std::vector<Case> cases;
  if (replay != nullptr) {
    cases.push_back(*replay);
  } else {
    for (const Role& role : roles) {
      for (Case& one : cases_of(role)) cases.push_back(std::move(one));
    }
  }
  campaign.run(std::move(cases), [&](const Case& one) -> std::vector<std::string> {
    const auto role = std::ranges::find(roles, one.at(1), &Role::name);
    if (role == roles.end()) return {"there is no such role"};
    return Trial(*role, fault_of(one)).run();
  });
  return campaign.finish();
}

}  // namespace mentedb::faults

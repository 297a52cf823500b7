#include "script.hpp"

#include <random>
#include <sstream>

#include "process/versioned_memory.hpp"

namespace mentedb::prove {

const char* name_of(Scenario scenario) {
  switch (scenario) {
    case Scenario::mixed:
      return "mixed";
    case Scenario::growth:
      return "growth";
    case Scenario::index:
      return "index";
    case Scenario::reopens:
      return "reopens";
  }
  return "";
}

Options options_of(Scenario scenario) {
  Options options;
  if (scenario != Scenario::growth) options.wal_limit_bytes = 64 << 10;
  return options;
}

namespace {

constexpr std::uint64_t kLargeKeys = 500'000;  // the second half of a writer's keys are large memories

class Builder {
 public:
  Builder(Scenario scenario, std::uint32_t writer, std::uint64_t seed)
      : scenario_(scenario), base_((writer + 1) * Script::kKeysPerWriter), random_(seed * 1'000'003 + writer) {}

  Operation next(const State& state) {
    ++version_;
    switch (scenario_) {
      case Scenario::mixed:
        return mixed(state);
      case Scenario::growth:
        return growth(state);
      case Scenario::index:
        return index(state);
      case Scenario::reopens:
        return random_() % 3 == 0 ? Operation{.action = between(), .changes = {}} : mixed(state);
    }
    return {};
  }

 private:
  std::uint64_t draw(std::uint64_t limit) { return random_() % limit; }
  Action between() { return std::array{Action::reopen, Action::recover, Action::checkpoint}[draw(3)]; }

  Change fresh(bool large = false) {
    return {.key = base_ + (large ? kLargeKeys : 0) + next_key_++, .version = version_};
  }
  std::uint64_t any_of(const State& state) {
    auto it = state.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(draw(state.size())));
    return it->first;
  }

  Operation mixed(const State& state) {
    const std::uint64_t what = state.size() < 3 ? 0 : draw(12);
    if (what < 3) return {.action = Action::store, .changes = {fresh()}};
    if (what < 6) return {.action = Action::update, .changes = {{any_of(state), version_}}};
    if (what < 8) return {.action = Action::erase, .changes = {{any_of(state), 0}}};
    if (what == 8) return {.action = Action::checkpoint, .changes = {}};
    Operation operation{.action = what == 9 ? Action::batch : Action::transact, .changes = {}};
    std::map<std::uint64_t, std::uint32_t> changed;  // one change a key
    for (std::uint64_t i = draw(4) + 1; i > 0; --i) {
      changed[any_of(state)] = operation.action == Action::transact && draw(3) == 0 ? 0 : version_;
      const Change added = fresh();
      changed[added.key] = added.version;
    }
    for (const auto& [key, version] : changed) operation.changes.push_back({key, version});
    return operation;
  }

  Operation growth(const State& state) {
    const std::uint64_t what = state.size() < 3 ? 0 : draw(8);
    if (what < 2) return {.action = Action::store, .changes = {fresh(true)}};
    if (what < 3) return {.action = Action::update, .changes = {{any_of(state), version_}}};
    if (what < 4) return {.action = Action::erase, .changes = {{any_of(state), 0}}};
    if (what < 5) return {.action = Action::checkpoint, .changes = {}};
    Operation operation{.action = Action::batch, .changes = {}};
    for (std::uint64_t i = draw(8) + 2; i > 0; --i) operation.changes.push_back(fresh(true));
    return operation;
  }

  Operation index(const State& state) {
    if (draw(3) != 0) return mixed(state);
    Operation operation{.action = Action::batch, .changes = {}};
    for (std::uint64_t i = draw(100) + 60; i > 0; --i) operation.changes.push_back(fresh());
    return operation;
  }

  Scenario scenario_;
  std::uint64_t base_;
  std::mt19937_64 random_;
  std::uint64_t next_key_ = 0;
  std::uint32_t version_ = 0;
};

}  // namespace

Script::Script(Scenario scenario, std::uint32_t writer, std::uint64_t seed, std::size_t operations)
    : scenario_(scenario), writer_(writer), seed_(seed) {
  Builder builder(scenario, writer, seed);
  states_.emplace_back();
  for (std::size_t i = 0; i < operations; ++i) {
    operations_.push_back(builder.next(states_.back()));
    State state = states_.back();
    for (const Change& change : operations_.back().changes) {
      if (change.version == 0) {
        state.erase(change.key);
      } else {
        state[change.key] = change.version;
      }
    }
    states_.push_back(std::move(state));
  }
}

std::string Script::text() const {
  return std::string(name_of(scenario_)) + "," + std::to_string(writer_) + "," + std::to_string(seed_) + "," +
         std::to_string(size());
}

std::optional<Script> Script::parse(const std::string& text) {
  std::istringstream words(text);
  std::string scenario, writer, seed, size;
  if (!std::getline(words, scenario, ',') || !std::getline(words, writer, ',') || !std::getline(words, seed, ',') ||
      !std::getline(words, size, ',')) {
    return std::nullopt;
  }
  for (const Scenario one : kScenarios) {
    if (scenario == name_of(one))
      return Script(one, static_cast<std::uint32_t>(std::stoul(writer)), std::stoull(seed), std::stoull(size));
  }
  return std::nullopt;
}

MemoryNode memory_of(std::uint64_t key, std::uint32_t version) {
  MemoryNode node = test::versioned_memory(key, version);
  if (key % Script::kKeysPerWriter >= kLargeKeys) {
    std::mt19937_64 random(key * 131 + version);
    node.content.resize(20'000 + random() % 130'000);
    for (char& c : node.content) c = static_cast<char>('A' + random() % 26);
  }
  return node;
}

Result<void> perform(StorageEngine& engine, const Operation& operation) {
  const auto done = [](const auto& result) -> Result<void> {
    if (result) return {};
    return std::unexpected(result.error());
  };
  const auto node = [](const Change& change) { return memory_of(change.key, change.version); };
  switch (operation.action) {
    case Action::store:
      return done(engine.store_memory(node(operation.changes.front())));
    case Action::update:
      return done(engine.update_memory(node(operation.changes.front())));
    case Action::erase:
      return engine.delete_memory(test::memory_id(operation.changes.front().key));
    case Action::batch: {
      std::vector<MemoryNode> nodes;
      for (const Change& change : operation.changes) nodes.push_back(node(change));
      return done(engine.store_memories(nodes));
    }
    case Action::transact:
      return engine.transact([&](Transaction& transaction) -> Result<void> {
        for (const Change& change : operation.changes) {
          const auto one = change.version == 0 ? transaction.erase(test::memory_id(change.key))
                                               : done(transaction.store(node(change)));
          if (!one) return one;
        }
        return {};
      });
    case Action::checkpoint:
      return engine.checkpoint();
    case Action::recover:
      return done(engine.recover());
    case Action::reopen:
      return {};
  }
  return {};
}

State read_state(const StorageEngine& engine, const Script& script, std::string& problem) {
  State state;
  std::string wrong;
  const auto read = engine.for_each_memory([&](const MemoryNode& node, PageId) {
    const std::uint64_t key = test::number_of(node.id);
    if (!script.owns(key)) return true;
    state[key] = test::version_of(node);
    if (node != memory_of(key, test::version_of(node)))
      wrong = "memory " + std::to_string(key) + " is no whole version";
    // Both access paths: the directory and the id index.
    const auto by_id = engine.load_memory(node.id);
    if (!by_id) {
      wrong = "memory " + std::to_string(key) + " is scanned but not found by its id: " + by_id.error().message;
    } else if (*by_id != node) {
      wrong = "memory " + std::to_string(key) + " differs between scan and load";
    }
    return true;
  });
  if (!read) wrong = "the scan failed: " + read.error().message;
  if (!wrong.empty()) problem = wrong;
  return state;
}

std::string difference(const State& found, const State& wanted) {
  for (const auto& [key, version] : wanted) {
    const auto other = found.find(key);
    if (other == found.end())
      return "memory " + std::to_string(key) + " (version " + std::to_string(version) + ") is missing";
    if (other->second != version) {
      return "memory " + std::to_string(key) + " has version " + std::to_string(other->second) + " instead of " +
             std::to_string(version);
    }
  }
  for (const auto& [key, version] : found) {
    if (!wanted.contains(key))
      return "memory " + std::to_string(key) + " (version " + std::to_string(version) + ") should not be there";
  }
  return {};
}

}  // namespace mentedb::prove

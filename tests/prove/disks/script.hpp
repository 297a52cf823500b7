// What a writer does, decided by a seed: operation by operation, with the state that each leaves. So whoever looks at a
// crashed store needs no notes of the writer but two numbers: how many operations were acknowledged and how many were
// attempted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <mentedb/memory_node.hpp>
#include <mentedb/options.hpp>
#include <mentedb/storage_engine.hpp>

namespace mentedb::prove {

enum class Scenario {
  mixed,    ///< everything, small, with a short log: a checkpoint every few operations
  growth,   ///< large memories and batches: pages.db and wal.log grow
  index,    ///< many ids: the id index is built anew, larger
  reopens,  ///< closed and opened, recovered, checkpointed between the writes
};
constexpr Scenario kScenarios[] = {Scenario::mixed, Scenario::growth, Scenario::index, Scenario::reopens};
const char* name_of(Scenario scenario);
Options options_of(Scenario scenario);

enum class Action { store, update, erase, batch, transact, checkpoint, recover, reopen };

struct Change {
  std::uint64_t key;
  std::uint32_t version;  ///< 0: deleted
};

struct Operation {
  Action action;
  std::vector<Change> changes;
};

/// Which version of which key is there.
using State = std::map<std::uint64_t, std::uint32_t>;

class Script {
 public:
  Script(Scenario scenario, std::uint32_t writer, std::uint64_t seed, std::size_t operations);

  std::size_t size() const { return operations_.size(); }
  const Operation& operation(std::size_t number) const { return operations_[number]; }
  /// After the first `count` operations.
  const State& state(std::size_t count) const { return states_[count]; }
  std::uint32_t writer() const { return writer_; }
  /// The arguments it was made of, for a line that replays.
  std::string text() const;
  static std::optional<Script> parse(const std::string& text);
  bool owns(std::uint64_t key) const { return key / kKeysPerWriter == writer_ + 1; }

  static constexpr std::uint64_t kKeysPerWriter = 1'000'000;

 private:
  Scenario scenario_;
  std::uint32_t writer_;
  std::uint64_t seed_;
  std::vector<Operation> operations_;
  std::vector<State> states_;
};

/// Some are a few hundred bytes, some fill a hundred pages.
MemoryNode memory_of(std::uint64_t key, std::uint32_t version);

/// Does one operation; `reopen` leaves the engine to the caller.
Result<void> perform(StorageEngine& engine, const Operation& operation);

/// What this store holds of the writer's keys. Any memory that is no whole version is reported in `problem`.
State read_state(const StorageEngine& engine, const Script& script, std::string& problem);
/// "" or the first difference.
std::string difference(const State& found, const State& wanted);

}  // namespace mentedb::prove

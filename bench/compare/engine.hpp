// What an engine has to do here. Adapters throw std::runtime_error when a call fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "records.hpp"

namespace mentedb::compare {

/// How an engine of keys and values keeps the records. MenteDB and SQLite have one layout for both.
enum class Layout {
  by_id,      ///< id -> record: the quickest that the engine has for a load by id
  by_number,  ///< number -> record and id -> number: as MenteDB has page -> record and id -> page
};

struct Place {
  MemoryId id;
  std::uint64_t number = 0;  ///< what `load_number` takes
};

/// The access of one thread.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  /// The record is durable when the call returns.
  virtual void store(const Record& record) = 0;
  /// The batch is durable when the call returns, and a crash leaves all of it or nothing.
  virtual void store_batch(const Batch& batch) = 0;
  /// @return a sum of some words of the record
  virtual std::uint64_t load_id(const MemoryId& id) = 0;
  /// @param number from `list`; the layout is `by_number`
  virtual std::uint64_t load_number(std::uint64_t number) = 0;
  /// Lists all ids; the layout is `by_number`.
  virtual void list(std::vector<Place>& places) = 0;
  /// Decodes every record into a memory.
  /// @return the number of records
  virtual std::size_t decode_all() = 0;
  /// @return the number of changes since the call before, or since `session`; only where `EngineKind::has_changes`
  virtual std::size_t changes() { return 0; }
};

/// The access of one process.
class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  virtual std::unique_ptr<Session> session() = 0;
  /// Brings the store into the state that reads like best: a checkpoint, or a compaction.
  virtual void settle() = 0;
};

struct EngineKind {
  std::string name;
  std::string version;
  std::string durability;             ///< why an acknowledged store survives a power cut
  std::vector<std::string> settings;  ///< what differs from the engine's defaults
  bool many_processes = false;        ///< several processes may write one store
  bool has_changes = false;           ///< the engine can tell what changed
  std::function<std::unique_ptr<Engine>(const std::filesystem::path& directory, Layout layout)> open;
};

EngineKind mentedb_engine();
EngineKind sqlite_engine();
EngineKind lmdb_engine();
EngineKind rocksdb_engine();
EngineKind leveldb_engine();

/// Decodes a record of a peer with MenteDB's decoder. Throws when the bytes are no memory.
std::uint64_t decode(std::span<const std::byte> value);

}  // namespace mentedb::compare

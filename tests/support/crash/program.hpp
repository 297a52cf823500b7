// What one simulated process does in a crash workload, and the process while it does it.
//
// Every operation tells the history what it attempts, and compares what it is shown. Numbers of memories: those below
// kFirstOwnNumber are shared and only written in transactions; the others belong to one program each (history.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <mentedb/storage_engine.hpp>

#include "support/crash/history.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::test {

inline constexpr std::uint64_t kFirstOwnNumber = 10;
inline constexpr std::uint64_t kFirstRawNumber = 3'000;     ///< raw pages are memories to the history
inline constexpr std::uint64_t kFirstFillerNumber = 4'000;  ///< stored in setup and never touched again

/// A process and what it knows. `violations` are sentences.
struct Process {
  SimVfs& vfs;
  const Options& options;
  History& history;
  std::vector<std::string>& violations;
  bool faults = false;  ///< calls may fail: io_error and poisoned are answers
  std::optional<StorageEngine> engine;
  Lsn cursor;            ///< of follow()
  History::Found cache;  ///< of follow()

  /// Throws ProcessKilled once the process is dead. True when `error` is an answer that may be given.
  bool may_answer(const Error& error) const;
  void violation(std::string text) { violations.push_back(std::move(text)); }
  Result<void> open();
  /// Reads by id and compares. False when it failed.
  bool read(std::uint64_t number);
  void read_all();
};

/// A list of operations.
class Program {
 public:
  // ---- writes of own memories
  Program& store(std::uint64_t number, std::size_t content_bytes = 60);
  Program& batch(std::uint64_t first, std::uint64_t count, std::size_t content_bytes = 60);
  Program& update(std::uint64_t number, std::size_t content_bytes = 60);
  Program& erase(std::uint64_t number);
  /// Raw pages; allocated ones get the numbers kFirstRawNumber and up.
  Program& allocate(std::uint64_t number, std::size_t content_bytes);
  Program& write_raw(std::uint64_t number, std::size_t content_bytes);
  Program& free_raw(std::uint64_t number);
  // ---- transactions: reads all, then stores and erases, all or nothing
  Program& transact(std::vector<std::uint64_t> stores, std::vector<std::uint64_t> erases = {},
                    std::size_t content_bytes = 60);
  /// A transaction that gives up half-way.
  Program& give_up(std::uint64_t number);
  // ---- the rest
  Program& checkpoint();
  Program& erase_deleted();
  Program& reopen();
  Program& recover();
  Program& backup(std::string path);
  Program& read(std::uint64_t number);
  Program& read_all();
  Program& scan();
  /// Asks for changes since the last time and keeps a copy of the store by them.
  Program& follow();
  /// After a crash: what is there now is there for ever, and what is not stays away.
  Program& settle();

  [[nodiscard]] Program repeat(std::size_t times) const;
  Program& then(const Program& more);

  /// Opens the store and does everything.
  void run(Process& process) const;

 private:
  using Operation = std::function<void(Process&)>;
  template <class Body>
  Program& change(Body body);
  Program& add(Operation operation) {
    operations_.push_back(std::move(operation));
    return *this;
  }
  std::vector<Operation> operations_;
};

/// What a raw page holds. A page that was freed may be another's by now.
std::optional<History::Version> read_raw(StorageEngine& engine, const History& history, std::uint64_t number,
                                         std::string& problem);

/// Every memory of a store by number, read by scan, page, id and find, which have to agree; and the raw pages that the
/// history knows. Of fillers, the scan and every `filler_stride`-th. A problem is a sentence.
History::Found read_store(StorageEngine& engine, const History& history, std::size_t filler_stride,
                          std::string& problem);

}  // namespace mentedb::test

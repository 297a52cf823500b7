// A script of operations on a store, and the oracle of what a store may hold after any accident.
//
// Model: what the store holds, exactly. After an acknowledged operation it is the operation's result; after one that
// was cut or failed it is either of both (I1: acked <= recovered <= acked + attempted; I2: all of an operation or
// nothing).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <mentedb/storage_engine.hpp>

#include "support/memory_ids.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::test {

inline const std::filesystem::path kStorePath = "/store";

struct Model {
  std::map<MemoryId, MemoryNode> memories;
  std::map<PageId, Bytes> raw;
  friend bool operator==(const Model&, const Model&) = default;
};

/// The id of memory `number`, the same in every run.
/// A node whose every byte follows from number, version and size.
MemoryNode make_memory(std::uint64_t number, std::uint64_t version, std::size_t content_bytes = 60);

/// What a script's steps work on: the engine of one simulated process.
struct Actor {
  vfs::Vfs* vfs = nullptr;
  Options options;
  std::optional<StorageEngine> engine;
  std::vector<PageId> raw_pages;  ///< as allocated

  Result<void> open();
};

struct Operation {
  std::string name;
  std::function<Result<void>(Actor&)> run;
  std::function<void(Model&, const Actor&)> apply;  ///< what it does to the model when it succeeds
};

/// Builds operations; each is atomic.
class Script {
 public:
  Script& store(std::uint64_t number, std::uint64_t version, std::size_t content_bytes = 60);
  Script& batch(std::uint64_t first, std::uint64_t count, std::uint64_t version, std::size_t content_bytes = 60);
  Script& erase(std::uint64_t number);
  /// Updates one, erases one, stores one: all or nothing.
  Script& transact(std::uint64_t update, std::uint64_t erase, std::uint64_t store, std::uint64_t version);
  Script& checkpoint();
  Script& erase_deleted();
  Script& reopen();
  Script& recover();
  Script& allocate(std::size_t min_bytes);
  /// Writes the n-th allocated page.
  Script& write_raw(std::size_t index, std::uint8_t fill, std::size_t bytes);
  Script& free_raw(std::size_t index);
  Script& backup(const std::string& destination);

  const std::vector<Operation>& operations() const { return operations_; }

 private:
  std::vector<Operation> operations_;
};

/// Everything that the store of `engine` holds, read by id, by page and by scan; these must agree.
/// On disagreement or error: a sentence in `problem`.
Model read_all(StorageEngine& engine, const std::vector<PageId>& raw_pages, std::string& problem);

/// A line that tells two models apart.
std::string difference(const Model& expected, const Model& found);

}  // namespace mentedb::test

// The paths of the engine that a user waits for, each as an operation to repeat. Two programs repeat them:
// benchmark.cpp tells the time and what reaches the device, count.cpp is run under a tool that counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <mentedb/storage_engine.hpp>

namespace mentedb::paths {

/// A store of memories with 384 floats and about 300 bytes of text, all of them checkpointed.
class Subject {
 public:
  Subject(const std::filesystem::path& directory, std::size_t memories);

  StorageEngine& engine() { return engine_; }
  /// Ids and pages of memories, in an order that no cache likes.
  const MemoryId& next_id() { return ids_[step()]; }
  PageId next_page() { return pages_[step()]; }
  /// A memory with an id that no other has.
  const MemoryNode& new_memory();
  std::vector<MemoryNode> new_memories(std::size_t count);
  Lsn cursor;  ///< of the path `changes`

 private:
  std::size_t step() { return place_ = (place_ + 7'919) % ids_.size(); }

  StorageEngine engine_;
  MemoryNode node_;
  std::uint64_t numbers_ = 0;
  std::size_t place_ = 0;
  std::vector<MemoryId> ids_;
  std::vector<PageId> pages_;
};

struct Path {
  std::string name;
  std::function<void(Subject&)> once;
  std::size_t memories = 1;  ///< that `once` handles; 0: all of them
};

const std::vector<Path>& all();

}  // namespace mentedb::paths

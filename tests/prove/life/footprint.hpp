// What a process holds: descriptors, mappings, memory of its own. A long life must not make them grow.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace mentedb::prove {

struct Footprint {
  std::uint64_t descriptors = 0;     ///< but for `queues`
  std::uint64_t pages_mappings = 0;  ///< of pages.db
  std::uint64_t queues = 0;          ///< descriptors of commit queues
  std::uint64_t queue_mappings = 0;
  std::uint64_t other_mappings = 0;  ///< of other files, and of what has a name
  std::uint64_t large_blocks = 0;    ///< mappings without a name: of malloc
  /// Memory that the kernel had to give to this process alone. "Private_Dirty" would count a page of pages.db that no
  /// other process has mapped.
  std::uint64_t anonymous_bytes = 0;
  std::string unlinked;  ///< a file of the store that was removed and is still mapped or open; empty when there is none

  static Footprint of_this_process(const std::filesystem::path& store);
};

/// Compares a process with what it was after the first tenth of its life.
class Watch {
 public:
  explicit Watch(std::filesystem::path store) : store_(std::move(store)) {}

  /// @param settled the first tenth is over
  /// @param regions of pages.db; a process maps each of them once, and the shared state
  /// @return empty, or what has grown
  std::string look(bool settled, std::uint64_t regions);

 private:
  std::filesystem::path store_;
  std::optional<Footprint> first_;
};

/// malloc gives large blocks back to the kernel, always from the same size on. Else a heap with holes of the largest
/// memories grows for a while, and hides what a process keeps.
void give_large_blocks_back();

}  // namespace mentedb::prove

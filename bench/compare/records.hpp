// The records that every engine stores. Ours gets the memory, the others get its bytes, which were made before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <mentedb/memory_node.hpp>

#include "workload.hpp"

namespace mentedb::compare {

struct Record {
  std::uint64_t number = 0;
  const MemoryNode* node = nullptr;
  std::span<const std::byte> bytes;  ///< the encoded form of `node`
};

struct Batch {
  std::uint64_t first = 0;  ///< number of the first record; the others follow
  std::span<const MemoryNode> nodes;
  std::span<const Bytes> bytes;
};

/// As many records as a batch has. A record gets another id for each number, so a store may hold more of them.
/// Each thread has a copy of its own.
class Records {
 public:
  explicit Records(const Workload& workload);

  /// The id of record `number`: the same in every process.
  MemoryId id(std::uint64_t number) const;
  /// @return the record, until the next call
  Record record(std::uint64_t number);
  /// @return records `first` to `first + size - 1`, until the next call
  /// @param size at most the batch of the workload
  Batch batch(std::uint64_t first, std::size_t size);

 private:
  void set_id(std::size_t slot, std::uint64_t number);

  std::uint64_t seed_;
  std::vector<MemoryNode> nodes_;
  std::vector<Bytes> bytes_;
};

/// A random number for each input (splitmix64).
std::uint64_t mix(std::uint64_t value);

/// Reads five words of a value, so that its pages and cache lines are touched.
std::uint64_t touch(std::span<const std::byte> value);
/// The same for a memory.
std::uint64_t touch(const MemoryNode& node);

}  // namespace mentedb::compare

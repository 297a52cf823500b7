// The directories of a run: fresh stores for rows that write, and stores that several rows read.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine.hpp"

namespace mentedb::compare {

class Stores {
 public:
  Stores(const Workload& workload, const std::filesystem::path& root);
  Stores(const Stores&) = delete;
  Stores& operator=(const Stores&) = delete;
  ~Stores();  ///< removes all of them

  /// @return a path where nothing is
  std::filesystem::path fresh();
  static void remove(const std::filesystem::path& directory);

  /// A store with records 0 to count - 1. The first call makes it: batches, `settle`, at last the single stores of
  /// `tail_stores`, and a clean close.
  /// @param purpose separates stores that rows change
  std::filesystem::path filled(const EngineKind& kind, Layout layout, std::size_t count, const char* purpose);

  /// What the files take of the disk.
  static double disk_bytes(const std::filesystem::path& directory);
  /// Writes the files back and drops them from the page cache. Directories and inodes stay in memory.
  static void drop_from_cache(const std::filesystem::path& directory);

  const Workload& workload() const { return workload_; }
  /// The records. A child that changes their ids changes a copy of its own.
  Records& records() { return records_; }
  const std::filesystem::path& root() const { return root_; }

 private:
  const Workload& workload_;
  std::filesystem::path root_;
  Records records_;
  std::uint64_t next_ = 0;
};

}  // namespace mentedb::compare

// Simulated processes that have one store open: small pages and a small log, so that everything that grows grows soon.
//
//   SimDisk disk;
//   auto [writer, reader] = open_processes<2>(disk);
//   must(writer->store_memory(make_memory(1, 1)));
//   EXPECT_EQ(version_of(reader, 1), 1U);
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <mentedb/storage_engine.hpp>

#include "support/crash/script.hpp"
#include "support/crash/trace.hpp"

namespace mentedb::test {

inline Options small_options() {
  Options options;
  options.page_size_bytes = 512;
  options.wal_limit_bytes = 64 * 1024;
  options.lock_timeout = std::chrono::milliseconds(50);
  return options;
}
inline Options read_only_options() {
  Options options = small_options();
  options.read_only = true;
  return options;
}
/// A store that was made with small_options grows its log for these.
inline Options long_log_options() {
  Options options = small_options();
  options.wal_limit_bytes = std::uint64_t{1} << 20;
  return options;
}

class Process {
 public:
  /// Opens the store, and makes it when there is none.
  explicit Process(SimDisk& disk, const Options& options = small_options(), const SimVfsOptions& vfs_options = {});
  /// A process that has no store open yet.
  static Process idle(SimDisk& disk) { return Process(disk, std::nullopt); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void open(const Options& options = small_options());
  [[nodiscard]] Result<void> try_open(const Options& options = small_options());
  /// Opens the store and closes it again.
  void open_and_close(const Options& options = small_options());
  void kill() { vfs_.kill(); }
  [[nodiscard]] bool is_alive() const { return vfs_.is_alive(); }

  StorageEngine* operator->() { return &*engine_; }
  StorageEngine& operator*() { return *engine_; }
  [[nodiscard]] SimVfs& vfs() { return vfs_; }
  // NOLINTBEGIN(google-explicit-constructor): it stands for either
  operator const StorageEngine&() const { return *engine_; }
  operator Who() const { return vfs_; }
  // NOLINTEND(google-explicit-constructor)

 private:
  Process(SimDisk& disk, std::nullopt_t) : vfs_(disk) {}

  SimVfs vfs_;
  std::optional<StorageEngine> engine_;
};

template <std::size_t kCount>
std::array<Process, kCount> open_processes(SimDisk& disk, const SimVfsOptions& vfs_options = {}) {
  return [&]<std::size_t... kIndices>(std::index_sequence<kIndices...>) {
    return std::array<Process, kCount>{(static_cast<void>(kIndices), Process(disk, small_options(), vfs_options))...};
  }(std::make_index_sequence<kCount>());
}

/// Stores version 1 of the memories `first` to `last`.
void store_memories(StorageEngine& engine, std::uint64_t first, std::uint64_t last);
/// The version of this memory, of which every byte is right. 0: there is no such memory.
std::uint32_t version_of(const StorageEngine& engine, std::uint64_t number);
/// Ids in page order, as a scan lists them.
std::vector<std::pair<MemoryId, PageId>> list(const StorageEngine& engine);
/// From now on the disk has room for so many bytes more.
void leave_room(SimDisk& disk, std::uint64_t bytes);
/// verify finds nothing.
void expect_sound(SimDisk& disk, const std::filesystem::path& path = kStorePath);
/// Stores memories until one lies on `page`.
bool reuse(StorageEngine& engine, PageId page, std::uint64_t first_number);

}  // namespace mentedb::test

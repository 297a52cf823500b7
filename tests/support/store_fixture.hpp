// A store on the simulated disk, and the means to look at and damage its files.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <span>
#include <string>
#include <vector>

#include <mentedb/storage_engine.hpp>

#include "engine/engine_impl.hpp"
#include "format/page_format.hpp"
#include "offline/verify.hpp"
#include "support/memory_ids.hpp"
#include "support/results.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::test {

/// A memory whose id is `number`.
inline MemoryNode memory(std::uint64_t number, std::string content = "content") {
  MemoryNode node;
  node.id = memory_id(number);
  node.agent_id.bytes[0] = 1;
  node.content = std::move(content);
  return node;
}

class StoreFixture : public ::testing::Test {
 protected:
  static constexpr const char* kDirectory = "/db";
  static constexpr const char* kPages = "/db/pages.db";
  static constexpr const char* kLog = "/db/wal.log";

  Result<StorageEngine> try_open(const Options& options = {}, const char* path = kDirectory) {
    return EngineAccess::open(vfs, path, options);
  }
  StorageEngine open(const Options& options = {}, const char* path = kDirectory) {
    return must(try_open(options, path));
  }

  /// What verify finds, one line a problem.
  std::vector<Problem> problems(const char* path = kDirectory) {
    return must(offline::verify_directory(vfs, path, std::chrono::seconds(1))).problems;
  }
  static std::string text(const std::vector<Problem>& found) {
    std::string lines;
    for (const Problem& problem : found) {
      lines += problem.file + "@" + std::to_string(problem.offset) + " page " + std::to_string(problem.page.value) +
               ": " + problem.message + "\n";
    }
    return lines;
  }
  void expect_clean(const char* path = kDirectory) {
    const auto found = problems(path);
    EXPECT_TRUE(found.empty()) << text(found);
  }

  format::Superblock superblock() const { return must(format::decode_superblock(disk.content(kPages), kPages)); }
  format::Geometry geometry() const { return format::Geometry(superblock().page_bytes); }
  std::optional<format::Entry> entry(PageId page) const {
    const auto content = disk.content(kPages);
    const std::span<const std::byte, format::kEntryBytes> bytes(content.data() + geometry().entry_offset(page.value),
                                                                format::kEntryBytes);
    return format::decode_entry(bytes, page.value, superblock().seed);
  }

  void flip(const char* path, std::uint64_t offset, int mask = 1) {
    const std::byte flipped = disk.content(path).at(offset) ^ static_cast<std::byte>(mask);
    disk.damage(path, offset, {&flipped, 1});
  }
  void overwrite(const char* path, std::uint64_t offset, std::size_t size, int value) {
    disk.damage(path, offset, std::vector<std::byte>(size, static_cast<std::byte>(value)));
  }
  void truncate(const char* path, std::size_t size) {
    auto content = disk.content(path);
    content.resize(size);
    disk.install(path, content);
  }

  mentedb::test::SimDisk disk;
  mentedb::test::SimVfs vfs{disk};
};

}  // namespace mentedb::test

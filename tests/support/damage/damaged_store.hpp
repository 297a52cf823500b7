// A store on the real disk that is damaged in place, looked at with verify and salvage, and made whole again: both only
// read. What has to hold whatever the damage:
//
//   verify   names something, and in the right file, when anything is damaged that a store needs
//   salvage  saves nothing but what was stored; whatever it does not save it names or counts; when it saves everything
//            it reports no loss; the new store verifies
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <mentedb/inspect.hpp>
#include <mentedb/storage_engine.hpp>

#include "format/page_format.hpp"
#include "format/superblock.hpp"
#include "support/temp_directory.hpp"

namespace mentedb::test {

/// Bytes of a file, or all of it, put in place of what was there; taken back at the end of its life.
class Damage {
 public:
  static Damage flip(const std::filesystem::path& file, std::uint64_t offset, int mask = 1);
  static Damage overwrite(const std::filesystem::path& file, std::uint64_t offset, std::span<const std::byte> bytes);
  static Damage zeros(const std::filesystem::path& file, std::uint64_t offset, std::size_t size);
  static Damage truncate(const std::filesystem::path& file, std::uint64_t size);
  static Damage remove(const std::filesystem::path& file);
  Damage(Damage&&) noexcept = default;
  Damage& operator=(Damage&&) = delete;
  ~Damage();

 private:
  explicit Damage(std::function<void()> undo) : undo_(std::move(undo)) {}
  std::function<void()> undo_;
};

class DamagedStore {
 public:
  /// `seed` decides what is in it.
  explicit DamagedStore(std::uint64_t seed);

  std::filesystem::path pages() const { return store_ / "pages.db"; }
  std::filesystem::path log() const { return store_ / "wal.log"; }
  std::filesystem::path index() const { return store_ / index_name_; }
  const std::filesystem::path& path() const { return store_; }
  std::vector<std::byte> read(const std::filesystem::path& file, std::uint64_t offset, std::size_t size) const;
  const format::Geometry& geometry() const { return geometry_; }
  std::uint64_t seed() const { return superblock_.seed; }
  std::uint64_t page_count() const { return page_count_; }
  std::uint64_t high_water() const { return high_water_; }
  std::optional<format::Entry> entry(std::uint64_t page) const;
  std::uint64_t page_with(format::EntryType type) const;
  /// Where the batches of the log begin, and where the last one ends.
  const std::vector<std::uint64_t>& batches() const { return batches_; }
  std::uint64_t log_end() const { return log_end_; }
  /// pages.db as it was before the last changes; all of them are checkpointed.
  const std::vector<std::byte>& old_pages() const { return old_pages_; }
  const std::map<MemoryId, MemoryNode>& memories() const { return memories_; }

  VerifyReport verify() const;
  struct Salvaged {
    SalvageReport report;
    std::set<MemoryId> missing;  ///< not saved, or in an older version
    std::string wrong;           ///< what must not be; empty when all is well
  };
  Salvaged salvage();

  static std::string text(const std::vector<Problem>& problems, const std::vector<std::string>& notes = {});

 private:
  std::string what_is_wrong(const SalvageReport& report, const std::filesystem::path& destination,
                            std::set<MemoryId>& missing) const;

  TempDirectory temp_;
  std::filesystem::path store_ = temp_ / "store";
  std::string index_name_;
  format::Superblock superblock_{};
  format::Geometry geometry_;
  std::uint64_t page_count_ = 0;
  std::uint64_t high_water_ = 0;
  std::uint64_t log_end_ = 0;
  std::vector<std::uint64_t> batches_;
  std::vector<std::byte> old_pages_;
  std::map<MemoryId, MemoryNode> memories_;
  std::map<MemoryId, std::vector<MemoryNode>> older_;  ///< also of memories that were deleted
};

}  // namespace mentedb::test

// Reads a store that the original Rust engine wrote. The files are opened read-only and stay unchanged. Log entries
// that are newer than their pages are applied in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/memory_node.hpp>

#include "rs_store/format.hpp"

namespace mentedb::rs_store {

/// A memory of the store and where its newest version lies.
struct Entry {
  std::uint64_t page = 0;
  MemoryId id;
  bool from_log = false;  ///< the page itself is older
};

/// A page or a memory that cannot be read.
struct Damage {
  std::uint64_t page = 0;
  std::string message;
};

struct Contents {
  std::vector<Entry> memories;  ///< in page order, each id once
  std::vector<Damage> damage;
  std::vector<std::string> notes;  ///< remarks that are no damage: a log that ends early, an id in two pages
};

class Store {
 public:
  /// @errors `not_found`, `permission_denied`, `incompatible` (not a store of the original), `corruption`, `io_error`
  static Result<Store> open(const std::filesystem::path& directory);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  /// Reads everything once. Where an id is in two pages the later page counts, as in the original's index.
  [[nodiscard]] Result<Contents> scan() const;

  /// @errors `corruption` (page, JSON or a field), `io_error`
  [[nodiscard]] Result<MemoryNode> load(std::uint64_t page) const;

  /// True when another process changed the files since `open`.
  [[nodiscard]] bool changed() const;

 private:
  struct FileState {
    std::uint64_t size_bytes = 0;
    std::int64_t modified_ns = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const FileState&, const FileState&) = default;
  };

  Store() = default;
  static FileState state_of(const std::filesystem::path& file);
  /// The newest content of a page; `buffer` holds the bytes that the result points into.
  [[nodiscard]] Result<PageContent> content(std::uint64_t page, std::vector<std::byte>& buffer) const;

  std::filesystem::path directory_;
  int pages_ = -1;  // descriptor of pages.db
  std::uint64_t page_count_ = 0;
  std::vector<std::string> notes_;
  std::vector<std::byte> log_bytes_;
  Log log_;  // points into log_bytes_
  FileState pages_state_;
  FileState log_state_;
};

}  // namespace mentedb::rs_store

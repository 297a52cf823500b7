// Builds stores as the original Rust engine writes them, byte by byte and independently of the reader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace mentedb::test {

class RsStoreBuilder {
 public:
  /// A data page with `length u32 + json`; returns its number.
  std::uint64_t add_page(const std::string& json);
  /// A freed page that points to the next free one.
  std::uint64_t add_free_page(std::uint64_t next_free);
  /// A page that was allocated and never written: no checksum, no data.
  std::uint64_t add_empty_page();

  /// Entries of the log.
  RsStoreBuilder& log_write(std::uint64_t page, const std::string& json);
  RsStoreBuilder& log_free(std::uint64_t page) { return log_entry(4, page, ""); }
  RsStoreBuilder& log_checkpoint() { return log_entry(3, 0, ""); }
  RsStoreBuilder& log_commit() { return log_entry(2, 0, ""); }
  RsStoreBuilder& log_entry(std::uint8_t type, std::uint64_t page, const std::string& data);

  /// For tests that spoil something.
  std::string& pages() { return pages_; }
  std::string& log() { return log_; }
  [[nodiscard]] std::uint64_t page_count() const { return 1 + pages_.size() / 65'536; }

  /// The files; `page_count` is what the header says when it should lie.
  void write(const std::filesystem::path& directory, std::optional<std::uint64_t> page_count = std::nullopt) const;
  [[nodiscard]] std::string pages_file(std::optional<std::uint64_t> page_count = std::nullopt) const;

 private:
  std::uint64_t add(std::uint8_t type, const std::string& data, bool checksum);

  std::string pages_;  // without page 0
  std::string log_;
  std::uint64_t next_lsn_ = 1;
};

/// The JSON of a small memory.
std::string rs_memory(const std::string& id, const std::string& content);

}  // namespace mentedb::test

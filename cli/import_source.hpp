// Where `import` takes memories from: a file of JSON lines, or a store of the original Rust engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb::cli {

/// One memory, or the error that stands in its place.
struct ImportItem {
  std::uint64_t number = 0;    ///< line or page
  std::size_t size_bytes = 0;  ///< of its JSON
  Result<MemoryNode> node;
};

class ImportSource {
 public:
  virtual ~ImportSource() = default;
  ImportSource() = default;
  ImportSource(const ImportSource&) = delete;
  ImportSource& operator=(const ImportSource&) = delete;

  /// The next memory. Nothing at the end of the source, and after an interruption.
  /// @errors `io_error`: the source itself cannot be read further
  virtual Result<std::optional<ImportItem>> next() = 0;
  /// True when `next` would have to wait for the writer of a pipe.
  virtual bool would_wait() = 0;
  /// For the progress bar. Both have the same unit; `total` is 0 when it is not known.
  [[nodiscard]] virtual std::uint64_t done() const = 0;
  [[nodiscard]] virtual std::uint64_t total() const = 0;
  /// For messages: "notes.jsonl:12" or "old/pages.db, page 12".
  [[nodiscard]] virtual std::string place(std::uint64_t number) const = 0;
  /// "line" or "page".
  [[nodiscard]] virtual std::string_view unit() const = 0;
  /// Remarks about the source as a whole since the last call.
  virtual std::vector<std::string> take_notes() = 0;
};

/// `file` is a path, or "-" for standard input. Lines before `from_line` are passed over.
/// @errors `not_found`, `permission_denied`, `invalid_argument` (also for a file of another kind, which is named)
Result<std::unique_ptr<ImportSource>> open_json_lines(const std::string& file, std::uint64_t from_line);

/// @errors as `rs_store::Store::open`
Result<std::unique_ptr<ImportSource>> open_rs_store(const std::filesystem::path& directory);

}  // namespace mentedb::cli

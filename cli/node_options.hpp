// The fields of a memory as options of `store` and `update`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <mentedb/error.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb::cli {

struct NodeOptions {
  std::optional<std::string> content;
  std::optional<std::string> type;
  std::optional<std::string> agent;
  std::optional<std::string> user;
  std::optional<std::string> space;
  std::vector<std::string> tags;
  std::vector<std::string> attributes;
  std::optional<std::string> embedding;
  std::optional<std::string> context;
  std::optional<float> salience;
  std::optional<float> confidence;
  std::optional<std::string> valid_from;
  std::optional<std::string> valid_until;

  /// Sets the fields that were given. The tags replace all tags of the node. Each attribute replaces the one with its
  /// name.
  /// @errors `invalid_argument`
  Result<void> apply(MemoryNode& node) const;
  /// True when at least one field was given.
  [[nodiscard]] bool any() const;
};

void add_node_options(CLI::App& command, NodeOptions& options);

/// The argument itself, or for "-" all of standard input without its last line feed.
/// @errors `io_error`, `capacity_exceeded`
Result<std::string> argument_or_stdin(const std::string& argument);

/// Refuses a text without a character that can be seen: what it came from was most likely empty. `argument` is where it
/// came from, as for `argument_or_stdin`.
/// @errors `invalid_argument`
Result<void> require_text(const std::string& text, const std::string& argument);

}  // namespace mentedb::cli

// A memory in JSON that a user gives, with remarks about what the user may not have meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb::cli {

struct JsonRemark {
  std::string about;  ///< remarks about the same thing are told once
  std::string text;
};

/// As `from_json`. A memory without created_at gets the time `now`, one without accessed_at its created_at. Remarks:
/// that, fields that no memory has, and times that are most likely not in microseconds.
Result<MemoryNode> read_node(std::string_view json, Timestamp now, std::vector<JsonRemark>& remarks);

}  // namespace mentedb::cli

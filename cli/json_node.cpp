#include "json_node.hpp"

#include <algorithm>

#include <fmt/core.h>

#include <mentedb/json.hpp>

#include "text.hpp"

namespace mentedb::cli {
namespace {

/// Seconds and milliseconds of our days, taken for microseconds, lie before 1970-04-27. 0 is the default of a memory.
bool is_doubtful(Timestamp time) { return time != 0 && time < 10'000'000'000'000; }

void remark_on_time(std::string_view field, Timestamp time, std::vector<JsonRemark>& remarks) {
  if (!is_doubtful(time)) return;
  remarks.push_back({std::string(field), fmt::format("{} {} lies in the first months of 1970; times are microseconds "
                                                     "since 1970, and it looks like seconds or milliseconds",
                                                     field, time)});
}

}  // namespace

Result<MemoryNode> read_node(std::string_view json, Timestamp now, std::vector<JsonRemark>& remarks) {
  std::vector<std::string> unknown;
  std::vector<std::string> missing;
  Result<MemoryNode> node = from_json(json, &unknown, &missing);
  for (const std::string& name : unknown) {
    remarks.push_back({"unknown field " + name,
                       fmt::format("no memory has a field \"{}\"; the field is dropped", one_line(name, 60))});
  }
  if (!node) return node;
  const auto is_missing = [&](std::string_view name) { return std::ranges::find(missing, name) != missing.end(); };
  if (is_missing("created_at")) {
    node->created_at = now;
    remarks.push_back({"missing created_at", "there is no created_at; the time of this command is taken"});
  }
  if (is_missing("accessed_at")) node->accessed_at = node->created_at;
  remark_on_time("created_at", node->created_at, remarks);
  remark_on_time("accessed_at", is_missing("accessed_at") ? 0 : node->accessed_at, remarks);
  remark_on_time("valid_from", node->valid_from.value_or(0), remarks);
  remark_on_time("valid_until", node->valid_until.value_or(0), remarks);
  return node;
}

}  // namespace mentedb::cli

// The JSON form of a memory. It is the form that the original MenteDB writes (serde): one object for each memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb {

/// Writes a memory as one line of JSON, without a line feed.
///
/// The names of types are those of MemoryType. An attribute is {"String":s}, {"Integer":i}, {"Float":f}, {"Boolean":b}
/// or {"Bytes":[0..255]}. A nil `user_id` and an absent `valid_from`, `valid_until` or `context` are left out. A float
/// has the shortest form that reads back to the same value.
/// @param node a memory that `validate` accepts
/// @return the object; `from_json` reads it back to an equal memory
/// @threads any thread
/// @cost no system call; one string
MENTEDB_EXPORT std::string to_json(const MemoryNode& node);

/// Reads a memory from one JSON object.
///
/// `id`, `agent_id`, `memory_type` and `content` are required. Every other field takes the default of MemoryNode when
/// it is absent: a time is then 1970. A field that is null counts as absent. A field or an attribute that appears twice
/// is refused. `from_json` checks types and counts. `validate` checks the other rules, for example ranges and sizes in
/// bytes.
/// @param text the object; white space may stand around it
/// @param unknown_fields receives the names of fields that no memory has; such fields are passed over
/// @param missing_fields receives the names of fields that are absent, so that the caller can give them other defaults
/// @errors `invalid_argument`: no JSON, no object, a field is missing or has another type; the message names the field
/// @errors `capacity_exceeded`: more dimensions, tags or attributes than a memory may have
/// @errors `out_of_memory`
/// @threads any thread
/// @cost no system call; one pass over the text, without recursion
MENTEDB_EXPORT Result<MemoryNode> from_json(std::string_view text, std::vector<std::string>* unknown_fields = nullptr,
                                            std::vector<std::string>* missing_fields = nullptr);

}  // namespace mentedb

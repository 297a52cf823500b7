// The JSON form of a memory: the original MenteDB's serde form, one object per memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/export.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb {

/// One line of JSON (no line feed): enum names as in MemoryType, attributes as {"String":s}, {"Integer":i},
/// {"Float":f}, {"Boolean":b} or {"Bytes":[0..255]}; a nil `user_id` and absent `valid_from`, `valid_until`
/// and `context` are left out; floats in their shortest form that reads back to the same value.
MENTEDB_EXPORT std::string to_json(const MemoryNode& node);

/// Reads one JSON object. Required: id, agent_id, memory_type, content. Other fields take the defaults of
/// MemoryNode (times: 0); null means absent. Names of fields that no memory has are added to `unknown_fields`
/// when given (and are otherwise passed over, as the original does).
/// @errors `invalid_argument` (no JSON, no object, a field of the wrong type: the message names it),
/// `capacity_exceeded`
MENTEDB_EXPORT Result<MemoryNode> from_json(std::string_view text, std::vector<std::string>* unknown_fields = nullptr);

}  // namespace mentedb

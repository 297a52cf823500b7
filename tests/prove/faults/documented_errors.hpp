// Which error codes include/mentedb/ promises for which call: the table that every part compares with.
#pragma once

#include <string>
#include <string_view>

#include <mentedb/error.hpp>

namespace mentedb::faults {

/// True when the header documents `code` for `call` (the name of the function, or "open").
bool is_documented(std::string_view call, ErrorCode code);

}  // namespace mentedb::faults

// Input from outside in an error message.
#pragma once

#include <string>
#include <string_view>

namespace mentedb::base {

/// The text in quotes, at most about 60 bytes of it, on one line and safe for a terminal: control characters
/// and bytes that are not UTF-8 become '?'. Characters are kept whole.
std::string quoted(std::string_view text);

}  // namespace mentedb::base

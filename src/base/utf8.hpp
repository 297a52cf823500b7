// UTF-8 validation.
#pragma once

#include <string_view>

namespace mentedb::base {

/// True when every byte belongs to a well-formed sequence (Unicode 15, table 3-7). Overlong forms, surrogates, values
/// above U+10FFFF and sequences that are cut short are not well-formed. NUL is a valid character.
bool is_valid_utf8(std::string_view text) noexcept;

}  // namespace mentedb::base

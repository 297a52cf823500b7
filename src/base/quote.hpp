// Text from outside the program, made fit for an error message.
#pragma once

#include <string>
#include <string_view>

namespace mentedb::base {

/// At most the first 60 bytes of the text, in quotes, on one line. The result is safe for a terminal: control
/// characters become '?', and so does every byte above 127 when these bytes are not valid UTF-8. No character is cut in
/// two.
std::string quoted(std::string_view text);

}  // namespace mentedb::base

// From errno to Error: the code, the reason and the remedy.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mentedb::vfs {

/// "cannot <action> <path>: <reason>; <remedy>", with the code that fits the errno.
std::unexpected<Error> errno_error(int error, std::string_view action, std::string_view path);

}  // namespace mentedb::vfs

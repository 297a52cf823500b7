// What the operating system refused, as an error that says what the user can do.
#pragma once

#include <string_view>

#include <mentedb/error.hpp>

namespace mentedb::cli {

/// "`what`: No such file or directory; check the path". `error` is an errno(3).
Error system_error(std::string_view what, int error);

}  // namespace mentedb::cli

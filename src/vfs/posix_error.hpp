// From errno to Error: the code, the reason and the remedy.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mentedb::vfs {

/// "cannot <action> <path>: <reason>; <remedy>", with the code that fits the errno.
std::unexpected<Error> errno_error(int error, std::string_view action, std::string_view path);

/// The same for a sync that failed. After it the bytes may be on the device or not, for each errno, also for that of a
/// full disk. So the code is always `io_error`: `no_space` and `out_of_memory` promise that nothing changed.
std::unexpected<Error> sync_error(int error, std::string_view path);

}  // namespace mentedb::vfs

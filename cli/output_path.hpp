// Where output may go: never onto a file of a store, whatever the name that leads there.
#pragma once

#include <filesystem>

#include <mentedb/error.hpp>

namespace mentedb::cli {

/// Refuses a path that leads to a file of a store: through links and "..", under a second name, or as the name of a
/// file that a store in the same directory may make. `store` is the store of the command.
/// @errors `invalid_argument`
Result<void> check_output_path(const std::filesystem::path& output, const std::filesystem::path& store);

/// The same for standard output and standard error (the descriptors 1 and 2). A shell may have opened anything there.
/// @errors `invalid_argument`
Result<void> check_standard_stream(int descriptor, const std::filesystem::path& store);

}  // namespace mentedb::cli

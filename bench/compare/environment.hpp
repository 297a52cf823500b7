// Where a run took place: machine, kernel, file system, compiler.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace mentedb::compare {

/// @param directory where the stores lie
/// @param commit what the caller knows about the source; tools/bench passes it
nlohmann::json describe_environment(const std::filesystem::path& directory, const std::string& commit);

/// The load averages of the last 1, 5 and 15 minutes, as text.
std::string load_average();

}  // namespace mentedb::compare

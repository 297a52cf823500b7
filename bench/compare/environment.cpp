#include "environment.hpp"

#include <fmt/core.h>
#include <sys/utsname.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

namespace mentedb::compare {
namespace {

/// The value of the first line "name : value".
std::string value_in(const char* file, const std::string& name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "unknown";
}

/// The mount that holds the directory: the one with the longest matching path in /proc/self/mounts.
nlohmann::json mount_of(const std::filesystem::path& directory) {
  const std::string path = std::filesystem::weakly_canonical(directory).string() + "/";
  std::ifstream mounts("/proc/self/mounts");
  std::string best;
  nlohmann::json found = nlohmann::json::object();
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device;
    std::string point;
    std::string type;
    std::string options;
    words >> device >> point >> type >> options;
    const std::string prefix = point == "/" ? point : point + "/";
    if (!path.starts_with(prefix) || prefix.size() < best.size()) continue;
    best = prefix;
    found = {{"device", device}, {"mount_point", point}, {"file_system", type}, {"mount_options", options}};
  }
  return found;
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32] = {};
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

std::string load_average() {
  std::ifstream stream("/proc/loadavg");
  std::string one;
  std::string five;
  std::string fifteen;
  stream >> one >> five >> fifteen;
  return one + " " + five + " " + fifteen;
}

nlohmann::json describe_environment(const std::filesystem::path& directory, const std::string& commit) {
  utsname system{};
  uname(&system);
#ifdef __clang__
  const std::string compiler = std::string("clang ") + __VERSION__;
#else
  const std::string compiler = std::string("g++ ") + __VERSION__;
#endif
  nlohmann::json text = mount_of(directory);
  text["commit"] = commit;
  text["compiler"] = compiler;
  text["build_type"] = MENTEDB_BUILD_TYPE;
  text["kernel"] = fmt::format("{} {}", system.sysname, system.release);
  text["processor"] = value_in("/proc/cpuinfo", "model name");
  text["cores"] = std::thread::hardware_concurrency();
  text["memory"] = value_in("/proc/meminfo", "MemTotal");
  text["begin"] = utc_now();
  text["load_average_begin"] = load_average();
  return text;
}

}  // namespace mentedb::compare

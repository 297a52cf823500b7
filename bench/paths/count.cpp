// count DIRECTORY PATH TIMES: makes a store, walks one of the paths so often, and says nothing. A tool around it
// counts: valgrind the instructions, strace the system calls. Two runs with different TIMES, subtracted, leave the path
// alone.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string_view>

#include "paths.hpp"

int main(int argc, char** argv) {
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  if (arguments.size() != 4) {
    std::fputs("usage: count DIRECTORY PATH TIMES\n", stderr);
    return 2;
  }
  constexpr std::size_t kMemories = 2'000;
  const auto& paths = mentedb::paths::all();
  const auto path = std::ranges::find(paths, std::string_view(arguments[2]), &mentedb::paths::Path::name);
  if (path == paths.end()) {
    std::fprintf(stderr, "count: there is no path %s\n", arguments[2]);
    return 2;
  }
  try {
    mentedb::paths::Subject subject(arguments[1], kMemories);
    for (auto left = std::strtoul(arguments[3], nullptr, 10); left > 0; --left) path->once(subject);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "count: %s\n", error.what());
    return 1;
  }
  return 0;
}

#include "support/system_call_trace.hpp"

#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>

namespace mentedb::test {
namespace {

constexpr const char* kMark = "getppid";

std::optional<std::string> name_in(const std::string& line) {
  std::size_t begin = line.find_first_not_of("0123456789 ");  // the pid that -f puts in front
  const std::size_t end = line.find('(');
  if (begin == std::string::npos || end == std::string::npos || begin >= end) return std::nullopt;
  const std::string name = line.substr(begin, end - begin);
  if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos) return std::nullopt;
  return name;
}

}  // namespace

bool strace_works() {
  static const bool works = std::system("strace -o /dev/null true >/dev/null 2>&1") == 0;
  return works;
}

std::vector<std::string> trace_into(const std::filesystem::path& file) {
  return {"strace", "-f", "-s", "0", "-o", file.string()};
}

std::vector<std::string> signal_at(const SystemCall& call, const std::string& signal,
                                   const std::filesystem::path& file) {
  auto words = trace_into(file);
  words.insert(words.end(),
               {"-e", "inject=" + call.name + ":signal=" + signal + ":when=" + std::to_string(call.count)});
  return words;
}

std::vector<SystemCall> calls_between_marks(const std::filesystem::path& file) {
  std::ifstream lines(file);
  std::map<std::string, std::size_t> counts;
  std::vector<SystemCall> calls;
  int marks = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto name = name_in(line);
    if (!name) continue;
    const std::size_t count = ++counts[*name];
    if (marks == 1) calls.push_back({.name = *name, .text = line, .count = count});
    if (*name == kMark && ++marks == 2) return calls;
  }
  return {};
}

}  // namespace mentedb::test

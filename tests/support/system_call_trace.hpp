// Runs an actor under strace(1): which system calls did it make between two marks, and die (or stop) at the n-th.
// The mark is getppid(2), which nothing in the engine calls.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace mentedb::test {

bool strace_works();

struct SystemCall {
  std::string name;
  std::string text;       ///< the whole line as strace wrote it
  std::size_t count = 0;  ///< the how many-th call of this name in the life of the process, from 1
};

/// The words before the program's own: trace everything of its main thread into `file`.
std::vector<std::string> trace_into(const std::filesystem::path& file);
/// As above, and the process gets `signal` (without "SIG") as it enters call `call.name` for the `call.count`-th time.
/// Of KILL the call itself is never made.
std::vector<std::string> signal_at(const SystemCall& call, const std::string& signal,
                                   const std::filesystem::path& file);

/// The calls between the two marks; the second mark is the last element. Empty when there are no two marks.
std::vector<SystemCall> calls_between_marks(const std::filesystem::path& file);

}  // namespace mentedb::test

// The program of tests/prove/faults/run: one part of the campaign, or one case of it again.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>

#include "campaign.hpp"

namespace {

using namespace mentedb::faults;

int usage() {
  std::fputs(
      "usage: prove_faults PART [--seconds N] [--faults N] [--seed S] [--command PROGRAM] [--replay 'PART ...']\n"
      "  PART  seam: every call of the seam fails (simulated disk); allocations: every allocation fails;\n"
      "        transfers: short reads and writes, EINTR; command: every system call of PROGRAM fails (strace)\n",
      stderr);
  return 2;
}

}  // namespace

int main(int count, char** values) {
  if (count < 2) return usage();
  const std::string part = values[1];
  Budget budget;
  std::uint64_t seed = 1;
  std::string command;
  Case replay;
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string_view name = values[i];
    const char* value = values[i + 1];
    if (name == "--seconds") {
      budget.time = std::chrono::seconds(std::strtoll(value, nullptr, 10));
    } else if (name == "--faults") {
      budget.faults = std::strtoull(value, nullptr, 10);
    } else if (name == "--seed") {
      seed = std::strtoull(value, nullptr, 10);
    } else if (name == "--command") {
      command = value;
    } else if (name == "--replay") {
      std::istringstream words(value);
      for (std::string word; words >> word;) replay.push_back(word);
    } else {
      return usage();
    }
  }
  Campaign campaign(part, budget, seed);
  const Case* const one = replay.empty() ? nullptr : &replay;
  try {
    if (part == "seam") return run_seam(campaign, one);
    if (part == "allocations") return run_allocations(campaign, one);
    if (part == "transfers") return run_transfers(campaign, one);
    if (part == "command" && !command.empty()) return run_command(campaign, one, command);
  } catch (const std::exception& error) {  // from `must`: what a case needs did not work
    std::fprintf(stderr, "prove faults: %s\n", error.what());
    return 2;
  }
  return usage();
}

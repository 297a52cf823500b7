#include "campaign.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>

#include <fmt/format.h>
#include <unistd.h>

#include "support/sim/sim_random.hpp"

namespace mentedb::faults {
namespace {

// A case that ends the program (abort, a signal, a hang) is told by its signal's handler; it must not allocate.
std::array<char, 512> ending_line{};
constexpr unsigned kHangSeconds = 120;

extern "C" void on_signal(int number) {
  const char* what = number == SIGALRM ? "VIOLATION hang" : "VIOLATION the program was ended by a signal";
  static_cast<void>(!write(STDOUT_FILENO, what, std::strlen(what)));
  static_cast<void>(!write(STDOUT_FILENO, ending_line.data(), std::strlen(ending_line.data())));
  _exit(1);
}

void arm(const std::string& words) {
  const std::string line = fmt::format(" | replay: tools/prove faults --replay '{}'\n", words);
  ending_line.fill('\0');
  std::copy_n(line.data(), std::min(line.size(), ending_line.size() - 1), ending_line.data());
  alarm(kHangSeconds);
}

}  // namespace

std::string join(std::span<const std::string> words) { return fmt::format("{}", fmt::join(words, " ")); }

Campaign::Campaign(std::string part, Budget budget, std::uint64_t seed)
    : part_(std::move(part)), budget_(budget), seed_(seed) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) std::signal(number, on_signal);
}

void Campaign::count(const std::string& name) {
  const auto found = std::ranges::find(counts_, name, [](const auto& entry) { return entry.first; });
  if (found == counts_.end()) {
    counts_.emplace_back(name, 1);
  } else {
    ++found->second;
  }
}

void Campaign::report(const Case& one, const std::string& what) {
  ++violations_;
  std::printf("VIOLATION %s | replay: tools/prove faults --replay '%s'\n", what.c_str(), join(one).c_str());
}

void Campaign::run(std::vector<Case> cases, const std::function<std::vector<std::string>(const Case&)>& run_case) {
  constexpr std::uint64_t kMostViolations = 50;
  possible_ += cases.size();
  test::SimRandom random(seed_);
  for (std::size_t i = cases.size(); i > 1; --i) std::swap(cases[i - 1], cases[random.below(i)]);
  for (const Case& one : cases) {
    if (faults_ >= budget_.faults || std::chrono::steady_clock::now() - begin_ >= budget_.time) break;
    arm(join(one));
    const auto found = run_case(one);
    ++faults_;
    count(one[1]);
    for (const std::string& what : found) report(one, what);
    if (violations_ >= kMostViolations) break;
  }
  alarm(0);
}

int Campaign::finish() {
  std::ranges::sort(counts_);
  for (const auto& [name, faults] : counts_) {
    std::printf("  %-14s %8llu faults\n", name.c_str(), static_cast<unsigned long long>(faults));
  }
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  std::printf("faults %s: %llu of %llu faults, seed %llu, %.0f s, %llu violations\n", part_.c_str(),
              static_cast<unsigned long long>(faults_), static_cast<unsigned long long>(possible_),
              static_cast<unsigned long long>(seed_), seconds, static_cast<unsigned long long>(violations_));
  return violations_ == 0 ? 0 : 1;
}

}  // namespace mentedb::faults

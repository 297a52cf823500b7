// The campaign "disks" of tools/prove: what it tries and what it counts is told in docs/prove/disks.md.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>

#include "cuts.hpp"
#include "faults.hpp"
#include "full_disk.hpp"

namespace mentedb::prove {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Kind kJournaled[] = {Kind::ext4, Kind::xfs, Kind::btrfs};
constexpr Kind kAll[] = {Kind::tmpfs, Kind::ext4, Kind::xfs, Kind::btrfs};

constexpr const char* kUsage =
    R"(usage: prove_disks --budget B --seed S [--save-to DIR]   or   prove_disks --replay LINE

  --budget   slice (about 40 s), full (6,000 crash images, 600 failing devices, 400 full disks), Ns (seconds), or N
             crash images, with a tenth as many failing devices and a fifteenth as many full disks
  --save-to  directory for the images of violations
)";

struct Budget {
  double seconds = 0;  ///< 0: counts decide
  std::uint64_t images = 0;
  std::uint64_t images_per_recording = 12;
};

Budget parse_budget(const std::string& text) {
  if (text == "slice") return {.seconds = 40};
  if (text == "full") return {.images = 6'000, .images_per_recording = 100};
  const std::uint64_t number = std::strtoull(text.c_str(), nullptr, 10);
  if (text.ends_with("s")) return {.seconds = static_cast<double>(number), .images_per_recording = 30};
  return {.images = number, .images_per_recording = std::clamp<std::uint64_t>(number / 30, 10, 100)};
}

bool is_caught(const Workplace& workplace, Breakage breakage, Kind kind, std::uint64_t first_seed) {
  for (std::uint64_t seed = first_seed; seed < first_seed + 3; ++seed) {
    if (breakage == Breakage::sync_retried) {
      for (std::uint64_t after = 3; after < 30; after += 4) {
        FaultCase one{.kind = kind, .fault = {}, .seed = seed, .breakage = breakage};
        one.fault = {.target = FaultTarget::flush, .effect = FaultEffect::lose_cache, .after = after};
        if (try_fault(workplace, one).violations > 0) return true;
      }
    } else if (replay_cuts(workplace, {.kind = kind,
                                       .scenario = Scenario::mixed,
                                       .seed = seed,
                                       .images = 40,
                                       .breakage = breakage,
                                       .save_to = {}})
                   .violations > 0) {
      return true;
    }
  }
  return false;
}

class Campaign {
 public:
  Campaign(const Budget& budget, std::uint64_t seed, std::string save_to)
      : budget_(budget), seed_(seed), save_to_(std::move(save_to)) {}

  int run();

 private:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  // A part of the campaign: until its share of the time is used up, or its count is reached; once in any case.
  template <class Once>
  void repeat(double until_share, std::uint64_t count, Once&& once) {
    for (std::uint64_t done = 0;
         done == 0 || (budget_.seconds > 0 ? seconds() < until_share * budget_.seconds : done < count);) {
      done += once();
    }
  }
  void cut_power();
  void fail_devices();
  void fill_disks();
  void try_broken_engines();

  Workplace workplace_;
  Budget budget_;
  std::uint64_t seed_;
  std::string save_to_;
  Clock::time_point begin_ = Clock::now();
  CutCounts cuts_;
  FaultCounts faults_;
  FullCounts full_;
  std::uint64_t missed_ = 0;
};

void Campaign::cut_power() {
  std::map<Kind, CutCounts> by_kind;
  std::uint64_t round = seed_;
  repeat(0.5, budget_.images, [&] {
    std::uint64_t images = 0;
    for (const Kind kind : kJournaled) {
      const CutCounts one = replay_cuts(workplace_, {.kind = kind,
                                                     .scenario = kScenarios[round % std::size(kScenarios)],
                                                     .seed = round,
                                                     .images = budget_.images_per_recording,
                                                     .breakage = Breakage::none,
                                                     .save_to = save_to_});
      images += one.images;
      by_kind[kind] += one;
    }
    ++round;
    return images;
  });
  for (const auto& [kind, one] : by_kind) {
    printf(
        "  cuts  %-5s  %lu images (%lu with torn sectors, %lu cut again during or after recovery) of %lu writes, "
        "%lu flushes, %lu acknowledged operations, %lu kills; %lu images whose file system did not survive torn "
        "sectors\n",
        name_of(kind), one.images, one.torn_images, one.deep_images, one.writes, one.flushes, one.operations, one.kills,
        one.unmountable);
    cuts_ += one;
  }
}

void Campaign::fail_devices() {
  std::map<Kind, FaultCounts> by_kind;
  std::uint64_t number = seed_ * 1'000'000;
  repeat(0.7, budget_.images / 10, [&] {
    for (const Kind kind : kJournaled) by_kind[kind] += try_fault(workplace_, draw_fault_case(kind, number));
    ++number;
    return std::size(kJournaled);
  });
  for (const auto& [kind, one] : by_kind) {
    printf(
        "  fails %-5s  %lu failing devices, %lu met by the store or its file system: %lu errors answered (%lu "
        "poisoned), %lu times opened again at once, %lu file systems dead until mounted again, %lu lost\n",
        name_of(kind), one.cases, one.fired, one.errors, one.poisoned, one.reopened, one.dead, one.unmountable);
    faults_ += one;
  }
}

void Campaign::fill_disks() {
  std::map<Kind, FullCounts> by_kind;
  // Every count of free blocks up to where all growth steps fit; an odd step visits all of them in another order.
  std::uint64_t number = 0;
  repeat(0.85, budget_.images / 15, [&] {
    const std::uint64_t free_blocks = (number * 37 + seed_ - 1) % 700;
    for (const Kind kind : kAll)
      by_kind[kind] += try_full_disk(workplace_, {.kind = kind, .free_blocks = free_blocks, .seed = seed_ + number});
    ++number;
    return std::size(kAll);
  });
  for (const auto& [kind, one] : by_kind) {
    printf(
        "  full  %-5s  %lu full disks, %lu operations: no_space for %lu of them, for %lu new stores, %lu opens, %lu "
        "backups\n",
        name_of(kind), one.cases, one.operations, one.refused_stores, one.refused_creations, one.refused_opens,
        one.refused_backups);
    full_ += one;
  }
}

// A campaign that finds nothing in a broken engine proves nothing.
void Campaign::try_broken_engines() {
  for (const Breakage breakage : kBreakages) {
    std::string caught_on;
    for (const Kind kind : kJournaled) {
      if (!caught_on.empty() && budget_.images_per_recording < 50) break;  // one is enough in a short run
      if (is_caught(workplace_, breakage, kind, seed_))
        caught_on += std::string(caught_on.empty() ? "" : ", ") + name_of(kind);
    }
    printf("  teeth %-18s caught on %s\n", name_of(breakage), caught_on.empty() ? "no file system" : caught_on.c_str());
    if (!caught_on.empty()) continue;
    ++missed_;
    printf("VIOLATION a broken engine (%s) was not caught | replay: tools/prove disks --replay 'teeth %s %lu'\n",
           name_of(breakage), name_of(breakage), seed_);
  }
}

int Campaign::run() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  cut_power();
  fail_devices();
  fill_disks();
  try_broken_engines();
  const std::uint64_t violations = cuts_.violations + faults_.violations + full_.violations + missed_;
  printf(
      "disks: %lu crash images, %lu failing devices, %lu full disks, %zu broken engines, seed %lu, %.0f s, %lu "
      "violations\n",
      cuts_.images, faults_.cases, full_.cases, std::size(kBreakages), seed_, seconds(), violations);
  return violations == 0 ? 0 : 1;
}

FaultTarget parse_target(const std::string& name) {
  return name == "write" ? FaultTarget::write : name == "read" ? FaultTarget::read : FaultTarget::flush;
}
FaultEffect parse_effect(const std::string& name) {
  return name == "lie" ? FaultEffect::lie : name == "lose_cache" ? FaultEffect::lose_cache : FaultEffect::error;
}

// One case again. 0 when all is well, 1 when it is not, 2 for a line that makes no sense.
int replay(const std::string& line) {
  const Workplace workplace;
  std::istringstream words(line);
  std::string what, name;
  words >> what >> name;
  if (what == "teeth") {
    std::uint64_t seed = 1;
    words >> seed;
    bool caught = false;
    for (const Breakage breakage : kBreakages) {
      if (name != name_of(breakage)) continue;
      for (const Kind one : kJournaled) caught |= is_caught(workplace, breakage, one, seed);
    }
    printf("disks: the broken engine %s was %s\n", name.c_str(), caught ? "caught" : "not caught");
    return caught ? 0 : 1;
  }
  const auto kind = parse_kind(name);
  if (!kind) {
    fprintf(stderr, "disks: there is no file system '%s' in '%s'\n", name.c_str(), line.c_str());
    return 2;
  }
  std::uint64_t violations = 0;
  if (what == "image") {
    const std::string problem = replay_saved_image(workplace, line);
    if (!problem.empty())
      printf("VIOLATION %s | replay: tools/prove disks --replay '%s'\n", problem.c_str(), line.c_str());
    violations = problem.empty() ? 0 : 1;
  } else if (what == "record") {
    std::string scenario_name;
    std::uint64_t seed = 0;
    words >> scenario_name >> seed;
    for (const Scenario scenario : kScenarios) {
      if (scenario_name != name_of(scenario)) continue;
      violations += replay_cuts(workplace, {.kind = *kind,
                                            .scenario = scenario,
                                            .seed = seed,
                                            .images = 20,
                                            .breakage = Breakage::none,
                                            .save_to = "prove-disks"})
                        .violations;
    }
  } else if (what == "fault") {
    std::string target, effect;
    FaultCase one{.kind = *kind, .fault = {}, .seed = 1, .breakage = Breakage::none};
    words >> target >> effect >> one.fault.after >> one.fault.count >> one.seed;
    one.fault.target = parse_target(target);
    one.fault.effect = parse_effect(effect);
    violations = try_fault(workplace, one).violations;
  } else if (what == "full") {
    FullCase one{.kind = *kind, .free_blocks = 0, .seed = 1};
    words >> one.free_blocks >> one.seed;
    violations = try_full_disk(workplace, one).violations;
  } else {
    fprintf(stderr, "disks: cannot replay '%s'\n", line.c_str());
    return 2;
  }
  printf("disks: replayed '%s', %lu violations\n", line.c_str(), violations);
  return violations == 0 ? 0 : 1;
}

}  // namespace
}  // namespace mentedb::prove

int main(int count, char** arguments) {
  using namespace mentedb::prove;
  std::string budget = "slice", line, save_to = "prove-disks";
  std::uint64_t seed = 1;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    const std::string value = arguments[i + 1];
    if (name == "--budget") {
      budget = value;
    } else if (name == "--seed") {
      seed = std::stoull(value);
    } else if (name == "--replay") {
      line = value;
    } else if (name == "--save-to") {
      save_to = value;
    } else {
      fputs(kUsage, stderr);
      return 2;
    }
  }
  if (count % 2 == 0) {
    fputs(kUsage, stderr);
    return 2;
  }
  if (const auto reason = why_not_here()) {
    fprintf(stderr, "disks: cannot run here: %s\n", reason->c_str());
    return 77;
  }
  return line.empty() ? Campaign(parse_budget(budget), seed, save_to).run() : replay(line);
}

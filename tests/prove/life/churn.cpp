#include "churn.hpp"

#include <algorithm>
#include <cmath>

namespace mentedb::prove {
namespace {

constexpr std::uint32_t kSmallBytes = 500;
// A budget without end makes no store without end: from here on each small memory that comes takes the place of one.
constexpr std::uint32_t kMostSmall = 150'000;

}  // namespace

const char* name_of(Churn churn) {
  switch (churn) {
    case Churn::rewrite:
      return "rewrite";
    case Churn::rewrite_large:
      return "rewrite-large";
    case Churn::pairs:
      return "pairs";
    case Churn::constant:
      return "constant";
    case Churn::mixed:
      return "mixed";
    case Churn::ids:
      return "ids";
  }
  return "";
}

std::optional<Churn> parse_churn(const std::string& name) {
  for (const Churn churn : kChurns) {
    if (name == name_of(churn)) return churn;
  }
  return std::nullopt;
}

std::uint64_t share_of(Churn churn) {
  switch (churn) {
    case Churn::rewrite:
      return 150;
    case Churn::rewrite_large:
      return 15;
    case Churn::pairs:
      return 200;
    case Churn::constant:
      return 100;
    case Churn::mixed:
      return 130;
    case Churn::ids:
      return 405;
  }
  return 0;
}

std::uint64_t steps_between_looks(Churn churn) { return churn == Churn::rewrite_large ? 16 : 128; }

// Live is what lived at once at most so far: a memory that halves does not halve the file at once.
// The directory counts apart: an entry of 32 bytes for each page, and the heads of the file and of its first region.
// A step of growth is a sixteenth of the file, at least 256 KiB and at most 2 MiB, and the file may just have grown.
std::uint64_t allowed_bytes(Churn churn, const Space& space) {
  constexpr std::uint64_t kMiB = 1 << 20;
  if (churn != Churn::mixed) return space.most_live_bytes * 3 / 2 + 4 * kMiB;
  const std::uint64_t directory = space.page_count * 32 + kMiB / 16;
  const std::uint64_t step = std::clamp(space.disk_bytes / 16, kMiB / 4, 2 * kMiB);
  return space.most_live_bytes * 13 / 10 + step + directory;
}

std::uint32_t Workload::about(std::uint32_t bytes, std::uint32_t percent) {
  if (percent == 0) return bytes;
  const std::uint32_t most = bytes / 100 * percent;
  return bytes - most + static_cast<std::uint32_t>(draw(2 * most + 1));
}

std::uint32_t Workload::any_size() {
  constexpr double kLeast = 300;
  constexpr double kMost = 120'000;
  const double part = static_cast<double>(draw(1'000'001)) / 1'000'000;
  return static_cast<std::uint32_t>(kLeast * std::pow(kMost / kLeast, part));
}

Step Workload::beside_one(std::uint32_t bytes, std::uint32_t percent, std::uint64_t small_each) {
  const std::uint64_t number = step_++;
  if (number == 0) return {.action = Action::store, .key = next_key_++, .content_bytes = about(bytes, percent)};
  if (number % small_each != small_each - 1)
    return {.action = Action::update, .key = 0, .content_bytes = about(bytes, percent)};
  if (next_key_ - oldest_small_ >= kMostSmall) {
    --step_;  // the small one comes next
    return {.action = Action::erase, .key = oldest_small_++};
  }
  return {.action = Action::store, .key = next_key_++, .content_bytes = kSmallBytes};
}

Step Workload::mixed() {
  constexpr std::uint64_t kStepsOfASeason = 4'000;
  if (step_++ % kStepsOfASeason == 0) wanted_live_ = 100 + draw(700);
  const bool may_change = !live_.empty();
  if (may_change && draw(2) == 0) {
    return {.action = Action::update, .key = live_[draw(live_.size())], .content_bytes = any_size()};
  }
  // Stores and deletions lead to the wanted number, and go on around it.
  const std::uint64_t stores = live_.size() < wanted_live_ ? 6 : 4;
  if (!may_change || draw(10) < stores) {
    live_.push_back(next_key_);
    return {.action = Action::store, .key = next_key_++, .content_bytes = any_size()};
  }
  std::swap(live_[draw(live_.size())], live_.back());
  const Step step{.action = Action::erase, .key = live_.back()};
  live_.pop_back();
  return step;
}

Step Workload::ids() {
  constexpr std::uint32_t kBytes = 200;
  if (step_++ % 2 == 0) return {.action = Action::store, .key = next_key_, .content_bytes = kBytes};
  return {.action = Action::erase, .key = next_key_++};
}

Step Workload::next() {
  switch (churn_) {
    case Churn::rewrite:
      return beside_one(100'000, 50, 10);
    case Churn::rewrite_large:
      return beside_one(1'000'000, 60, 10);
    case Churn::pairs:
      return beside_one(20'000, 20, 2);
    case Churn::constant:
      return beside_one(100'000, 0, 2);
    case Churn::mixed:
      return mixed();
    case Churn::ids:
      return ids();
  }
  return {};
}

}  // namespace mentedb::prove

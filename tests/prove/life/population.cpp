#include "population.hpp"

#include <algorithm>
#include <utility>

namespace mentedb::prove {

Step Population::draw_write(std::uint32_t content_bytes, bool update) {
  update = update && !live_.empty();
  const auto key = update ? live_[draw_(live_.size())] : next_key_++;
  return {.action = update ? Action::update : Action::store, .key = key, .content_bytes = content_bytes};
}

std::vector<Step> Population::take(std::uint64_t most, std::uint32_t& longest_bytes) {
  std::vector<Step> steps;
  longest_bytes = 0;
  for (std::uint64_t left = std::min<std::uint64_t>(most, live_.size()); left > 0; --left) {
    std::swap(live_[draw_(live_.size())], live_.back());
    steps.push_back({.action = Action::erase, .key = live_.back()});
    longest_bytes = std::max(longest_bytes, bytes_[live_.back()]);
    live_.pop_back();
  }
  return steps;
}

std::vector<Step> Population::take_all() {
  std::vector<Step> steps;
  for (const std::uint32_t key : std::exchange(live_, {})) steps.push_back({.action = Action::erase, .key = key});
  return steps;
}

void Population::note(const std::vector<Step>& steps) {
  bytes_.resize(next_key_);
  for (const Step& step : steps) {
    bytes_[step.key] = step.content_bytes;
    if (step.action == Action::store) live_.push_back(step.key);
  }
}

}  // namespace mentedb::prove

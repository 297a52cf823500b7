#include "support/sim/sim_fate.hpp"

#include <algorithm>
#include <unordered_set>

#include "support/sim/sim_random.hpp"

namespace mentedb::test {
namespace {

/// Subsets of the sectors, each once, in a fixed order.
class SubsetList {
 public:
  explicit SubsetList(std::size_t count) : count_(count) {}

  void add(std::vector<bool> subset) {
    if (seen_.insert(subset).second) subsets_.push_back(std::move(subset));
  }
  void add_exhaustively() {
    for (std::size_t bits = 0; bits < (std::size_t{1} << count_); ++bits) {
      std::vector<bool> subset(count_);
      for (std::size_t i = 0; i < count_; ++i) subset[i] = (bits >> i & 1U) != 0;
      subsets_.push_back(std::move(subset));
    }
  }
  void add_selection(const FateOptions& options) {
    add(std::vector<bool>(count_, false));
    add(std::vector<bool>(count_, true));
    const std::size_t samples = std::min(count_, options.max_fates_per_kind);
    for (std::size_t k = 0; k < samples; ++k) add_one_differs(k * count_ / samples, false);
    for (std::size_t k = 0; k < samples; ++k) add_one_differs(k * count_ / samples, true);
    for (std::size_t k = 0; k < samples; ++k) {
      const std::size_t length = k * count_ / samples;
      std::vector<bool> subset(count_, false);
      std::fill_n(subset.begin(), length, true);
      add(std::move(subset));
    }
    SimRandom random(options.seed);
    for (std::size_t draw = 0; draw < options.random_draws; ++draw) {
      std::vector<bool> subset(count_);
      for (std::size_t i = 0; i < count_; ++i) subset[i] = random.coin();
      add(std::move(subset));
    }
  }
  [[nodiscard]] const std::vector<std::vector<bool>>& subsets() const { return subsets_; }

 private:
  void add_one_differs(std::size_t index, bool value) {
    std::vector<bool> subset(count_, !value);
    subset[index] = value;
    add(std::move(subset));
  }

  std::size_t count_;
  std::vector<std::vector<bool>> subsets_;
  std::unordered_set<std::vector<bool>> seen_;
};

std::string bits_text(const std::vector<bool>& bits) {
  std::string text;
  for (const bool bit : bits) text += bit ? '1' : '0';
  return text.empty() ? "-" : text;
}

}  // namespace

Fate Fate::everything_kept(const Pending& pending) {
  return {.sectors = std::vector<bool>(pending.sectors.size(), true),
          .names = std::vector<bool>(pending.names.size(), true),
          .sizes_kept = true};
}

std::string to_string(const Fate& fate) {
  return "sectors " + bits_text(fate.sectors) + " names " + bits_text(fate.names) +
         (fate.sizes_kept ? " sizes kept" : " sizes lost") + (fate.keep_boot_id ? " same boot" : "");
}

std::vector<Fate> enumerate_fates(std::size_t sectors, std::size_t names, bool sizes, const FateOptions& options) {
  SubsetList list(sectors);
  if (sectors <= std::min<std::size_t>(options.exhaustive_sectors, 20)) {
    list.add_exhaustively();
  } else {
    list.add_selection(options);
  }
  const std::vector<bool> no_sector(sectors, false);
  const std::vector<bool> every_sector(sectors, true);

  std::vector<Fate> without_names;
  for (const std::vector<bool>& subset : list.subsets()) {
    const bool any = std::ranges::find(subset, true) != subset.end();
    without_names.push_back({.sectors = subset, .names = {}, .sizes_kept = any, .keep_boot_id = options.keep_boot_id});
  }
  if (sizes) {
    without_names.push_back({no_sector, {}, true, options.keep_boot_id});
    if (sectors != 0) without_names.push_back({every_sector, {}, false, options.keep_boot_id});
  }
  if (names == 0) return without_names;

  std::vector<Fate> fates;
  for (const bool kept : {false, true}) {
    for (Fate fate : without_names) {
      fate.names.assign(names, kept);
      fates.push_back(std::move(fate));
    }
  }
  for (std::size_t name = 0; names > 1 && name < names; ++name) {
    std::vector<bool> alone(names, false);
    alone[name] = true;
    fates.push_back({no_sector, alone, false, options.keep_boot_id});
    if (sectors != 0 || sizes) fates.push_back({every_sector, alone, true, options.keep_boot_id});
  }
  return fates;
}

std::vector<Fate> enumerate_fates(const Pending& pending, const FateOptions& options) {
  return enumerate_fates(pending.sectors.size(), pending.names.size(), !pending.sizes.empty(), options);
}

}  // namespace mentedb::test

// The workloads of a long life: which memory is stored, updated or deleted next. Everything follows from the seed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace mentedb::prove {

enum class Action { store, update, erase };

struct Step {
  Action action = Action::store;
  std::uint32_t key = 0;
  std::uint32_t content_bytes = 0;
};

enum class Churn {
  rewrite,        ///< one memory of 100 KB +-50 % updated, each tenth step stores one of 500 bytes
  rewrite_large,  ///< the same with 1 MB +-60 %
  pairs,          ///< one memory of 20 KB +-20 % updated and one of 500 bytes stored, in turn
  constant,       ///< the same with 100 KB, always the same length
  mixed,          ///< 100 to 800 memories of 300 bytes to 120 KB, stored, updated and deleted at random
  ids,            ///< one memory of 200 bytes, stored and deleted
};
inline constexpr std::array kChurns = {Churn::rewrite,  Churn::rewrite_large, Churn::pairs,
                                       Churn::constant, Churn::mixed,         Churn::ids};

const char* name_of(Churn churn);
std::optional<Churn> parse_churn(const std::string& name);
/// Of a thousand operations of the campaign.
std::uint64_t share_of(Churn churn);
/// Steps between two looks at the files.
std::uint64_t steps_between_looks(Churn churn);
/// The sizes that decide what pages.db may take of the disk.
struct Space {
  std::uint64_t most_live_bytes = 0;  ///< so far, with what an open group adds before the old versions go
  std::uint64_t disk_bytes = 0;       ///< blocks of pages.db
  std::uint64_t page_count = 0;
};
std::uint64_t allowed_bytes(Churn churn, const Space& space);

class Workload {
 public:
  Workload(Churn churn, std::uint64_t seed) : churn_(churn), random_(seed * 1'000'003 + static_cast<unsigned>(churn)) {}

  Step next();

 private:
  std::uint64_t draw(std::uint64_t limit) { return random_() % limit; }
  std::uint32_t about(std::uint32_t bytes, std::uint32_t percent);
  std::uint32_t any_size();
  Step beside_one(std::uint32_t bytes, std::uint32_t percent, std::uint64_t small_each);
  Step mixed();
  Step ids();

  Churn churn_;
  std::mt19937_64 random_;
  std::uint64_t step_ = 0;
  std::uint32_t next_key_ = 0;
  std::uint32_t oldest_small_ = 1;
  std::vector<std::uint32_t> live_;  ///< keys; `mixed` only
  std::uint64_t wanted_live_ = 0;
};

}  // namespace mentedb::prove

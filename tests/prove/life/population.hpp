// The memories of a store on a full disk: which are live, and how long each is.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "churn.hpp"

namespace mentedb::prove {

class Population {
 public:
  using Draw = std::function<std::uint64_t(std::uint64_t limit)>;

  explicit Population(Draw draw) : draw_(std::move(draw)) {}

  bool is_empty() const { return live_.empty(); }
  /// An update of a live memory, or a store of a new one.
  Step draw_write(std::uint32_t content_bytes, bool update);
  /// Some live memories, no longer live, and the longest content of them.
  std::vector<Step> take(std::uint64_t most, std::uint32_t& longest_bytes);
  std::vector<Step> take_all();
  /// The writes have succeeded.
  void note(const std::vector<Step>& steps);

 private:
  Draw draw_;
  std::uint32_t next_key_ = 0;
  std::vector<std::uint32_t> live_;   ///< keys
  std::vector<std::uint32_t> bytes_;  ///< of each key's content
};

}  // namespace mentedb::prove

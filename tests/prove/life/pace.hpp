// How much of a life is over, and how fast its first and its last tenth were.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "board.hpp"
#include "life.hpp"

namespace mentedb::prove {

class Pace {
 public:
  Pace(const LifeCase& one, Board& board) : one_(one), board_(board) {}

  bool is_over() const { return board_.permille >= 1'000; }

  /// `call_seconds`: how long the calls of the engine have taken. The time of the oracles is not the engine's.
  void note(double call_seconds) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    const std::uint64_t done = board_.operations;
    const double part =
        one_.seconds > 0 ? seconds / one_.seconds : static_cast<double>(done) / static_cast<double>(one_.operations);
    const auto permille = static_cast<std::uint32_t>(std::min(part, 1.0) * 1'000);
    if (permille >= Board::kSettledPermille && board_.first_rate == 0) board_.first_rate = rate(done, call_seconds);
    if (permille >= kLastTenthPermille && !in_last_tenth_) {
      in_last_tenth_ = true;
      last_begins_seconds_ = call_seconds;
      last_begins_operations_ = done;
    }
    if (permille >= 1'000) board_.last_rate = rate(done - last_begins_operations_, call_seconds - last_begins_seconds_);
    board_.permille = permille;
  }

 private:
  static constexpr std::uint32_t kLastTenthPermille = 900;
  static std::uint64_t rate(std::uint64_t operations, double seconds) {
    return seconds > 0 ? static_cast<std::uint64_t>(static_cast<double>(operations) / seconds) : 0;
  }

  const LifeCase& one_;
  Board& board_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  bool in_last_tenth_ = false;
  double last_begins_seconds_ = 0;
  std::uint64_t last_begins_operations_ = 0;
};

}  // namespace mentedb::prove

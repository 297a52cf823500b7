// A progress bar on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace mentedb::cli {

/// One line on standard error that is drawn again and again: the share done, the rate and the time left. Silent when
/// standard error is no terminal, or when `enabled` is false.
class Progress {
 public:
  /// `total` is in the unit of `done` (bytes or memories); 0 when it is not known.
  Progress(std::string label, std::uint64_t total, bool enabled);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Draws at most ten times a second.
  void update(std::uint64_t done, std::uint64_t memories);
  /// Removes the line, for other output; the next `update` draws it again.
  void clear();
  [[nodiscard]] double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  std::uint64_t total_;
  bool enabled_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_draw_ = start_ + std::chrono::milliseconds(200);
};

}  // namespace mentedb::cli

// The clock, and a histogram of durations that fits into memory that processes share.
#pragma once

#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace mentedb::compare {

/// Nanoseconds of the monotonic clock. All processes see the same clock.
inline std::uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(t.tv_nsec);
}

/// Nanoseconds of processor time that this process has used.
inline std::uint64_t cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(t.tv_nsec);
}

/// Counts durations. Each power of two has 64 buckets, so a percentile is right to 1.6 %. The maximum is exact.
class Histogram {
 public:
  void add(std::uint64_t ns) {
    ++counts_[bucket(ns)];
    ++total_;
    max_ns_ = std::max(max_ns_, ns);
  }

  void add(const Histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ns_ = std::max(max_ns_, other.max_ns_);
  }

  /// @param share 0 to 1, for example 0.99
  /// @return the upper end of the bucket that holds the percentile, and never more than the maximum
  double percentile_us(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return static_cast<double>(std::min(upper_end(i), max_ns_)) / 1e3;
    }
    return max_us();
  }

  double max_us() const { return static_cast<double>(max_ns_) / 1e3; }
  std::uint64_t total() const { return total_; }

 private:
  static constexpr unsigned kBits = 6;
  static constexpr std::size_t kPerPower = std::size_t{1} << kBits;

  static std::size_t bucket(std::uint64_t ns) {
    if (ns < kPerPower) return static_cast<std::size_t>(ns);
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - kBits;
    return (std::size_t{shift} << kBits) + static_cast<std::size_t>(ns >> shift);
  }
  static std::uint64_t upper_end(std::size_t index) {
    if (index < 2 * kPerPower) return index;
    const std::size_t shift = (index >> kBits) - 1;
    return ((kPerPower + (index & (kPerPower - 1)) + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - kBits + 1) * kPerPower> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace mentedb::compare

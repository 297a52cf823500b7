// A set of pages, kept as intervals. Its memory grows with the number of its gaps and not with the number of its pages,
// so a forged log that claims long runs costs no more (I10).
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace mentedb::pages {

class PageSet {
 public:
  /// Calls `fn(first, count)` for each stretch of the pages that is not in the set.
  template <class Fn>
  void for_each_gap(std::uint64_t first, std::uint64_t count, Fn fn) const {
    const std::uint64_t end = first + count;
    for (auto next = touching(first); first < end; ++next) {
      const std::uint64_t gap_end = next == ends_.end() ? end : std::min(end, next->first);
      if (gap_end > first) fn(first, gap_end - first);
      if (next == ends_.end()) return;
      first = std::max(gap_end, next->second);
    }
  }
  bool overlaps(std::uint64_t first, std::uint64_t count) const {
    const auto found = touching(first);
    return found != ends_.end() && found->first < first + count;
  }
  void add(std::uint64_t first, std::uint64_t count) {
    std::uint64_t end = first + count;
    auto found = touching(first);
    while (found != ends_.end() && found->first <= end) {
      first = std::min(first, found->first);
      end = std::max(end, found->second);
      found = ends_.erase(found);
    }
    ends_[first] = end;
  }

 private:
  using Ends = std::map<std::uint64_t, std::uint64_t>;  ///< first page -> the page behind the last
  /// The first interval that ends behind `page`.
  Ends::const_iterator touching(std::uint64_t page) const {
    auto found = ends_.upper_bound(page);
    if (found == ends_.begin()) return found;
    const auto before = std::prev(found);
    return before->second > page ? before : found;
  }

  Ends ends_;
};

}  // namespace mentedb::pages

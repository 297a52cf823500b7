#include "store/apply_plan.hpp"

#include <algorithm>
#include <unordered_map>

#include "pages/page_set.hpp"

namespace mentedb::store {

using format::Operation;
using format::OperationType;

ApplyPlan::ApplyPlan(std::span<const Operation> operations, bool overlapping) {
  for (const Operation& operation : operations) {
    max_run_pages_ = std::max<std::uint64_t>(max_run_pages_, operation.header.run_pages);
  }
  puts_.reserve(operations.size());
  frees_.reserve(operations.size());
  index_sets_.reserve(operations.size());
  index_erases_.reserve(operations.size());
  if (overlapping) {
    plan_pages(operations);
    plan_index(operations);
  } else {
    plan_distinct(operations);
  }
  plan_stretches(operations);
}

void ApplyPlan::plan_stretches(std::span<const Operation> operations) {
  for (const std::size_t i : puts_) {
    stretches_.add(operations[i].header.page, operations[i].header.run_pages, operations[i].lsn, false);
  }
  for (const Free& part : frees_) {
    const Operation& operation = operations[part.operation];
    stretches_.add(operation.header.page + part.first, part.count, operation.lsn, true);
  }
}

void ApplyPlan::plan_distinct(std::span<const Operation> operations) {
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto& header = operations[i].header;
    if (format::is_put(header.type)) {
      puts_.push_back(i);
      if (format::is_memory_put(header.type)) index_sets_.push_back(i);
    } else {
      frees_.push_back({.operation = i, .first = 0, .count = header.run_pages});
      if (header.type == OperationType::remove && header.memory_id != UuidBytes{}) index_erases_.push_back(i);
    }
  }
}

// Walks from the last operation to the first, so `covered` holds the pages of later operations.
void ApplyPlan::plan_pages(std::span<const Operation> operations) {
  pages::PageSet covered;
  for (std::size_t i = operations.size(); i-- > 0;) {
    const auto& header = operations[i].header;
    if (format::is_put(header.type)) {
      // R4. A later operation can take one of its pages only after another operation freed the whole run.
      if (!covered.overlaps(header.page, header.run_pages)) puts_.push_back(i);
    } else {
      covered.for_each_gap(header.page, header.run_pages, [&](std::uint64_t first, std::uint64_t count) {
        frees_.push_back({.operation = i,
                          .first = static_cast<std::uint32_t>(first - header.page),
                          .count = static_cast<std::uint32_t>(count)});
      });
    }
    covered.add(header.page, header.run_pages);
  }
  std::ranges::reverse(puts_);
  std::ranges::reverse(frees_);
}

void ApplyPlan::plan_index(std::span<const Operation> operations) {
  std::unordered_map<MemoryId, std::size_t> live;  // the last put of an id that nothing removes afterwards
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto& header = operations[i].header;
    const MemoryId id{header.memory_id};
    if (format::is_memory_put(header.type)) {
      live[id] = i;
    } else if (const auto found = live.find(id);
               found != live.end() && operations[found->second].header.page == header.page) {
      live.erase(found);
    }
  }
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto& header = operations[i].header;
    const auto found = live.find(MemoryId{header.memory_id});
    if (format::is_memory_put(header.type)) {
      if (found != live.end() && found->second == i) index_sets_.push_back(i);
    } else if (header.memory_id != UuidBytes{}) {
      // A memory that moved or was deleted may still have its bucket from before. An index that is as old as the last
      // checkpoint leads the id to a page that another memory has by now, and `set` does not take that bucket for the
      // id's.
      const bool lives_there = found != live.end() && operations[found->second].header.page == header.page;
      if (!lives_there) index_erases_.push_back(i);
    }
  }
}

}  // namespace mentedb::store

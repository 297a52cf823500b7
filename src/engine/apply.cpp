#include "engine/apply.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/page_set.hpp"

namespace mentedb::engine {

using format::Entry;
using format::EntryType;
using format::Geometry;
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
    return;
  }
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

// From the last operation to the first, so that what is covered already is covered by a later one.
void ApplyPlan::plan_pages(std::span<const Operation> operations) {
  PageSet covered;
  for (std::size_t i = operations.size(); i-- > 0;) {
    const auto& header = operations[i].header;
    if (format::is_put(header.type)) {
      // R4. Whatever comes later on one of its pages was preceded by a free of the whole run.
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
      // A memory that moved or was deleted may still have its slot from before: an index that is as old as the last
      // checkpoint leads to a page that is somebody else's by now, and `set` does not recognise it as the id's.
      const bool lives_there = found != live.end() && operations[found->second].header.page == header.page;
      if (!lives_there) index_erases_.push_back(i);
    }
  }
}

// Bytes that the disk cannot read are like bytes that do not validate: writing them again is the remedy.
bool Applier::entries_current(std::uint64_t page, std::uint32_t count, std::uint64_t lsn) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto entry = pool_.read_entry(page + i);
    if (!entry || !*entry || (*entry)->lsn < lsn) return false;
  }
  return true;
}

bool Applier::run_current(std::uint64_t page, std::uint64_t lsn) {
  const auto run = pool_.read_run(page, scratch_);
  if (!run || !*run || (*run)->header.lsn < lsn) return false;
  if ((*run)->header.type == format::RunType::free) return true;
  const auto clean = pool_.slack_is_zero((*run)->header, scratch_);
  return clean && *clean;
}

Result<bool> Applier::put(const Operation& operation, std::size_t number, const PayloadSource& payload,
                          ApplyMode mode) {
  const auto& header = operation.header;
  // R6: run and entries each on its own; the index in apply(), what is freed in free().
  const bool run_missing = mode == ApplyMode::commit || !run_current(header.page, operation.lsn);
  const bool entries_missing =
      mode == ApplyMode::commit || !entries_current(header.page, header.run_pages, operation.lsn);
  const bool missing = run_missing || entries_missing;
  if (mode != ApplyMode::count_only) words_.raise_group_lsn(Geometry::group_of(header.page), operation.lsn);
  if (mode == ApplyMode::count_only || (!missing && mode != ApplyMode::rewrite)) return missing;
  const bool memory = format::is_memory_put(header.type);
  if (run_missing || mode == ApplyMode::rewrite) {
    MENTEDB_TRY_ASSIGN(const auto bytes, payload(number));
    MENTEDB_TRY(file_.write_run({.checksum = 0,
                                 .page = header.page,
                                 .lsn = operation.lsn,
                                 .payload_bytes = header.payload_bytes,
                                 .run_pages = header.run_pages,
                                 .type = memory ? format::RunType::memory : format::RunType::raw,
                                 .reserved = {}},
                                bytes));
  }
  if (entries_missing || mode == ApplyMode::rewrite) {
    const EntryType type = header.type == OperationType::store    ? EntryType::memory_stored
                           : header.type == OperationType::update ? EntryType::memory_updated
                                                                  : EntryType::raw;
    MENTEDB_TRY(file_.write_run_entries(
        header.page, {.id = header.memory_id, .lsn = operation.lsn, .run_pages = header.run_pages, .type = type}));
  }
  return missing;
}

Result<bool> Applier::free(const Operation& operation, const ApplyPlan::Free& part, ApplyMode mode) {
  const auto& header = operation.header;
  const std::uint64_t first = header.page + part.first;
  const bool has_head = part.first == 0;
  const bool entries_missing = mode == ApplyMode::commit || !entries_current(first, part.count, operation.lsn);
  const bool header_missing = has_head && (mode == ApplyMode::commit || !run_current(header.page, operation.lsn));
  const bool missing = entries_missing || header_missing;
  if (mode != ApplyMode::count_only) words_.raise_group_lsn(Geometry::group_of(first), operation.lsn);
  if (mode == ApplyMode::count_only || (!missing && mode != ApplyMode::rewrite)) return missing;
  if (entries_missing || mode == ApplyMode::rewrite) {
    Entry head{.id = {}, .lsn = operation.lsn, .run_pages = 0, .type = EntryType::free};
    if (has_head && header.memory_id != UuidBytes{}) {
      head.id = header.memory_id;
      head.type = header.type == OperationType::remove ? EntryType::deleted : EntryType::moved;
    }
    MENTEDB_TRY(file_.write_freed_entries(first, part.count, head));
  }
  if (header_missing || (has_head && mode == ApplyMode::rewrite)) {
    MENTEDB_TRY(file_.write_free_header(header.page, operation.lsn));
  }
  return missing;
}

Result<std::uint64_t> Applier::apply(const ApplyPlan& plan, std::span<const Operation> operations,
                                     const PayloadSource& payload, ApplyMode mode,
                                     const std::function<Result<void>()>& rebuild) {
  std::vector<bool> missing(mode == ApplyMode::commit ? 0 : operations.size());
  const auto note = [&missing](std::size_t operation, bool was_missing) {
    if (was_missing && !missing.empty()) missing[operation] = true;
  };
  if (mode != ApplyMode::count_only) {
    file_.prepare(plan.max_run_pages());
    if (mode != ApplyMode::commit) MENTEDB_TRY(words_.make_writable());  // a commit has just done so
  }
  for (const std::size_t i : plan.puts()) {
    MENTEDB_TRY_ASSIGN(const bool was_missing, put(operations[i], i, payload, mode));
    note(i, was_missing);
  }
  if (rebuild && mode != ApplyMode::count_only) MENTEDB_TRY(rebuild());
  if (mode == ApplyMode::count_only) {
    for (const std::size_t i : plan.index_sets()) {
      note(i, !index_.leads_to(MemoryId{operations[i].header.memory_id}, operations[i].header.page));
    }
  } else {
    for (const std::size_t i : plan.index_sets()) {
      const auto& header = operations[i].header;
      MENTEDB_TRY_ASSIGN(const bool was_missing, index_.set(MemoryId{header.memory_id}, header.page));
      note(i, was_missing);
    }
    for (const std::size_t i : plan.index_erases()) {
      const auto& header = operations[i].header;
      MENTEDB_TRY_ASSIGN(const bool was_missing, index_.erase(MemoryId{header.memory_id}, header.page));
      note(i, was_missing);
    }
  }
  for (const auto& part : plan.frees()) {
    MENTEDB_TRY_ASSIGN(const bool was_missing, free(operations[part.operation], part, mode));
    note(part.operation, was_missing);
  }
  return static_cast<std::uint64_t>(std::ranges::count(missing, true));
}

}  // namespace mentedb::engine

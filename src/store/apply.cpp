#include "store/apply.hpp"

#include <algorithm>
#include <vector>

#include "base/error.hpp"

namespace mentedb::store {

using format::Entry;
using format::EntryType;
using format::Geometry;
using format::Operation;
using format::OperationType;

// ---- one operation, written

namespace {

pages::PageFile::Run run_of(const Operation& operation, std::span<const std::byte> payload) {
  const auto& header = operation.header;
  const EntryType type = header.type == OperationType::store    ? EntryType::memory_stored
                         : header.type == OperationType::update ? EntryType::memory_updated
                                                                : EntryType::raw;
  return {
      .header = {.checksum = 0,
                 .page = header.page,
                 .lsn = operation.lsn,
                 .payload_bytes = header.payload_bytes,
                 .run_pages = header.run_pages,
                 .type = format::is_memory_put(header.type) ? format::RunType::memory : format::RunType::raw,
                 .early = header.early,
                 .reserved = {}},
      .payload = payload,
      .entry = {.id = header.memory_id, .lsn = operation.lsn, .run_pages = header.run_pages, .type = type},
  };
}

index::Lead lead_of(const Operation& operation) {
  return {.id = MemoryId{operation.header.memory_id}, .page = operation.header.page};
}

}  // namespace

Result<void> Applier::write_free_entries(const Operation& operation, const ApplyPlan::Free& part) {
  const auto& header = operation.header;
  Entry head{.id = {}, .lsn = operation.lsn, .run_pages = 0, .type = EntryType::free};
  if (part.first == 0 && header.memory_id != UuidBytes{}) {
    head.id = header.memory_id;
    head.type = header.type == OperationType::remove ? EntryType::deleted : EntryType::moved;
  }
  return file_.write_freed_entries(header.page + part.first, part.count, head);
}

// ---- a commit

// Calls `write(numbers, runs)` for some puts after the other. `runs` has a run for each number.
template <class Write>
Result<void> Applier::for_runs(const ApplyPlan& plan, std::span<const Operation> operations, Write&& write) {
  for (std::span<const std::size_t> left = plan.puts(); !left.empty();) {
    const auto some = left.first(std::min(left.size(), runs_.size()));
    std::ranges::transform(some, runs_.begin(),
                           [&](std::size_t i) { return run_of(operations[i], operations[i].payload); });
    MENTEDB_TRY(write(some, std::span(runs_).first(some.size())));
    left = left.subspan(some.size());
  }
  return {};
}

Result<void> Applier::write_early(const ApplyPlan& plan, std::span<Operation> operations, pages::NewPages& new_pages) {
  for (const std::size_t i : plan.puts()) operations[i].header.early = 1;
  return for_runs(plan, operations,
                  [&](std::span<const std::size_t> numbers, std::span<pages::PageFile::Run> runs) -> Result<void> {
                    MENTEDB_TRY(file_.write_runs(runs, new_pages));
                    for (std::size_t i = 0; i < numbers.size(); ++i)
                      operations[numbers[i]].run_checksum = runs[i].header.checksum;
                    return {};
                  });
}

Result<void> Applier::write_buckets(const ApplyPlan& plan, std::span<const Operation> operations) {
  for (std::span<const std::size_t> left = plan.index_sets(); !left.empty();) {
    const auto some = left.first(std::min(left.size(), leads_.size()));
    std::ranges::transform(some, leads_.begin(), [&](std::size_t i) { return lead_of(operations[i]); });
    MENTEDB_TRY(index_.set(std::span(leads_).first(some.size())));
    left = left.subspan(some.size());
  }
  return {};
}

Result<void> Applier::write(const ApplyPlan& plan, std::span<const Operation> operations) {
  file_.prepare(plan.max_run_pages(), plan.puts().size());
  MENTEDB_TRY(plan.stretches().write(pool_, file_, pages::StretchChanges::RegionWords::known));
  const auto write_runs = [&](std::span<const std::size_t> numbers,
                              std::span<pages::PageFile::Run> runs) -> Result<void> {
    pages::NewPages none;  // each has been written
    if (!operations[numbers.front()].is_early()) MENTEDB_TRY(file_.write_runs(runs, none));
    return file_.write_entries_of(runs);
  };
  MENTEDB_TRY(for_runs(plan, operations, write_runs));
  MENTEDB_TRY(write_buckets(plan, operations));
  for (const std::size_t i : plan.index_erases()) {
    const auto& header = operations[i].header;
    MENTEDB_TRY(index_.erase(MemoryId{header.memory_id}, header.page));
  }
  for (const auto& part : plan.frees()) {
    const Operation& operation = operations[part.operation];
    MENTEDB_TRY(write_free_entries(operation, part));
    if (part.first == 0) MENTEDB_TRY(file_.write_free_header(operation.header.page, operation.lsn));
  }
  return {};
}

// ---- redo

// Redo treats bytes that the disk cannot read like bytes that do not verify: it writes them again.
bool Applier::entries_current(std::uint64_t page, std::uint32_t count, std::uint64_t lsn) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto entry = pool_.read_entry(page + i);
    if (!entry || !*entry || (*entry)->lsn < lsn) return false;
  }
  return true;
}

// R15: where the log has a payload or frees a run, an early run is that of a batch that was never logged, and its LSN
// was used again.
bool Applier::run_current(std::uint64_t page, std::uint64_t lsn) {
  const auto run = pool_.read_run(page, scratch_);
  if (!run || !*run || (*run)->header.lsn < lsn || (*run)->header.early != 0) return false;
  if ((*run)->header.type == format::RunType::free) return true;
  const auto clean = pool_.slack_is_zero((*run)->header, scratch_);
  return clean && *clean;
}

// R6: the run and its entries are judged each on its own.
Applier::Missing Applier::look_at_put(const Operation& operation) {
  const auto& header = operation.header;
  // R15: an early run was durable before its batch was, and the log could not bring it back.
  const bool run_missing = !operation.is_early() && !run_current(header.page, operation.lsn);
  return {.bytes = run_missing, .entries = !entries_current(header.page, header.run_pages, operation.lsn)};
}

Applier::Missing Applier::look_at_free(const Operation& operation, const ApplyPlan::Free& part) {
  const auto& header = operation.header;
  const bool entries_missing = !entries_current(header.page + part.first, part.count, operation.lsn);
  return {.bytes = part.first == 0 && !run_current(header.page, operation.lsn), .entries = entries_missing};
}

Result<bool> Applier::redo_put(const Operation& operation, std::size_t number, PayloadSource& payloads, RedoMode mode) {
  const Missing missing = look_at_put(operation);
  if (mode == RedoMode::check) return missing.any();
  const bool rewrite = mode == RedoMode::rewrite;
  const auto& header = operation.header;
  if (missing.bytes || (rewrite && !operation.is_early())) {
    MENTEDB_TRY_ASSIGN(const auto bytes, payloads.payload(number));
    MENTEDB_TRY(file_.write_run(run_of(operation, bytes).header, bytes));
  }
  if (missing.entries || rewrite) MENTEDB_TRY(file_.write_run_entries(header.page, run_of(operation, {}).entry));
  return missing.any();
}

Result<bool> Applier::redo_free(const Operation& operation, const ApplyPlan::Free& part, RedoMode mode) {
  const Missing missing = look_at_free(operation, part);
  // The header of a free page does not count: no reader looks at it, and a batch that was never logged may have written
  // over it (R15).
  if (mode == RedoMode::check) return missing.entries;
  const bool rewrite = mode == RedoMode::rewrite;
  const auto& header = operation.header;
  if (missing.entries || rewrite) MENTEDB_TRY(write_free_entries(operation, part));
  if (missing.bytes || (part.first == 0 && rewrite)) MENTEDB_TRY(file_.write_free_header(header.page, operation.lsn));
  return missing.entries;
}

Result<std::uint64_t> Applier::redo(const ApplyPlan& plan, std::span<const Operation> operations,
                                    PayloadSource& payloads, RedoMode mode, std::optional<std::uint64_t> rebuild) {
  std::vector<bool> missing(operations.size());
  const auto note = [&missing](std::size_t operation, bool was_missing) {
    if (was_missing) missing[operation] = true;
  };
  const bool check = mode == RedoMode::check;
  if (!check) {
    file_.prepare(plan.max_run_pages());
    MENTEDB_TRY(state_.make_writable());
    MENTEDB_TRY(plan.stretches().write(pool_, file_, pages::StretchChanges::RegionWords::all));
  }
  for (const std::size_t i : plan.puts()) {
    MENTEDB_TRY_ASSIGN(const bool was_missing, redo_put(operations[i], i, payloads, mode));
    note(i, was_missing);
  }
  if (rebuild && !check) MENTEDB_TRY(index_.rebuild(*rebuild));
  for (const std::size_t i : plan.index_sets()) {
    const index::Lead lead = lead_of(operations[i]);
    if (check) {
      note(i, !index_.leads_to(lead.id, lead.page));
      continue;
    }
    MENTEDB_TRY_ASSIGN(const std::size_t changed, index_.set(std::span(&lead, 1)));
    note(i, changed != 0);
  }
  for (const std::size_t i : plan.index_erases()) {
    if (check) break;
    const auto& header = operations[i].header;
    MENTEDB_TRY_ASSIGN(const bool was_missing, index_.erase(MemoryId{header.memory_id}, header.page));
    note(i, was_missing);
  }
  if (mode == RedoMode::rewrite) MENTEDB_TRY(index_.rewrite());
  for (const auto& part : plan.frees()) {
    MENTEDB_TRY_ASSIGN(const bool was_missing, redo_free(operations[part.operation], part, mode));
    note(part.operation, was_missing);
  }
  return static_cast<std::uint64_t>(std::ranges::count(missing, true));
}

}  // namespace mentedb::store

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

Result<void> Applier::write_put(const Operation& operation, std::span<const std::byte> payload) {
  const auto& header = operation.header;
  return file_.write_run({.checksum = 0,
                          .page = header.page,
                          .lsn = operation.lsn,
                          .payload_bytes = header.payload_bytes,
                          .run_pages = header.run_pages,
                          .type = format::is_memory_put(header.type) ? format::RunType::memory : format::RunType::raw,
                          .reserved = {}},
                         payload);
}

Result<void> Applier::write_put_entries(const Operation& operation) {
  const auto& header = operation.header;
  const EntryType type = header.type == OperationType::store    ? EntryType::memory_stored
                         : header.type == OperationType::update ? EntryType::memory_updated
                                                                : EntryType::raw;
  return file_.write_run_entries(
      header.page, {.id = header.memory_id, .lsn = operation.lsn, .run_pages = header.run_pages, .type = type});
}

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

Result<void> Applier::write(const ApplyPlan& plan, std::span<const Operation> operations) {
  file_.prepare(plan.max_run_pages());
  MENTEDB_TRY(plan.stretches().write(pool_, file_));
  for (const std::size_t i : plan.puts()) {
    MENTEDB_TRY(write_put(operations[i], operations[i].payload));
    MENTEDB_TRY(write_put_entries(operations[i]));
  }
  for (const std::size_t i : plan.index_sets()) {
    const auto& header = operations[i].header;
    MENTEDB_TRY(index_.set(MemoryId{header.memory_id}, header.page));
  }
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

bool Applier::run_current(std::uint64_t page, std::uint64_t lsn) {
  const auto run = pool_.read_run(page, scratch_);
  if (!run || !*run || (*run)->header.lsn < lsn) return false;
  if ((*run)->header.type == format::RunType::free) return true;
  const auto clean = pool_.slack_is_zero((*run)->header, scratch_);
  return clean && *clean;
}

// R6: the run and its entries are judged each on its own.
Applier::Missing Applier::look_at_put(const Operation& operation) {
  const auto& header = operation.header;
  const bool run_missing = !run_current(header.page, operation.lsn);
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
  if (missing.bytes || rewrite) {
    MENTEDB_TRY_ASSIGN(const auto bytes, payloads.payload(number));
    MENTEDB_TRY(write_put(operation, bytes));
  }
  if (missing.entries || rewrite) MENTEDB_TRY(write_put_entries(operation));
  return missing.any();
}

Result<bool> Applier::redo_free(const Operation& operation, const ApplyPlan::Free& part, RedoMode mode) {
  const Missing missing = look_at_free(operation, part);
  if (mode == RedoMode::check) return missing.any();
  const bool rewrite = mode == RedoMode::rewrite;
  const auto& header = operation.header;
  if (missing.entries || rewrite) MENTEDB_TRY(write_free_entries(operation, part));
  if (missing.bytes || (part.first == 0 && rewrite)) MENTEDB_TRY(file_.write_free_header(header.page, operation.lsn));
  return missing.any();
}

Result<std::uint64_t> Applier::redo(const ApplyPlan& plan, std::span<const Operation> operations,
                                    PayloadSource& payloads, RedoMode mode, const std::optional<IndexSize>& rebuild) {
  std::vector<bool> missing(operations.size());
  const auto note = [&missing](std::size_t operation, bool was_missing) {
    if (was_missing) missing[operation] = true;
  };
  const bool check = mode == RedoMode::check;
  if (!check) {
    file_.prepare(plan.max_run_pages());
    MENTEDB_TRY(state_.make_writable());
    MENTEDB_TRY(plan.stretches().write(pool_, file_));
  }
  for (const std::size_t i : plan.puts()) {
    MENTEDB_TRY_ASSIGN(const bool was_missing, redo_put(operations[i], i, payloads, mode));
    note(i, was_missing);
  }
  if (rebuild && !check) MENTEDB_TRY(index_.rebuild(rebuild->page_count, rebuild->memory_count));
  for (const std::size_t i : plan.index_sets()) {
    const auto& header = operations[i].header;
    const MemoryId id{header.memory_id};
    if (check) {
      note(i, !index_.leads_to(id, header.page));
      continue;
    }
    MENTEDB_TRY_ASSIGN(const bool was_missing, index_.set(id, header.page));
    note(i, was_missing);
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

// Inspection: one page, or the whole log, as text. The commands `page` and `log` print it.

#include <mentedb/inspect.hpp>

#include "base/error.hpp"
#include "format/node_codec.hpp"
#include "offline/inspect.hpp"
#include "offline/raw_store.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb {
namespace {

using offline::RawStore;

std::string name_of(format::EntryType type) {
  switch (type) {
    case format::EntryType::free:
      return "free";
    case format::EntryType::deleted:
      return "deleted";
    case format::EntryType::moved:
      return "moved";
    case format::EntryType::memory_stored:
      return "memory (stored)";
    case format::EntryType::memory_updated:
      return "memory (updated)";
    case format::EntryType::raw:
      return "raw";
    case format::EntryType::interior:
      return "interior";
  }
  return "unknown";
}

std::string name_of(format::RunType type) {
  return type == format::RunType::free     ? "free"
         : type == format::RunType::memory ? "memory"
         : type == format::RunType::raw    ? "raw"
                                           : "unknown";
}

std::string name_of(format::OperationType type) {
  switch (type) {
    case format::OperationType::store:
      return "store";
    case format::OperationType::update:
      return "update";
    case format::OperationType::raw:
      return "raw";
    case format::OperationType::remove:
      return "remove";
    case format::OperationType::move:
      return "move";
  }
  return "unknown";
}

std::vector<Field> describe(const format::Entry& entry, std::uint64_t page) {
  std::vector<Field> fields{{"type", name_of(entry.type)}, {"lsn", fmt::format("{}", entry.lsn)}};
  if (entry.id != UuidBytes{}) fields.push_back({"memory_id", format_uuid(entry.id)});
  if (format::is_head(entry.type)) fields.push_back({"run_pages", fmt::format("{}", entry.run_pages)});
  if (entry.type == format::EntryType::interior) fields.push_back({"head", fmt::format("{}", page - entry.run_pages)});
  return fields;
}

std::vector<Field> describe(const format::RunHeader& header) {
  return {{"checksum", fmt::format("{:016x}", header.checksum)},
          {"page", fmt::format("{}", header.page)},
          {"lsn", fmt::format("{}", header.lsn)},
          {"payload_bytes", fmt::format("{}", header.payload_bytes)},
          {"run_pages", fmt::format("{}", header.run_pages)},
          {"type", name_of(header.type)}};
}

std::vector<Field> describe(const format::LogHeader& header, bool newest) {
  return {{"newest", newest ? "yes" : "no"},
          {"epoch", fmt::format("{}", header.epoch)},
          {"start_lsn", fmt::format("{}", header.start_lsn)},
          {"store_id", format_uuid(header.store_id)},
          {"incarnation", format_uuid(header.incarnation)},
          {"page_count", fmt::format("{}", header.counters.page_count)},
          {"high_water", fmt::format("{}", header.counters.high_water)},
          {"used_pages", fmt::format("{}", header.counters.used_pages)},
          {"memory_count", fmt::format("{}", header.counters.memory_count)},
          {"reuse_horizon", fmt::format("{}", header.counters.reuse_horizon)},
          {"checksum", fmt::format("{:016x}", header.checksum)}};
}

Result<PageDump> dump_page(RawStore& store, std::uint64_t page) {
  const format::Geometry& geometry = store.geometry();
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, store.pages_file().size_bytes());
  if (page == 0 || page > format::kMaxPageCount || geometry.page_offset(page) >= size) {
    return base::failf(ErrorCode::not_found, "{} has no page {}", store.pages_file().path(), page);
  }
  PageDump dump;
  dump.entry_offset = geometry.entry_offset(page);
  dump.page_offset = geometry.page_offset(page);
  if (const auto entry = store.read_entry(page)) {
    dump.entry_valid = true;
    dump.entry = describe(*entry, page);
  }
  base::AlignedBuffer buffer;
  if (const auto run = store.read_run(page, buffer)) {
    dump.run_valid = true;
    dump.header = describe(run->header);
    dump.data.assign(run->payload.begin(), run->payload.end());
    dump.is_memory = run->header.type == format::RunType::memory && format::decode_node(run->payload).has_value();
    return dump;
  }
  dump.data.resize(geometry.page_bytes());
  store.read(store.pages_file(), geometry.page_offset(page), dump.data);
  dump.header = describe(base::read_struct<format::RunHeader>(dump.data));
  return dump;
}

Result<LogDump> dump_log(RawStore& store) {
  LogDump dump;
  MENTEDB_TRY_ASSIGN(dump.file_bytes, store.log_file().size_bytes());
  MENTEDB_TRY_ASSIGN(const auto headers, store.log().read_headers());
  const format::LogHeader* newest = headers.newest();
  for (std::size_t i = 0; i < 2; ++i) {
    if (headers.copy[i]) {
      dump.header_copies.push_back(describe(*headers.copy[i], newest == &*headers.copy[i]));
    } else {
      dump.header_copies.push_back({{"state", headers.damaged[i] ? "damaged" : "never written"}});
    }
  }
  if (newest == nullptr) {
    dump.end = "no valid header";
    return dump;
  }
  const auto& cached = store.state().cached_tail;
  MENTEDB_TRY_ASSIGN(const auto end,
                     store.log().walk(*newest,
                                      [&](std::uint64_t offset, const format::BatchHeader& header,
                                          std::span<const std::byte> batch) -> Result<void> {
                                        LogBatchDump& out = dump.batches.emplace_back();
                                        out.offset = offset;
                                        out.bytes = header.bytes;
                                        out.redone =
                                            cached && cached->epoch == newest->epoch && offset < cached->offset;
                                        format::OperationReader reader(batch);
                                        while (const auto operation = reader.next()) {
                                          out.operations.push_back({.lsn = Lsn{operation->lsn},
                                                                    .type = name_of(operation->header.type),
                                                                    .page = PageId{operation->header.page},
                                                                    .page_count = operation->header.run_pages,
                                                                    .memory_id = MemoryId{operation->header.memory_id},
                                                                    .payload_bytes = operation->header.payload_bytes});
                                        }
                                        return {};
                                      }));
  dump.end = fmt::format("byte {}, next LSN {}", end.tail.offset, end.tail.next_lsn);
  MENTEDB_TRY_ASSIGN(const auto behind, store.log().find_batch_behind(*newest, end.tail));
  if (behind) dump.end += fmt::format("; DAMAGED: a complete batch follows at byte {}", *behind);
  return dump;
}

}  // namespace

Result<PageDump> offline::inspect_page(vfs::Vfs& vfs, const std::filesystem::path& directory, PageId page) {
  MENTEDB_TRY_ASSIGN(const auto store, RawStore::open(vfs, directory));
  return dump_page(*store, page.value);
}

Result<LogDump> offline::inspect_log(vfs::Vfs& vfs, const std::filesystem::path& directory) {
  MENTEDB_TRY_ASSIGN(const auto store, RawStore::open(vfs, directory));
  return dump_log(*store);
}

Result<PageDump> inspect_page(const std::filesystem::path& directory, PageId page) {
  try {
    return offline::inspect_page(vfs::posix_vfs(), directory, page);
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

Result<LogDump> inspect_log(const std::filesystem::path& directory) {
  try {
    return offline::inspect_log(vfs::posix_vfs(), directory);
  } catch (const std::bad_alloc&) {
    return std::unexpected(base::out_of_memory());
  }
}

}  // namespace mentedb

#include "format/page_format.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <xxhash.h>

#include "base/bytes.hpp"
#include "base/checksum.hpp"

namespace mentedb::format {
namespace {

struct RawEntry {
  UuidBytes id;
  std::uint64_t lsn;
  std::uint8_t run_pages[3];
  EntryType type;
  std::uint32_t check;
};
static_assert(sizeof(RawEntry) == kEntryBytes && std::has_unique_object_representations_v<RawEntry>);

// Flattened, since a scan computes one for each memory: the length is known here, and XXH3 shrinks to a few steps.
[[gnu::flatten]] std::uint32_t check_of(std::span<const std::byte, kEntryBytes> entry, std::uint64_t page,
                                        std::uint64_t seed) {
  const auto covered = entry.first<kEntryBytes - sizeof(RawEntry::check)>();
  return static_cast<std::uint32_t>(base::checksum(covered, seed + page));
}

// Header and payload need not be adjacent: the checksum of the header seeds that of the payload.
std::uint64_t run_checksum(const RunHeader& header, std::span<const std::byte> payload, std::uint64_t seed) {
  const std::uint64_t of_header = base::checksum(base::bytes_of(header, sizeof(header.checksum)), seed);
  return base::checksum(payload, of_header);
}

}  // namespace

void seal_run_header(RunHeader& header, std::span<const std::byte> payload, std::uint64_t seed) {
  header.checksum = run_checksum(header, payload, seed);
}

std::optional<RunHeader> parse_run_header(std::span<const std::byte> bytes, std::uint64_t page,
                                          std::uint32_t page_bytes) {
  if (bytes.size() < sizeof(RunHeader)) return std::nullopt;
  const auto header = base::read_struct<RunHeader>(bytes);
  const bool known = header.type >= RunType::free && header.type <= RunType::raw;
  if (!known || header.page != page || !Geometry::in_one_region(page, header.run_pages)) return std::nullopt;
  if (pages_for_payload(header.payload_bytes, page_bytes) > header.run_pages) return std::nullopt;
  return header;
}

bool run_verifies(const RunHeader& header, std::span<const std::byte> payload, std::uint64_t seed) {
  return payload.size() == header.payload_bytes && run_checksum(header, payload, seed) == header.checksum;
}

void encode_entry(const Entry& entry, std::uint64_t page, std::uint64_t seed, std::span<std::byte, kEntryBytes> out) {
  RawEntry raw{.id = entry.id, .lsn = entry.lsn, .run_pages = {}, .type = entry.type, .check = 0};
  for (std::size_t i = 0; i < 3; ++i) raw.run_pages[i] = static_cast<std::uint8_t>(entry.run_pages >> (8 * i));
  base::write_struct(out, 0, raw);
  raw.check = check_of(out, page, seed);
  base::write_struct(out, 0, raw);
}

bool decode_entry(std::span<const std::byte, kEntryBytes> bytes, std::uint64_t page, std::uint64_t seed, Entry& entry) {
  const auto raw = base::read_struct<RawEntry>(bytes);
  if (raw.type < EntryType::free || raw.type > EntryType::interior || raw.check != check_of(bytes, page, seed)) {
    return false;
  }
  entry = {.id = raw.id,
           .lsn = raw.lsn,
           .run_pages = raw.run_pages[0] | std::uint32_t{raw.run_pages[1]} << 8 | std::uint32_t{raw.run_pages[2]} << 16,
           .type = raw.type};
  return is_free(entry.type)   ? entry.run_pages <= 1
         : is_head(entry.type) ? Geometry::in_one_region(page, entry.run_pages)
                               : entry.run_pages != 0 && entry.run_pages <= Geometry::index_in_region(page);
}

std::optional<Entry> decode_entry(std::span<const std::byte, kEntryBytes> bytes, std::uint64_t page,
                                  std::uint64_t seed) {
  std::optional<Entry> entry(std::in_place);
  if (!decode_entry(bytes, page, seed, *entry)) entry.reset();
  return entry;
}

std::uint64_t raw_entry_lsn(std::span<const std::byte, kEntryBytes> bytes) {
  return base::read_struct<RawEntry>(bytes).lsn;
}

}  // namespace mentedb::format

#include "format/page_format.hpp"

#include <algorithm>
#include <cstring>

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

std::uint32_t check_of(const RawEntry& raw, std::uint64_t page, std::uint64_t seed) {
  const auto covered = base::bytes_of(raw).first(kEntryBytes - sizeof(raw.check));
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
  raw.check = check_of(raw, page, seed);
  base::write_struct(out, 0, raw);
}

std::optional<Entry> decode_entry(std::span<const std::byte, kEntryBytes> bytes, std::uint64_t page,
                                  std::uint64_t seed) {
  const auto raw = base::read_struct<RawEntry>(bytes);
  if (raw.type < EntryType::free || raw.type > EntryType::interior || raw.check != check_of(raw, page, seed)) {
    return std::nullopt;
  }
  Entry entry{.id = raw.id, .lsn = raw.lsn, .run_pages = 0, .type = raw.type};
  for (std::size_t i = 0; i < 3; ++i) entry.run_pages |= static_cast<std::uint32_t>(raw.run_pages[i]) << (8 * i);
  const bool possible = is_free(entry.type) ? entry.run_pages == 0
                        : is_head(entry.type)
                            ? Geometry::in_one_region(page, entry.run_pages)
                            : entry.run_pages != 0 && entry.run_pages <= Geometry::index_in_region(page);
  if (!possible) return std::nullopt;
  return entry;
}

std::uint64_t raw_entry_lsn(std::span<const std::byte, kEntryBytes> bytes) {
  return base::read_struct<RawEntry>(bytes).lsn;
}

}  // namespace mentedb::format

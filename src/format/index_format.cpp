#include "format/index_format.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/checksum.hpp"
#include "format/superblock.hpp"

namespace mentedb::format {
namespace {

constexpr std::uint64_t kHeaderSeed = 0x6D65'6E74'6503;
constexpr std::string_view kPrefix = "ids-";
constexpr std::string_view kSuffix = ".idx";

std::uint64_t checksum_of(const IndexHeader& header) {
  return base::checksum(base::bytes_of(header, sizeof(header.checksum)), kHeaderSeed);
}

}  // namespace

void encode_index_header(const IndexHeader& header, std::span<std::byte> block) {
  IndexHeader sealed = header;
  sealed.magic = kIndexMagic;
  sealed.version = kFormatVersion;
  sealed.reserved = 0;
  sealed.checksum = checksum_of(sealed);
  base::write_struct(block, 0, sealed);
}

std::optional<IndexHeader> decode_index_header(std::span<const std::byte> block) {
  if (block.size() < sizeof(IndexHeader)) return std::nullopt;
  const auto header = base::read_struct<IndexHeader>(block);
  const bool valid = header.magic == kIndexMagic && header.checksum == checksum_of(header) &&
                     header.version == kFormatVersion && header.bucket_count >= kMinIndexBuckets &&
                     header.bucket_count <= kMaxIndexBuckets && (header.bucket_count & (header.bucket_count - 1)) == 0;
  if (!valid) return std::nullopt;
  return header;
}

std::string index_file_name(std::uint64_t number) { return fmt::format("{}{}{}", kPrefix, number, kSuffix); }

std::optional<std::uint64_t> parse_index_file_name(const std::string& name) {
  std::string_view rest = name;
  if (!rest.starts_with(kPrefix) || !rest.ends_with(kSuffix)) return std::nullopt;
  rest.remove_prefix(kPrefix.size());
  rest.remove_suffix(kSuffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc{} || end != rest.data() + rest.size() || index_file_name(number) != name) return std::nullopt;
  return number;
}

IdHash hash_id(const UuidBytes& id, std::uint64_t seed) {
  const std::uint64_t hash = base::checksum(std::as_bytes(std::span(id)), seed);
  return {.start = hash, .fingerprint = static_cast<std::uint32_t>((hash * 0x9E37'79B9'7F4A'7C15U) >> 32)};
}

}  // namespace mentedb::format

#include "format/queue_format.hpp"

#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include "base/checksum.hpp"
#include "format/superblock.hpp"

namespace mentedb::format {
namespace {

constexpr std::uint64_t kQueueHeaderSeed = 0x6D65'6E74'6504;
constexpr std::string_view kQueuePrefix = "queue-";
constexpr std::string_view kQueueSuffix = ".shm";

std::uint64_t queue_checksum_of(const QueueHeader& header) {
  return base::checksum(base::bytes_of(header, sizeof(header.checksum)), kQueueHeaderSeed);
}

}  // namespace

void encode_queue_header(const QueueHeader& header, std::span<std::byte> block) {
  QueueHeader sealed = header;
  sealed.magic = kQueueMagic;
  sealed.version = kFormatVersion;
  sealed.reserved = 0;
  sealed.checksum = queue_checksum_of(sealed);
  base::write_struct(block, 0, sealed);
}

std::optional<QueueHeader> decode_queue_header(std::span<const std::byte> block) {
  if (block.size() < sizeof(QueueHeader)) return std::nullopt;
  const auto header = base::read_struct<QueueHeader>(block);
  if (header.magic != kQueueMagic || header.version != kFormatVersion || header.checksum != queue_checksum_of(header)) {
    return std::nullopt;
  }
  return header;
}

std::string queue_file_name(std::uint64_t number) { return fmt::format("{}{}{}", kQueuePrefix, number, kQueueSuffix); }

std::optional<std::uint64_t> parse_queue_file_name(const std::string& name) {
  std::string_view rest = name;
  if (!rest.starts_with(kQueuePrefix) || !rest.ends_with(kQueueSuffix)) return std::nullopt;
  rest.remove_prefix(kQueuePrefix.size());
  rest.remove_suffix(kQueueSuffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc{} || end != rest.data() + rest.size() || queue_file_name(number) != name) return std::nullopt;
  return number;
}

}  // namespace mentedb::format

#include "format/log_format.hpp"

#include <algorithm>

#include "base/checksum.hpp"
#include "format/geometry.hpp"
#include "format/page_format.hpp"

namespace mentedb::format {
namespace {

constexpr std::uint64_t kLogHeaderSeed = 0x6D65'6E74'6502;  // fixed: the epoch's seed is a field of the header

std::uint64_t checksum_of(const LogHeader& header) {
  return base::checksum(base::bytes_of(header, sizeof(header.checksum)), kLogHeaderSeed);
}

}  // namespace

bool counters_possible(const Counters& c) {
  return c.page_count <= kMaxPageCount && c.high_water <= c.page_count && c.used_pages <= c.high_water &&
         c.memory_count <= c.used_pages;
}

void encode_log_header(const LogHeader& header, std::span<std::byte> block) {
  LogHeader sealed = header;
  sealed.magic = kLogMagic;
  sealed.version = kFormatVersion;
  sealed.reserved = 0;
  sealed.checksum = checksum_of(sealed);
  std::ranges::fill(block, std::byte{0});
  base::write_struct(block, 0, sealed);
}

std::optional<LogHeader> decode_log_header(std::span<const std::byte> block) {
  if (block.size() < sizeof(LogHeader)) return std::nullopt;
  const auto header = base::read_struct<LogHeader>(block);
  const bool valid = header.magic == kLogMagic && header.checksum == checksum_of(header) &&
                     header.version == kFormatVersion && header.epoch != 0 && header.epoch < kMostLsn &&
                     header.start_lsn != 0 && header.start_lsn < kMostLsn && counters_possible(header.counters);
  if (!valid) return std::nullopt;
  return header;
}

bool belongs_to(const LogHeader& header, const Superblock& superblock) {
  return header.store_id == superblock.store_id && header.incarnation == superblock.incarnation;
}

void seal_batch(std::span<std::byte> batch, std::uint64_t seed) {
  auto header = base::read_struct<BatchHeader>(batch);
  header.checksum = base::checksum(batch.subspan(sizeof(header.checksum)), seed);
  base::write_struct(batch, 0, header);
}

std::optional<BatchHeader> parse_batch_header(std::span<const std::byte> block, std::uint64_t offset) {
  if (block.size() < sizeof(BatchHeader)) return std::nullopt;
  const auto header = base::read_struct<BatchHeader>(block);
  const std::uint64_t least = sizeof(BatchHeader) + std::uint64_t{header.operation_count} * sizeof(OperationHeader);
  if (header.offset != offset || header.operation_count == 0) return std::nullopt;
  if (header.first_lsn == 0 || header.first_lsn >= kMostLsn) return std::nullopt;
  if (header.bytes < least || header.bytes > kMaxBatchFileBytes) return std::nullopt;
  if (!counters_possible(header.counters)) return std::nullopt;
  return header;
}

bool batch_verifies(std::span<const std::byte> batch, std::uint64_t seed) {
  const auto header = base::read_struct<BatchHeader>(batch);
  return header.bytes == batch.size() &&
         base::checksum(batch.subspan(sizeof(header.checksum)), seed) == header.checksum;
}

OperationReader::OperationReader(std::span<const std::byte> batch) : batch_(batch), position_(sizeof(BatchHeader)) {
  const auto header = base::read_struct<BatchHeader>(batch);
  lsn_ = header.first_lsn;
  remaining_ = header.operation_count;
  page_count_ = header.counters.page_count;
}

std::optional<Operation> OperationReader::next() {
  if (remaining_ == 0) {
    damaged_ |= position_ != batch_.size();
    return std::nullopt;
  }
  damaged_ = true;  // until every field below has been checked
  if (batch_.size() - position_ < sizeof(OperationHeader)) return std::nullopt;
  Operation operation{.header = base::read_struct<OperationHeader>(batch_, position_), .lsn = lsn_, .payload = {}};
  const OperationHeader& header = operation.header;
  const std::size_t logged = logged_bytes(header);
  if (batch_.size() - position_ < logged) return std::nullopt;
  if (header.early > 1 || (operation.is_early() && !is_memory_put(header.type))) return std::nullopt;
  const bool known = header.type >= OperationType::store && header.type <= OperationType::move;
  if (!known || header.page == 0 || header.page > page_count_) return std::nullopt;
  if (!Geometry::in_one_region(header.page, header.run_pages)) return std::nullopt;
  if (header.page + header.run_pages - 1 > page_count_) return std::nullopt;
  if (operation.is_early()) {
    operation.run_checksum = base::read_struct<std::uint64_t>(batch_, position_ + sizeof(OperationHeader));
  } else {
    operation.payload = batch_.subspan(position_ + sizeof(OperationHeader), header.payload_bytes);
  }
  position_ += logged;
  ++lsn_;
  --remaining_;
  damaged_ = false;
  return operation;
}

}  // namespace mentedb::format

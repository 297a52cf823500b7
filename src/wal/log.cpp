#include "wal/log.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace mentedb::wal {

Tail start_of_epoch(const format::LogHeader& header) {
  return Tail{.epoch = header.epoch,
              .offset = format::kLogStart,
              .next_lsn = header.start_lsn,
              .previous_checksum = header.checksum,
              .counters = header.counters};
}

const format::LogHeader* Log::Headers::newest() const {
  if (copy[0] && copy[1]) return copy[0]->epoch > copy[1]->epoch ? &*copy[0] : &*copy[1];
  if (copy[0]) return &*copy[0];
  return copy[1] ? &*copy[1] : nullptr;
}

Result<std::span<const std::byte>> Log::read(std::uint64_t offset, std::uint64_t length, std::uint64_t ahead) {
  const bool buffered = offset >= buffered_offset_ && offset + length <= buffered_offset_ + buffered_bytes_;
  if (!buffered) {
    if (length > ahead) {  // a batch header claims this length, and it may reach beyond the file (I10)
      MENTEDB_TRY_ASSIGN(const std::uint64_t size, file_.size_bytes());
      if (length > size - std::min(offset, size)) return std::span<const std::byte>();
    }
    const std::uint64_t want = std::max(base::round_up(length, base::kBlockBytes), ahead);
    buffered_bytes_ = 0;
    buffer_.reserve(want);
    MENTEDB_TRY_ASSIGN(buffered_bytes_, file_.read_at(offset, buffer_.first(want)));
    buffered_offset_ = offset;
  }
  const std::uint64_t skip = offset - buffered_offset_;
  const std::uint64_t available = buffered_bytes_ - std::min(skip, buffered_bytes_);
  return std::span<const std::byte>(buffer_.data() + skip, std::min(length, available));
}

Result<Log::Headers> Log::read_headers() {
  buffered_bytes_ = 0;  // another process may have written the file since the last read
  MENTEDB_TRY_ASSIGN(const auto bytes, read(0, format::kLogStart, format::kLogStart));
  Headers headers;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::uint64_t begin = std::min<std::uint64_t>(i * format::kLogHeaderBytes, bytes.size());
    const auto block = bytes.subspan(begin, std::min<std::uint64_t>(format::kLogHeaderBytes, bytes.size() - begin));
    headers.copy[i] = format::decode_log_header(block);
    // An epoch has one place for its copy. A header at the other place is not valid.
    if (headers.copy[i] && headers.copy[i]->epoch % 2 != i) headers.copy[i].reset();
    headers.damaged[i] = !headers.copy[i] && !base::is_zero(block);
  }
  return headers;
}

Result<std::span<const std::byte>> Log::read_batch(std::uint64_t offset, std::uint64_t seed) {
  MENTEDB_TRY_ASSIGN(auto bytes, read(offset, base::kBlockBytes));
  const auto header = format::parse_batch_header(bytes, offset);
  if (header) {
    MENTEDB_TRY_ASSIGN(bytes, read(offset, header->bytes));
    if (format::batch_verifies(bytes, seed)) return bytes;
  }
  return base::failf(ErrorCode::corruption, "the batch at byte {} of {} changed between two reads; check the disk",
                     offset, file_.path());
}

Result<WalkEnd> Log::walk(const format::LogHeader& header, const Visitor& visit) {
  return walk_behind(start_of_epoch(header), header, visit);
}

Result<WalkEnd> Log::walk_behind(const Tail& from, const format::LogHeader& header, const Visitor& visit) {
  buffered_bytes_ = 0;
  WalkEnd end;
  end.tail = from;
  Tail& tail = end.tail;
  for (;;) {
    MENTEDB_TRY_ASSIGN(auto bytes, read(tail.offset, base::kBlockBytes));
    const auto batch = format::parse_batch_header(bytes, tail.offset);
    if (!batch || batch->first_lsn != tail.next_lsn || batch->previous_checksum != tail.previous_checksum) break;
    if (batch->counters.page_count < tail.counters.page_count) break;  // no writer lowers the page count
    MENTEDB_TRY_ASSIGN(bytes, read(tail.offset, batch->bytes));
    if (bytes.size() != batch->bytes || !format::batch_verifies(bytes, header.seed)) break;
    MENTEDB_TRY(visit(tail.offset, *batch, bytes));
    end.last_batch_offset = tail.offset;
    end.last_batch_bytes = batch->bytes;
    tail.offset += base::round_up(batch->bytes, base::kBlockBytes);
    tail.next_lsn += batch->operation_count;
    tail.previous_checksum = batch->checksum;
    tail.counters = batch->counters;
  }
  return end;
}

Result<bool> Log::goes_on_behind(const Tail& tail, std::uint64_t seed) {
  buffered_bytes_ = 0;
  MENTEDB_TRY_ASSIGN(auto bytes, read(tail.offset, base::kBlockBytes, base::kBlockBytes));
  const auto batch = format::parse_batch_header(bytes, tail.offset);
  if (!batch || batch->first_lsn != tail.next_lsn || batch->previous_checksum != tail.previous_checksum) return false;
  MENTEDB_TRY_ASSIGN(bytes, read(tail.offset, batch->bytes));
  return bytes.size() == batch->bytes && format::batch_verifies(bytes, seed);
}

Result<std::optional<std::uint64_t>> Log::find_batch_behind(const format::LogHeader& header, const Tail& tail,
                                                            std::uint64_t most_bytes) {
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file_.size_bytes());
  const std::uint64_t end = std::min(size, tail.offset + std::min(most_bytes, size));
  // Batches do not overlap, so all of them together are no longer than the file. Forged headers can claim more, for
  // example inside the payload of a raw page. Without a bound each block could make us read the rest of the file (I10).
  // A short batch is always checked.
  constexpr std::uint64_t kShortBytes = 16 * base::kBlockBytes;
  std::uint64_t claims_left = kClaimsPerFile * size;
  for (std::uint64_t offset = tail.offset; offset < end; offset += base::kBlockBytes) {
    MENTEDB_TRY_ASSIGN(auto bytes, read(offset, base::kBlockBytes));
    const auto batch = format::parse_batch_header(bytes, offset);
    if (!batch || batch->first_lsn <= tail.next_lsn) continue;  // older epochs have lower LSNs
    if (batch->counters.page_count < tail.counters.page_count) continue;
    if (batch->bytes > size - offset) continue;
    if (batch->bytes > kShortBytes) {
      if (batch->bytes > claims_left) continue;
      claims_left -= batch->bytes;
    }
    MENTEDB_TRY_ASSIGN(bytes, read(offset, batch->bytes));
    if (bytes.size() == batch->bytes && format::batch_verifies(bytes, header.seed)) return offset;
  }
  return std::nullopt;
}

Result<void> Log::write_header(const format::LogHeader& header) {
  buffered_bytes_ = 0;
  buffer_.reserve(format::kLogHeaderBytes);
  const auto block = buffer_.first(format::kLogHeaderBytes);
  format::encode_log_header(header, block);
  MENTEDB_TRY(file_.write_at(header.epoch % 2 * format::kLogHeaderBytes, block));
  return file_.sync();
}

Result<void> Log::ensure_header_durable(const format::LogHeader& header) {
  if (epoch_seen_synced_ == header.epoch) return {};
  MENTEDB_TRY(write_header(header));  // R1
  epoch_seen_synced_ = header.epoch;
  return {};
}

Result<void> Log::rewrite_batch(std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) {
  const std::uint64_t padded = base::round_up(bytes, base::kBlockBytes);
  MENTEDB_TRY_ASSIGN(const auto again, read(offset, padded, padded));
  if (again.size() != padded)
    return base::failf(ErrorCode::corruption,
                       "{} ends inside the batch at byte {}; restore a backup, or run mentedb salvage", path(), offset);
  MENTEDB_TRY(read_batch(offset, seed));
  MENTEDB_TRY(file_.write_at(offset, again));
  return file_.sync();
}

Result<void> Log::append(std::uint64_t offset, std::span<const std::byte> padded_batch) {
  buffered_bytes_ = 0;
  MENTEDB_TRY(file_.write_at(offset, padded_batch));
  return file_.sync();
}

Result<void> Log::erase_unwritten(std::uint64_t offset) {
  buffer_.reserve(base::kBlockBytes);
  buffered_bytes_ = 0;
  const auto block = buffer_.first(base::kBlockBytes);
  std::ranges::fill(block, std::byte{0});
  MENTEDB_TRY(file_.write_at(offset, block));
  return file_.sync();
}

Result<void> Log::reset(const format::LogHeader& next) {
  MENTEDB_TRY(write_header(next));
  epoch_seen_synced_ = next.epoch;
  return {};
}

Result<void> Log::clear_header(std::size_t index) {
  buffered_bytes_ = 0;
  buffer_.reserve(format::kLogHeaderBytes);
  const auto block = buffer_.first(format::kLogHeaderBytes);
  std::ranges::fill(block, std::byte{0});
  return file_.write_at(index * format::kLogHeaderBytes, block);
}

Result<std::uint64_t> Log::capacity_bytes() {
  MENTEDB_TRY_ASSIGN(known_capacity_, file_.size_bytes());
  return known_capacity_;
}

Result<void> Log::write_zeros(std::uint64_t offset, std::uint64_t end) {
  buffered_bytes_ = 0;
  buffer_.reserve(kReadAheadBytes);
  const auto zeros = buffer_.first(kReadAheadBytes);
  std::ranges::fill(zeros, std::byte{0});
  while (offset < end) {
    const std::uint64_t n = std::min<std::uint64_t>(zeros.size(), end - offset);
    MENTEDB_TRY(file_.write_at(offset, zeros.first(n)));
    offset += n;
  }
  return {};
}

Result<void> Log::reserve(std::uint64_t bytes) {
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file_.size_bytes());
  if (size >= bytes) return {};
  return file_.allocate(size, bytes - size);
}

Result<void> Log::grow(std::uint64_t bytes) {
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file_.size_bytes());
  // An interrupted growth may have left the last block half written. That block is zeroed again.
  MENTEDB_TRY(write_zeros(size / base::kBlockBytes * base::kBlockBytes, base::round_up(bytes, base::kBlockBytes)));
  return file_.sync();
}

Result<void> Log::erase(std::uint64_t offset, std::uint64_t length) {
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file_.size_bytes());
  MENTEDB_TRY(write_zeros(offset, std::min(offset + length, size / base::kBlockBytes * base::kBlockBytes)));
  return file_.sync();
}

}  // namespace mentedb::wal

#include "wal/log.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace mentedb::wal {
namespace {

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

const format::LogSlot* Log::Slots::newest() const {
  if (slot[0] && slot[1]) return slot[0]->epoch > slot[1]->epoch ? &*slot[0] : &*slot[1];
  if (slot[0]) return &*slot[0];
  return slot[1] ? &*slot[1] : nullptr;
}

Result<std::span<const std::byte>> Log::read(std::uint64_t offset, std::uint64_t length, std::uint64_t ahead) {
  const bool buffered = offset >= buffered_offset_ && offset + length <= buffered_offset_ + buffered_bytes_;
  if (!buffered) {
    if (length > ahead) {  // a length that a batch header claims: not believed beyond the file (I10)
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

Result<Log::Slots> Log::read_slots() {
  buffered_bytes_ = 0;  // other processes write the file between two holds of the lock
  MENTEDB_TRY_ASSIGN(const auto bytes, read(0, format::kLogStart, format::kLogStart));
  Slots slots;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::uint64_t begin = std::min<std::uint64_t>(i * format::kLogSlotBytes, bytes.size());
    const auto block = bytes.subspan(begin, std::min<std::uint64_t>(format::kLogSlotBytes, bytes.size() - begin));
    slots.slot[i] = format::decode_log_slot(block);
    // A slot's place is part of what it says.
    if (slots.slot[i] && slots.slot[i]->epoch % 2 != i) slots.slot[i].reset();
    slots.damaged[i] = !slots.slot[i] && !is_zero(block);
  }
  return slots;
}

Result<std::span<const std::byte>> Log::read_batch(std::uint64_t offset, std::uint64_t seed) {
  MENTEDB_TRY_ASSIGN(auto bytes, read(offset, base::kBlockBytes));
  const auto header = format::parse_batch_header(bytes, offset);
  if (header) {
    MENTEDB_TRY_ASSIGN(bytes, read(offset, header->bytes));
    if (format::batch_verifies(bytes, seed)) return bytes;
  }
  return base::failf(ErrorCode::corruption, "the batch at byte {} of {} changed while it was replayed; check the disk",
                     offset, file_.path());
}

Result<WalkEnd> Log::walk(const format::LogSlot& slot, const Visitor& visit) {
  buffered_bytes_ = 0;
  WalkEnd end;
  end.tail = Tail{.epoch = slot.epoch,
                  .offset = format::kLogStart,
                  .next_lsn = slot.start_lsn,
                  .previous_checksum = slot.checksum,
                  .counters = slot.counters};
  Tail& tail = end.tail;
  for (;;) {
    MENTEDB_TRY_ASSIGN(auto bytes, read(tail.offset, base::kBlockBytes));
    const auto header = format::parse_batch_header(bytes, tail.offset);
    if (!header || header->first_lsn != tail.next_lsn || header->previous_checksum != tail.previous_checksum) break;
    if (header->counters.page_count < tail.counters.page_count) break;  // no writer takes pages away
    MENTEDB_TRY_ASSIGN(bytes, read(tail.offset, header->bytes));
    if (bytes.size() != header->bytes || !format::batch_verifies(bytes, slot.seed)) break;
    MENTEDB_TRY(visit(tail.offset, *header, bytes));
    end.last_batch_offset = tail.offset;
    end.last_batch_bytes = header->bytes;
    tail.offset += base::round_up(header->bytes, base::kBlockBytes);
    tail.next_lsn += header->operation_count;
    tail.previous_checksum = header->checksum;
    tail.counters = header->counters;
  }
  return end;
}

Result<std::optional<std::uint64_t>> Log::find_batch_behind(const format::LogSlot& slot, const Tail& tail) {
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file_.size_bytes());
  // Batches do not overlap, so all of them together are no longer than the file. Only made-up headers claim more (in
  // the payload of a raw page, say); without a bound each block could have the rest of the file read (I10). Short ones
  // are always looked at.
  constexpr std::uint64_t kShortBytes = 16 * base::kBlockBytes;
  std::uint64_t claims_left = kClaimsPerFile * size;
  for (std::uint64_t offset = tail.offset; offset < size; offset += base::kBlockBytes) {
    MENTEDB_TRY_ASSIGN(auto bytes, read(offset, base::kBlockBytes));
    const auto header = format::parse_batch_header(bytes, offset);
    if (!header || header->first_lsn <= tail.next_lsn) continue;  // older epochs have lower LSNs
    if (header->counters.page_count < tail.counters.page_count) continue;
    if (header->bytes > size - offset) continue;
    if (header->bytes > kShortBytes) {
      if (header->bytes > claims_left) continue;
      claims_left -= header->bytes;
    }
    MENTEDB_TRY_ASSIGN(bytes, read(offset, header->bytes));
    if (bytes.size() == header->bytes && format::batch_verifies(bytes, slot.seed)) return offset;
  }
  return std::nullopt;
}

Result<void> Log::write_slot(const format::LogSlot& slot) {
  buffered_bytes_ = 0;
  buffer_.reserve(format::kLogSlotBytes);
  const auto block = buffer_.first(format::kLogSlotBytes);
  format::encode_log_slot(slot, block);
  MENTEDB_TRY(file_.write_at(slot.epoch % 2 * format::kLogSlotBytes, block));
  return sync();
}

Result<void> Log::ensure_slot_durable(const format::LogSlot& slot) {
  if (epoch_seen_synced_ == slot.epoch) return {};
  MENTEDB_TRY(write_slot(slot));  // R1
  epoch_seen_synced_ = slot.epoch;
  return {};
}

Result<void> Log::adopt(std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) {
  MENTEDB_TRY(read_batch(offset, seed));
  const std::uint64_t padded = base::round_up(bytes, base::kBlockBytes);
  MENTEDB_TRY_ASSIGN(const auto again, read(offset, padded));
  if (again.size() != padded) return base::failf(ErrorCode::corruption, "{} is cut short at byte {}", path(), offset);
  MENTEDB_TRY(file_.write_at(offset, again));
  return file_.sync();
}

Result<void> Log::append(std::uint64_t offset, std::span<const std::byte> padded_batch) {
  buffered_bytes_ = 0;
  MENTEDB_TRY(file_.write_at(offset, padded_batch));
  return sync();
}

Result<void> Log::erase_unwritten(std::uint64_t offset) {
  buffer_.reserve(base::kBlockBytes);
  buffered_bytes_ = 0;
  const auto block = buffer_.first(base::kBlockBytes);
  std::ranges::fill(block, std::byte{0});
  MENTEDB_TRY(file_.write_at(offset, block));
  return sync();
}

// Whatever the errno (a full disk, too): after a failed sync the bytes may be on the device or not.
Result<void> Log::sync() {
  auto synced = file_.sync();
  if (!synced) synced.error().code = ErrorCode::io_error;
  return synced;
}

Result<void> Log::reset(const format::LogSlot& next) {
  MENTEDB_TRY(write_slot(next));
  epoch_seen_synced_ = next.epoch;
  return {};
}

Result<void> Log::clear_slot(std::size_t index) {
  buffered_bytes_ = 0;
  buffer_.reserve(format::kLogSlotBytes);
  const auto block = buffer_.first(format::kLogSlotBytes);
  std::ranges::fill(block, std::byte{0});
  return file_.write_at(index * format::kLogSlotBytes, block);
}

Result<std::uint64_t> Log::capacity_bytes() {
  MENTEDB_TRY_ASSIGN(known_capacity_, file_.size_bytes());
  return known_capacity_;
}

Result<void> Log::grow(std::uint64_t bytes) {
  buffered_bytes_ = 0;
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, file_.size_bytes());
  buffer_.reserve(kReadAheadBytes);
  const auto zeros = buffer_.first(kReadAheadBytes);
  std::ranges::fill(zeros, std::byte{0});
  // A block that an interrupted growth left half written is zeroed again.
  for (std::uint64_t offset = size / base::kBlockBytes * base::kBlockBytes; offset < bytes;) {
    const std::uint64_t n = std::min<std::uint64_t>(zeros.size(), base::round_up(bytes, base::kBlockBytes) - offset);
    MENTEDB_TRY(file_.write_at(offset, zeros.first(n)));
    offset += n;
  }
  return file_.sync();
}

}  // namespace mentedb::wal

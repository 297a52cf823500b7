#include "queue/area.hpp"

#include <algorithm>
#include <cstring>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "base/error.hpp"

namespace mentedb::queue {

using format::QueueAnswerHead;
using format::QueueRequestHeader;

namespace {

std::uint64_t checksum_of(std::span<const std::byte> request, SlotWord filled) {
  return base::checksum(request.subspan(sizeof(QueueRequestHeader::checksum)), filled.value);
}

}  // namespace

void Answer::set(std::span<const std::uint64_t> pages, std::string_view text) {
  const std::size_t room = rest.size() - pages.size_bytes();
  head.page_count = static_cast<std::uint32_t>(pages.size());
  head.text_bytes = static_cast<std::uint32_t>(std::min(text.size(), room));
  base::copy_bytes(std::as_bytes(pages), rest);
  base::copy_bytes(std::as_bytes(std::span(text).first(head.text_bytes)), std::span(rest).subspan(pages.size_bytes()));
}

std::string_view Answer::text() const {
  return {reinterpret_cast<const char*>(rest.data()) + 8 * std::size_t{head.page_count}, head.text_bytes};
}

std::size_t Area::used() const {
  return std::min<std::uint64_t>(mapping_->load(format::kQueueUsedOffset), format::kQueueSlots);
}

void Area::raise_used(std::size_t used) {
  for (;;) {
    const std::uint64_t now = mapping_->load(format::kQueueUsedOffset);
    if (now >= used || mapping_->compare_exchange(format::kQueueUsedOffset, now, used)) return;
  }
}

void Area::write_answer(std::size_t slot, const Answer& answer) {
  const std::size_t used = 8 * std::size_t{answer.head.page_count} + answer.head.text_bytes;
  // The head last: a leader that dies in between leaves the answer that was there before.
  const std::uint64_t offset = record(slot) + format::kQueueAnswerOffset;
  if (used != 0) mapping_->write(offset + sizeof(QueueAnswerHead), std::span(answer.rest).first(used));
  mapping_->write(offset, base::bytes_of(answer.head));
}

Answer Area::read_answer(std::size_t slot) const {
  std::array<std::byte, sizeof(QueueAnswerHead) + format::kQueueAnswerRoom> bytes;
  mapping_->copy(record(slot) + format::kQueueAnswerOffset, bytes);
  Answer answer;
  answer.head = base::read_struct<QueueAnswerHead>(bytes);
  std::memcpy(answer.rest.data(), bytes.data() + sizeof(QueueAnswerHead), answer.rest.size());
  answer.head.page_count = std::min<std::uint32_t>(answer.head.page_count, format::kQueueMostEdits);
  answer.head.text_bytes = static_cast<std::uint32_t>(
      std::min<std::size_t>(answer.head.text_bytes, answer.rest.size() - 8 * std::size_t{answer.head.page_count}));
  return answer;
}

void Area::write_body(std::size_t slot, std::span<const std::byte> request) { mapping_->write(body(slot), request); }

std::optional<std::vector<std::byte>> Area::read_body(std::size_t slot, SlotWord filled) const {
  std::array<std::byte, sizeof(QueueRequestHeader)> head;
  mapping_->copy(body(slot), head);
  const std::size_t bytes = base::read_struct<QueueRequestHeader>(head).bytes;
  if (bytes < sizeof(QueueRequestHeader) || bytes > format::kQueueBodyBytes) return std::nullopt;
  std::vector<std::byte> request(bytes);
  mapping_->copy(body(slot), request);
  // The copy is checked, and not the slot: its owner may be writing there.
  const auto header = base::read_struct<QueueRequestHeader>(request);
  if (header.bytes != bytes || header.checksum != checksum_of(request, filled)) return std::nullopt;
  return request;
}

void Area::wipe_body(std::size_t slot, std::size_t bytes) {
  static constexpr std::array<std::byte, format::kQueueBodyBytes> kZeros{};
  mapping_->write(body(slot), std::span(kZeros).first(bytes));
}

Result<void> Area::make_records_writable() { return mapping_->make_writable(0, format::kQueueBodiesOffset); }

Result<void> Area::make_slot_writable(std::size_t slot, std::size_t body_bytes) {
  MENTEDB_TRY(mapping_->make_writable(record(slot), format::kQueueRecordBytes));
  return mapping_->make_writable(body(slot), body_bytes);
}

void seal_request(std::span<std::byte> request, SlotWord filled) {
  auto header = base::read_struct<QueueRequestHeader>(request);
  header.checksum = checksum_of(request, filled);
  base::write_struct(request, 0, header);
}

}  // namespace mentedb::queue

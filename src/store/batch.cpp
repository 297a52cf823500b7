#include "store/batch.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "format/node_codec.hpp"
#include "store/reader.hpp"

namespace mentedb::store {

using format::EntryType;
using format::OperationHeader;
using format::OperationType;

Result<EncodedNode> encode(const MemoryNode& node) {
  MENTEDB_TRY(validate(node));
  EncodedNode encoded{.id = node.id, .bytes = std::vector<std::byte>(format::encoded_size_bytes(node))};
  format::encode_node(node, encoded.bytes);
  return encoded;
}

Batch::Batch(const Reader& reader, const pages::BufferPool& pool, pages::Allocator& allocator, const wal::Tail& tail,
             std::uint64_t early_bytes, base::AlignedBuffer& spare)
    : reader_(reader),
      pool_(pool),
      allocator_(allocator),
      counters_(tail.counters),
      early_bytes_(early_bytes),
      spare_(spare),
      image_(std::move(spare)) {
  image_.reserve(base::kBlockBytes);
  allocator_.begin_batch(taken_, tail.next_lsn);
}

void Batch::committed(std::uint64_t next_lsn) { allocator_.end_batch(taken_, lowest_freed_, next_lsn); }

Batch::~Batch() {
  constexpr std::size_t kKeepBytes = std::size_t{2} << 20;
  if (image_.size_bytes() <= kKeepBytes) spare_ = std::move(image_);
}

void Batch::expect_put(std::size_t payload_bytes) {
  if (expected_bytes_ + payload_bytes > kMaxBatchBytes) return;
  expected_pages_ += format::pages_for_payload(payload_bytes, page_bytes());
  expected_bytes_ += format::operation_bytes(payload_bytes);
}

Result<void> Batch::check_room(std::uint64_t payload_bytes) const {
  // An update logs two operations. A batch that deletes millions of memories meets the second limit.
  const std::size_t logged = format::operation_bytes(payload_bytes) + format::operation_bytes(0);
  if (payload_bytes_ + payload_bytes <= kMaxBatchBytes && bytes_ + logged <= format::kMaxBatchFileBytes) return {};
  return base::failf(ErrorCode::capacity_exceeded,
                     "a batch holds at most {} bytes of encoded memories; store them in several", kMaxBatchBytes);
}

Result<std::optional<std::uint64_t>> Batch::find(const MemoryId& id) {
  if (const auto found = ids_.find(id); found != ids_.end()) {
    if (found->second.page == 0) return std::nullopt;
    return found->second.page;
  }
  MENTEDB_TRY_ASSIGN(const auto location, reader_.locate(id));
  if (!location) return std::nullopt;
  return location->page;
}

Result<Batch::Head> Batch::head_of(std::uint64_t page) {
  if (const auto found = heads_.find(page); found != heads_.end()) return found->second;
  if (!pool_.contains(page)) return Head{};
  MENTEDB_TRY_ASSIGN(const auto entry, pool_.read_entry(page));
  if (!entry) {
    return base::failf(ErrorCode::corruption,
                       "the directory entry of page {} is damaged; run: mentedb recover, then mentedb verify", page);
  }
  if (!format::is_head(entry->type)) return Head{};
  // A walk of the log would refuse such an operation, so it is not logged.
  if (page + entry->run_pages - 1 > counters_.page_count) {
    return base::failf(ErrorCode::corruption,
                       "the run of page {} does not end within the store; run mentedb verify, then mentedb salvage",
                       page);
  }
  return Head{.type = entry->type, .run_pages = entry->run_pages, .id = MemoryId{entry->id}};
}

Result<MemoryNode> Batch::load(const MemoryId& id) {
  if (const auto found = ids_.find(id); found != ids_.end()) {
    if (found->second.page == 0) return base::failf(ErrorCode::not_found, "there is no memory {}", id.to_string());
    const Planned& put = operations_[found->second.operation];
    return format::decode_node({image_.data() + put.payload_offset, put.header.payload_bytes});
  }
  return reader_.load(id);
}

Result<std::uint64_t> Batch::allocate(std::uint64_t pages) {
  if (pages > format::kPagesPerRegion) {
    return base::failf(ErrorCode::capacity_exceeded, "a run has at most {} pages of {} bytes; use larger pages",
                       format::kPagesPerRegion, page_bytes());
  }
  const std::uint64_t more = expected_pages_ < pages ? 0 : expected_pages_ - pages;
  MENTEDB_TRY_ASSIGN(const std::uint64_t page, allocator_.allocate(pages, more, counters_, taken_));
  expected_pages_ = more;
  return page;
}

void Batch::make_room(std::size_t bytes) {
  const std::size_t needed = base::round_up(bytes, base::kBlockBytes);
  if (needed <= image_.size_bytes()) return;
  base::AlignedBuffer larger(std::max(needed, 2 * image_.size_bytes()));
  base::copy_bytes(image_.first(bytes_), larger.first(larger.size_bytes()));
  image_ = std::move(larger);
}

void Batch::add(const OperationHeader& header, std::span<const std::byte> payload) {
  make_room(std::max(bytes_ + format::operation_bytes(payload.size()), sizeof(format::BatchHeader) + expected_bytes_));
  const auto out = image_.first(image_.size_bytes());
  base::write_struct(out, bytes_, header);
  const std::size_t payload_offset = bytes_ + sizeof(header);
  base::copy_bytes(payload, out.subspan(payload_offset));
  const std::size_t end = bytes_ + format::operation_bytes(payload.size());
  std::ranges::fill(out.subspan(payload_offset + payload.size(), end - payload_offset - payload.size()), std::byte{0});
  operations_.push_back({.header = header, .payload_offset = payload_offset});
  has_raw_ |= header.type == OperationType::raw;
  bytes_ = end;
  payload_bytes_ += payload.size();
}

void Batch::set_head(std::uint64_t page, const Head& head) {
  const auto found = heads_.find(page);
  undo_.push_back({.is_id = false,
                   .id = {},
                   .page = page,
                   .old_place = std::nullopt,
                   .old_head = found == heads_.end() ? std::nullopt : std::optional(found->second)});
  overlapping_ |= found != heads_.end();
  heads_[page] = head;
}

void Batch::set_id(const MemoryId& id, const Place& place) {
  const auto found = ids_.find(id);
  undo_.push_back({.is_id = true,
                   .id = id,
                   .page = place.page,
                   .old_place = found == ids_.end() ? std::nullopt : std::optional(found->second),
                   .old_head = std::nullopt});
  overlapping_ |= found != ids_.end();
  ids_[id] = place;
}

void Batch::free_run(std::uint64_t page, const Head& head, OperationType type) {
  add({.type = type,
       .reserved = {},
       .run_pages = head.run_pages,
       .page = page,
       .memory_id = head.id.bytes,
       .payload_bytes = 0,
       .reserved2 = 0},
      {});
  set_head(page, Head{});
  lowest_freed_ = lowest_freed_ == 0 ? page : std::min(lowest_freed_, page);
  counters_.used_pages -= head.run_pages;
}

Result<PageId> Batch::put(const MemoryId& id, std::span<const std::byte> bytes, Put mode) {
  MENTEDB_TRY(check_room(bytes.size()));
  MENTEDB_TRY_ASSIGN(const auto old_page, find(id));
  if (old_page && mode == Put::only_new) {
    return base::failf(ErrorCode::already_exists, "memory {} exists already", id.to_string());
  }
  if (!old_page && mode == Put::only_existing) {
    return base::failf(ErrorCode::not_found, "there is no memory {} to update", id.to_string());
  }
  Head old_head;
  if (old_page) {
    MENTEDB_TRY_ASSIGN(old_head, head_of(*old_page));
    if (!format::is_memory(old_head.type)) {
      return base::failf(ErrorCode::corruption,
                         "the id index leads memory {} to page {}, which holds none; run: mentedb recover",
                         id.to_string(), *old_page);
    }
  }
  const std::uint64_t pages = format::pages_for_payload(bytes.size(), page_bytes());
  MENTEDB_TRY_ASSIGN(const std::uint64_t page, allocate(pages));
  const Head head{.type = old_page ? EntryType::memory_updated : EntryType::memory_stored,
                  .run_pages = static_cast<std::uint32_t>(pages),
                  .id = id};
  add({.type = old_page ? OperationType::update : OperationType::store,
       .reserved = {},
       .run_pages = head.run_pages,
       .page = page,
       .memory_id = id.bytes,
       .payload_bytes = static_cast<std::uint32_t>(bytes.size()),
       .reserved2 = 0},
      bytes);
  set_head(page, head);
  undo_.back().untake = true;
  set_id(id, {.page = page, .operation = operations_.size() - 1});
  if (old_page) {
    free_run(*old_page, old_head, OperationType::move);
  } else {
    ++counters_.memory_count;
    ++new_ids_;
  }
  return PageId{page};
}

Result<void> Batch::erase(const MemoryId& id) {
  MENTEDB_TRY_ASSIGN(const auto page, find(id));
  if (!page) return base::failf(ErrorCode::not_found, "there is no memory {} to delete", id.to_string());
  return free_page(PageId{*page});
}

Result<void> Batch::free_page(PageId page) {
  MENTEDB_TRY(check_room(0));
  MENTEDB_TRY_ASSIGN(const Head head, head_of(page.value));
  if (!format::is_head(head.type)) return base::failf(ErrorCode::not_found, "no run starts at page {}", page.value);
  if (format::is_memory(head.type)) {
    set_id(head.id, {});
    --counters_.memory_count;
  }
  free_run(page.value, head, OperationType::remove);
  return {};
}

Result<PageId> Batch::allocate_raw(std::size_t min_bytes) {
  if (min_bytes > kMaxEncodedBytes) {
    return base::failf(ErrorCode::capacity_exceeded, "a raw page holds at most {} bytes", kMaxEncodedBytes);
  }
  MENTEDB_TRY(check_room(0));
  const std::uint64_t pages = format::pages_for_payload(min_bytes, page_bytes());
  MENTEDB_TRY_ASSIGN(const std::uint64_t page, allocate(pages));
  const Head head{.type = EntryType::raw, .run_pages = static_cast<std::uint32_t>(pages), .id = {}};
  add({.type = OperationType::raw,
       .reserved = {},
       .run_pages = head.run_pages,
       .page = page,
       .memory_id = {},
       .payload_bytes = 0,
       .reserved2 = 0},
      {});
  set_head(page, head);
  undo_.back().untake = true;
  return PageId{page};
}

Result<void> Batch::write_raw(PageId page, std::span<const std::byte> data) {
  MENTEDB_TRY(check_room(data.size()));
  MENTEDB_TRY_ASSIGN(const Head head, head_of(page.value));
  if (!format::is_head(head.type)) return base::failf(ErrorCode::not_found, "no run starts at page {}", page.value);
  if (head.type != EntryType::raw) {
    return base::failf(ErrorCode::invalid_argument, "page {} holds memory {}; use update_memory", page.value,
                       head.id.to_string());
  }
  const std::uint64_t room = std::uint64_t{head.run_pages} * page_bytes() - sizeof(format::RunHeader);
  if (data.size() > room) {
    return base::failf(ErrorCode::capacity_exceeded, "page {} holds at most {} bytes, not {}; allocate a larger one",
                       page.value, room, data.size());
  }
  add({.type = OperationType::raw,
       .reserved = {},
       .run_pages = head.run_pages,
       .page = page.value,
       .memory_id = {},
       .payload_bytes = static_cast<std::uint32_t>(data.size()),
       .reserved2 = 0},
      data);
  set_head(page.value, head);
  return {};
}

std::vector<MemoryId> Batch::changed_ids() const {
  std::vector<MemoryId> ids;
  ids.reserve(ids_.size());
  for (const auto& [id, place] : ids_) ids.push_back(id);
  return ids;
}

Batch::Mark Batch::mark() const {
  return {.operations = operations_.size(),
          .bytes = bytes_,
          .undo = undo_.size(),
          .payload_bytes = payload_bytes_,
          .new_ids = new_ids_,
          .counters = counters_};
}

void Batch::rollback(const Mark& mark) {
  while (undo_.size() > mark.undo) {
    const Undo& step = undo_.back();
    if (step.is_id) {
      if (step.old_place) {
        ids_[step.id] = *step.old_place;
      } else {
        ids_.erase(step.id);
      }
    } else {
      if (step.untake) taken_.remove(step.page);
      if (step.old_head) {
        heads_[step.page] = *step.old_head;
      } else {
        heads_.erase(step.page);
      }
    }
    undo_.pop_back();
  }
  operations_.resize(mark.operations);
  bytes_ = mark.bytes;
  payload_bytes_ = mark.payload_bytes;
  new_ids_ = mark.new_ids;
  // Space that the file gained stays: it is free, and a later batch will use it.
  const std::uint64_t page_count = counters_.page_count;
  counters_ = mark.counters;
  counters_.page_count = page_count;
}

bool Batch::writes_early() const { return payload_bytes_ >= early_bytes_ && !overlapping_ && !has_raw_; }

std::uint64_t Batch::padded_bytes() const {
  std::uint64_t bytes = bytes_;
  if (writes_early()) {
    bytes = sizeof(format::BatchHeader);
    for (const Planned& planned : operations_)
      bytes += format::operation_bytes(format::is_put(planned.header.type) ? sizeof(std::uint64_t) : 0);
  }
  return base::round_up(bytes, base::kBlockBytes);
}

std::span<const std::byte> Batch::seal(const wal::Tail& tail, std::uint64_t seed,
                                       std::span<const format::Operation> operations) {
  std::size_t bytes = bytes_;
  base::AlignedBuffer& buffer = writes_early() ? early_image_ : image_;
  buffer.reserve(padded_bytes());
  const auto image = buffer.first(padded_bytes());
  if (writes_early()) {
    bytes = sizeof(format::BatchHeader);
    for (const format::Operation& operation : operations) {
      base::write_struct(image, bytes, operation.header);
      if (operation.is_early()) base::write_struct(image, bytes + sizeof(operation.header), operation.run_checksum);
      bytes += format::logged_bytes(operation.header);
    }
  }
  std::ranges::fill(image.subspan(bytes), std::byte{0});
  base::write_struct(image, 0,
                     format::BatchHeader{.checksum = 0,
                                         .offset = tail.offset,
                                         .first_lsn = tail.next_lsn,
                                         .previous_checksum = tail.previous_checksum,
                                         .operation_count = static_cast<std::uint32_t>(operations.size()),
                                         .bytes = static_cast<std::uint32_t>(bytes),
                                         .counters = counters_});
  format::seal_batch(image.first(bytes), seed);
  return image;
}

std::vector<format::Operation> Batch::operations(std::uint64_t first_lsn) const {
  std::vector<format::Operation> result;
  result.reserve(operations_.size());
  for (const Planned& planned : operations_) {
    result.push_back({.header = planned.header,
                      .lsn = first_lsn + result.size(),
                      .payload = {image_.data() + planned.payload_offset, planned.header.payload_bytes}});
  }
  return result;
}

}  // namespace mentedb::store

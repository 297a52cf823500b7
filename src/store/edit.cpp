#include "store/edit.hpp"

#include <algorithm>
#include <type_traits>

#include "base/bytes.hpp"
#include "format/queue_format.hpp"

namespace mentedb::store {

using format::QueueRequestHeader;

namespace {

/// Followed by the payload and zeros to a multiple of 8.
struct EditHeader {
  EditType type;
  std::uint8_t reserved[3];
  std::uint32_t payload_bytes;
  std::uint64_t number;
  UuidBytes id;
};
static_assert(sizeof(EditHeader) == 32 && std::has_unique_object_representations_v<EditHeader>);

std::size_t edit_bytes(std::size_t payload_bytes) { return sizeof(EditHeader) + base::round_up(payload_bytes, 8); }

}  // namespace

Result<PageId> plan(Batch& batch, const Edit& edit) {
  Result<void> done;
  switch (edit.type) {
    case EditType::put:
      return batch.put(edit.id, edit.payload, Batch::Put::any);
    case EditType::put_new:
      return batch.put(edit.id, edit.payload, Batch::Put::only_new);
    case EditType::put_existing:
      return batch.put(edit.id, edit.payload, Batch::Put::only_existing);
    case EditType::allocate_raw:
      return batch.allocate_raw(edit.number);
    case EditType::erase:
      done = batch.erase(edit.id);
      break;
    case EditType::write_raw:
      done = batch.write_raw(PageId{edit.number}, edit.payload);
      break;
    case EditType::free_page:
      done = batch.free_page(PageId{edit.number});
      break;
  }
  if (!done) return std::unexpected(std::move(done).error());
  return PageId{};
}

std::size_t request_bytes(std::span<const Edit> edits) {
  std::size_t bytes = sizeof(QueueRequestHeader);
  for (const Edit& edit : edits) bytes += edit_bytes(edit.payload.size());
  return bytes;
}

std::vector<std::byte> encode_request(std::span<const Edit> edits) {
  std::vector<std::byte> request(request_bytes(edits));
  base::write_struct(request, 0,
                     QueueRequestHeader{.checksum = 0,
                                        .bytes = static_cast<std::uint32_t>(request.size()),
                                        .edit_count = static_cast<std::uint32_t>(edits.size())});
  std::size_t at = sizeof(QueueRequestHeader);
  for (const Edit& edit : edits) {
    base::write_struct(request, at,
                       EditHeader{.type = edit.type,
                                  .reserved = {},
                                  .payload_bytes = static_cast<std::uint32_t>(edit.payload.size()),
                                  .number = edit.number,
                                  .id = edit.id.bytes});
    base::copy_bytes(edit.payload, std::span(request).subspan(at + sizeof(EditHeader)));
    at += edit_bytes(edit.payload.size());
  }
  return request;
}

std::optional<std::vector<Edit>> decode_request(std::span<const std::byte> request) {
  if (request.size() < sizeof(QueueRequestHeader)) return std::nullopt;
  const auto header = base::read_struct<QueueRequestHeader>(request);
  if (header.edit_count == 0 || header.edit_count > format::kQueueMostEdits) return std::nullopt;
  std::vector<Edit> edits;
  edits.reserve(header.edit_count);
  std::size_t at = sizeof(QueueRequestHeader);
  for (std::uint32_t i = 0; i < header.edit_count; ++i) {
    if (request.size() - at < sizeof(EditHeader)) return std::nullopt;
    const auto edit = base::read_struct<EditHeader>(request, at);
    if (edit.type < EditType::put || edit.type > EditType::free_page) return std::nullopt;
    if (request.size() - at < edit_bytes(edit.payload_bytes)) return std::nullopt;
    edits.push_back({.type = edit.type,
                     .id = MemoryId{edit.id},
                     .number = edit.number,
                     .payload = request.subspan(at + sizeof(EditHeader), edit.payload_bytes)});
    at += edit_bytes(edit.payload_bytes);
  }
  return edits;
}

}  // namespace mentedb::store

// What a write asks for, as data: any process of the store can plan it (ADR 15).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/ids.hpp>
#include <mentedb/page.hpp>

#include "store/batch.hpp"

namespace mentedb::store {

enum class EditType : std::uint8_t {
  put = 1,       ///< payload: the encoded memory
  put_new,       ///< the same, when the id is absent
  put_existing,  ///< the same, when the id is there
  erase,
  allocate_raw,  ///< `number`: the least bytes of the page
  write_raw,     ///< `number`: the page; payload: its bytes
  free_page,     ///< `number`: the page
};

struct Edit {
  EditType type = EditType::put;
  MemoryId id;
  std::uint64_t number = 0;
  std::span<const std::byte> payload;
};

/// Adds the edit to the batch. @return the page that it went to; page 0 for edits that have none
Result<PageId> plan(Batch& batch, const Edit& edit);

/// Bytes of a request that holds these edits, its header included.
std::size_t request_bytes(std::span<const Edit> edits);
/// The request, without its checksum.
std::vector<std::byte> encode_request(std::span<const Edit> edits);
/// The edits of a request; their payloads point into it. Nothing when a length or a type is impossible (I10).
std::optional<std::vector<Edit>> decode_request(std::span<const std::byte> request);

}  // namespace mentedb::store

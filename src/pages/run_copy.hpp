// A verified copy of a run: read the bytes that the run seems to have, read the rest that the header in the copy
// claims, verify the checksum of the copy. A writer may replace the run between two reads; then the checksum does not
// hold. The buffer pool and the raw files share this routine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include <mentedb/error.hpp>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "format/page_format.hpp"

namespace mentedb::pages {

/// `payload` points into the buffer that the run was read into.
struct RunCopy {
  format::RunHeader header{};
  std::span<const std::byte> payload;
};

/// The run that starts at `page`, or nothing when the bytes there do not verify.
/// `read(offset, bytes)` copies bytes of the run from there on. `guess`: so many bytes are copied at first, header
/// included; a guess that is right saves the second copy, and every guess gives the same answer. `fits(header)` says
/// whether a run of the claimed length can be there; it is asked before anything is allocated for the run (I10).
/// Without a seed no checksum is compared.
template <class Read, class Fits>
Result<std::optional<RunCopy>> copy_run(std::uint64_t page, std::uint32_t page_bytes, std::optional<std::uint64_t> seed,
                                        base::AlignedBuffer& buffer, std::size_t guess, Read&& read, Fits&& fits) {
  MENTEDB_ASSERT(guess >= sizeof(format::RunHeader));
  buffer.reserve(guess);
  MENTEDB_TRY(read(0, buffer.first(guess)));
  const auto header = format::parse_run_header(buffer.first(guess), page, page_bytes);
  if (!header || !fits(*header)) return std::nullopt;
  const std::size_t total = sizeof(format::RunHeader) + header->payload_bytes;
  if (total > buffer.size_bytes()) {
    base::AlignedBuffer larger(total);
    base::copy_bytes(buffer.first(guess), larger.first(total));
    buffer = std::move(larger);
  }
  if (total > guess) MENTEDB_TRY(read(guess, buffer.first(total).subspan(guess)));
  const std::span<const std::byte> payload = buffer.first(total).subspan(sizeof(format::RunHeader));
  if (seed && !format::run_verifies(*header, payload, *seed)) return std::nullopt;
  return RunCopy{.header = *header, .payload = payload};
}

}  // namespace mentedb::pages

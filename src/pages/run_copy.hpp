// A verified copy of a run: read the header, read as many bytes as the header claims, verify the checksum of the copy.
// The buffer pool and the raw files share this routine.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

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
/// `read(bytes)` copies the run's first bytes. `fits(header)` says whether a run of the claimed length can be there; it
/// is asked before anything is allocated for the run (I10). Without a seed no checksum is compared.
template <class Read, class Fits>
Result<std::optional<RunCopy>> copy_run(std::uint64_t page, std::uint32_t page_bytes, std::optional<std::uint64_t> seed,
                                        base::AlignedBuffer& buffer, Read&& read, Fits&& fits) {
  buffer.reserve(page_bytes);
  MENTEDB_TRY(read(buffer.first(page_bytes)));
  const auto header = format::parse_run_header(buffer.first(page_bytes), page, page_bytes);
  if (!header || !fits(*header)) return std::nullopt;
  const std::size_t total = sizeof(format::RunHeader) + header->payload_bytes;
  if (total > page_bytes) {
    buffer.reserve(total);
    MENTEDB_TRY(read(buffer.first(total)));
    // A writer may have replaced the header since the first read. The checksum below is over this copy.
    if (std::memcmp(buffer.data(), &*header, sizeof(*header)) != 0) return std::nullopt;
  }
  const std::span<const std::byte> payload = buffer.first(total).subspan(sizeof(format::RunHeader));
  if (seed && !format::run_verifies(*header, payload, *seed)) return std::nullopt;
  return RunCopy{.header = *header, .payload = payload};
}

}  // namespace mentedb::pages

#include "rs_store/format.hpp"

#include <lz4.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include <fmt/core.h>

namespace mentedb::rs_store {
namespace {

constexpr std::size_t kMinEntryBytes = 8 + 1 + 8 + 4;  // LSN, type, page id, uncompressed size

enum EntryType : std::uint8_t { kPageWrite = 1, kCommit = 2, kCheckpoint = 3, kPageFree = 4 };

template <class T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);  // callers have checked the size; little endian
  return value;
}

uLong crc_of(std::span<const std::byte> bytes, uLong before = 0) {
  return crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

Error corrupt(std::string message) { return Error{ErrorCode::corruption, 0, std::move(message)}; }

}  // namespace

Result<FileHeader> parse_file_header(std::span<const std::byte> bytes) {
  if (bytes.size() < kFileHeaderBytes) {
    return std::unexpected(corrupt(fmt::format("the file has {} bytes, too few for a header", bytes.size())));
  }
  if (load<std::uint64_t>(bytes, 0) != kMagic) {
    return std::unexpected(
        Error{ErrorCode::incompatible, 0, "it does not begin with the original engine's magic number"});
  }
  if (const auto version = load<std::uint32_t>(bytes, 8); version != 1) {
    return std::unexpected(
        Error{ErrorCode::incompatible, 0, fmt::format("its format version is {}; only version 1 is known", version)});
  }
  return FileHeader{load<std::uint64_t>(bytes, 16)};
}

Result<PageContent> parse_page(std::span<const std::byte> bytes, std::uint64_t page) {
  if (bytes.size() != kPageBytes) return std::unexpected(corrupt("the file ends inside the page"));
  const auto stored_crc = load<std::uint32_t>(bytes, 16);
  if (stored_crc != 0) {
    uLong crc = crc_of(bytes.first(16));              // page id, LSN
    crc = crc_of(bytes.subspan(20, 2 + 2 + 1), crc);  // free bytes, slots, type
    crc = crc_of(bytes.subspan(kPageHeaderBytes), crc);
    if (crc != stored_crc) {
      return std::unexpected(
          corrupt(fmt::format("its checksum is {:08x}, but its bytes give {:08x}", stored_crc, crc)));
    }
  }
  if (const auto id = load<std::uint64_t>(bytes, 0); id != page && stored_crc != 0) {
    return std::unexpected(corrupt(fmt::format("it says that it is page {}", id)));
  }
  switch (load<std::uint8_t>(bytes, 24)) {
    case 0:
      return PageContent{PageKind::free, {}};
    case 1:
      return parse_page_data(bytes.subspan(kPageHeaderBytes));
    default:
      return PageContent{PageKind::other, {}};
  }
}

Result<PageContent> parse_page_data(std::span<const std::byte> data) {
  if (data.size() < 4) {
    if (data.empty()) return PageContent{PageKind::empty, {}};
    return std::unexpected(corrupt("its data is too short for a length"));
  }
  const auto length = load<std::uint32_t>(data, 0);
  if (length == 0) return PageContent{PageKind::empty, {}};
  if (length > data.size() - 4) {
    return std::unexpected(corrupt(fmt::format("its memory claims {} bytes, more than the page has", length)));
  }
  return PageContent{PageKind::memory, {reinterpret_cast<const char*>(data.data()) + 4, length}};
}

bool decompress(std::span<const std::byte> block, std::vector<std::byte>& data) {
  if (block.size() < 4) return false;
  const auto size = load<std::uint32_t>(block, 0);
  const std::span<const std::byte> compressed = block.subspan(4);
  if (size > kPageDataBytes || compressed.size() > LZ4_MAX_INPUT_SIZE) return false;
  data.resize(size);
  char nothing = 0;  // the library wants a place to write to, also for an empty block
  const int written = LZ4_decompress_safe(reinterpret_cast<const char*>(compressed.data()),
                                          size == 0 ? &nothing : reinterpret_cast<char*>(data.data()),
                                          static_cast<int>(compressed.size()), static_cast<int>(size));
  return written >= 0 && static_cast<std::uint32_t>(written) == size;
}

Log parse_log(std::span<const std::byte> bytes) {
  Log log;
  std::vector<std::byte> scratch;
  std::size_t at = 0;
  std::uint64_t checkpoint = 0;  // number of the last one's entry; an image that it covers has a lower number
  bool has_checkpoint = false;
  while (at < bytes.size()) {
    const std::span<const std::byte> rest = bytes.subspan(at);
    const std::uint32_t length = rest.size() >= 4 ? load<std::uint32_t>(rest, 0) : 0;
    if (rest.size() < 8 || length > rest.size() - 8) {
      log.end = "the last entry is cut short";
      break;
    }
    if (length < kMinEntryBytes) {
      log.end = fmt::format("an entry of {} bytes is too short to be one", length);
      break;
    }
    const std::span<const std::byte> body = rest.subspan(4, length);
    if (crc_of(body) != load<std::uint32_t>(rest, 4 + length)) {
      log.end = "an entry does not match its checksum";
      break;
    }
    const auto type = load<std::uint8_t>(body, 8);
    const auto page = load<std::uint64_t>(body, 9);
    if (type == kPageWrite) {
      const std::span<const std::byte> block = body.subspan(17);
      if (!decompress(block, scratch)) {
        log.end = "the data of an entry cannot be decompressed";
        break;
      }
      log.newest[page] = LogImage{block, log.entries};
    } else if (type == kPageFree) {
      log.newest[page] = LogImage{std::nullopt, log.entries};
    } else if (type == kCheckpoint) {
      checkpoint = log.entries;
      has_checkpoint = true;
    } else if (type != kCommit) {
      log.end = fmt::format("an entry has the unknown type {}", type);
      break;
    }
    ++log.entries;
    at += 8 + std::size_t{length};
  }
  log.valid_bytes = at;
  for (auto& [page, image] : log.newest) image.after_checkpoint = !has_checkpoint || image.entry > checkpoint;
  return log;
}

}  // namespace mentedb::rs_store

// The files of the original Rust engine, as bytes: the functions do no input or output, so that a fuzzer can drive
// them.
//
// pages.db is a row of 64 KiB pages, little endian.
//   page 0       magic u64, version u32, zero u32, page count u64 (page 0 included), head of the free list u64
//   other pages  page id u64, LSN u64, CRC-32 u32, free bytes u16, slots u16, type u8 (0 free, 1 data), 7 zero bytes,
//                then 65,504 bytes of data: length u32 + the memory as JSON, the rest zero
// The CRC-32 (zlib's) covers page id, LSN, free bytes, slots, type and all 65,504 bytes of data, in this order and
// without itself and the zero bytes. A CRC of 0 is not checked (new and free pages have none).
//
// wal.log is a row of entries without a header:
//   length u32, LSN u64, type u8 (1 page write, 2 commit, 3 checkpoint, 4 page free), page id u64, an LZ4 block
//   with its uncompressed size (u32) in front, CRC-32 u32
// Length and CRC cover LSN to the end of the block. The block of a page write is the start of the page's data.
//
// How the original engine reads both files, and so does this reader:
// - An entry counts on its own. Commit entries are never written; a page write without one is a committed write.
// - The order is that of the file. LSNs start again at 1 when a recovery empties the log, so LSNs order nothing.
// - The log ends where an entry is cut short or fails its CRC.
// - A checkpoint entry means that the pages hold everything before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>

namespace mentedb::rs_store {

inline constexpr std::size_t kPageBytes = 65'536;
inline constexpr std::size_t kPageHeaderBytes = 32;
inline constexpr std::size_t kPageDataBytes = kPageBytes - kPageHeaderBytes;
inline constexpr std::uint64_t kMagic = 0x4D454E5445444231;  // "MENTEDB1" read as a big-endian number
inline constexpr std::size_t kFileHeaderBytes = 32;

struct FileHeader {
  std::uint64_t page_count = 0;  ///< page 0 included
};

/// @errors `incompatible` (another program's file, another version), `corruption` (cut short)
Result<FileHeader> parse_file_header(std::span<const std::byte> bytes);

enum class PageKind {
  free,
  empty,   ///< allocated, but nothing was written to it
  memory,  ///< `json` holds its text
  other,   ///< a type that holds no memories
};

struct PageContent {
  PageKind kind = PageKind::free;
  std::string_view json;  ///< points into the bytes given
};

/// @errors `corruption`: wrong page id, CRC, or length
Result<PageContent> parse_page(std::span<const std::byte> bytes, std::uint64_t page);

/// The data portion of a page as a log entry holds it. @errors `corruption`
Result<PageContent> parse_page_data(std::span<const std::byte> data);

struct LogImage {
  /// What was written to the page, compressed: a part of the log's bytes that `decompress` is known to accept. Nothing
  /// when the page was freed. The block stays compressed, because a few bytes of log can stand for 64 KiB.
  std::optional<std::span<const std::byte>> block;
  std::uint64_t entry = 0;  ///< its number in the log
  bool after_checkpoint =
      false;  ///< false: a checkpoint follows, so the page holds the image, unless the page is damaged
};

struct Log {
  std::map<std::uint64_t, LogImage> newest;  ///< by page: the last entry about it
  std::uint64_t entries = 0;
  std::size_t valid_bytes = 0;  ///< the bytes behind them do not verify
  std::string end;              ///< why the log ends there; empty when it ends with the file
};

/// Never fails: a damaged log is a shorter one, and `end` says why. The result points into `bytes`.
Log parse_log(std::span<const std::byte> bytes);

/// The start of a page's data from the block of a log entry; at most kPageDataBytes. False when it is none.
bool decompress(std::span<const std::byte> block, std::vector<std::byte>& data);

}  // namespace mentedb::rs_store

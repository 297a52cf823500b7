// ids-N.idx (docs/format.md "ids-N.idx"): an open-addressing hash table from memory ids to pages. All processes share
// the file. Losing it loses nothing: the lock holder rebuilds the index from the directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include <mentedb/ids.hpp>

#include "base/bytes.hpp"

namespace mentedb::format {

inline constexpr std::uint64_t kIndexMagic = 0x6942'4465'746E'654D;  // "MenteDBi"
inline constexpr std::uint64_t kIndexBucketsOffset = base::kBlockBytes;
/// In the first block, one word: the number of buckets that are not empty.
inline constexpr std::uint64_t kIndexUsedOffset = 2048;
inline constexpr std::uint64_t kMinIndexBuckets = 1'024;
inline constexpr std::uint64_t kMaxIndexBuckets = std::uint64_t{1} << 33;

/// Written last, when the table is complete. A file without a valid header is an unfinished table and is not used.
struct IndexHeader {
  std::uint64_t checksum;
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  UuidBytes store_id;
  UuidBytes incarnation;
  UuidBytes boot_id;  ///< of the boot that built the table; a table of an earlier boot may lack writes
  std::uint64_t pages_device;
  std::uint64_t pages_inode;   ///< a copied pages.db has another one
  std::uint64_t bucket_count;  ///< a power of two
};
static_assert(sizeof(IndexHeader) == 96 && std::has_unique_object_representations_v<IndexHeader>);

void encode_index_header(const IndexHeader& header, std::span<std::byte> block);
std::optional<IndexHeader> decode_index_header(std::span<const std::byte> block);

std::string index_file_name(std::uint64_t number);
/// The N of "ids-N.idx".
std::optional<std::uint64_t> parse_index_file_name(const std::string& name);

// A bucket is one word: fingerprint << 32 | page. Page 0 does not exist, so the word 0 is an empty bucket, and a
// tombstone has page 0.
inline constexpr std::uint64_t kEmptyBucket = 0;
inline constexpr std::uint64_t kTombstone = 0xFFFF'FFFF'0000'0000;

constexpr std::uint64_t make_bucket(std::uint32_t fingerprint, std::uint64_t page) {
  return std::uint64_t{fingerprint} << 32 | page;
}
constexpr std::uint32_t bucket_fingerprint(std::uint64_t bucket) { return static_cast<std::uint32_t>(bucket >> 32); }
constexpr std::uint64_t bucket_page(std::uint64_t bucket) { return bucket & 0xFFFF'FFFF; }

/// `start`: the bucket at which the search for an id begins, modulo the bucket count. `fingerprint`: the upper half of
/// the id's bucket.
struct IdHash {
  std::uint64_t start;
  std::uint32_t fingerprint;
};
IdHash hash_id(const UuidBytes& id, std::uint64_t seed);

}  // namespace mentedb::format

// Superblock, header copy of the log, header of an id index, and names of index files.

#include <array>
#include <string>

#include "format/geometry.hpp"
#include "format/index_format.hpp"
#include "format/log_format.hpp"
#include "format/superblock.hpp"
#include "support/input.hpp"

namespace {

using namespace mentedb;

void superblock(std::span<const std::byte> block) {
  const auto decoded = format::decode_superblock(block, "pages.db");
  if (!decoded) {
    FUZZ_REQUIRE(decoded.error().code == ErrorCode::corruption || decoded.error().code == ErrorCode::incompatible);
    return;
  }
  FUZZ_REQUIRE(format::is_valid_page_bytes(decoded->page_bytes));
  FUZZ_REQUIRE(decoded->version == format::kFormatVersion);
}

void log_slot(std::span<const std::byte> block) {
  const auto decoded = format::decode_log_header(block);
  if (!decoded) return;
  FUZZ_REQUIRE(decoded->epoch != 0 && decoded->start_lsn != 0);
  FUZZ_REQUIRE(decoded->counters.page_count <= format::kMaxPageCount);
  FUZZ_REQUIRE(decoded->counters.memory_count <= decoded->counters.page_count);
}

void index_header(std::span<const std::byte> block) {
  const auto decoded = format::decode_index_header(block);
  if (!decoded) return;
  FUZZ_REQUIRE(decoded->bucket_count >= format::kMinIndexBuckets && decoded->bucket_count <= format::kMaxIndexBuckets);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  const bool seal = (mode & 0x80) != 0;  // else the checksum is the fuzzer's, too
  std::array<std::byte, base::kBlockBytes> block{};
  switch (mode % 4) {
    case 0:
      if (!seal) return superblock(input.rest()), 0;
      format::encode_superblock(input.take<format::Superblock>(), block);
      return superblock(block), 0;
    case 1:
      if (!seal) return log_slot(input.rest()), 0;
      format::encode_log_header(input.take<format::LogHeader>(), block);
      return log_slot(block), 0;
    case 2:
      if (!seal) return index_header(input.rest()), 0;
      format::encode_index_header(input.take<format::IndexHeader>(), block);
      return index_header(block), 0;
    default: {
      const auto text = input.rest();
      const std::string name(reinterpret_cast<const char*>(text.data()), text.size());
      const auto number = format::parse_index_file_name(name);
      FUZZ_REQUIRE(!number || format::index_file_name(*number) == name);
      return 0;
    }
  }
}

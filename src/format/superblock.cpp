#include "format/superblock.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "base/error.hpp"
#include "format/geometry.hpp"

namespace mentedb::format {
namespace {

constexpr std::uint64_t kSuperblockSeed = 0x6D65'6E74'6501;  // fixed: the store's seed is a field of the superblock

std::uint64_t checksum_of(const Superblock& superblock) {
  return base::checksum(base::bytes_of(superblock, sizeof(superblock.checksum)), kSuperblockSeed);
}

}  // namespace

void encode_superblock(const Superblock& superblock, std::span<std::byte> block) {
  Superblock sealed = superblock;
  sealed.checksum = checksum_of(sealed);
  std::ranges::fill(block, std::byte{0});
  base::write_struct(block, 0, sealed);
}

bool has_known_magic(std::span<const std::byte> block) {
  if (block.size() < sizeof(Superblock)) return false;
  const auto superblock = base::read_struct<Superblock>(block);
  return base::read_struct<std::uint64_t>(block) == kOriginalMagic || superblock.checksum == checksum_of(superblock);
}

Result<Superblock> decode_superblock(std::span<const std::byte> block, const std::string& path) {
  if (block.size() < sizeof(Superblock)) {
    return base::failf(ErrorCode::corruption,
                       "{} is cut short: it has no superblock; restore a backup, or run mentedb salvage", path);
  }
  const auto superblock = base::read_struct<Superblock>(block);
  if (base::read_struct<std::uint64_t>(block) == kOriginalMagic) {
    return base::failf(ErrorCode::incompatible,
                       "{} was written by the original MenteDB engine; import it into a new store: "
                       "mentedb import --from mentedb-rs <its directory>",
                       path);
  }
  const auto damaged = [&path] {
    return base::failf(ErrorCode::corruption,
                       "the superblock of {} is damaged; restore a backup, or run mentedb salvage", path);
  };
  // Compare the checksum as if the file held our magic and our version. If it matches, the file is ours and one of
  // these two fields is damaged.
  Superblock ours = superblock;
  ours.magic = kPagesMagic;
  ours.version = kFormatVersion;
  const bool is_ours = superblock.checksum == checksum_of(ours);
  if (superblock.magic != kPagesMagic) {
    if (is_ours) return damaged();
    return base::failf(ErrorCode::incompatible, "{} is not a MenteDB file; choose another directory", path);
  }
  if (superblock.version > kFormatVersion) {
    if (is_ours) return damaged();
    return base::failf(ErrorCode::incompatible,
                       "{} has format version {}, this program reads up to {}; use a newer mentedb", path,
                       superblock.version, kFormatVersion);
  }
  if (superblock.version < kFormatVersion && superblock.version != 0 &&
      superblock.checksum == checksum_of(superblock)) {
    return base::failf(ErrorCode::incompatible,
                       "{} has format version {}, which no release wrote; export its memories with the program that "
                       "wrote them, and import them into a new store",
                       path, superblock.version);
  }
  const bool sane = is_ours && superblock.version == kFormatVersion && superblock.state >= StoreState::creating &&
                    superblock.state <= StoreState::copying && is_valid_page_bytes(superblock.page_bytes) &&
                    superblock.reserved == 0;
  if (!sane) return damaged();
  return superblock;
}

}  // namespace mentedb::format

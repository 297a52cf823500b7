#include "engine/raw_store.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/store.hpp"
#include "pages/shared_words.hpp"

namespace mentedb::engine {

Result<std::unique_ptr<RawStore>> RawStore::open(vfs::Vfs& vfs, const std::filesystem::path& path) {
  auto directory = vfs.open_directory(path, false);
  if (!directory) {
    if (directory.error().code != ErrorCode::not_found) return std::unexpected(directory.error());
    return base::failf(ErrorCode::not_found, "there is no store in {}: the directory does not exist; check the path", path.string());
  }
  const auto open_file = [&](std::string_view name) -> Result<std::unique_ptr<vfs::File>> {
    auto file = (*directory)->open(name, vfs::OpenMode::read_only, false);
    if (file || file.error().code != ErrorCode::not_found) return file;
    const bool other_missing = !(*directory)->id_of(name == kLogName ? kPagesName : kLogName);
    if (other_missing)
      return base::failf(ErrorCode::not_found, "there is no store in {} (no {}); check the path", (*directory)->path(), name);
    return base::failf(ErrorCode::corruption, "{}/{} is missing; restore a backup", (*directory)->path(), name);
  };
  MENTEDB_TRY_ASSIGN(auto pages_file, open_file(kPagesName));
  MENTEDB_TRY_ASSIGN(auto log_file, open_file(kLogName));
  std::unique_ptr<RawStore> store(new RawStore(std::move(*directory), std::move(log_file), std::move(pages_file)));
  std::array<std::byte, base::kBlockBytes> block{};
  MENTEDB_TRY_ASSIGN(const std::size_t got, store->pages_file_->read_at(0, block));
  MENTEDB_TRY_ASSIGN(store->superblock_,
                     format::decode_superblock(std::span(block).first(got), store->pages_file_->path()));
  store->geometry_ = format::Geometry(store->superblock_.page_bytes);
  MENTEDB_TRY(store->refresh());
  return store;
}

Result<void> RawStore::refresh() {
  // A copy of the block behind a mapping's interface would be one more mechanism: map it, read-only.
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, pages_file_->size_bytes());
  hint_.reset();
  entry_block_ = 0;
  if (size < format::kFirstGroupOffset) return {};
  MENTEDB_TRY_ASSIGN(auto mapping, pages_file_->map(format::kSharedWordsOffset, base::kBlockBytes, false));
  MENTEDB_TRY(mapping->populate(0, base::kBlockBytes));
  const pages::SharedWords words(std::move(mapping), superblock_.seed);
  hint_ = words.hint();
  index_number_ = words.index_number();
  return {};
}

bool RawStore::read(vfs::File& file, std::uint64_t offset, std::span<std::byte> out) const {
  const auto got = file.read_at(offset, out);
  const std::size_t have = got ? *got : 0;
  std::ranges::fill(out.subspan(have), std::byte{0});
  return have == out.size();
}

std::optional<format::Entry> RawStore::read_entry(std::uint64_t page) const {
  const std::uint64_t offset = geometry_.entry_offset(page);
  const std::uint64_t block = offset / base::kBlockBytes;
  if (block != entry_block_) {
    read(*pages_file_, block * base::kBlockBytes, entries_);
    entry_block_ = block;
  }
  const std::span<const std::byte, format::kEntryBytes> bytes(entries_.data() + offset % base::kBlockBytes,
                                                              format::kEntryBytes);
  return format::decode_entry(bytes, page, superblock_.seed);
}

std::optional<RawStore::Run> RawStore::read_run(std::uint64_t page, base::AlignedBuffer& buffer) const {
  buffer.reserve(geometry_.page_bytes());
  if (!read(*pages_file_, geometry_.page_offset(page), buffer.first(geometry_.page_bytes()))) return std::nullopt;
  const auto header = format::parse_run_header(buffer.first(geometry_.page_bytes()), page, geometry_.page_bytes());
  if (!header) return std::nullopt;
  const std::size_t total = sizeof(format::RunHeader) + header->payload_bytes;
  if (total > geometry_.page_bytes()) {
    // Not believed before the file is that long: no allocation beyond the file's size (I10).
    const auto size = pages_file_->size_bytes();
    if (!size || geometry_.page_offset(page) + total > *size) return std::nullopt;
    buffer.reserve(total);
    if (!read(*pages_file_, geometry_.page_offset(page), buffer.first(total))) return std::nullopt;
  }
  const std::span<const std::byte> payload = buffer.first(total).subspan(sizeof(format::RunHeader));
  if (!format::run_verifies(*header, payload, superblock_.seed)) return std::nullopt;
  return Run{.header = *header, .payload = payload};
}

}  // namespace mentedb::engine

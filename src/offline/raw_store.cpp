#include "offline/raw_store.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "shared/shared_state.hpp"
#include "store/files.hpp"

namespace mentedb::offline {

Result<std::unique_ptr<RawStore>> RawStore::open(vfs::Vfs& vfs, const std::filesystem::path& path) {
  MENTEDB_TRY_ASSIGN(auto store, open_damaged(vfs, path));
  if (!store->damage_.empty()) return base::fail(ErrorCode::corruption, store->damage_.front().message);
  return store;
}

Result<std::unique_ptr<RawStore>> RawStore::open_damaged(vfs::Vfs& vfs, const std::filesystem::path& path) {
  std::unique_ptr<RawStore> store(new RawStore);
  auto directory = vfs.open_directory(path, false);
  if (!directory) {
    if (directory.error().code != ErrorCode::not_found) return std::unexpected(directory.error());
    return base::failf(ErrorCode::not_found, "there is no store in {}: the directory does not exist; check the path",
                       path.string());
  }
  store->directory_ = std::move(*directory);
  const auto open_file = [&](std::string_view name) -> Result<std::unique_ptr<vfs::File>> {
    auto file = store->directory_->open(name, vfs::OpenMode::read_only, false);
    if (file || file.error().code != ErrorCode::not_found) return file;
    store->damage_.push_back({.file = std::string(name),
                              .offset = 0,
                              .page = PageId{0},
                              .message = fmt::format("{}/{} is missing; restore a backup, or run mentedb salvage",
                                                     store->directory_->path(), name)});
    return nullptr;
  };
  MENTEDB_TRY_ASSIGN(store->log_file_, open_file(store::kLogName));
  MENTEDB_TRY_ASSIGN(store->pages_file_, open_file(store::kPagesName));
  if (!store->has_log() && !store->has_pages()) {
    return base::failf(ErrorCode::not_found, "there is no store in {} (no {}); check the path",
                       store->directory_->path(), store::kPagesName);
  }
  if (store->has_log()) store->log_ = std::make_unique<wal::Log>(*store->log_file_);
  if (store->has_pages()) MENTEDB_TRY(store->open_superblock());
  return store;
}

Result<void> RawStore::open_superblock() {
  std::optional<format::LogHeader> newest;
  if (has_log()) {
    // The reader of the log reports a log that cannot be read, so this function does not.
    if (const auto headers = log_->read_headers(); headers && headers->newest() != nullptr) newest = *headers->newest();
  }
  std::array<std::byte, base::kBlockBytes> block{};
  const auto got = pages_file_->read_at(0, block);
  auto superblock =
      got ? store::read_superblock(std::span(block).first(*got), pages_file_->path(), newest ? &*newest : nullptr)
          : std::unexpected(got.error());
  if (!superblock) {
    if (superblock.error().code == ErrorCode::incompatible) return std::unexpected(superblock.error());
    damage_.push_back({.file = std::string(store::kPagesName),
                       .offset = 0,
                       .page = PageId{0},
                       .message = superblock.error().message});
    return {};
  }
  has_superblock_ = true;
  assume(*superblock, true);
  if (auto refreshed = refresh(); !refreshed) {
    damage_.push_back({.file = std::string(store::kPagesName),
                       .offset = format::kSharedStateOffset,
                       .page = PageId{0},
                       .message = refreshed.error().message});
  }
  return {};
}

void RawStore::assume(const format::Superblock& superblock, bool seed_known) {
  superblock_ = superblock;
  seed_known_ = seed_known;
  geometry_ = format::Geometry(superblock.page_bytes);
  entry_block_ = 0;
  allow_reads();
}

void RawStore::allow_reads() {
  constexpr std::uint64_t kReadsPerRun = 8;                        // a salvage reads a run three times
  constexpr std::uint64_t kGrowthBytes = std::uint64_t{64} << 20;  // writers may add this much meanwhile
  run_bytes_left_ = kReadsPerRun * (pages_file_->size_bytes().value_or(0) + kGrowthBytes);
}

Result<void> RawStore::refresh() {
  state_ = {};
  entry_block_ = 0;
  if (!has_pages()) return {};
  allow_reads();
  // A read-only mapping lets SharedState itself read the block.
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, pages_file_->size_bytes());
  if (size < format::kLeastPagesFileBytes) return {};
  MENTEDB_TRY_ASSIGN(auto mapping, pages_file_->map(format::kSharedStateOffset, base::kBlockBytes, false));
  MENTEDB_TRY(mapping->populate(0, base::kBlockBytes));
  const shared::SharedState state(std::move(mapping), superblock_.seed);
  state_ = {.cached_tail = state.cached_tail(),
            .index_number = state.index_number(),
            .queue_number = state.has_queue() ? state.queue_number() : 0,
            .committed_lsn = state.committed_lsn(),
            .page_count = state.page_count(),
            .reuse_horizon = state.reuse_horizon()};
  return {};
}

std::uint64_t RawStore::last_page() const {
  const auto size = pages_file_->size_bytes();
  if (!size) return 0;
  std::uint64_t last = geometry_.pages_in(*size);
  if (last < format::kMaxPageCount && geometry_.page_offset(last + 1) < *size) ++last;  // a part of this page
  return last;
}

bool RawStore::read(vfs::File& file, std::uint64_t offset, std::span<std::byte> out) const {
  const auto got = file.read_at(offset, out);
  const std::size_t have = got ? *got : 0;
  std::ranges::fill(out.subspan(have), std::byte{0});
  return have == out.size();
}

std::optional<format::Entry> RawStore::read_entry(std::uint64_t page) const {
  if (!seed_known_) return std::nullopt;
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

Result<void> RawStore::read_entries(std::uint64_t first_page, std::span<std::byte> out) const {
  read(*pages_file_, geometry_.entry_offset(first_page), out);
  return {};
}

std::optional<pages::RunCopy> RawStore::read_run(std::uint64_t page, base::AlignedBuffer& buffer) const {
  const auto incomplete = [] { return base::fail(ErrorCode::io_error, "the run cannot be read as a whole"); };
  auto copy = pages::copy_run(
      page, geometry_.page_bytes(), seed_known_ ? std::optional(superblock_.seed) : std::nullopt, buffer,
      geometry_.page_bytes(),
      [&](std::uint64_t at, std::span<std::byte> out) -> Result<void> {
        if (!read(*pages_file_, geometry_.page_offset(page) + at, out)) return incomplete();
        return {};
      },
      [&](const format::RunHeader& header) {
        const std::size_t total = sizeof(format::RunHeader) + header.payload_bytes;
        if (total > run_bytes_left_) {
          run_bytes_left_ = 0;
          return false;
        }
        run_bytes_left_ -= total;
        if (total <= geometry_.page_bytes()) return true;
        const auto size = pages_file_->size_bytes();
        return size && geometry_.page_offset(page) + total <= *size;
      });
  return copy ? *copy : std::nullopt;
}

std::optional<format::StretchRecord> RawStore::read_stretch(std::uint64_t stretch) const {
  std::array<std::byte, sizeof(format::StretchRecord)> bytes;
  if (!read(*pages_file_, geometry_.record_offset(stretch), bytes)) return std::nullopt;
  return base::read_struct<format::StretchRecord>(bytes);
}

bool RawStore::slack_is_zero(const format::RunHeader& header) const {
  const std::uint64_t begin = geometry_.page_offset(header.page);
  const std::uint64_t end = begin + std::uint64_t{header.run_pages} * geometry_.page_bytes();
  std::array<std::byte, base::kBlockBytes> block{};  // a fixed buffer: the header may claim any length
  for (std::uint64_t at = begin + sizeof(header) + header.payload_bytes; at < end; at += block.size()) {
    const auto part = std::span(block).first(std::min<std::uint64_t>(block.size(), end - at));
    if (!read(*pages_file_, at, part)) return false;
    if (!base::is_zero(part)) return false;
  }
  return true;
}

}  // namespace mentedb::offline

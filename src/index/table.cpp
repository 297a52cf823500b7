#include "index/table.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace mentedb::index {

bool Table::bring_in(std::uint64_t piece) const {
  const std::uint64_t begin = piece * kPieceBytes;
  if (!mapping_->populate(begin, std::min(kPieceBytes, mapping_->size_bytes() - begin))) {
    unreadable_.store(true, std::memory_order_release);
    return false;
  }
  pieces_[piece].store(true, std::memory_order_relaxed);
  return true;
}

Result<void> Table::bring_in_all() const {
  if (!mapping_ || all_pieces_.load(std::memory_order_relaxed)) return {};
  MENTEDB_TRY(mapping_->populate(0, mapping_->size_bytes()));
  for (auto& piece : pieces_) piece.store(true, std::memory_order_relaxed);
  all_pieces_.store(true, std::memory_order_relaxed);
  return {};
}

void Table::store(std::uint64_t position, std::uint64_t bucket) {
  mapping_->store(format::kIndexBucketsOffset + 8 * (position & mask_), bucket);
}

void Table::set_used(std::uint64_t used) { mapping_->store(format::kIndexUsedOffset, used); }

Result<void> Table::make_used_writable() {
  return mapping_->make_writable(format::kIndexUsedOffset, sizeof(std::uint64_t));
}

Result<void> Table::make_all_writable() { return mapping_->make_writable(0, mapping_->size_bytes()); }

// Through the file, in few calls. A reader sees no difference: only the lock holder changes buckets.
Result<void> Table::rewrite() {
  std::vector<std::byte> some(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at < mapping_->size_bytes(); at += some.size()) {
    const auto part = std::span(some).first(std::min<std::uint64_t>(some.size(), mapping_->size_bytes() - at));
    mapping_->copy(at, part);
    MENTEDB_TRY(file_->write_at(at, part));
  }
  return {};
}

Result<void> Table::make_writable(std::uint64_t position, std::uint64_t more) {
  std::uint64_t length = 1;
  while (length < bucket_count() && load(position + length - 1) != format::kEmptyBucket) ++length;
  length = std::min(length + more, bucket_count());
  const std::uint64_t first = position & mask_;
  const std::uint64_t until_end = std::min(length, bucket_count() - first);
  MENTEDB_TRY(mapping_->make_writable(format::kIndexBucketsOffset + 8 * first, 8 * until_end));
  if (length == until_end) return {};
  return mapping_->make_writable(format::kIndexBucketsOffset, 8 * (length - until_end));
}

std::uint64_t Table::count_filled() const {
  std::array<std::uint64_t, 8192> some{};
  std::uint64_t filled = 0;
  for (std::uint64_t at = 0; at < bucket_count(); at += some.size()) {
    const auto part = std::span(some).first(std::min<std::uint64_t>(some.size(), bucket_count() - at));
    mapping_->copy(format::kIndexBucketsOffset + 8 * at, std::as_writable_bytes(part));
    filled += part.size() - static_cast<std::uint64_t>(std::ranges::count(part, format::kEmptyBucket));
  }
  return filled;
}

std::uint64_t Probe::next_page() {
  while (left_ > 0) {
    bucket_ = table_->load(hash_.start + position_);
    ++position_;
    --left_;
    if (bucket_ == format::kEmptyBucket) break;
    if (format::bucket_fingerprint(bucket_) == hash_.fingerprint && format::bucket_page(bucket_) != 0)
      return format::bucket_page(bucket_);
  }
  left_ = 0;
  return 0;
}

}  // namespace mentedb::index

#include "index/table.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace mentedb::index {

Result<void> Table::store(std::uint64_t position, std::uint64_t bucket) {
  const std::uint64_t offset = format::kIndexBucketsOffset + 8 * (position & mask_);
  MENTEDB_TRY(mapping_->make_writable(offset, sizeof(bucket)));
  mapping_->store(offset, bucket);
  return {};
}

Result<void> Table::set_used(std::uint64_t used) {
  MENTEDB_TRY(mapping_->make_writable(format::kIndexUsedOffset, sizeof(used)));
  mapping_->store(format::kIndexUsedOffset, used);
  return {};
}

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

Result<void> Table::make_writable(std::uint64_t position) {
  std::uint64_t length = 1;
  while (length < bucket_count() && load(position + length - 1) != format::kEmptyBucket) ++length;
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

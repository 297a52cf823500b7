// Copies plain structs to bytes and back. Integers on disk are little endian, like the machines that we support.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "base/assert.hpp"

namespace mentedb::base {

static_assert(std::endian::native == std::endian::little, "the on-disk format is little endian");

template <class T>
concept DiskStruct = std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>;

/// The bytes of a struct from byte `first` on. `first` skips leading fields, for example a checksum.
template <DiskStruct T>
std::span<const std::byte> bytes_of(const T& value, std::size_t first = 0) {
  return std::as_bytes(std::span<const T, 1>(&value, 1)).subspan(first);
}

template <DiskStruct T>
T read_struct(std::span<const std::byte> bytes, std::size_t offset = 0) {
  MENTEDB_ASSERT(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <DiskStruct T>
void write_struct(std::span<std::byte> bytes, std::size_t offset, const T& value) {
  MENTEDB_ASSERT(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

/// Copies `from` to the beginning of `to`. The bytes do not overlap. (std::ranges::copy of bytes is a loop over bytes
/// at -O2 of g++ 12: 10,000 instructions for a memory.)
inline void copy_bytes(std::span<const std::byte> from, std::span<std::byte> to) {
  MENTEDB_ASSERT(from.size() <= to.size());
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

inline constexpr std::size_t kBlockBytes = 4096;

/// True when every byte is zero, as in space that no writer has used or that a writer has erased.
inline bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// A buffer aligned for direct I/O. Its bytes are not initialised.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size_bytes) { reserve(size_bytes); }
  /// The buffer `other` is empty afterwards.
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::move(other.data_)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    return *this;
  }

  /// Makes room for at least `size_bytes`. A buffer that grows loses its content. Throws std::bad_alloc.
  void reserve(std::size_t size_bytes) {
    if (size_bytes <= size_bytes_) return;
    const std::size_t rounded = round_up(size_bytes, kBlockBytes);
    data_.reset();
    size_bytes_ = 0;
    data_.reset(static_cast<std::byte*>(::operator new(rounded, std::align_val_t{kBlockBytes})));
    size_bytes_ = rounded;
  }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  std::size_t size_bytes() const { return size_bytes_; }
  std::span<std::byte> first(std::size_t n) {
    MENTEDB_ASSERT(n <= size_bytes_);
    return {data_.get(), n};
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{kBlockBytes}); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_bytes_ = 0;
};

}  // namespace mentedb::base

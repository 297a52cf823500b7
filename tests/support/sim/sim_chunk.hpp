// File content of the simulated disk: 4 KiB chunks, reference counted and copied on write. Copying a whole disk
// therefore copies pointers, and the durable and the cached content of a file share what they have in common.
//
// Rules
// - An empty reference reads as zeros.
// - Reference counts are atomic, so disks that share chunks may live on different threads; one chunk reference is
//   used by one thread at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace mentedb::test {

inline constexpr std::size_t kSectorBytes = 512;
inline constexpr std::size_t kChunkBytes = 4096;
inline constexpr std::size_t kSectorsPerChunk = kChunkBytes / kSectorBytes;

class ChunkRef {
 public:
  ChunkRef() = default;
  ChunkRef(const ChunkRef& other) noexcept : chunk_(other.chunk_) {
    if (chunk_ != nullptr) chunk_->references.fetch_add(1, std::memory_order_relaxed);
  }
  ChunkRef(ChunkRef&& other) noexcept : chunk_(std::exchange(other.chunk_, nullptr)) {}
  ChunkRef& operator=(ChunkRef other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~ChunkRef() {
    if (chunk_ != nullptr && chunk_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) release(chunk_);
  }

  /// kChunkBytes readable bytes, aligned for any word.
  [[nodiscard]] const std::byte* data() const { return chunk_ != nullptr ? chunk_->bytes : kZeros; }
  /// The same bytes, no longer shared with any other reference. Without `keep` they may hold anything: for callers
  /// that overwrite the whole chunk.
  std::byte* writable(bool keep = true);

  friend bool operator==(const ChunkRef&, const ChunkRef&) = default;

 private:
  struct Chunk {
    std::atomic<std::uint32_t> references;
    alignas(64) std::byte bytes[kChunkBytes];
    Chunk* next_free;
  };
  struct FreeList;

  alignas(64) static const std::byte kZeros[kChunkBytes];

  static FreeList& free_list();
  static Chunk* acquire();
  static void release(Chunk* chunk);

  Chunk* chunk_ = nullptr;
};

}  // namespace mentedb::test

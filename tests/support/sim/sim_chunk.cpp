#include "support/sim/sim_chunk.hpp"

#include <cstring>
#include <mutex>

namespace mentedb::test {

alignas(64) const std::byte ChunkRef::kZeros[kChunkBytes] = {};

// malloc gives memory of this size back to the kernel and faults it in again, over and over; a list of our own makes
// a chunk cost nanoseconds. It lives for ever, so that disks with static storage may outlast it.
struct ChunkRef::FreeList {
  static constexpr std::size_t kMaxChunks = 16384;
  std::mutex mutex;
  Chunk* head = nullptr;
  std::size_t count = 0;
};

ChunkRef::FreeList& ChunkRef::free_list() {
  static FreeList& list = *new FreeList;
  return list;
}

ChunkRef::Chunk* ChunkRef::acquire() {
  FreeList& list = free_list();
  Chunk* chunk = nullptr;
  {
    const std::scoped_lock lock(list.mutex);
    if (list.head != nullptr) {
      chunk = list.head;
      list.head = chunk->next_free;
      --list.count;
    }
  }
  if (chunk == nullptr) chunk = new Chunk;
  chunk->references.store(1, std::memory_order_relaxed);
  return chunk;
}

void ChunkRef::release(Chunk* chunk) {
  FreeList& list = free_list();
  {
    const std::scoped_lock lock(list.mutex);
    if (list.count < FreeList::kMaxChunks) {
      chunk->next_free = list.head;
      list.head = chunk;
      ++list.count;
      return;
    }
  }
  delete chunk;
}

std::byte* ChunkRef::writable(bool keep) {
  if (chunk_ != nullptr && chunk_->references.load(std::memory_order_acquire) == 1) return chunk_->bytes;
  ChunkRef fresh;
  fresh.chunk_ = acquire();
  if (keep) std::memcpy(fresh.chunk_->bytes, data(), kChunkBytes);
  std::swap(chunk_, fresh.chunk_);
  return chunk_->bytes;
}

}  // namespace mentedb::test

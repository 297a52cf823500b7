#include "support/sim/sim_file.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace mentedb::test {
namespace {

void copy_sectors(std::byte* to, const std::byte* from, std::uint8_t mask) {
  for (std::size_t sector = 0; sector < kSectorsPerChunk; ++sector) {
    if ((mask >> sector & 1U) != 0) {
      std::memcpy(to + sector * kSectorBytes, from + sector * kSectorBytes, kSectorBytes);
    }
  }
}

/// Calls fn(slot, offset in the chunk, offset in the range, length) for every chunk that the range touches.
template <class Fn>
void for_each_piece(std::uint64_t offset, std::size_t length, Fn fn) {
  std::size_t done = 0;
  while (done < length) {
    const std::uint64_t at = offset + done;
    const auto within = static_cast<std::size_t>(at % kChunkBytes);
    const std::size_t piece = std::min(kChunkBytes - within, length - done);
    fn(static_cast<std::size_t>(at / kChunkBytes), within, done, piece);
    done += piece;
  }
}

}  // namespace

SimFile::SimFile(const SimFile& other)
    : inode_(other.inode_),
      name_(other.name_),
      size_bytes_(other.size_bytes_),
      durable_size_bytes_(other.durable_size_bytes_),
      allocated_chunks_(other.allocated_chunks_),
      has_lost_sectors_(other.has_lost_sectors_),
      slots_(other.slots_),
      dirty_(other.dirty_),
      bad_(other.bad_) {}

void SimFile::read(std::uint64_t offset, std::span<std::byte> out, bool from_device) const {
  for_each_piece(offset, out.size(), [&](std::size_t index, std::size_t within, std::size_t done, std::size_t length) {
    if (index >= slots_.size()) {
      std::memset(out.data() + done, 0, length);
      return;
    }
    const Slot& slot = slots_[index];
    if (!from_device || !has_lost_sectors_) {
      std::memcpy(out.data() + done, slot.current.data() + within, length);
      return;
    }
    // The kernel writes dirty sectors back before a direct read; clean ones come from the device.
    const std::uint8_t dirty_mask = slot.dirty == kClean ? std::uint8_t{0} : dirty_[slot.dirty].mask;
    for (std::size_t i = 0; i < length;) {
      const std::size_t sector = (within + i) / kSectorBytes;
      const std::size_t piece = std::min((sector + 1) * kSectorBytes - (within + i), length - i);
      const ChunkRef& source = (dirty_mask >> sector & 1U) != 0 ? slot.current : slot.durable;
      std::memcpy(out.data() + done + i, source.data() + within + i, piece);
      i += piece;
    }
  });
}

std::uint64_t SimFile::load(std::uint64_t offset) const {
  std::uint64_t word = 0;
  const auto index = static_cast<std::size_t>(offset / kChunkBytes);
  if (index < slots_.size()) std::memcpy(&word, slots_[index].current.data() + offset % kChunkBytes, sizeof word);
  return word;
}

void SimFile::grow_slots(std::uint64_t end) {
  const auto count = static_cast<std::size_t>((end + kChunkBytes - 1) / kChunkBytes);
  if (count > slots_.size()) slots_.resize(count);
}

void SimFile::mark_dirty(std::uint32_t slot, std::size_t first_sector, std::size_t last_sector,
                         std::uint64_t& sequence) {
  if (slots_[slot].dirty == kClean) {
    slots_[slot].dirty = static_cast<std::uint32_t>(dirty_.size());
    dirty_.push_back(DirtyChunk{.slot = slot});
  }
  DirtyChunk& chunk = dirty_[slots_[slot].dirty];
  for (std::size_t sector = first_sector; sector <= last_sector; ++sector) {
    chunk.mask = static_cast<std::uint8_t>(chunk.mask | 1U << sector);
    chunk.sequence[sector] = ++sequence;
  }
}

void SimFile::write(std::uint64_t offset, std::span<const std::byte> data, std::uint64_t& sequence) {
  if (data.empty()) return;
  grow_slots(offset + data.size());
  for_each_piece(offset, data.size(), [&](std::size_t index, std::size_t within, std::size_t done, std::size_t length) {
    Slot& slot = slots_[index];
    if (!slot.allocated) {
      slot.allocated = true;
      ++allocated_chunks_;
    }
    std::memcpy(slot.current.writable(length != kChunkBytes) + within, data.data() + done, length);
    mark_dirty(static_cast<std::uint32_t>(index), within / kSectorBytes, (within + length - 1) / kSectorBytes,
               sequence);
  });
  size_bytes_ = std::max(size_bytes_, offset + data.size());
}

std::uint64_t SimFile::missing_chunks(std::uint64_t offset, std::uint64_t length) const {
  if (length == 0) return 0;
  std::uint64_t missing = 0;
  for (std::uint64_t index = offset / kChunkBytes; index <= (offset + length - 1) / kChunkBytes; ++index) {
    if (index >= slots_.size() || !slots_[static_cast<std::size_t>(index)].allocated) ++missing;
  }
  return missing;
}

void SimFile::allocate(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  grow_slots(offset + length);
  for (std::uint64_t index = offset / kChunkBytes; index <= (offset + length - 1) / kChunkBytes; ++index) {
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (!slot.allocated) ++allocated_chunks_;
    slot.allocated = true;
  }
}

void SimFile::give_back(std::uint64_t offset, std::uint64_t length, std::uint64_t& sequence) {
  const std::uint64_t end = std::min<std::uint64_t>((offset + length) / kChunkBytes, slots_.size());
  for (std::uint64_t index = (offset + kChunkBytes - 1) / kChunkBytes; index < end; ++index) {
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (slot.allocated) --allocated_chunks_;
    slot.allocated = slot.durably_allocated = false;
    slot.current = ChunkRef();
    mark_dirty(static_cast<std::uint32_t>(index), 0, kSectorsPerChunk - 1, sequence);
  }
}

void SimFile::sync() {
  for (Slot& slot : slots_) slot.durably_allocated = slot.allocated;
  for (const DirtyChunk& chunk : dirty_) {
    Slot& slot = slots_[chunk.slot];
    slot.dirty = kClean;
    if (has_lost_sectors_) {
      copy_sectors(slot.durable.writable(), slot.current.data(), chunk.mask);
    } else {
      slot.durable = slot.current;
    }
  }
  dirty_.clear();
  durable_size_bytes_ = size_bytes_;
}

void SimFile::fail_sync(bool direct, bool coin, SimRandom& random) {
  for (const DirtyChunk& chunk : dirty_) {
    Slot& slot = slots_[chunk.slot];
    slot.dirty = kClean;
    std::uint8_t reached = 0;
    if (direct || coin) reached = static_cast<std::uint8_t>(random.next() & chunk.mask);
    if (reached != 0) copy_sectors(slot.durable.writable(), slot.current.data(), reached);
    const auto lost = static_cast<std::uint8_t>(chunk.mask & ~reached);
    if (lost == 0) continue;
    if (direct) {
      copy_sectors(slot.current.writable(), slot.durable.data(), lost);
    } else {
      has_lost_sectors_ = true;
    }
  }
  dirty_.clear();
}

SimFile SimFile::after_power_cut(std::span<const std::uint8_t> kept, bool size_kept) const {
  MENTEDB_ASSERT(kept.size() == dirty_.size());
  SimFile after(inode_, name_);
  after.bad_ = bad_;
  after.size_bytes_ = after.durable_size_bytes_ = size_kept ? size_bytes_ : durable_size_bytes_;
  after.grow_slots(after.size_bytes_);
  for (std::size_t index = 0; index < after.slots_.size(); ++index) {
    // slots_ ends at the last byte ever written or allocated, at the size or behind it: no slot is missing here. Space
    // behind the size is lost.
    const Slot& slot = slots_[index];
    Slot& found = after.slots_[index];
    const bool some_kept = slot.dirty != kClean && kept[slot.dirty] != 0;
    found.allocated = found.durably_allocated = slot.durably_allocated || (slot.allocated && some_kept);
    after.allocated_chunks_ += found.allocated ? 1 : 0;
    found.durable = slot.durable;
    if (some_kept) {
      if (kept[slot.dirty] == dirty_[slot.dirty].mask && !has_lost_sectors_) {
        found.durable = slot.current;
      } else {
        copy_sectors(found.durable.writable(), slot.current.data(), kept[slot.dirty]);
      }
    }
  }
  const auto tail = static_cast<std::size_t>(after.size_bytes_ % kChunkBytes);
  if (after.size_bytes_ < size_bytes_ && tail != 0) {
    std::memset(after.slots_.back().durable.writable() + tail, 0, kChunkBytes - tail);
  }
  for (Slot& slot : after.slots_) slot.current = slot.durable;
  return after;
}

bool SimFile::is_bad(std::uint64_t offset, std::uint64_t length) const {
  return std::ranges::any_of(bad_,
                             [&](const auto& range) { return offset < range.second && range.first < offset + length; });
}

void SimFile::damage(std::uint64_t offset, std::span<const std::byte> data) {
  MENTEDB_ASSERT(offset + data.size() <= size_bytes_);
  for_each_piece(offset, data.size(), [&](std::size_t index, std::size_t within, std::size_t done, std::size_t length) {
    for (ChunkRef* chunk : {&slots_[index].current, &slots_[index].durable}) {
      std::memcpy(chunk->writable() + within, data.data() + done, length);
    }
  });
}

}  // namespace mentedb::test

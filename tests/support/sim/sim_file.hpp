// One inode of the simulated disk: what every process sees (the page cache) and what the device is sure to hold.
//
// Model
// - Unit of loss is the 512-byte sector. An unsynced sector is, after a power cut, either its durable or its newest
//   content; contents between two syncs that were overwritten meanwhile are not candidates. Its place in the write
//   order is that of its newest write.
// - sync() makes every unsynced sector and the size durable. It says nothing about the file's name.
// - A failed sync of a cached file marks the unsynced sectors clean without making them durable: cached reads go on
//   showing them, a later sync succeeds, and a power cut loses them ("lost" sectors below). Direct reads show the
//   device. This is what Linux does.
// - A failed sync through a direct descriptor decides every unsynced sector by a coin: durable, or back to the durable
//   content. What is read from then on is what the device holds.
// - Bytes that were never written read as zero. The file never shrinks, except when a power cut loses its growth.
// - Space is given for good by a sync. A power cut before it takes the space away again, where no byte of the block
//   reached the device. A block that was given back reads as zeros, and after a power cut each of its sectors is zero
//   or as it was; its space is gone in every outcome, which is the worse one.
//
// No locking here: the kernel's mutex guards every file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/sim/sim_chunk.hpp"
#include "support/sim/sim_random.hpp"

namespace mentedb::test {

struct OpenFile;

class SimFile {
 public:
  /// Up to eight unsynced sectors of one chunk; bit i of `mask` and `sequence[i]` belong to its i-th sector.
  struct DirtyChunk {
    std::uint32_t slot = 0;
    std::uint8_t mask = 0;
    std::array<std::uint64_t, kSectorsPerChunk> sequence{};
  };

  SimFile(std::uint64_t inode, std::string name) : inode_(inode), name_(std::move(name)) {}
  /// The same content and the same unsynced sectors; nobody has the copy open or locked.
  SimFile(const SimFile& other);
  SimFile& operator=(const SimFile&) = delete;

  [[nodiscard]] std::uint64_t inode() const { return inode_; }
  /// The name it was created under, for messages.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::uint64_t durable_size_bytes() const { return durable_size_bytes_; }
  [[nodiscard]] const std::vector<DirtyChunk>& dirty() const { return dirty_; }

  /// Fills `out`; bytes beyond the file read as zero. `from_device` is a direct read.
  void read(std::uint64_t offset, std::span<std::byte> out, bool from_device = false) const;
  /// Writes to the page cache. Every sector touched takes the next number of `sequence`.
  void write(std::uint64_t offset, std::span<const std::byte> data, std::uint64_t& sequence);
  [[nodiscard]] std::uint64_t load(std::uint64_t offset) const;

  /// Blocks of the range that have no space yet, and giving them space.
  [[nodiscard]] std::uint64_t missing_chunks(std::uint64_t offset, std::uint64_t length) const;
  void allocate(std::uint64_t offset, std::uint64_t length);
  /// Takes the space of the whole blocks of the range.
  void give_back(std::uint64_t offset, std::uint64_t length, std::uint64_t& sequence);
  [[nodiscard]] std::uint64_t allocated_chunks() const { return allocated_chunks_; }

  void sync();
  /// With `coin` a sector reaches the device or not by chance, else none does. `direct`: see the model above.
  void fail_sync(bool direct, bool coin, SimRandom& random);

  /// The file after a power cut. `kept[i]` is the mask of sectors of dirty()[i] that reached the device.
  [[nodiscard]] SimFile after_power_cut(std::span<const std::uint8_t> kept, bool size_kept) const;

  /// Sectors that cannot be read.
  void add_bad_range(std::uint64_t offset, std::uint64_t length) { bad_.emplace_back(offset, offset + length); }
  [[nodiscard]] bool is_bad(std::uint64_t offset, std::uint64_t length) const;
  /// Changes bytes on the device and in the page cache alike, as a failing medium does.
  void damage(std::uint64_t offset, std::span<const std::byte> data);

  /// Who holds the flock.
  OpenFile* lock_owner = nullptr;
  /// Who has claimed which byte.
  std::map<std::uint64_t, OpenFile*> claims;

 private:
  static constexpr std::uint32_t kClean = 0xffffffff;
  struct Slot {
    ChunkRef current;
    ChunkRef durable;
    std::uint32_t dirty = kClean;  ///< index in dirty_
    bool allocated = false;
    bool durably_allocated = false;
  };

  void grow_slots(std::uint64_t end);
  void mark_dirty(std::uint32_t slot, std::size_t first_sector, std::size_t last_sector, std::uint64_t& sequence);

  std::uint64_t inode_;
  std::string name_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t durable_size_bytes_ = 0;
  std::uint64_t allocated_chunks_ = 0;
  bool has_lost_sectors_ = false;  ///< some clean sector differs from the device
  std::vector<Slot> slots_;
  std::vector<DirtyChunk> dirty_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> bad_;
};

}  // namespace mentedb::test

// Memory that the processes of one life share: what each key has to hold, how far the life is, what was counted.
#pragma once

#include <atomic>
#include <cstdint>

namespace mentedb::prove {

/// A version of a memory: its number, or its number and that it is the deletion.
struct Version {
  std::uint32_t number = 0;  ///< 0: never stored
  bool deleted = false;

  bool is_live() const { return number != 0 && !deleted; }
  std::uint32_t word() const { return number << 1 | (deleted ? 1U : 0U); }
  static Version of(std::uint32_t word) { return {.number = word >> 1, .deleted = (word & 1) != 0}; }
};

/// What a life on a full disk counts.
struct TenantCounts {
  std::atomic<std::uint64_t> rounds;
  std::atomic<std::uint64_t> deletions;
  std::atomic<std::uint64_t> refused;  ///< calls that answered `no_space`
  std::atomic<std::uint64_t> refused_checkpoints;
  std::atomic<std::uint64_t> refused_opens;
  std::atomic<std::uint64_t> refused_recoveries;
  std::atomic<std::uint64_t> stores_into_freed;
  std::atomic<std::uint64_t> outside_files;
  std::atomic<std::uint64_t> opens;
};

struct Board {
  static constexpr std::uint32_t kMostKeys = std::uint32_t{1} << 24;

  /// A key is stored, updated, deleted, and never stored again.
  struct Cell {
    std::atomic<std::uint32_t> acknowledged;
    std::atomic<std::uint32_t> attempted;
  };

  std::atomic<std::uint32_t> keys;      ///< keys below this one were attempted
  std::atomic<std::uint32_t> permille;  ///< how much of the life is over
  std::atomic<bool> over;

  static constexpr std::uint32_t kSettledPermille = 100;  ///< from here on nothing may grow

  // What the life counts.
  std::atomic<std::uint64_t> operations;
  std::atomic<std::uint64_t> reads;
  std::atomic<std::uint64_t> visits;
  std::atomic<std::uint64_t> recoveries;  ///< begun
  std::atomic<std::uint64_t> first_rate;  ///< operations a second in the first tenth
  std::atomic<std::uint64_t> last_rate;
  std::atomic<std::uint64_t> live_bytes;  ///< at the end
  std::atomic<std::uint64_t> most_live_bytes;
  std::atomic<std::uint64_t> disk_bytes;  ///< blocks of pages.db, at the end
  std::atomic<std::uint64_t> most_disk_bytes;
  std::atomic<std::uint64_t> most_of_bound_permille;  ///< blocks of pages.db as a part of what the oracle allows
  std::atomic<std::uint64_t> most_file_bytes;         ///< the size of pages.db, with its holes
  std::atomic<std::uint64_t> log_bytes;
  TenantCounts tenant;

  Cell cells[kMostKeys];
};

/// A board in memory that forked processes share. Only the pages that are used take memory.
class SharedBoard {
 public:
  SharedBoard();
  ~SharedBoard();
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;

  Board& operator*() const { return *board_; }
  Board* operator->() const { return board_; }

 private:
  Board* board_;
};

}  // namespace mentedb::prove

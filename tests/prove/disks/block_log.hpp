// What happened below the file system, in order: every write with its data, every completed flush, and between them the
// marks of the workload ("attempted", "acknowledged", "shown"). Lives in memory that the device's process and the one
// that replays share; the device appends, and whoever else reads does so while the device is idle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace mentedb::prove {

enum class RecordKind : std::uint32_t {
  write,
  flush,
  attempted,     ///< the workload is about to do an operation
  acknowledged,  ///< the operation returned success
  shown,         ///< a reader was shown the state after this operation
};

struct Record {
  RecordKind kind;
  std::uint32_t writer;   ///< marks: whose
  std::uint64_t offset;   ///< writes: in the device; marks: the number of the operation
  std::uint64_t length;   ///< writes: bytes
  std::uint64_t data_at;  ///< writes: in the data area
};

/// A part of a write that a crash image holds.
struct Piece {
  std::uint64_t record;
  std::uint64_t skip;
  std::uint64_t length;
};

class BlockLog {
 public:
  BlockLog();
  ~BlockLog();
  BlockLog(const BlockLog&) = delete;
  BlockLog& operator=(const BlockLog&) = delete;

  std::span<const Record> records() const;
  std::span<const std::byte> data(const Record& record) const;
  void add_write(std::uint64_t offset, std::span<const std::byte> bytes);
  void add(RecordKind kind, std::uint32_t writer = 0, std::uint64_t operation = 0);
  /// Forgets what follows the first `count` records.
  void truncate(std::uint64_t count);

  /// The pieces of the image that is asked for next; the replaying process fills them in.
  std::span<Piece> pieces(std::uint64_t count);

 private:
  struct Header {
    std::uint64_t records;
    std::uint64_t data_bytes;
  };
  Header* header_;
  Record* records_;
  Piece* pieces_;
  std::byte* data_;
};

/// Ends the program with a sentence and errno: what the campaign needs of the machine did not work.
[[noreturn]] void die(const std::string& what);

}  // namespace mentedb::prove

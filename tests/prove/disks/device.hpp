// The block device under the file system: one file served through FUSE by a process of its own, for a loop device to
// stand on. It has a volatile cache and a medium, can log what it is asked to do, can take on the content of any crash
// image of that log, and can fail as devices do.
//
// The loop driver hands a flush of the file system down as fsync, and turns FUA into a flush behind the write; it does
// direct I/O, so nothing between the file system and this process keeps or reorders anything.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "block_log.hpp"

namespace mentedb::prove {

enum class FaultTarget : std::uint32_t { none, write, read, flush };
enum class FaultEffect : std::uint32_t {
  error,       ///< EIO; a write changes nothing, a failed flush keeps what it was asked to make durable
  lose_cache,  ///< flush: EIO, and every write since the last flush is gone
  lie,         ///< write: success, but nothing is stored; the next flush says EIO
};

/// The operations number `after` to `after + count - 1` of the target's kind, counted from arming, fail.
struct Fault {
  FaultTarget target = FaultTarget::none;
  FaultEffect effect = FaultEffect::error;
  std::uint64_t after = 0;
  std::uint64_t count = 1;
};

class Device {
 public:
  static constexpr int kClients = 8;

  /// Serves the content of `image` (whose bytes it changes) as `directory`/disk. The process ends when every
  /// descriptor of its clients is closed, so it outlives whoever still has the file system mounted.
  Device(BlockLog& log, const std::string& image, const std::string& directory);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const std::string& file() const { return file_; }

  // Each process uses the client number of its own; all calls wait for the device's answer.

  void mark(int client, RecordKind kind, std::uint32_t writer, std::uint64_t operation);
  void start_log();
  void stop_log();
  /// Merges the log's writes up to `durable` into the medium (which never goes back) and fills the cache with the first
  /// `pieces` pieces.
  void show_image(std::uint64_t durable, std::uint64_t pieces);
  void arm(int client, const Fault& fault);
  /// Faults that fired since arming.
  std::uint64_t fired();
  /// From now on a flush moves the cache to the medium, and marks are logged without the writes between them.
  void use_as_disk();
  /// A power cut: what was not flushed is gone.
  void lose_cache();
  /// Writes medium and cache to a sparse file.
  void save(const std::string& path);

 private:
  std::uint64_t ask(int client, std::uint32_t what, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0,
                    std::uint64_t d = 0, const std::string& text = {});

  std::string directory_;
  std::string file_;
  pid_t process_ = -1;
  std::vector<int> clients_;
};

}  // namespace mentedb::prove

// File systems on a loop device on the Device: made, mounted, unmounted. Everything happens in a mount namespace of our
// own and the loop device detaches itself at its last close, so that nothing stays behind, however we end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "device.hpp"

namespace mentedb::prove {

enum class Kind { ext4, xfs, btrfs, tmpfs };
const char* name_of(Kind kind);
std::optional<Kind> parse_kind(const std::string& name);

/// An empty directory in a mount namespace of our own with a tmpfs on it; removed at the end.
class Workplace {
 public:
  Workplace();
  ~Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }
  /// Makes a directory in it.
  std::string directory(const std::string& name) const;

 private:
  std::string path_;
};

/// Why block devices cannot be made and mounted here, or nothing.
std::optional<std::string> why_not_here();

/// Writes a new file system into `image`. The smallest sizes that the tools accept, unless `bytes` says more.
void make_file_system(Kind kind, const std::string& image, std::uint64_t bytes = 0);

class LoopDevice {
 public:
  explicit LoopDevice(const std::string& backing);
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  const std::string& path() const { return path_; }
  /// Forgets what the kernel has cached of the device, whose content changed below it.
  void forget() const;

 private:
  int descriptor_ = -1;
  std::string path_;
};

/// Empty, or what the kernel said.
std::string mount_device(Kind kind, const std::string& device, const std::string& directory);
/// Waits while somebody still uses it. Empty, or what the kernel said.
std::string unmount(const std::string& directory);

}  // namespace mentedb::prove

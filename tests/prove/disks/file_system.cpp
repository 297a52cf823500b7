#include "file_system.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/run_command.hpp"

namespace mentedb::prove {

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::ext4:
      return "ext4";
    case Kind::xfs:
      return "xfs";
    case Kind::btrfs:
      return "btrfs";
    case Kind::tmpfs:
      return "tmpfs";
  }
  return "";
}

std::optional<Kind> parse_kind(const std::string& name) {
  for (const Kind kind : {Kind::ext4, Kind::xfs, Kind::btrfs, Kind::tmpfs}) {
    if (name == name_of(kind)) return kind;
  }
  return std::nullopt;
}

Workplace::Workplace() {
  std::string name = (std::filesystem::temp_directory_path() / "mentedb-disks-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) die("cannot make a directory");
  path_ = name;
  if (unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "mode=0700") != 0) {
    die("cannot mount in a namespace of our own");
  }
}

Workplace::~Workplace() {
  umount2(path_.c_str(), MNT_DETACH);
  rmdir(path_.c_str());
}

std::string Workplace::directory(const std::string& name) const {
  std::filesystem::create_directories(path(name));
  return path(name);
}

std::optional<std::string> why_not_here() {
  if (geteuid() != 0) return "mounting needs root";
  for (const char* const file : {"/dev/fuse", "/dev/loop-control"}) {
    if (access(file, R_OK | W_OK) != 0) return std::string("there is no ") + file;
  }
  const pid_t child = fork();
  if (child == 0) _exit(unshare(CLONE_NEWNS) == 0 ? 0 : 1);
  int status = 1;
  waitpid(child, &status, 0);
  if (status != 0) return "a mount namespace cannot be made";
  return std::nullopt;
}

void make_file_system(Kind kind, const std::string& image, std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = 1 << 20;
  std::vector<std::string> command;
  std::uint64_t least = 0;
  switch (kind) {
    case Kind::ext4:
      // errors=remount-ro is what distributions put into /etc/fstab.
      command = {"mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-e", "remount-ro"};
      least = 48 * kMiB;
      break;
    case Kind::xfs:
      command = {"mkfs.xfs", "-q", "-f", "-K"};
      least = 300 * kMiB;
      break;
    case Kind::btrfs:
      command = {"mkfs.btrfs", "-q", "-f", "-K"};
      least = 128 * kMiB;
      break;
    case Kind::tmpfs:
      return;
  }
  unlink(image.c_str());
  const int descriptor = ::open(image.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0 || ftruncate(descriptor, static_cast<off_t>(std::max(least, bytes))) != 0)
    die("cannot make " + image);
  ::close(descriptor);
  command.push_back(image);
  const auto made = test::run_command(command);
  if (made.status != 0) die(command.front() + ": " + made.err);
}

LoopDevice::LoopDevice(const std::string& backing) {
  const int file = ::open(backing.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) die("cannot open " + backing);
  for (int attempt = 0; attempt < 100 && descriptor_ < 0; ++attempt) {
    const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    if (control >= 0) ::close(control);
    if (number < 0) die("there is no free loop device");
    path_ = "/dev/loop" + std::to_string(number);
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor_ < 0) die("cannot open " + path_);
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(file);
    config.block_size = 512;
    config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR;
    if (ioctl(descriptor_, LOOP_CONFIGURE, &config) == 0) break;
    const int error = errno;
    ::close(descriptor_);
    descriptor_ = -1;
    errno = error;
    if (error != EBUSY) die("cannot set up " + path_);
    usleep(10'000);  // somebody else was quicker
  }
  ::close(file);
  if (descriptor_ < 0) die("there is no free loop device");
}

LoopDevice::~LoopDevice() { ::close(descriptor_); }

void LoopDevice::forget() const {
  if (ioctl(descriptor_, BLKFLSBUF) != 0) die("cannot forget the cache of " + path_);
}

std::string mount_device(Kind kind, const std::string& device, const std::string& directory) {
  const char* const options = kind == Kind::xfs ? "nouuid" : "";
  if (::mount(device.c_str(), directory.c_str(), name_of(kind), MS_NOATIME, options) == 0) return {};
  return std::strerror(errno);
}

std::string unmount(const std::string& directory) {
  for (int attempt = 0; attempt < 500; ++attempt) {
    if (umount2(directory.c_str(), 0) == 0) return {};
    if (errno != EBUSY) break;
    usleep(10'000);
  }
  return std::strerror(errno);
}

}  // namespace mentedb::prove

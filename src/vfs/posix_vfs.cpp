#include "vfs/posix_vfs.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <climits>
#include <ctime>
#include <new>
#include <thread>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <mentedb/ids.hpp>

#include "base/random.hpp"
#include "vfs/descriptor.hpp"
#include "vfs/filesystem_kind.hpp"
#include "vfs/fork_guard.hpp"
#include "vfs/posix_error.hpp"
#include "vfs/posix_file.hpp"
#include "vfs/posix_status.hpp"

namespace mentedb::vfs {
namespace {

// Moves a descriptor above 2. A program that closed its standard output would else print into a file of the store.
int above_standard_streams(int descriptor) {
  if (descriptor < 0 || descriptor > 2) return descriptor;
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return moved;
}

Descriptor open_at(int directory, const char* name, int flags, mode_t mode = 0) {
  int descriptor = -1;
  do {
    descriptor = ::openat(directory, name, flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  return Descriptor(above_standard_streams(descriptor));
}

std::unexpected<Error> writable_by_everybody(std::string_view path) {
  return base::failf(ErrorCode::permission_denied,
                     "every user can write to {}, and so can change its memories; run: chmod o-w '{}', or choose a "
                     "directory of your own",
                     path, path);
}

// Makes a copy-on-write file system (btrfs) overwrite this file in place. Then a write to space that the file has needs
// no new space, also on a full disk, and direct I/O does not go through the page cache.
// The file system then keeps no checksum of the file, and the store's own checksums take its place. The flag can be set
// only while the file is empty. Other file systems refuse the flag or ignore it.
void turn_off_copy_on_write(int descriptor) {
  int flags = 0;
  if (ioctl(descriptor, FS_IOC_GETFLAGS, &flags) != 0 || (flags & FS_NOCOW_FL) != 0) return;
  flags |= FS_NOCOW_FL;
  ioctl(descriptor, FS_IOC_SETFLAGS, &flags);
}

class PosixDirectory final : public Directory {
 public:
  PosixDirectory(Descriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  const std::string& path() const override { return path_; }
  Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode, bool direct) override;
  Result<FileId> id_of(std::string_view name) const override;
  Result<void> remove(std::string_view name) override;
  Result<void> sync() override;
  Result<std::vector<std::string>> list() const override;
  std::uint64_t mount_id() const override;
  std::optional<std::string> unsupported_reason() const override;
  std::vector<std::string> access_warnings(std::span<const std::string> names) const override;

 private:
  std::string path_of(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

  Descriptor descriptor_;
  std::string path_;
};

Result<std::unique_ptr<File>> PosixDirectory::open(std::string_view name, OpenMode mode, bool direct) {
  const std::string file_name(name);
  const std::string path = path_of(name);
  // O_NONBLOCK: a fifo in the place of the file must not hang the opener. The flag has no effect on a regular file.
  int flags = (mode == OpenMode::read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK;
  NoFork no_fork;
  Descriptor descriptor;
  if (mode == OpenMode::create) {
    descriptor = open_at(descriptor_.get(), file_name.c_str(), flags | O_CREAT | O_EXCL, 0600);
    if (!descriptor && errno != EEXIST) return errno_error(errno, "create", path);
    if (descriptor) {
      fchmod(descriptor.get(), 0600);  // the umask may have taken bits away
      turn_off_copy_on_write(descriptor.get());
    }
    if (direct) descriptor = Descriptor();  // opened again below, with O_DIRECT if the file system takes that
  }
  bool is_direct = false;
  if (!descriptor && direct) {
    descriptor = open_at(descriptor_.get(), file_name.c_str(), flags | O_DIRECT);
    is_direct = static_cast<bool>(descriptor);
    if (!descriptor && errno != EINVAL) return errno_error(errno, "open", path);
  }
  if (!descriptor) descriptor = open_at(descriptor_.get(), file_name.c_str(), flags);
  if (!descriptor) return errno_error(errno, "open", path);
  struct stat status{};
  if (fstat(descriptor.get(), &status) != 0) return errno_error(errno, "look at", path);
  if (!S_ISREG(status.st_mode)) {
    return base::failf(ErrorCode::invalid_argument, "{} is no regular file; remove it, or choose another directory",
                       path);
  }
  if ((status.st_mode & S_IWOTH) != 0) return writable_by_everybody(path);
  auto file = std::make_unique<PosixFile>(descriptor.get(), path, is_direct);
  no_fork.add(descriptor.release());
  return file;
}

Result<FileId> PosixDirectory::id_of(std::string_view name) const {
  // On the stack: a commit that is durable looks at its files, too, and must not fail for want of memory.
  std::array<char, PATH_MAX> path;
  const auto end = fmt::format_to_n(path.data(), path.size() - 1, "{}/{}", path_, name);
  if (end.size >= path.size()) return errno_error(ENAMETOOLONG, "look at", path_of(name));
  *end.out = '\0';
  return id_at(AT_FDCWD, path.data(), AT_SYMLINK_NOFOLLOW, path.data());
}

// Linux 6.8 and later.
std::uint64_t PosixDirectory::mount_id() const {
  constexpr unsigned kUniqueMountId = 0x4000;  // STATX_MNT_ID_UNIQUE
  struct statx status{};
  if (statx(descriptor_.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, kUniqueMountId, &status) != 0) return 0;
  if ((status.stx_mask & kUniqueMountId) == 0) return 0;
  return status.stx_mnt_id;
}

Result<void> PosixDirectory::remove(std::string_view name) {
  const std::string file_name(name);
  if (unlinkat(descriptor_.get(), file_name.c_str(), 0) != 0) return errno_error(errno, "remove", path_of(name));
  return {};
}

Result<void> PosixDirectory::sync() {
  if (fsync(descriptor_.get()) != 0) return sync_error(errno, path_);
  return {};
}

Result<std::vector<std::string>> PosixDirectory::list() const {
  struct Close {
    void operator()(DIR* stream) const { closedir(stream); }
  };
  Descriptor copy = open_at(descriptor_.get(), ".", O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, Close> stream(copy ? fdopendir(copy.get()) : nullptr);
  if (!stream) return errno_error(errno, "list", path_);
  copy.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return errno_error(errno, "list", path_);
  return names;
}

std::optional<std::string> PosixDirectory::unsupported_reason() const {
  struct statfs status{};
  if (fstatfs(descriptor_.get(), &status) != 0) return std::nullopt;
  return unsupported_filesystem_reason(static_cast<std::uint32_t>(status.f_type));
}

// A warning and no refusal, since the owner may want it: on some systems each user has a group of one by default, and
// root works on the stores of other users.
std::vector<std::string> PosixDirectory::access_warnings(std::span<const std::string> names) const {
  std::vector<std::string> warnings;
  struct stat directory{};
  if (fstat(descriptor_.get(), &directory) != 0) return warnings;
  const uid_t user = geteuid();
  if (directory.st_uid != user && user != 0) {
    warnings.push_back(
        fmt::format("{} belongs to user {}, and that user can replace its files; keep memories in your own directory",
                    path_, directory.st_uid));
  }
  const auto check_group = [&](const struct stat& status, const std::string& path) {
    if ((status.st_mode & S_IWGRP) == 0) return;
    warnings.push_back(fmt::format("{} can be written by group {}; unless you want that, run: chmod g-w '{}'", path,
                                   status.st_gid, path));
  };
  check_group(directory, path_);
  for (const std::string& name : names) {
    const std::string path = path_of(name);
    struct stat status{};
    if (fstatat(descriptor_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    check_group(status, path);
    if (status.st_uid != directory.st_uid && status.st_uid != 0) {
      warnings.push_back(fmt::format("{} belongs to user {}, the directory to user {}; make them the same with chown",
                                     path, status.st_uid, directory.st_uid));
    }
    if (status.st_nlink > 1) {
      warnings.push_back(
          fmt::format("{} has {} names (hard links), and a write through another name changes the store; remove the "
                      "others, and use mentedb backup for a copy",
                      path, status.st_nlink));
    }
  }
  return warnings;
}

class PosixVfs final : public Vfs {
 public:
  Result<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path, bool create) override;
  Result<std::unique_ptr<Directory>> create_directory(const std::filesystem::path& path) override;
  Result<void> remove_directory(const std::filesystem::path& path) override;
  std::chrono::microseconds now() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch());
  }
  std::chrono::microseconds coarse_now() const override {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_nsec / 1'000);
  }
  void sleep(std::chrono::microseconds time) override { std::this_thread::sleep_for(time); }
  void random_bytes(std::span<std::byte> out) override;
  std::array<std::uint8_t, 16> boot_id() const override;
  std::uint64_t process_token() const override { return vfs::process_token(); }
};

Result<std::filesystem::path> absolute_path(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path result = std::filesystem::absolute(path, error).lexically_normal();
  if (error) return errno_error(error.value(), "resolve", path.string());
  if (!result.has_filename()) result = result.parent_path();  // "memory/" and "memory" are the same directory
  // The paths of the files must fit too, because R11 looks at paths.
  constexpr std::size_t kLongestName = std::string_view("/ids-18446744073709551615.idx").size();
  if (result.native().size() + kLongestName >= PATH_MAX) {
    return errno_error(ENAMETOOLONG, "use the directory", result.string());
  }
  return result;
}

Result<void> sync_directory(const std::filesystem::path& path) {
  const Descriptor descriptor = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (!descriptor) return errno_error(errno, "open", path.string());
  if (fsync(descriptor.get()) != 0) return errno_error(errno, "sync", path.string());
  return {};
}

// Makes the directory with mode 0700 and makes its name durable. A directory that exists is no error: then `made` is
// false.
Result<void> make_directory(const std::filesystem::path& path, bool& made) {
  made = mkdir(path.c_str(), 0700) == 0;
  if (!made) {
    if (errno == EEXIST) return {};
    return errno_error(errno, "create", path.string());
  }
  // The umask may have taken bits away. Another program may have put a link there meanwhile, and it is not followed.
  // The library needs /proc to change the mode of a path without following links, so the descriptor comes first.
  const Descriptor made_directory = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if ((made_directory ? fchmod(made_directory.get(), 0700)
                      : fchmodat(AT_FDCWD, path.c_str(), 0700, AT_SYMLINK_NOFOLLOW)) != 0) {
    return errno_error(errno, "create", path.string());
  }
  return sync_directory(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
}

Result<void> make_directories(const std::filesystem::path& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) == 0) return {};
  if (path.has_parent_path() && path.parent_path() != path) MENTEDB_TRY(make_directories(path.parent_path()));
  bool made = false;
  return make_directory(path, made);
}

Result<std::unique_ptr<Directory>> PosixVfs::open_directory(const std::filesystem::path& path, bool create) {
  MENTEDB_TRY_ASSIGN(const std::filesystem::path full, absolute_path(path));
  if (create) MENTEDB_TRY(make_directories(full));
  Descriptor descriptor = open_at(AT_FDCWD, full.c_str(), O_RDONLY | O_DIRECTORY);
  if (!descriptor) return errno_error(errno, "open the directory", full.string());
  struct stat status{};
  if (fstat(descriptor.get(), &status) != 0) return errno_error(errno, "look at", full.string());
  if ((status.st_mode & S_IWOTH) != 0) return writable_by_everybody(full.string());
  return std::make_unique<PosixDirectory>(std::move(descriptor), full.string());
}

Result<std::unique_ptr<Directory>> PosixVfs::create_directory(const std::filesystem::path& path) {
  MENTEDB_TRY_ASSIGN(const std::filesystem::path full, absolute_path(path));
  if (full.has_parent_path()) MENTEDB_TRY(make_directories(full.parent_path()));
  // Any failure below, also of an allocation, removes the directory, so that the next attempt does not find it.
  struct RemoveUnlessKept {
    const std::filesystem::path& path;
    bool made = false;
    ~RemoveUnlessKept() {
      if (made) rmdir(path.c_str());
    }
  };
  RemoveUnlessKept created{.path = full};
  MENTEDB_TRY(make_directory(full, created.made));
  if (!created.made) {
    return base::fail(ErrorCode::already_exists,
                      fmt::format("{} exists already; choose another name or remove it first", full.string()), EEXIST);
  }
  auto opened = open_directory(full, false);
  created.made = !opened;
  return opened;
}

Result<void> PosixVfs::remove_directory(const std::filesystem::path& path) {
  if (rmdir(path.c_str()) != 0) return errno_error(errno, "remove", path.string());
  return {};
}

void PosixVfs::random_bytes(std::span<std::byte> out) { base::fill_random(out); }

std::array<std::uint8_t, 16> PosixVfs::boot_id() const {
  // Kept after the first success. Else a process without a free descriptor would take its own index for that of another
  // boot. Two words and no mutex: two threads that meet here store the same, and a child of a fork cannot hang.
  static std::array<std::atomic<std::uint64_t>, 2> known{};
  const std::array<std::uint64_t, 2> kept{known[0].load(), known[1].load()};
  if (kept[0] != 0 && kept[1] != 0) return std::bit_cast<std::array<std::uint8_t, 16>>(kept);
  // Read with a system call: a stream hides a failed allocation, and then the boot id would look unknown.
  const Descriptor file = open_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY);
  std::array<char, 36> text{};
  ssize_t got = 0;
  do {
    got = file ? ::read(file.get(), text.data(), text.size()) : 0;
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(text.size())) return {};
  const Result<UuidBytes> id = parse_uuid({text.data(), text.size()});
  if (!id) return {};
  const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(*id);
  known[0].store(words[0]);
  known[1].store(words[1]);
  return *id;
}

}  // namespace

Vfs& posix_vfs() {
  // Never destroyed, because an engine may outlive static destruction. In static memory, because this function must not
  // throw.
  alignas(PosixVfs) static std::byte storage[sizeof(PosixVfs)];
  static PosixVfs* const instance = new (storage) PosixVfs;
  return *instance;
}

}  // namespace mentedb::vfs

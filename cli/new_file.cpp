#include "new_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "output_path.hpp"
#include "system_error.hpp"

namespace mentedb::cli {
namespace {

constexpr std::string_view kPartialPrefix = ".mentedb-partial-";

Error file_error(const std::string& file, int error) { return system_error("cannot write " + file, error); }

/// The path of an open file; linkat(2) follows it.
std::string path_of(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

std::vector<std::string> partial_names(int directory) {
  std::vector<std::string> names;
  const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = copy < 0 ? nullptr : fdopendir(copy);
  if (stream == nullptr) {
    if (copy >= 0) close(copy);
    return names;
  }
  while (const dirent* entry = readdir(stream)) {
    if (std::string_view(entry->d_name).starts_with(kPartialPrefix)) names.emplace_back(entry->d_name);
  }
  closedir(stream);
  return names;
}

/// Removes what killed programs left. A program that is at work holds the lock of its file.
void remove_stale_partials(int directory) {
  for (const std::string& name : partial_names(directory)) {
    const int file = openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) continue;
    struct stat info{};
    if (fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
        flock(file, LOCK_EX | LOCK_NB) == 0) {
      unlinkat(directory, name.c_str(), 0);
    }
    close(file);
  }
}

/// Takes over the owner of the file that is replaced. Without the right to do so, its group must not read the new one.
mode_t take_owner(int descriptor, const struct stat& replaced, mode_t mode) {
  struct stat own{};
  if (fstat(descriptor, &own) != 0 || (own.st_uid == replaced.st_uid && own.st_gid == replaced.st_gid)) return mode;
  if (fchown(descriptor, replaced.st_uid, replaced.st_gid) == 0) return mode;
  if (fchown(descriptor, static_cast<uid_t>(-1), replaced.st_gid) == 0) return mode;
  return own.st_gid == replaced.st_gid ? mode : mode & ~mode_t{070};
}

}  // namespace

Result<std::unique_ptr<NewFile>> NewFile::create(const std::string& name, const std::filesystem::path& store) {
  if (auto allowed = check_output_path(name, store); !allowed) return std::unexpected(allowed.error());
  std::unique_ptr<NewFile> file(new NewFile(name));
  struct stat replaced{};
  const bool exists = stat(name.c_str(), &replaced) == 0;
  if (!exists && errno != ENOENT) return std::unexpected(file_error(name, errno));
  if (exists && S_ISDIR(replaced.st_mode)) return std::unexpected(file_error(name, EISDIR));
  if (exists && !S_ISREG(replaced.st_mode)) {
    if (auto opened = file->open_in_place(); !opened) return std::unexpected(opened.error());
  } else {
    // A symbolic link stays: the file that it leads to is replaced.
    std::error_code ignored;
    std::filesystem::path target = exists ? std::filesystem::canonical(name, ignored) : std::filesystem::path(name);
    if (target.empty()) target = name;
    const mode_t mode = exists ? (replaced.st_mode & 0777) | 0600 : 0600;
    if (auto opened = file->open_beside(target, mode); !opened) return std::unexpected(opened.error());
    if (exists) file->mode_ = take_owner(file->descriptor_, replaced, mode);
  }
  file->output_ = std::make_unique<Output>(file->descriptor_);
  return file;
}

NewFile::~NewFile() {
  output_.reset();
  if (!partial_.empty()) unlinkat(directory_, partial_.c_str(), 0);
  if (descriptor_ >= 0) close(descriptor_);
  if (directory_ >= 0) close(directory_);
}

Result<void> NewFile::open_in_place() {
  descriptor_ = open(name_.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) return std::unexpected(file_error(name_, errno));
  return {};
}

Result<void> NewFile::open_beside(const std::filesystem::path& target, mode_t mode) {
  mode_ = mode;
  target_ = target.filename().string();
  if (target_.empty()) return std::unexpected(file_error(name_, EISDIR));  // it ends with a slash
  const std::filesystem::path parent = target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
  directory_ = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_ < 0) return std::unexpected(file_error(name_, errno));
  remove_stale_partials(directory_);
  if (!open_without_name() && !open_with_partial_name()) return std::unexpected(file_error(name_, errno));
  return {};
}

bool NewFile::open_without_name() {
  descriptor_ = openat(directory_, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor_ < 0) return false;
  if (access(path_of(descriptor_).c_str(), F_OK) == 0) {  // without /proc the file could never get a name
    flock(descriptor_, LOCK_EX | LOCK_NB);
    return true;
  }
  close(std::exchange(descriptor_, -1));
  return false;
}

bool NewFile::open_with_partial_name() {
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string name = fmt::format("{}{}-{}", kPartialPrefix, getpid(), attempt);
    descriptor_ = openat(directory_, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor_ < 0 && errno == EEXIST) continue;
    if (descriptor_ < 0) return false;
    flock(descriptor_, LOCK_EX | LOCK_NB);
    struct stat info{};
    if (fstat(descriptor_, &info) == 0 && info.st_nlink > 0) {
      partial_ = std::move(name);
      return true;
    }
    close(std::exchange(descriptor_, -1));  // another program took it for a stale one, before the lock was there
  }
  errno = EEXIST;
  return false;
}

/// rename(2) replaces a file, linkat(2) does not. So a file without a name gets the partial name in between, unless
/// there is nothing to replace.
bool NewFile::give_name() {
  if (partial_.empty()) {
    const std::string from = path_of(descriptor_);
    if (linkat(AT_FDCWD, from.c_str(), directory_, target_.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
    if (errno != EEXIST) return false;
    std::string name = fmt::format("{}{}-link", kPartialPrefix, getpid());
    unlinkat(directory_, name.c_str(), 0);  // of a program that had this process id before
    if (linkat(AT_FDCWD, from.c_str(), directory_, name.c_str(), AT_SYMLINK_FOLLOW) != 0) return false;
    partial_ = std::move(name);
  }
  if (renameat(directory_, partial_.c_str(), directory_, target_.c_str()) != 0) return false;
  partial_.clear();
  return true;
}

Result<void> NewFile::keep() {
  if (auto finished = output_->finish(name_); !finished) return finished;
  if (target_.empty()) return {};
  if (fchmod(descriptor_, mode_) != 0 || fsync(descriptor_) != 0 || !give_name()) {
    return std::unexpected(file_error(name_, errno));
  }
  if (fsync(directory_) != 0 && errno != EINVAL) return std::unexpected(file_error(name_, errno));
  return {};
}

}  // namespace mentedb::cli

#include "output_path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace mentedb::cli {
namespace {

namespace fs = std::filesystem;

Error refused(const fs::path& output) {
  return Error{ErrorCode::invalid_argument, 0,
               fmt::format("{} is a file of a store, and writing to it would destroy the store; name another file",
                           output.string())};
}

/// Upper case counts too: a file system may take both for the same name.
bool is_store_name(std::string name) {
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return name == "wal.log" || name == "pages.db" || (name.starts_with("ids-") && name.ends_with(".idx"));
}

bool holds_store(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / "wal.log", ignored) || fs::exists(directory / "pages.db", ignored);
}

/// True for the files that `store` has now, under whatever name they were opened.
bool is_file_of(const struct stat& file, const fs::path& store) {
  std::error_code error;
  for (fs::directory_iterator entry(store, error), end; !error && entry != end; entry.increment(error)) {
    struct stat info{};
    if (is_store_name(entry->path().filename().string()) && stat(entry->path().c_str(), &info) == 0 &&
        info.st_dev == file.st_dev && info.st_ino == file.st_ino) {
      return true;
    }
  }
  return false;
}

/// True for a file that begins as docs/format.md says. So a second name of a file of any other store is known, too.
bool begins_like_a_store_file(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return false;
  bool found = false;
  for (const off_t offset : {0, 8, 4096 + 8}) {  // the original's; behind the checksum; the log's second header copy
    std::array<char, 8> bytes{};
    const ssize_t got = pread(descriptor, bytes.data(), bytes.size(), offset);
    const std::string_view magic(bytes.data(), got == 8 ? 8 : 0);
    found = found || magic == "MenteDBp" || magic == "MenteDBl" || magic == "MenteDBi" || magic == "1BDETNEM";
  }
  close(descriptor);
  return found;
}

/// True when the name is one that a store in its directory has, or may make.
bool has_name_of_a_store_file(const fs::path& path) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  return is_store_name(path.filename().string()) && holds_store(parent);
}

}  // namespace

Result<void> check_output_path(const fs::path& output, const fs::path& store) {
  if (has_name_of_a_store_file(output)) return std::unexpected(refused(output));
  // Of a file that is missing, only the directory can be resolved; a link to such a file is replaced itself.
  std::error_code error;
  const fs::path resolved = fs::weakly_canonical(output, error);
  if (!error && has_name_of_a_store_file(resolved)) return std::unexpected(refused(output));
  struct stat info{};
  if (stat(output.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  if (is_file_of(info, store) || begins_like_a_store_file(output)) return std::unexpected(refused(output));
  return {};
}

Result<void> check_standard_stream(int descriptor, const fs::path& store) {
  struct stat info{};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) return {};
  const std::string_view name = descriptor == STDOUT_FILENO ? "standard output" : "standard error";
  if (is_file_of(info, store)) return std::unexpected(refused(name));
  std::error_code error;
  const fs::path path = fs::read_symlink(fmt::format("/proc/self/fd/{}", descriptor), error);
  if (!error && has_name_of_a_store_file(path)) return std::unexpected(refused(path));
  return {};
}

}  // namespace mentedb::cli

#include "rs_store/store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <utility>

#include <fmt/core.h>

#include <mentedb/json.hpp>

namespace mentedb::rs_store {
namespace {

Error system_error(const std::filesystem::path& file, int error) {
  ErrorCode code = ErrorCode::io_error;
  if (error == ENOENT || error == ENOTDIR) code = ErrorCode::not_found;
  if (error == EACCES || error == EPERM) code = ErrorCode::permission_denied;
  return Error{code, error, fmt::format("{}: {}", file.string(), std::strerror(error))};
}

/// Reads until the buffer is full or the file ends; returns how many bytes there were.
Result<std::size_t> read_at(int descriptor, std::uint64_t offset, std::span<std::byte> out,
                            const std::filesystem::path& file) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(descriptor, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0) {
      if (errno == EINTR) continue;
      return std::unexpected(system_error(file, errno));
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

/// O_NONBLOCK so that a FIFO in the place of a file is refused and not waited for.
Result<int> open_read_only(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return std::unexpected(system_error(file, errno));
  struct stat info{};
  if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) return descriptor;
  ::close(descriptor);
  return std::unexpected(Error{ErrorCode::incompatible, 0, fmt::format("{}: not a regular file", file.string())});
}

Result<std::vector<std::byte>> read_whole(const std::filesystem::path& file) {
  const Result<int> descriptor = open_read_only(file);
  if (!descriptor) return std::unexpected(descriptor.error());
  struct stat info{};
  std::vector<std::byte> bytes;
  if (fstat(*descriptor, &info) == 0) bytes.resize(static_cast<std::size_t>(info.st_size));
  const Result<std::size_t> got = read_at(*descriptor, 0, bytes, file);
  ::close(*descriptor);
  if (!got) return std::unexpected(got.error());
  bytes.resize(*got);
  return bytes;
}

}  // namespace

Store::Store(Store&& other) noexcept { *this = std::move(other); }

Store& Store::operator=(Store&& other) noexcept {
  directory_ = std::move(other.directory_);
  std::swap(pages_, other.pages_);
  page_count_ = other.page_count_;
  notes_ = std::move(other.notes_);
  log_bytes_ = std::move(other.log_bytes_);  // log_ points into them; a move keeps their place
  log_ = std::move(other.log_);
  pages_state_ = other.pages_state_;
  log_state_ = other.log_state_;
  return *this;
}

Store::~Store() {
  if (pages_ >= 0) ::close(pages_);
}

Store::FileState Store::state_of(const std::filesystem::path& file) {
  struct stat info{};
  if (stat(file.c_str(), &info) != 0) return {};
  return {static_cast<std::uint64_t>(info.st_size), info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec,
          info.st_ino};
}

namespace {

/// From version 0.45 on the original keeps its memories in records.db and records.wal. It renames its older files to
/// *.v1, or leaves them as they were: in either case they are not the data any more.
Result<void> refuse_newer_store(const std::filesystem::path& directory) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name != "records.db" && name != "records.wal" && !name.ends_with(".v1")) continue;
    return std::unexpected(
        Error{ErrorCode::incompatible, 0,
              fmt::format("{} was taken over by version 0.45 or later of the original engine (it has {}), so pages.db "
                          "and *.v1 would be old copies; this import reads stores of versions before 0.45",
                          directory.string(), name)});
  }
  return {};
}

}  // namespace

Result<Store> Store::open(const std::filesystem::path& directory) {
  if (auto known = refuse_newer_store(directory); !known) return std::unexpected(known.error());
  Store store;
  store.directory_ = directory;
  const std::filesystem::path pages = directory / "pages.db";
  const std::filesystem::path log = directory / "wal.log";
  store.pages_state_ = state_of(pages);
  store.log_state_ = state_of(log);

  const Result<int> descriptor = open_read_only(pages);
  if (!descriptor) {
    Error error = descriptor.error();
    if (error.code == ErrorCode::not_found) {
      error.message = fmt::format("{}: no store of the original engine there (it has no pages.db)", directory.string());
    }
    return std::unexpected(std::move(error));
  }
  store.pages_ = *descriptor;
  std::array<std::byte, kFileHeaderBytes> header{};
  const Result<std::size_t> got = read_at(store.pages_, 0, header, pages);
  if (!got) return std::unexpected(got.error());
  const Result<FileHeader> parsed = parse_file_header(std::span(header).first(*got));
  if (!parsed) {
    return std::unexpected(
        Error{parsed.error().code, 0, fmt::format("{}: {}", pages.string(), parsed.error().message)});
  }

  // The header is not synced with every new page, and the file may be cut short. So each of both numbers can be wrong.
  const std::uint64_t in_file = (store.pages_state_.size_bytes + kPageBytes - 1) / kPageBytes;
  store.page_count_ = std::min(parsed->page_count, in_file);
  if (parsed->page_count > in_file) {
    store.notes_.push_back(
        fmt::format("pages.db says that it has {} pages, but the file ends after {}", parsed->page_count, in_file));
  } else if (in_file > parsed->page_count) {
    store.notes_.push_back(fmt::format("pages.db has {} pages behind the {} that its header counts; they were not read",
                                       in_file - parsed->page_count, parsed->page_count));
  }

  Result<std::vector<std::byte>> log_bytes = read_whole(log);
  if (!log_bytes && log_bytes.error().code != ErrorCode::not_found) return std::unexpected(log_bytes.error());
  if (log_bytes) {
    store.log_bytes_ = std::move(*log_bytes);
    store.log_ = parse_log(store.log_bytes_);
    if (!store.log_.end.empty()) {
      store.notes_.push_back(fmt::format("wal.log was read up to byte {} of {}: {}", store.log_.valid_bytes,
                                         store.log_bytes_.size(), store.log_.end));
    }
  }
  return store;
}

Result<PageContent> Store::content(std::uint64_t page, std::vector<std::byte>& buffer) const {
  const auto logged = log_.newest.find(page);
  const auto from_log = [&]() -> Result<PageContent> {
    if (!logged->second.block) return PageContent{PageKind::free, {}};
    if (!decompress(*logged->second.block, buffer)) {
      return std::unexpected(Error{ErrorCode::corruption, 0, "its log entry cannot be decompressed"});
    }
    return parse_page_data(buffer);
  };
  if (logged != log_.newest.end() && (logged->second.after_checkpoint || page >= page_count_)) return from_log();
  buffer.resize(kPageBytes);
  const Result<std::size_t> got = read_at(pages_, page * kPageBytes, buffer, directory_ / "pages.db");
  if (!got) return std::unexpected(got.error());
  Result<PageContent> parsed = parse_page(std::span(buffer).first(*got), page);
  // The log holds a checkpoint and was not emptied yet: its image still repairs a damaged page.
  if (!parsed && logged != log_.newest.end()) return from_log();
  return parsed;
}

Result<Contents> Store::scan() const {
  Contents contents;
  contents.notes = notes_;
  std::vector<Entry> found;
  std::unordered_map<MemoryId, std::uint64_t> newest_page;
  std::vector<std::byte> buffer;

  const auto visit = [&](std::uint64_t page) -> Result<void> {
    const Result<PageContent> content = this->content(page, buffer);
    if (!content) {
      if (content.error().code == ErrorCode::out_of_memory) return std::unexpected(content.error());
      contents.damage.push_back({page, content.error().message});
      return {};
    }
    if (content->kind != PageKind::memory) return {};
    const Result<MemoryNode> node = from_json(content->json);
    if (!node) {
      contents.damage.push_back({page, node.error().message});
      return {};
    }
    const auto logged = log_.newest.find(page);
    found.push_back({page, node->id, logged != log_.newest.end() && logged->second.after_checkpoint});
    const auto [place, is_new] = newest_page.try_emplace(node->id, page);
    if (!is_new) {
      contents.notes.push_back(fmt::format("memory {} is in page {} and in page {}; the one in page {} counts",
                                           node->id.to_string(), place->second, page, page));
      place->second = page;
    }
    return {};
  };

  for (std::uint64_t page = 1; page < page_count_; ++page) {
    if (auto visited = visit(page); !visited) return std::unexpected(visited.error());
  }
  // Pages that only the log holds: the engine died before it extended the file.
  for (auto logged = log_.newest.lower_bound(std::max<std::uint64_t>(page_count_, 1)); logged != log_.newest.end();
       ++logged) {
    if (auto visited = visit(logged->first); !visited) return std::unexpected(visited.error());
  }
  for (const Entry& entry : found) {
    if (newest_page.at(entry.id) == entry.page) contents.memories.push_back(entry);
  }
  return contents;
}

Result<MemoryNode> Store::load(std::uint64_t page) const {
  std::vector<std::byte> buffer;
  const Result<PageContent> content = this->content(page, buffer);
  if (!content) return std::unexpected(content.error());
  if (content->kind != PageKind::memory) {
    return std::unexpected(Error{ErrorCode::not_found, 0, fmt::format("page {} holds no memory", page)});
  }
  Result<MemoryNode> node = from_json(content->json);
  if (!node) node.error().code = ErrorCode::corruption;
  return node;
}

bool Store::changed() const {
  return state_of(directory_ / "pages.db") != pages_state_ || state_of(directory_ / "wal.log") != log_state_;
}

}  // namespace mentedb::rs_store

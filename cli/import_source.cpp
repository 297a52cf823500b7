#include "import_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include <fmt/core.h>

#include <mentedb/json.hpp>

#include "line_reader.hpp"
#include "rs_store/store.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

/// A memory of 24 MiB takes six times as many bytes in JSON when it consists of control characters.
constexpr std::size_t kMaxLineBytes = std::size_t{192} << 20;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos; }

class JsonLines final : public ImportSource {
 public:
  JsonLines(int descriptor, bool owned, std::string name, std::uint64_t total)
      : descriptor_(descriptor),
        owned_(owned),
        name_(std::move(name)),
        total_(total),
        lines_(descriptor, kMaxLineBytes) {}
  ~JsonLines() override {
    if (owned_) ::close(descriptor_);
  }

  Result<std::optional<ImportItem>> next() override {
    for (;;) {
      const Result<std::optional<LineReader::Line>> line = lines_.next();
      if (!line) {
        return std::unexpected(Error{line.error().code, line.error().os_error,
                                     fmt::format("cannot read {}: {}", name_, line.error().message)});
      }
      if (!*line) return std::nullopt;
      ++number_;
      std::string_view text = (*line)->text;
      if (number_ == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // written by some editors
      if (!(*line)->too_long && is_blank(text)) continue;
      return ImportItem{number_, text.size(), (*line)->too_long ? too_long() : parse(text)};
    }
  }

  bool would_wait() override { return lines_.would_wait(); }
  std::uint64_t done() const override { return lines_.bytes_done(); }
  std::uint64_t total() const override { return total_; }
  std::string place(std::uint64_t number) const override { return fmt::format("{}:{}", name_, number); }
  std::string_view unit() const override { return "line"; }
  std::vector<std::string> take_notes() override { return std::exchange(notes_, {}); }

 private:
  static Result<MemoryNode> too_long() {
    return std::unexpected(
        Error{ErrorCode::capacity_exceeded, 0, fmt::format("the line is longer than {}", human_bytes(kMaxLineBytes))});
  }

  Result<MemoryNode> parse(std::string_view text) {
    unknown_.clear();
    Result<MemoryNode> node = from_json(text, &unknown_);
    for (const std::string& name : unknown_) {
      // Each name is reported once, and at most 20 names, because a file may have a new name on every line.
      if (told_.size() < 20 && told_.insert(name).second) {
        notes_.push_back(
            fmt::format("{}: no memory has a field \"{}\"; the field is dropped", place(number_), one_line(name, 60)));
      }
    }
    return node;
  }

  int descriptor_;
  bool owned_;
  std::string name_;
  std::uint64_t total_;
  LineReader lines_;
  std::uint64_t number_ = 0;
  std::vector<std::string> unknown_;
  std::set<std::string> told_;
  std::vector<std::string> notes_;
};

class RsStore final : public ImportSource {
 public:
  RsStore(rs_store::Store store, rs_store::Contents contents, std::filesystem::path directory)
      : store_(std::move(store)),
        contents_(std::move(contents)),
        directory_(std::move(directory)),
        notes_(std::move(contents_.notes)) {
    for (std::string& text : notes_) text = fmt::format("{}: {}", directory_.string(), text);
  }

  /// Damage comes first, so that the user learns at the beginning that the store is not whole.
  Result<std::optional<ImportItem>> next() override {
    if (interrupted()) return std::nullopt;
    if (damage_ < contents_.damage.size()) {
      const rs_store::Damage& damage = contents_.damage[damage_++];
      return ImportItem{damage.page, 0, std::unexpected(Error{ErrorCode::corruption, 0, damage.message})};
    }
    if (memory_ == contents_.memories.size()) {
      if (store_.changed() && !told_changed_) {
        told_changed_ = true;
        notes_.push_back(
            fmt::format("{}: another process changed the store meanwhile; stop the original engine and "
                        "import again",
                        directory_.string()));
      }
      return std::nullopt;
    }
    const rs_store::Entry& entry = contents_.memories[memory_++];
    return ImportItem{entry.page, rs_store::kPageDataBytes, store_.load(entry.page)};
  }

  bool would_wait() override { return false; }
  std::uint64_t done() const override { return memory_; }
  std::uint64_t total() const override { return contents_.memories.size(); }
  std::string place(std::uint64_t number) const override {
    return fmt::format("{}, page {}", (directory_ / "pages.db").string(), number);
  }
  std::string_view unit() const override { return "page"; }
  std::vector<std::string> take_notes() override { return std::exchange(notes_, {}); }

 private:
  rs_store::Store store_;
  rs_store::Contents contents_;
  std::filesystem::path directory_;
  std::vector<std::string> notes_;
  std::size_t damage_ = 0;
  std::size_t memory_ = 0;
  bool told_changed_ = false;
};

}  // namespace

Result<std::unique_ptr<ImportSource>> open_json_lines(const std::string& file) {
  const bool is_stdin = file == "-";
  const std::string name = is_stdin ? "standard input" : file;
  const int descriptor = is_stdin ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info{};
  if (descriptor < 0 || fstat(descriptor, &info) != 0) {
    const int error = errno;
    ErrorCode code = ErrorCode::io_error;
    if (error == ENOENT || error == ENOTDIR) code = ErrorCode::not_found;
    if (error == EACCES || error == EPERM) code = ErrorCode::permission_denied;
    return std::unexpected(Error{code, error, fmt::format("cannot read {}: {}", name, std::strerror(error))});
  }
  auto source = std::make_unique<JsonLines>(descriptor, !is_stdin, name,
                                            S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0);
  if (S_ISDIR(info.st_mode)) {
    std::error_code ignored;
    const bool has_pages = std::filesystem::exists(std::filesystem::path(file) / "pages.db", ignored);
    return std::unexpected(
        Error{ErrorCode::invalid_argument, EISDIR,
              has_pages ? fmt::format("{} is a directory with a store; import a store of the original Rust engine with "
                                      "'--from mentedb-rs', or copy a store of this program with 'mentedb restore'",
                                      file)
                        : fmt::format("{} is a directory; expected a file of JSON lines", file)});
  }
  return source;
}

Result<std::unique_ptr<ImportSource>> open_rs_store(const std::filesystem::path& directory) {
  Result<rs_store::Store> store = rs_store::Store::open(directory);
  if (!store) return std::unexpected(store.error());
  Result<rs_store::Contents> contents = store->scan();
  if (!contents) return std::unexpected(contents.error());
  return std::make_unique<RsStore>(std::move(*store), std::move(*contents), directory);
}

}  // namespace mentedb::cli

#include "import_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include <fmt/core.h>

#include "json_node.hpp"
#include "line_reader.hpp"
#include "rs_store/store.hpp"
#include "signals.hpp"
#include "system_error.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

/// A memory of 24 MiB takes six times as many bytes in JSON when it consists of control characters.
constexpr std::size_t kMaxLineBytes = std::size_t{192} << 20;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos; }

/// What a file is that holds no JSON lines, and how to make JSON lines of it. Nothing when it may hold some.
std::optional<Error> other_kind(std::string_view beginning, const std::string& name, bool is_stdin) {
  using namespace std::string_view_literals;
  struct Kind {
    std::string_view magic;
    std::string_view what;
    std::string_view remedy;  // the command that makes JSON lines of it
  };
  constexpr Kind kKinds[] = {
      {"\x1F\x8B"sv, "compressed with gzip", "gzip -dc"},
      {"PK\x03\x04"sv, "a zip archive", "unzip -p"},
      {"\x28\xB5\x2F\xFD"sv, "compressed with zstd", "zstd -dc"},
      {"\xFD"
       "7zXZ"sv,
       "compressed with xz", "xz -dc"},
      {"BZh"sv, "compressed with bzip2", "bzip2 -dc"},
      {"\xFF\xFE\0\0"sv, "UTF-32, not UTF-8", "iconv -f UTF-32 -t UTF-8"},
      {"\0\0\xFE\xFF"sv, "UTF-32, not UTF-8", "iconv -f UTF-32 -t UTF-8"},
      {"\xFF\xFE"sv, "UTF-16, not UTF-8", "iconv -f UTF-16 -t UTF-8"},
      {"\xFE\xFF"sv, "UTF-16, not UTF-8", "iconv -f UTF-16 -t UTF-8"},
      {"{\0"sv, "UTF-16, not UTF-8", "iconv -f UTF-16LE -t UTF-8"},
      {"\0{"sv, "UTF-16, not UTF-8", "iconv -f UTF-16BE -t UTF-8"},
      {"["sv, "a JSON array, not one object a line", "jq -c '.[]'"},
      {"{\n"sv, "a JSON object on several lines, not one object a line", "jq -c ."},
      {"{\r\n"sv, "a JSON object on several lines, not one object a line", "jq -c ."},
  };
  if (beginning.starts_with("\xEF\xBB\xBF")) beginning.remove_prefix(3);
  for (const Kind& kind : kKinds) {
    if (!beginning.starts_with(kind.magic)) continue;
    return Error{
        ErrorCode::invalid_argument, 0,
        fmt::format("{} is {}; run: {} {} | mentedb import -", name, kind.what, kind.remedy, is_stdin ? "FILE" : name)};
  }
  return std::nullopt;
}

class JsonLines final : public ImportSource {
 public:
  JsonLines(int descriptor, bool owned, std::string name, std::uint64_t total, std::uint64_t from_line)
      : descriptor_(descriptor),
        owned_(owned),
        name_(std::move(name)),
        total_(total),
        from_line_(from_line),
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
      if (!*line) {
        if (!interrupted() && number_ < from_line_ && from_line_ > 1) tell_end();
        return std::nullopt;
      }
      ++number_;
      std::string_view text = (*line)->text;
      if (number_ == 1) {
        // The line feed is no longer there, and "{" alone is one of the kinds.
        if (auto other = other_kind(std::string(text.substr(0, 8)) + "\n", name_, !owned_)) {
          return std::unexpected(std::move(*other));
        }
      }
      if (number_ < from_line_) continue;
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
    remarks_.clear();
    Result<MemoryNode> node = read_node(text, now_, remarks_);
    for (const JsonRemark& remark : remarks_) {
      // Each is told once, and at most 20, because a file may have a new field on every line.
      if (told_.size() < 20 && told_.insert(remark.about).second) {
        notes_.push_back(
            fmt::format("{}: {} (told once, later lines are treated the same way)", place(number_), remark.text));
      }
    }
    return node;
  }

  void tell_end() {
    notes_.push_back(fmt::format("{} has no line {}, it ends after line {}", name_, from_line_, number_));
  }

  int descriptor_;
  bool owned_;
  std::string name_;
  std::uint64_t total_;
  std::uint64_t from_line_;
  LineReader lines_;
  std::uint64_t number_ = 0;
  Timestamp now_ = parse_time("now").value_or(0);  // one time for the whole import
  std::vector<JsonRemark> remarks_;
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

Result<std::unique_ptr<ImportSource>> open_json_lines(const std::string& file, std::uint64_t from_line) {
  const bool is_stdin = file == "-";
  const std::string name = is_stdin ? "standard input" : file;
  const int descriptor = is_stdin ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info{};
  if (descriptor < 0 || fstat(descriptor, &info) != 0) {
    return std::unexpected(system_error("cannot read " + name, errno));
  }
  auto source = std::make_unique<JsonLines>(
      descriptor, !is_stdin, name, S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0, from_line);
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
  if (S_ISREG(info.st_mode)) {  // before a store is made for it
    std::array<char, 16> bytes{};
    const ssize_t got =
        pread(descriptor, bytes.data(), bytes.size(), std::max<off_t>(0, lseek(descriptor, 0, SEEK_CUR)));
    const std::string_view beginning(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    if (auto other = other_kind(beginning, name, is_stdin)) return std::unexpected(std::move(*other));
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

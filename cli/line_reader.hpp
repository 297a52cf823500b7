// Lines from a file descriptor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <mentedb/error.hpp>

namespace mentedb::cli {

/// Reads lines of any length up to a limit. Ends early when the program is interrupted.
class LineReader {
 public:
  struct Line {
    std::string_view text;  ///< without its line feed; valid until the next call
    bool too_long = false;  ///< longer than the limit; `text` is its beginning
  };

  LineReader(int descriptor, std::size_t max_line_bytes) : descriptor_(descriptor), max_line_bytes_(max_line_bytes) {}

  /// Nothing at the end of the input or when interrupted. @errors `io_error`
  Result<std::optional<Line>> next();
  /// True when the next line is not here yet and reading on would wait.
  bool would_wait();
  [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  /// Reads a block behind what is buffered. False at the end.
  Result<bool> fill();

  int descriptor_;
  std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t start_ = 0;    // of the next line
  std::size_t scanned_ = 0;  // no line feed between start_ and here
  bool end_ = false;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace mentedb::cli

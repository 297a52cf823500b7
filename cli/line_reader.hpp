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

  /// The next line. Nothing at the end of the input, and after an interruption. @errors `io_error`
  Result<std::optional<Line>> next();
  /// True when the next line has not arrived yet, so that `next` would wait.
  bool would_wait();
  /// Bytes up to the end of the last line. Bytes that were read ahead do not count.
  [[nodiscard]] std::uint64_t bytes_done() const { return bytes_read_ - (buffer_.size() - start_); }

 private:
  /// Reads a block to the end of the buffer. False at the end of the input.
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

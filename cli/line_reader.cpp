#include "line_reader.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "signals.hpp"

namespace mentedb::cli {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{256} << 10;

}  // namespace

Result<bool> LineReader::fill() {
  if (start_ > 0) {
    buffer_.erase(0, start_);
    scanned_ -= start_;
    start_ = 0;
  }
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kBlockBytes);
  for (;;) {
    const ssize_t got = read(descriptor_, buffer_.data() + before, kBlockBytes);
    if (got >= 0) {
      buffer_.resize(before + static_cast<std::size_t>(got));
      bytes_read_ += static_cast<std::uint64_t>(got);
      end_ = got == 0;
      return got > 0;
    }
    const int error = errno;
    if (error == EINTR && !interrupted()) continue;
    buffer_.resize(before);
    if (error == EINTR) return false;
    return std::unexpected(Error{ErrorCode::io_error, error, std::strerror(error)});
  }
}

Result<std::optional<LineReader::Line>> LineReader::next() {
  bool too_long = false;
  for (;;) {
    if (interrupted()) return std::nullopt;
    const std::size_t feed = buffer_.find('\n', scanned_);
    if (feed != std::string::npos) {
      const std::string_view text(buffer_.data() + start_, feed - start_);
      start_ = scanned_ = feed + 1;
      return Line{text.substr(0, max_line_bytes_), too_long || text.size() > max_line_bytes_};
    }
    scanned_ = buffer_.size();
    if (scanned_ - start_ > max_line_bytes_) {  // keep the beginning of the line, drop the rest
      too_long = true;
      buffer_.resize(start_ + max_line_bytes_ + 1);
      scanned_ = buffer_.size();
    }
    Result<bool> more = end_ ? Result<bool>(false) : fill();
    if (!more) return std::unexpected(more.error());
    if (*more) continue;
    if (interrupted() || start_ == buffer_.size()) return std::nullopt;
    const std::string_view text(buffer_.data() + start_, buffer_.size() - start_);
    start_ = scanned_ = buffer_.size();
    return Line{text.substr(0, max_line_bytes_), too_long || text.size() > max_line_bytes_};
  }
}

bool LineReader::would_wait() {
  if (end_ || buffer_.find('\n', scanned_) != std::string::npos) return false;
  pollfd state{descriptor_, POLLIN, 0};
  return poll(&state, 1, 0) == 0;
}

}  // namespace mentedb::cli

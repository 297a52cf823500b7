#include "output.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "text.hpp"

namespace mentedb::cli {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

bool wants_colours(bool is_terminal) {
  if (!is_terminal) return false;
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && std::string_view(terminal) != "dumb";
}

bool json_errors = false;

/// The engine's sentences name its C++ options and calls. The user of the command has flags instead.
std::string in_words_of_the_command(std::string message) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"lock_timeout", "--lock-timeout"},
      {"single_process", "--single-process"},
      {"open it with page_size_bytes 0", "leave out --page-size"},
      {"page_size_bytes", "--page-size"},
      {"use read_page", "'mentedb page' shows it"},
      {"open with read_only", "only commands that read work there"},
      {"close this engine and open the store again", "run the command again"},
      {"Close this engine and open the store again", "Run the command again"},
      {"Open the store again", "Run the command again"},
      {"open the store again", "run the command again"},
  };
  for (const auto& [theirs, ours] : kWords) {
    for (std::size_t at = message.find(theirs); at != std::string::npos; at = message.find(theirs, at + 1)) {
      // Only a word of the sentence: a path may hold the same letters.
      const std::size_t end = at + theirs.size();
      const bool begins = at == 0 || message[at - 1] == ' ';
      const bool ends = end == message.size() || std::string_view(" ,;.").contains(message[end]);
      if (begins && ends) message.replace(at, theirs.size(), ours);
    }
  }
  return message;
}

std::string dumped(const Json& value) {
  // File names may hold any bytes. Such bytes must not turn an error message into an exception.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Output::Output(int descriptor)
    : descriptor_(descriptor), is_terminal_(isatty(descriptor) == 1), colours_(wants_colours(is_terminal_)) {}

Output& Output::operator<<(std::string_view text) {
  if (error_ != 0) return *this;
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes || (is_terminal_ && text.ends_with('\n'))) flush();
  return *this;
}

void Output::flush() {
  std::string_view left = buffer_;
  while (!left.empty() && error_ == 0) {
    const ssize_t written = write(descriptor_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Another program that shares the pipe made it non-blocking. Wait for room.
      pollfd wait{descriptor_, POLLOUT, 0};
      poll(&wait, 1, 1000);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
}

bool Output::closed() const { return error_ == EPIPE; }

bool Output::reader_has_gone() {
  pollfd state{descriptor_, 0, 0};
  if (error_ == 0 && poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0) error_ = EPIPE;
  return closed();
}

std::size_t Output::columns() const {
  winsize size{};
  if (!is_terminal_ || ioctl(descriptor_, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

Result<void> Output::finish(std::string_view name) {
  flush();
  if (error_ == 0 || error_ == EPIPE) return {};
  return std::unexpected(Error{error_ == ENOSPC ? ErrorCode::no_space : ErrorCode::io_error, error_,
                               fmt::format("cannot write {}: {}", name, std::strerror(error_))});
}

Output& out() {
  static Output output(STDOUT_FILENO);
  return output;
}

Output& err() {
  static Output output(STDERR_FILENO);
  return output;
}

void use_json_errors(bool json) { json_errors = json; }

int report(const Error& error, const Json& extra) {
  out().flush();  // so that errors and output keep their order
  const std::string message = in_words_of_the_command(error.message);
  if (json_errors) {
    Json body = {{"code", to_string(error.code)}, {"message", message}};
    if (error.os_error != 0) body["errno"] = error.os_error;
    for (const auto& [key, value] : extra.items()) body[key] = value;
    err() << dumped(Json{{"error", body}}) << "\n";
  } else {
    err() << err().style(kRed) << "mentedb:" << err().style(kReset) << " " << printable(message) << "\n";
  }
  err().flush();
  return 1;
}

int report_usage(std::string_view message, std::string_view command) {
  if (json_errors) {
    err() << dumped(Json{{"error", {{"code", "usage"}, {"message", message}}}}) << "\n";
  } else {
    err() << err().style(kRed) << "mentedb:" << err().style(kReset) << " " << printable(message) << "\n";
    err() << "Try 'mentedb " << command << (command.empty() ? "" : " ") << "--help'.\n";
  }
  err().flush();
  return 2;
}

void note(std::string_view message) {
  if (json_errors) return;
  out().flush();
  err() << err().style(kYellow) << "note:" << err().style(kReset) << " " << printable(message) << "\n";
  err().flush();
}

void print_json(const Json& value) { out() << dumped(value) << "\n"; }

int finish_output(int status) {
  if (auto finished = out().finish("standard output"); !finished) return report(finished.error());
  return status;
}

int finish_output(int status, std::string_view done, const Json& result) {
  auto finished = out().finish("standard output");
  if (finished) return status;
  finished.error().message += fmt::format("; {}", done);
  return report(finished.error(), {{"done", result}});
}

}  // namespace mentedb::cli

// Standard output and error: buffered, aware of closed pipes and full disks, colours on a terminal only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <mentedb/error.hpp>

namespace mentedb::cli {

using Json = nlohmann::ordered_json;

/// A buffered file descriptor. After a failed write it drops all further output, so a loop may go on until it calls
/// `good`.
class Output {
 public:
  explicit Output(int descriptor);
  ~Output() { flush(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Output& operator<<(std::string_view text);
  void flush();

  /// False once the reader has gone or a write has failed.
  [[nodiscard]] bool good() const { return error_ == 0; }
  /// True when the reader has closed the pipe. That is no failure.
  [[nodiscard]] bool closed() const;
  /// Asks whether the reader has closed the pipe, without writing.
  bool reader_has_gone();
  [[nodiscard]] bool is_terminal() const { return is_terminal_; }
  /// Columns of the terminal, or 0.
  [[nodiscard]] std::size_t columns() const;
  /// An `io_error` or `no_space` when a write failed for another reason than a closed pipe.
  [[nodiscard]] Result<void> finish(std::string_view name);

  /// The escape sequence when colours are wanted, else nothing.
  [[nodiscard]] std::string_view style(std::string_view sequence) const { return colours_ ? sequence : ""; }

 private:
  int descriptor_;
  bool is_terminal_;
  bool colours_;
  int error_ = 0;
  std::string buffer_;
};

inline constexpr std::string_view kBold = "\x1b[1m";
inline constexpr std::string_view kDim = "\x1b[2m";
inline constexpr std::string_view kRed = "\x1b[31m";
inline constexpr std::string_view kGreen = "\x1b[32m";
inline constexpr std::string_view kYellow = "\x1b[33m";
inline constexpr std::string_view kReset = "\x1b[0m";

/// Standard output and standard error of this process.
Output& out();
Output& err();

/// How errors are printed; set once the command line is read.
void use_json_errors(bool json);

/// Prints `mentedb: message` (or JSON) on standard error. The engine's option names in the message become flags of the
/// command. `extra` adds members to the JSON form.
/// Returns 1, the exit status.
int report(const Error& error, const Json& extra = {});
/// The same for a mistake in the command line. Returns 2.
int report_usage(std::string_view message, std::string_view command = {});
/// Prints a remark on standard error. Prints nothing with --json.
void note(std::string_view message);

/// One line of JSON on standard output.
void print_json(const Json& value);

/// Ends a command: 0, or 1 when standard output could not be written. A closed pipe is no failure.
int finish_output(int status = 0);
/// The same for a command that has written. When the output is lost, the error says what was done, so that the user
/// does not do it twice: `done` as a sentence, `result` as the output of --json.
int finish_output(int status, std::string_view done, const Json& result);

}  // namespace mentedb::cli

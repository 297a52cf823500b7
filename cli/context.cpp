#include "context.hpp"

#include <charconv>
#include <cstdlib>

#include <fmt/core.h>

namespace mentedb::cli {

std::filesystem::path Context::directory() const {
  if (!directory_option.empty()) return directory_option;
  const char* from_environment = std::getenv("MENTEDB_DIR");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return "memory";
}

std::chrono::milliseconds Context::lock_timeout() const {
  // A number too large for the clock means: for ever.
  if (lock_timeout_seconds >= 1e12) return std::chrono::milliseconds::max();
  return std::chrono::milliseconds(static_cast<std::int64_t>(lock_timeout_seconds * 1000));
}

Options Context::options() const {
  Options options;
  options.lock_timeout = lock_timeout();
  options.single_process = single_process;
  return options;
}

void add_common_options(CLI::App& app, Context& context) {
  const std::string group = "Common options";
  app.add_option("-d,--dir", context.directory_option, "Directory of the store (default: MENTEDB_DIR, else ./memory)")
      ->type_name("DIR")
      ->group(group);
  app.add_flag("--json", context.json, "Machine-readable output, and errors as JSON on stderr")->group(group);
  app.add_option("--lock-timeout", context.lock_timeout_seconds,
                 "How long to wait for other processes that write (default: 30)")
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber.description(""))
      ->group(group);
  app.add_flag("--single-process", context.single_process,
               "Promise that no other process uses the store; allows network file systems")
      ->group(group);
  // Removed and added again, so that the flag comes after the command's own options.
  app.set_help_flag();
  app.set_help_flag("-h,--help", "Show this help")->group(group);
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& examples) {
  CLI::App* command = app.add_subcommand(name, description);
  if (!examples.empty()) command->footer("Examples:\n" + examples);
  return command;
}

CLI::Validator whole_number() {
  return {[](std::string& text) {
            std::uint64_t number = 0;
            const char* end = text.data() + text.size();
            const auto [stop, status] = std::from_chars(text.data(), end, number);
            return status == std::errc() && stop == end ? std::string() : fmt::format("'{}' is no whole number", text);
          },
          ""};
}

Result<void> require_store(const std::filesystem::path& directory) {
  std::error_code error;
  const auto status = std::filesystem::status(directory, error);
  if (status.type() == std::filesystem::file_type::none) return {};  // no permission to look: opening says why
  if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
    return std::unexpected(
        Error{ErrorCode::invalid_argument, 0,
              fmt::format("{} is not a directory; name the directory of a store with --dir", directory.string())});
  }
  for (const char* file : {"pages.db", "wal.log"}) {
    const auto file_status = std::filesystem::status(directory / file, error);
    if (file_status.type() != std::filesystem::file_type::not_found) return {};
  }
  return std::unexpected(
      Error{ErrorCode::not_found, 0,
            fmt::format("no store in {}; create one with 'mentedb store' or 'mentedb import', or name another "
                        "directory with --dir or MENTEDB_DIR",
                        directory.string())});
}

Result<StorageEngine> open_existing(const Context& context) {
  if (auto exists = require_store(context.directory()); !exists) return std::unexpected(exists.error());
  return StorageEngine::open(context.directory(), context.options());
}

Result<StorageEngine> open_for_reading(const Context& context) {
  Result<StorageEngine> engine = open_existing(context);
  if (engine || (engine.error().code != ErrorCode::permission_denied && engine.error().code != ErrorCode::read_only)) {
    return engine;
  }
  Options options = context.options();
  options.read_only = true;
  Result<StorageEngine> reading = StorageEngine::open(context.directory(), options);
  if (!reading && reading.error().code == ErrorCode::busy) {
    // The advice is to run `recover`, which writes.
    reading.error().message += fmt::format("; that needs the right to write, and now: {}", engine.error().message);
  }
  return reading;
}

}  // namespace mentedb::cli

// What all commands share: the common options, and how a command opens a store.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include <mentedb/storage_engine.hpp>

namespace mentedb::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

struct Context {
  std::string directory_option;  ///< --dir; empty when not given
  bool json = false;
  double lock_timeout_seconds = 30;
  bool single_process = false;
  std::function<int()> run;  ///< set by the command that was named

  /// --dir, else MENTEDB_DIR, else ./memory
  [[nodiscard]] std::filesystem::path directory() const;
  [[nodiscard]] Options options() const;
  [[nodiscard]] std::chrono::milliseconds lock_timeout() const;
};

/// Adds a command. Its help ends with `examples`.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& examples);

/// Adds --dir, --json and the like to a command (or the program itself), behind its own options.
void add_common_options(CLI::App& app, Context& context);

/// Accepts digits that make a 64-bit number. The parser itself would take -1 for a very large number.
CLI::Validator whole_number();

/// For commands that must not create a store.
/// @errors `not_found`: the directory holds no store; `invalid_argument`: it is no directory
Result<void> require_store(const std::filesystem::path& directory);

/// Opens an existing store for a command that changes it.
Result<StorageEngine> open_existing(const Context& context);

/// Opens an existing store for a command that only reads. The engine may write, so that it can redo the log after a
/// crash. On read-only media, and without the permission to write, the engine is read-only.
Result<StorageEngine> open_for_reading(const Context& context);

// One function a command; each adds its command to the program.
void add_store(CLI::App& app, Context& context);
void add_get(CLI::App& app, Context& context);
void add_list(CLI::App& app, Context& context);
void add_update(CLI::App& app, Context& context);
void add_delete(CLI::App& app, Context& context);
void add_import(CLI::App& app, Context& context);
void add_export(CLI::App& app, Context& context);
void add_stats(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_checkpoint(CLI::App& app, Context& context);
void add_erase_deleted(CLI::App& app, Context& context);
void add_recover(CLI::App& app, Context& context);
void add_backup(CLI::App& app, Context& context);
void add_restore(CLI::App& app, Context& context);
void add_salvage(CLI::App& app, Context& context);
void add_watch(CLI::App& app, Context& context);
void add_page(CLI::App& app, Context& context);
void add_log(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);

}  // namespace mentedb::cli

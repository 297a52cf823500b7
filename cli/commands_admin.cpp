// stats, checkpoint, erase-deleted, recover, backup, restore, version.
#include <algorithm>
#include <memory>
#include <thread>

#include <fmt/core.h>

#include <mentedb/version.hpp>

#include "context.hpp"
#include "output.hpp"
#include "output_path.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

Json stats_json(const Stats& stats) {
  return {{"page_size_bytes", stats.page_size_bytes},
          {"page_count", stats.page_count},
          {"used_pages", stats.used_pages},
          {"free_pages", stats.free_pages},
          {"memory_count", stats.memory_count},
          {"pages_file_bytes", stats.pages_file_bytes},
          {"pages_allocated_bytes", stats.pages_allocated_bytes},
          {"log_file_bytes", stats.log_file_bytes},
          {"log_used_bytes", stats.log_used_bytes},
          {"wal_limit_bytes", stats.wal_limit_bytes},
          {"epoch", stats.epoch},
          {"committed_lsn", stats.committed_lsn.value},
          {"index_number", stats.index_number},
          {"index_buckets", stats.index_buckets},
          {"index_buckets_used", stats.index_buckets_used},
          {"checkpoints", stats.checkpoints},
          {"redo_operations", stats.redo_operations},
          {"commits", stats.commits},
          {"mapped_bytes", stats.mapped_bytes},
          {"resident_bytes", stats.resident_bytes},
          {"access_warnings", stats.access_warnings}};
}

int percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<int>(100 * static_cast<double>(part) / static_cast<double>(whole));
}

void print_stats(const std::string& directory, const Stats& stats) {
  const auto line = [](std::string_view name, const std::string& value) {
    out() << out().style(kDim) << fmt::format("{:<10}", name) << out().style(kReset) << value << "\n";
  };
  line("store", printable(directory));
  line("memories", with_commas(stats.memory_count));
  line("pages", fmt::format("{} used, {} free, {} each", with_commas(stats.used_pages), with_commas(stats.free_pages),
                            human_bytes(stats.page_size_bytes)));
  line("page file", fmt::format("{}, of which {} are on the disk", human_bytes(stats.pages_file_bytes),
                                human_bytes(stats.pages_allocated_bytes)));
  line("log", fmt::format("{} used of {}, checkpoint at {}", human_bytes(stats.log_used_bytes),
                          human_bytes(stats.log_file_bytes), human_bytes(stats.wal_limit_bytes)));
  line("id index",
       fmt::format("number {}, {} of {} buckets used ({} %)", stats.index_number, with_commas(stats.index_buckets_used),
                   with_commas(stats.index_buckets), percent(stats.index_buckets_used, stats.index_buckets)));
  line("commits", fmt::format("up to LSN {}, in epoch {}", with_commas(stats.committed_lsn.value), stats.epoch));
  if (stats.mapped_bytes > 0) {
    line("in memory", fmt::format("{} of the page file ({} mapped by this process)", human_bytes(stats.resident_bytes),
                                  human_bytes(stats.mapped_bytes)));
  }
  if (stats.redo_operations > 0) {
    line("recovered", fmt::format("{} redone from the log after a crash",
                                  counted(stats.redo_operations, "operation", "operations")));
  }
  for (const std::string& warning : stats.access_warnings) line("warning", printable(warning));
}

/// The changes since the last look, on one line: alone with --watch in a pipe, below the table on a terminal.
void print_rates(const Stats& before, const Stats& now, double seconds) {
  const double operations = static_cast<double>(now.committed_lsn.value - before.committed_lsn.value) / seconds;
  const auto memories = static_cast<std::int64_t>(now.memory_count - before.memory_count);
  out() << fmt::format("{}  {} memories ({:+})  {:.0f} operations/s  log {}\n",
                       format_time(parse_time("now").value_or(0)).substr(11, 8), with_commas(now.memory_count),
                       memories, operations, human_bytes(now.log_used_bytes));
}

void sleep_until_interrupted(double seconds) {
  using namespace std::chrono;
  const auto end = steady_clock::now() + duration<double>(seconds);
  while (!interrupted() && steady_clock::now() < end && !out().reader_has_gone()) {
    std::this_thread::sleep_for(std::min(duration<double>(0.1), duration<double>(end - steady_clock::now())));
  }
}

struct StatsOptions {
  bool watch = false;
  double interval_seconds = 1;
};

int run_stats(const Context& context, const StatsOptions& options) {
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());
  std::optional<Stats> before;
  for (;;) {
    const Result<Stats> stats = engine->stats();
    if (!stats) return report(stats.error());
    if (context.json) {
      print_json(stats_json(*stats));
    } else {
      if (options.watch && out().is_terminal()) out() << "\x1b[H\x1b[2J";
      if (!options.watch || out().is_terminal() || !before) print_stats(context.directory().string(), *stats);
      if (before) print_rates(*before, *stats, options.interval_seconds);
    }
    out().flush();
    if (!options.watch || !out().good()) break;
    before = *stats;
    sleep_until_interrupted(options.interval_seconds);
    if (interrupted() || !out().good()) break;
  }
  return finish_output();
}

/// Prints what was done, as one line.
int finish_writing(const Context& context, const std::string& done, const Json& result) {
  if (context.json) {
    print_json(result);
  } else {
    out() << done << "\n";
  }
  return finish_output(kOk, done, result);
}

/// What the page file takes less of the disk. Others may write meanwhile.
std::uint64_t given_back(const Stats& before, const Stats& after) {
  const std::uint64_t taken = after.pages_allocated_bytes;
  return before.pages_allocated_bytes > taken ? before.pages_allocated_bytes - taken : 0;
}

int run_checkpoint(const Context& context) {
  Result<StorageEngine> engine = open_existing(context);
  if (!engine) return report(engine.error());
  const Result<Stats> before = engine->stats();
  if (auto done = engine->checkpoint(); !done) return report(done.error());
  const Result<Stats> after = engine->stats();
  const std::uint64_t bytes = before ? before->log_used_bytes : 0;
  const std::uint64_t given = before && after ? given_back(*before, *after) : 0;
  return finish_writing(
      context,
      fmt::format("checkpoint done: {} of log are in the page file, which is synced; {} went back to the file system",
                  human_bytes(bytes), human_bytes(given)),
      {{"log_bytes", bytes}, {"given_back_bytes", given}});
}

int run_erase_deleted(const Context& context) {
  Result<StorageEngine> engine = open_existing(context);
  if (!engine) return report(engine.error());
  const Result<Stats> before = engine->stats();
  if (auto done = engine->erase_deleted(); !done) return report(done.error());
  const Result<Stats> after = engine->stats();
  const std::uint64_t given = before && after ? given_back(*before, *after) : 0;
  return finish_writing(
      context,
      fmt::format("erased: free pages and the log hold nothing of what was deleted or replaced before; {} "
                  "went back to the file system. Backups, exports and copies are not changed",
                  human_bytes(given)),
      {{"given_back_bytes", given}});
}

int run_recover(const Context& context) {
  Result<StorageEngine> engine = open_existing(context);  // redoes the log after a crash
  if (!engine) return report(engine.error());
  if (const Result<std::uint64_t> redone = engine->recover(); !redone) return report(redone.error());
  const Result<Stats> stats = engine->stats();
  if (!stats) return report(stats.error());
  return finish_writing(
      context,
      stats->redo_operations == 0
          ? "nothing to recover: every committed operation was in its pages"
          : fmt::format("{} redone from the log", counted(stats->redo_operations, "operation", "operations")),
      {{"redone", stats->redo_operations}});
}

int run_backup(const Context& context, const std::string& destination) {
  if (auto allowed = check_output_path(destination, context.directory()); !allowed) return report(allowed.error());
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());
  if (auto done = engine->backup(destination); !done) return report(done.error());
  return finish_writing(context, fmt::format("backed up {} to {}", context.directory().string(), destination),
                        {{"destination", destination}});
}

int run_restore(const Context& context, const std::string& source) {
  if (auto exists = require_store(source); !exists) {
    Error error = exists.error();
    if (error.code == ErrorCode::not_found)
      error.message = fmt::format("no backup or store in {}; check the path", source);
    return report(error);
  }
  const std::string destination = context.directory().string();
  if (auto allowed = check_output_path(destination, source); !allowed) return report(allowed.error());
  // As StorageEngine::restore, with the options of the command.
  Options source_options = context.options();
  source_options.read_only = true;
  Result<StorageEngine> engine = StorageEngine::open(source, source_options);
  if (!engine) return report(engine.error());
  if (auto done = engine->backup(destination); !done) return report(done.error());
  return finish_writing(context, fmt::format("restored {} to {}", source, destination),
                        {{"source", source}, {"destination", destination}});
}

}  // namespace

void add_stats(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "stats", "Show how full the store is",
                                  "  mentedb stats\n"
                                  "  mentedb stats --watch               # again every second, Ctrl-C ends it\n"
                                  "  mentedb stats --json | jq .memory_count");
  auto options = std::make_shared<StatsOptions>();
  CLI::Option* watch =
      command->add_flag("--watch", options->watch, "Print the numbers at each interval, with the changes");
  command->add_option("--interval", options->interval_seconds, "Seconds between two looks with --watch (default: 1)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.05, 86'400.0).description(""))
      ->needs(watch);
  command->callback(
      [&context, options] { context.run = [&context, options] { return run_stats(context, *options); }; });
}

void add_checkpoint(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "checkpoint", "Sync the page file, empty the log, give free space back", "");
  command->footer(
      "A write does this by itself when the log reaches its limit; it gives back only space that was free for\n"
      "long. Durability does not need it. Run it after deleting much.");
  command->callback([&context] { context.run = [&context] { return run_checkpoint(context); }; });
}

void add_erase_deleted(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "erase-deleted", "Make deleted and replaced memories unreadable in the store's files", "");
  command->footer(
      "A deletion frees pages; their bytes stay in the files until the pages are used again. This command writes\n"
      "zeros over all free pages and over the used up part of the log. Ids and times of deletions stay, for watch.\n"
      "It reaches no backup, export or snapshot, and no block that the file system has back already.");
  command->callback([&context] { context.run = [&context] { return run_erase_deleted(context); }; });
}

void add_recover(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "recover", "Redo the log, repair damaged pages, rebuild the id index", "");
  command->footer(
      "After a crash every command that may write the directory redoes the log. Run recover before the\n"
      "directory is mounted read-only, and to repair damaged pages that the log still holds.");
  command->callback([&context] { context.run = [&context] { return run_recover(context); }; });
}

void add_backup(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "backup", "Copy the store to a new directory while other processes use it",
                                  "  mentedb backup backups/2024-05-01\n\n"
                                  "The copy is the store of one moment. A destination that exists is refused.");
  auto destination = std::make_shared<std::string>();
  command->add_option("destination", *destination, "Directory to create")->type_name("DEST")->required();
  command->callback(
      [&context, destination] { context.run = [&context, destination] { return run_backup(context, *destination); }; });
}

void add_restore(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "restore", "Make a store from a backup",
                  "  mentedb --dir memory restore backups/2024-05-01\n\n"
                  "Creates the directory of --dir. A directory that exists is refused. --lock-timeout is for SRC.");
  auto source = std::make_shared<std::string>();
  command->add_option("source", *source, "The backup, or any store")->type_name("SRC")->required();
  command->callback([&context, source] { context.run = [&context, source] { return run_restore(context, *source); }; });
}

void add_version(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "version", "Show the version of this program", "");
  command->callback([&context] {
    context.run = [&context] {
      if (context.json) {
        print_json({{"version", MENTEDB_VERSION_STRING}});
      } else {
        out() << "mentedb " MENTEDB_VERSION_STRING "\n";
      }
      return finish_output();
    };
  });
}

}  // namespace mentedb::cli

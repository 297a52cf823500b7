// watch: prints changes as other processes commit them.
#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/core.h>

#include "context.hpp"
#include "output.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

struct WatchOptions {
  std::optional<std::uint64_t> since;
  std::optional<std::uint64_t> count;
  std::optional<double> timeout_seconds;
};

std::string_view name_of(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::stored:
      return "stored";
    case ChangeKind::updated:
      return "updated";
    case ChangeKind::deleted:
      return "deleted";
  }
  return "changed";
}

std::string_view colour_of(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::stored:
      return kGreen;
    case ChangeKind::updated:
      return kYellow;
    default:
      return kRed;
  }
}

void print_change(const Context& context, const StorageEngine& engine, const Change& change) {
  // The text is that of the newest version. The memory may have changed again since, or be deleted.
  const Result<MemoryNode> node =
      change.kind == ChangeKind::deleted ? Result<MemoryNode>(std::unexpected(Error{})) : engine.load_memory(change.id);
  if (context.json) {
    Json line = {{"change", name_of(change.kind)}, {"id", change.id.to_string()}, {"lsn", change.lsn.value}};
    if (change.kind != ChangeKind::deleted) line["page"] = change.page.value;
    if (node) {
      line["memory_type"] = to_string(node->memory_type);
      line["tags"] = node->tags;
      line["content"] = node->content;
    }
    print_json(line);
    return;
  }
  constexpr std::size_t kColumnsBefore = 8 + 2 + 7 + 2 + 36 + 2;
  const std::size_t columns = out().columns();
  out() << out().style(kDim) << format_time(parse_time("now").value_or(0)).substr(11, 8) << out().style(kReset) << "  "
        << out().style(colour_of(change.kind)) << fmt::format("{:<7}", name_of(change.kind)) << out().style(kReset)
        << "  " << change.id.to_string();
  if (node) {
    out() << "  "
          << one_line(node->content, columns == 0 ? 0 : std::max(columns, kColumnsBefore + 10) - kColumnsBefore);
  }
  out() << "\n";
}

int run_watch(const Context& context, const WatchOptions& options) {
  using Clock = std::chrono::steady_clock;
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());
  Lsn cursor = options.since ? Lsn{*options.since} : engine->committed_lsn();
  const auto end = options.timeout_seconds ? Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                                std::chrono::duration<double>(*options.timeout_seconds))
                                           : Clock::time_point::max();
  if (out().is_terminal() && !context.json) {
    note(fmt::format("watching {} from LSN {}; Ctrl-C ends it", context.directory().string(), cursor.value));
  }
  std::uint64_t printed = 0;
  while (!interrupted() && !out().reader_has_gone() && Clock::now() < end) {
    const Result<Lsn> now = engine->wait_for_change(cursor, std::chrono::milliseconds(200));
    if (!now) return report(now.error());
    if (*now <= cursor) continue;
    const Result<Changes> changes = engine->changes_since(cursor);
    if (!changes && changes.error().code == ErrorCode::resync_required) {
      report(Error{ErrorCode::resync_required, 0,
                   fmt::format("some changes after LSN {} are no longer on record; going on from LSN {}, read "
                               "everything again with 'mentedb export' if you keep a copy",
                               cursor.value, now->value)});
      cursor = *now;
      continue;
    }
    if (!changes) return report(changes.error());
    for (const Change& change : changes->changes) {
      print_change(context, *engine, change);
      if (options.count && ++printed >= *options.count) return finish_output();
    }
    cursor = changes->cursor;
    out().flush();
  }
  return finish_output();
}

}  // namespace

void add_watch(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "watch", "Print changes that other processes commit, as they happen",
                                  "  mentedb watch\n"
                                  "  mentedb watch --json | while read -r change; do ...; done\n"
                                  "  mentedb watch --since 0 --timeout 0.5     # all changes since the beginning\n\n"
                                  "Several quick changes of one memory are printed as one. Ctrl-C ends it.");
  auto options = std::make_shared<WatchOptions>();
  command->add_option("--since", options->since, "Begin after this LSN (default: now)")
      ->type_name("LSN")
      ->check(whole_number());
  command->add_option("--count", options->count, "End after this many changes")
      ->type_name("N")
      ->check(whole_number())
      ->check(CLI::PositiveNumber.description(""));
  command->add_option("--timeout", options->timeout_seconds, "End after this time")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9).description(""));
  command->callback(
      [&context, options] { context.run = [&context, options] { return run_watch(context, *options); }; });
}

}  // namespace mentedb::cli

// import: stores many memories from a file, a pipe or a store of the original engine.
#include <algorithm>
#include <memory>

#include <fmt/core.h>

#include "context.hpp"
#include "import_source.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

/// The most JSON in one batch. The encoded form is at most about twice as long (a float may have two characters), so it
/// stays far below the engine's limit. A short batch keeps the lock for a short time.
constexpr std::size_t kMaxBatchJsonBytes = std::size_t{8} << 20;

struct ImportOptions {
  std::string file;
  std::string from = "json";
  std::string on_conflict = "replace";
  std::string on_error = "stop";
  std::uint64_t from_line = 1;
  std::size_t batch = 64;
  bool no_progress = false;
  std::uint32_t page_size_bytes = 0;
};

enum class OnConflict { replace, skip, fail };

struct Counts {
  std::uint64_t stored = 0;
  std::uint64_t replaced = 0;
  std::uint64_t skipped = 0;
  std::uint64_t failed = 0;
  std::uint64_t last_number = 0;  // line or page up to which everything is committed

  [[nodiscard]] std::uint64_t committed() const { return stored + replaced; }
};

struct Pending {
  std::uint64_t number;
  MemoryNode node;
};

class Importer {
 public:
  Importer(StorageEngine& engine, ImportSource& source, const ImportOptions& options, bool json)
      : engine_(engine),
        source_(source),
        batch_size_(options.batch),
        stop_on_error_(options.on_error == "stop"),
        on_conflict_(options.on_conflict == "skip"   ? OnConflict::skip
                     : options.on_conflict == "fail" ? OnConflict::fail
                                                     : OnConflict::replace),
        progress_("importing", source.total(), !options.no_progress && !json) {
    counts_.last_number = source.unit() == "line" ? options.from_line - 1 : 0;
  }

  /// What ended the import, and how the user goes on.
  [[nodiscard]] std::string remedy() const {
    if (counts_.committed() == 0 && bad_number_ == 0) return "run it again when that is put right";
    if (source_.unit() != "line") {
      return bad_number_ == 0 ? "run it again with --on-conflict skip to go on"
                              : "run it again with --on-conflict skip --on-error continue to pass over such pages";
    }
    if (bad_number_ == 0) return fmt::format("run it again with --from-line {} to go on", counts_.last_number + 1);
    if (is_conflict_) {
      return fmt::format("run it again with --from-line {} --on-conflict replace (or skip) to go on", bad_number_);
    }
    return fmt::format(
        "correct line {0} and run it again with --from-line {0}, or run it with --from-line {0} "
        "--on-error continue to pass over bad lines",
        bad_number_);
  }

  /// True when the whole source was read. Errors are printed as they happen.
  bool run() {
    bool whole = read_all();
    progress_.clear();
    print_notes();
    return whole && !interrupted();
  }

  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] double seconds() const { return progress_.seconds(); }

 private:
  bool read_all() {
    for (;;) {
      Result<std::optional<ImportItem>> item = source_.next();
      if (!item) {
        commit();
        return told(item.error());
      }
      print_notes();
      if (!*item) return interrupted() || commit();
      ImportItem& found = **item;
      if (found.node) {
        if (auto valid = validate(*found.node); !valid) found.node = std::unexpected(valid.error());
      }
      if (!found.node) {
        if (!commit()) return false;
        bad(found.number, found.node.error());
        if (stop_on_error_) return ended_by(found.number, false);
        counts_.last_number = found.number;
        continue;
      }
      if (!pending_.empty() && pending_bytes_ + found.size_bytes > kMaxBatchJsonBytes && !commit()) return false;
      pending_.push_back({found.number, std::move(*found.node)});
      pending_bytes_ += found.size_bytes;
      // The batch is full, or the writer of a pipe pauses. In a pause the pending memories are committed, so that a
      // crash does not cost them.
      if ((pending_.size() >= batch_size_ || source_.would_wait()) && !commit()) return false;
    }
  }

  /// Stores the pending memories as one atomic batch. The lookup of each id happens under the same hold of the lock, so
  /// no other process can store the id in between.
  bool commit() {
    if (pending_.empty()) return true;
    Counts counts;
    std::vector<std::uint64_t> conflicts;
    const Result<void> done = engine_.transact([&](Transaction& tx) -> Result<void> {
      counts = counts_;
      conflicts.clear();
      for (const Pending& pending : pending_) {
        Result<PageId> existing = tx.find(pending.node.id);
        if (!existing && existing.error().code != ErrorCode::not_found) return std::unexpected(existing.error());
        if (existing && on_conflict_ == OnConflict::skip) {
          ++counts.skipped;
        } else if (existing && on_conflict_ == OnConflict::fail) {
          conflicts.push_back(pending.number);
          if (stop_on_error_) break;
        } else {
          if (Result<PageId> stored = tx.store(pending.node); !stored) return std::unexpected(stored.error());
          ++(existing ? counts.replaced : counts.stored);
        }
        counts.last_number = pending.number;
      }
      return {};
    });
    if (!done) return told(done.error());
    counts_ = counts;
    for (std::uint64_t number : conflicts) {
      const auto pending = std::ranges::find(pending_, number, &Pending::number);
      bad(number,
          Error{ErrorCode::already_exists, 0, fmt::format("memory {} exists already", pending->node.id.to_string())});
    }
    pending_.clear();
    pending_bytes_ = 0;
    progress_.update(source_.done(), counts_.committed() + counts_.skipped);
    if (conflicts.empty() || !stop_on_error_) return true;
    return ended_by(conflicts.front(), true);
  }

  /// Remembers the line that stopped the import.
  bool ended_by(std::uint64_t number, bool is_conflict) {
    bad_number_ = number;
    is_conflict_ = is_conflict;
    return false;
  }

  void bad(std::uint64_t number, const Error& error) {
    progress_.clear();
    ++counts_.failed;
    report(Error{error.code, error.os_error, fmt::format("{}: {}", source_.place(number), error.message)},
           {{source_.unit(), number}});
  }

  /// Reports an error that ends the import.
  bool told(const Error& error) {
    progress_.clear();
    report(error);
    return false;
  }

  void print_notes() {
    for (const std::string& text : source_.take_notes()) {
      progress_.clear();
      note(text);
    }
  }

  StorageEngine& engine_;
  ImportSource& source_;
  std::size_t batch_size_;
  bool stop_on_error_;
  OnConflict on_conflict_;
  Progress progress_;
  std::vector<Pending> pending_;
  std::size_t pending_bytes_ = 0;
  Counts counts_;
  std::uint64_t bad_number_ = 0;  // 0: no line stopped it
  bool is_conflict_ = false;
};

Json summary_json(const ImportSource& source, const Counts& counts, double seconds, bool complete) {
  return {{"stored", counts.stored},   {"replaced", counts.replaced},
          {"skipped", counts.skipped}, {"failed", counts.failed},
          {"complete", complete},      {fmt::format("last_{}", source.unit()), counts.last_number},
          {"seconds", seconds}};
}

std::string summary(const Counts& counts, double seconds) {
  std::string text =
      fmt::format("{} imported in {}", counted(counts.committed(), "memory", "memories"), human_duration(seconds));
  if (seconds > 0.001) {
    text += fmt::format(" ({}/s)",
                        with_commas(static_cast<std::uint64_t>(static_cast<double>(counts.committed()) / seconds)));
  }
  text += fmt::format(": {} new, {} replaced, {} skipped", with_commas(counts.stored), with_commas(counts.replaced),
                      with_commas(counts.skipped));
  if (counts.failed > 0) text += fmt::format(", {} failed", with_commas(counts.failed));
  return text;
}

int run_import(const Context& context, const ImportOptions& options) {
  if (options.from == "mentedb-rs" && options.from_line != 1) {
    return report_usage("--from-line is for JSON lines; a store has none", "import");
  }
  Result<std::unique_ptr<ImportSource>> source =
      options.from == "mentedb-rs" ? open_rs_store(options.file) : open_json_lines(options.file, options.from_line);
  if (!source) return report(source.error());
  Options engine_options = context.options();
  engine_options.page_size_bytes = options.page_size_bytes;
  Result<StorageEngine> engine = StorageEngine::open(context.directory(), engine_options);
  if (!engine) return report(engine.error());

  Importer importer(*engine, **source, options, context.json);
  const bool complete = importer.run();
  const Counts& counts = importer.counts();
  const std::string text = summary(counts, importer.seconds());
  const Json result = summary_json(**source, counts, importer.seconds(), complete);
  if (context.json) {
    print_json(result);
  } else {
    out() << text << "\n";
  }
  if (!complete) {
    const std::string_view unit = (*source)->unit();
    note(fmt::format("{} after {} {}: {}; {}", interrupted() ? "interrupted" : "stopped", unit, counts.last_number,
                     counts.committed() == 1 ? "1 memory was committed and stays"
                                             : with_commas(counts.committed()) + " memories were committed and stay",
                     importer.remedy()));
  }
  if (auto closed = engine->close(); !closed) return report(closed.error());
  return finish_output(complete && counts.failed == 0 ? kOk : kFailed, text, result);
}

}  // namespace

void add_import(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "import", "Import memories from JSON lines or from a store of the original Rust engine",
                  "  mentedb import notes.jsonl\n"
                  "  mentedb import notes.jsonl --from-line 1201       # go on where a note says that it stopped\n"
                  "  mentedb --dir old export | mentedb --dir new import -\n"
                  "  mentedb import --from mentedb-rs ~/.mentedb       # reads the store, does not change it\n\n"
                  "A line needs id, agent_id, memory_type and content. Its times are microseconds since 1970. Without\n"
                  "created_at a memory gets the time of the import. Each batch is stored whole or not at all.\n"
                  "Committed batches stay when the import ends early.");
  auto options = std::make_shared<ImportOptions>();
  command->add_option("file", options->file, "One JSON object a line; '-' for standard input; a directory with --from")
      ->type_name("FILE|-")
      ->required();
  command->add_option("--from", options->from, "What FILE is: json (default) or mentedb-rs")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"json", "mentedb-rs"}).description(""));
  command->add_option("--on-conflict", options->on_conflict, "When an id exists: replace (default), skip, or fail")
      ->type_name("WAY")
      ->check(CLI::IsMember({"replace", "skip", "fail"}).description(""));
  command->add_option("--on-error", options->on_error, "At a bad line: stop (default) or continue")
      ->type_name("WAY")
      ->check(CLI::IsMember({"stop", "continue"}).description(""));
  command->add_option("--from-line", options->from_line, "Pass over the lines before this one (default: 1)")
      ->type_name("N")
      ->check(whole_number())
      ->check(CLI::PositiveNumber.description(""));
  command->add_option("--batch", options->batch, "Memories in a batch, 1 to 4096 (default: 64)")
      ->type_name("N")
      ->check(whole_number())
      ->check(CLI::Range(std::size_t{1}, std::size_t{4096}).description(""));
  command->add_option("--page-size", options->page_size_bytes, "Page size of a new store (default: 1024)")
      ->type_name("BYTES")
      ->check(whole_number());
  command->add_flag("--no-progress", options->no_progress, "No progress bar");
  command->callback(
      [&context, options] { context.run = [&context, options] { return run_import(context, *options); }; });
}

}  // namespace mentedb::cli

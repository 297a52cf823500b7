// export: every memory as a line of JSON.
#include <memory>

#include <fmt/core.h>

#include <mentedb/json.hpp>

#include "context.hpp"
#include "new_file.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

int run_export(const Context& context, const std::string& name, bool no_progress) {
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());
  std::unique_ptr<NewFile> file;
  if (!name.empty() && name != "-") {
    Result<std::unique_ptr<NewFile>> created = NewFile::create(name, context.directory());
    if (!created) return report(created.error());
    file = std::move(*created);
  }
  Output& to = file ? file->output() : out();

  // Lines on the same terminal would tear the bar apart.
  const bool show = !no_progress && !context.json && !to.is_terminal();
  std::uint64_t expected = 0;
  if (show && err().is_terminal()) {
    if (const Result<Stats> stats = engine->stats()) expected = stats->memory_count;
  }
  Progress progress("exporting", expected, show);
  std::uint64_t exported = 0;
  std::uint64_t damaged = 0;
  const Result<void> done = engine->for_each_memory(
      [&](const MemoryNode& node, PageId) {
        to << to_json(node) << "\n";
        ++exported;
        progress.update(exported, exported);
        return to.good() && !interrupted();
      },
      [&](MemoryId id, PageId page, const Error& error) {
        ++damaged;
        progress.clear();
        report(error, {{"id", id.to_string()}, {"page", page.value}});
      });
  progress.clear();
  if (!done) return report(done.error());
  if (interrupted()) {
    note(file ? fmt::format("interrupted; {} was not written", name)
              : fmt::format("interrupted after {}", counted(exported, "memory", "memories")));
    return finish_output(kFailed);
  }
  if (file) {
    if (auto kept = file->keep(); !kept) return report(kept.error());
    const std::string summary = fmt::format("{} exported to {} in {}", counted(exported, "memory", "memories"), name,
                                            human_duration(progress.seconds()));
    const Json result = {{"exported", exported}, {"damaged", damaged}, {"file", name}, {"seconds", progress.seconds()}};
    if (context.json) {
      print_json(result);
    } else {
      out() << summary << "\n";
    }
    if (const int status = finish_output(kOk, summary, result); status != kOk) return status;
  }
  if (damaged > 0) note(fmt::format("{} could not be read; run 'mentedb verify' for the places", damaged));
  return finish_output(damaged > 0 ? kFailed : kOk);
}

}  // namespace

void add_export(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "export", "Write every memory as a line of JSON",
                  "  mentedb export memories.jsonl\n"
                  "  mentedb export | gzip > memories.jsonl.gz\n"
                  "  mentedb export | jq -r .content | head\n\n"
                  "The form is that of the original MenteDB; 'mentedb import' reads it back. A new file is its\n"
                  "owner's alone (mode 0600); a file that is replaced keeps its mode.");
  auto file = std::make_shared<std::string>();
  auto no_progress = std::make_shared<bool>(false);
  command->add_option("file", *file, "File to write; it appears when it is complete; default: standard output")
      ->type_name("FILE");
  command->add_flag("--no-progress", *no_progress, "No progress bar");
  command->callback([&context, file, no_progress] {
    context.run = [&context, file, no_progress] { return run_export(context, *file, *no_progress); };
  });
}

}  // namespace mentedb::cli

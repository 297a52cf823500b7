// salvage: saves the readable memories of a damaged store into a new store.
#include <memory>

#include <fmt/core.h>

#include <mentedb/inspect.hpp>

#include "context.hpp"
#include "output.hpp"
#include "output_path.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

int run_salvage(const Context& context, const std::string& destination) {
  if (auto exists = require_store(context.directory()); !exists) return report(exists.error());
  if (auto allowed = check_output_path(destination, context.directory()); !allowed) return report(allowed.error());
  const Result<SalvageReport> result = salvage(context.directory(), destination, context.lock_timeout());
  if (!result) return report(result.error());
  if (context.json) {
    Json lost = Json::array();
    for (const Problem& problem : result->lost) {
      Json entry = {{"file", problem.file}, {"offset", problem.offset}};
      if (problem.page.value != 0) entry["page"] = problem.page.value;
      entry["message"] = problem.message;
      lost.push_back(std::move(entry));
    }
    print_json({{"destination", destination},
                {"memories_saved", result->memories_saved},
                {"lost", std::move(lost)},
                {"notes", result->notes}});
  } else {
    for (const Problem& problem : result->lost) {
      const std::string page = problem.page.value == 0 ? "" : fmt::format(" (page {})", problem.page.value);
      out() << out().style(kRed) << "lost" << out().style(kReset) << "  "
            << printable(fmt::format("{}, byte {}{}: {}", problem.file, problem.offset, page, problem.message)) << "\n";
    }
    for (const std::string& text : result->notes) out() << "note  " << printable(text) << "\n";
    out() << fmt::format("{} saved to {}, {} lost\n", counted(result->memories_saved, "memory", "memories"),
                         destination, result->lost.size());
  }
  return finish_output(
      result->lost.empty() ? kOk : kFailed,
      fmt::format("{} saved to {}, {} lost", counted(result->memories_saved, "memory", "memories"), destination,
                  result->lost.size()),
      {{"destination", destination}, {"memories_saved", result->memories_saved}, {"lost_count", result->lost.size()}});
}

}  // namespace

void add_salvage(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "salvage", "Save the readable memories of a damaged store into a new one",
                  "  mentedb --dir memory salvage rescued\n\n"
                  "Lists each loss with its place, and exits with 1 when there is one. Only reads the damaged store.");
  auto destination = std::make_shared<std::string>();
  command->add_option("destination", *destination, "Directory to create")->type_name("DEST")->required();
  command->callback([&context, destination] {
    context.run = [&context, destination] { return run_salvage(context, *destination); };
  });
}

}  // namespace mentedb::cli

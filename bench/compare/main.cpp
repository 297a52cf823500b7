// bench/compare: MenteDB beside other engines, on one workload, in one run.
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <stdexcept>

#include <CLI/CLI.hpp>

#include "environment.hpp"
#include "process.hpp"
#include "report.hpp"

namespace mentedb::compare {
namespace {

struct Arguments {
  std::filesystem::path directory = ".";
  std::filesystem::path workload = MENTEDB_WORKLOAD;
  std::filesystem::path json;
  std::filesystem::path svg;
  std::string commit = "unknown";
  std::vector<std::string> rows;
  std::vector<std::string> engines;
  std::size_t rounds = 0;
  bool quick = false;
};

/// Keeps the named elements, in the order of `all`. No names: all of them.
template <class T>
std::vector<T> choose(const std::vector<T>& all, const std::vector<std::string>& names, const char* what) {
  if (names.empty()) return all;
  for (const std::string& name : names) {
    if (std::ranges::find(all, name, &T::name) == all.end()) {
      throw std::runtime_error(fmt::format("there is no {} '{}'; compare --list shows them", what, name));
    }
  }
  std::vector<T> chosen;
  for (const T& one : all) {
    if (std::ranges::find(names, one.name) != names.end()) chosen.push_back(one);
  }
  return chosen;
}

std::vector<EngineKind> all_engines() {
  return {mentedb_engine(), sqlite_engine(), lmdb_engine(), rocksdb_engine(), leveldb_engine()};
}

void list() {
  fmt::print("rows:\n");
  for (const Row& row : all_rows(read_workload(MENTEDB_WORKLOAD, false)))
    fmt::print("  {:<12} {}\n", row.name, row.title);
  fmt::print("engines:\n");
  for (const EngineKind& kind : all_engines()) fmt::print("  {:<12} {}\n", kind.name, kind.durability);
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream stream(path);
  stream << text;
  if (!stream.flush()) throw std::runtime_error(fmt::format("'{}' cannot be written", path.string()));
}

/// A run on a full disk measures nothing. The factors are those of the engine that takes most.
void check_space(const Workload& workload, const std::filesystem::path& directory, std::size_t engines) {
  const std::size_t filled = engines * (2 * workload.records + workload.mixed_records + workload.changes_records);
  const double needed = 2.2 * static_cast<double>(workload.encoded_bytes * (filled + 2 * workload.growth_large));
  const auto available = static_cast<double>(std::filesystem::space(directory).available);
  if (available >= needed) return;
  throw std::runtime_error(fmt::format("'{}' has {:.1f} GB of free space, and a run takes up to {:.1f} GB",
                                       directory.string(), available / 1e9, needed / 1e9));
}

/// @return false when a measurement failed
bool run(const Arguments& arguments) {
  const Workload workload = read_workload(arguments.workload, arguments.quick);
  Results results;
  results.rows = choose(all_rows(workload), arguments.rows, "row");
  results.engines = choose(all_engines(), arguments.engines, "engine");
  results.rounds = arguments.rounds > 0 ? arguments.rounds : workload.rounds;

  check_space(workload, arguments.directory, results.engines.size());
  catch_interrupts();
  Stores stores(workload, arguments.directory);
  nlohmann::json environment = describe_environment(stores.root(), arguments.commit);
  run_all(stores, results);
  environment["load_average_end"] = load_average();

  fmt::print("{}\n{}, {}, {}, {} rounds, load {} to {}\n", table(results), environment.value("kernel", ""),
             environment.value("file_system", ""), environment.value("compiler", ""), results.rounds,
             environment.value("load_average_begin", ""), environment.value("load_average_end", ""));
  fmt::print("Values are medians of the rounds; ours/it is the median of the ratios within a round.\n\n{}",
             goal_table(results));
  write_file(arguments.json, to_json(results, environment, workload).dump(2) + '\n');
  write_file(arguments.svg, chart(results, environment));
  if (results.failures > 0) fmt::print(stderr, "compare: {} measurements failed\n", results.failures);
  return results.failures == 0;
}

}  // namespace
}  // namespace mentedb::compare

int main(int argc, char** argv) {
  using namespace mentedb::compare;
  Arguments arguments;
  bool only_list = false;
  CLI::App app("Runs MenteDB beside SQLite, LMDB, RocksDB and LevelDB. Each store is durable before it is answered.");
  app.add_option("--dir", arguments.directory, "where the stores are made and removed; its disk is measured")
      ->check(CLI::ExistingDirectory)
      ->take_last();
  app.add_option("--rows", arguments.rows, "only these rows, separated by commas")->delimiter(',');
  app.add_option("--engines", arguments.engines, "only these engines, separated by commas")->delimiter(',');
  app.add_option("--rounds", arguments.rounds, "rounds instead of those of the workload")->check(CLI::PositiveNumber);
  app.add_flag("--quick", arguments.quick, "small counts, to see that everything works");
  app.add_option("--workload", arguments.workload, "workload file")->check(CLI::ExistingFile);
  app.add_option("--json", arguments.json, "write all values to this file")->take_last();
  app.add_option("--svg", arguments.svg, "write the chart to this file")->take_last();
  app.add_option("--commit", arguments.commit, "commit of the source, for the JSON")->take_last();
  app.add_flag("--list", only_list, "list rows and engines, run nothing");
  CLI11_PARSE(app, argc, argv);
  try {
    if (only_list) {
      list();
    } else if (!run(arguments)) {
      return 1;
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "compare: {}\n", error.what());
    return 1;
  }
  return 0;
}

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "goals.hpp"
#include "report.hpp"

namespace mentedb::compare {
namespace {

using Line = std::vector<std::string>;

std::string aligned(const std::vector<Line>& lines) {
  std::vector<std::size_t> widths;
  for (const Line& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const Line& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i) {
      row += i == 0 ? fmt::format("  {:<{}}", line[i], widths[i]) : fmt::format("  {:>{}}", line[i], widths[i]);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + '\n';
  }
  return text;
}

Line header(const Row& row) {
  Line line{"engine"};
  for (std::size_t i = 0; i < row.metrics.size(); ++i) {
    line.push_back(row.metrics[i].label);
    if (i == 0) line.insert(line.end(), {"min", "max", "mad", "ours/it"});
  }
  return line;
}

Line engine_line(const Results& results, const Row& row, const std::string& engine) {
  Line line{engine};
  for (std::size_t i = 0; i < row.metrics.size(); ++i) {
    const std::string& metric = row.metrics[i].name;
    const std::vector<double> values = results.values(row.name, engine, metric);
    const Summary summary = summarize(values);
    line.push_back(short_number(summary.median));
    if (i > 0) continue;
    const std::vector<double> ratios = results.ratios(row.name, kOurs, metric, row.name, engine, metric);
    const bool peer = engine != kOurs && !ratios.empty();
    if (values.empty()) {
      line.insert(line.end(), 4, "");
    } else {
      line.insert(line.end(), {short_number(summary.min), short_number(summary.max), short_number(summary.mad),
                               peer ? fmt::format("{:.2f}", median(ratios)) : ""});
    }
  }
  return line;
}

}  // namespace

std::string short_number(double value) {
  if (std::isnan(value)) return "";
  const double size = std::abs(value);
  if (size >= 100) return fmt::format("{:.0f}", value);
  if (size >= 10) return fmt::format("{:.1f}", value);
  if (size >= 1 || size == 0) return fmt::format("{:.2f}", value);
  return fmt::format("{:.3f}", value);
}

std::string table(const Results& results) {
  std::string text;
  for (const Row& row : results.rows) {
    const char* direction = row.metrics.front().higher_is_better ? "more is better" : "less is better";
    text += fmt::format("\n{}: {}; {}\n", row.name, row.title, direction);
    std::vector<Line> lines{header(row)};
    if (row.raw) {
      lines.push_back(engine_line(results, row, kRaw));
    } else {
      for (const EngineKind& kind : results.engines) lines.push_back(engine_line(results, row, kind.name));
    }
    text += aligned(lines);
  }
  return text;
}

std::string goal_table(const Results& results) {
  std::vector<Line> lines{{"goal", "measured", ""}};
  for (const Verdict& verdict : judge(results)) {
    lines.push_back({verdict.goal, short_number(verdict.measured), verdict.reached ? "reached" : "missed"});
  }
  return aligned(lines);
}

}  // namespace mentedb::compare

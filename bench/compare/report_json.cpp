#include "goals.hpp"
#include "report.hpp"

namespace mentedb::compare {
namespace {

using nlohmann::json;

json spread(const std::vector<double>& values) {
  const Summary summary = summarize(values);
  return {{"values", values},
          {"median", summary.median},
          {"min", summary.min},
          {"max", summary.max},
          {"median_absolute_deviation", summary.mad}};
}

json cell(const Results& results, const Row& row, const std::string& engine) {
  json cell = json::object();
  for (const Metric& metric : row.metrics) {
    const std::vector<double> values = results.values(row.name, engine, metric.name);
    if (values.empty()) continue;
    cell[metric.name] = spread(values);
    const std::vector<double> ratios = results.ratios(row.name, kOurs, metric.name, row.name, engine, metric.name);
    if (engine != kOurs && !ratios.empty()) cell[metric.name]["ours_divided_by_this"] = spread(ratios);
  }
  return cell;
}

}  // namespace

nlohmann::json to_json(const Results& results, const nlohmann::json& environment, const Workload& workload) {
  json text;
  text["environment"] = environment;
  const std::vector<double> flush = results.values("raw_sync", kRaw, "p50");
  if (!flush.empty()) text["environment"]["device_flush_us"] = median(flush);
  text["workload"] = workload.text;
  text["rounds"] = results.rounds;
  for (const EngineKind& kind : results.engines) {
    text["engines"][kind.name] = {
        {"version", kind.version}, {"durability", kind.durability}, {"settings", kind.settings}};
  }
  text["rows"] = json::array();
  for (const Row& row : results.rows) {
    json one = {{"name", row.name}, {"title", row.title}, {"engines", json::object()}};
    for (const Metric& metric : row.metrics) {
      one["metrics"].push_back(
          {{"name", metric.name}, {"label", metric.label}, {"higher_is_better", metric.higher_is_better}});
    }
    if (row.raw) one["engines"][kRaw] = cell(results, row, kRaw);
    for (const EngineKind& kind : results.engines) {
      json values = cell(results, row, kind.name);
      if (!values.empty()) one["engines"][kind.name] = std::move(values);
    }
    text["rows"].push_back(std::move(one));
  }
  text["goals"] = json::array();
  for (const Verdict& verdict : judge(results)) {
    text["goals"].push_back({{"goal", verdict.goal},
                             {"measured", verdict.measured},
                             {"limit", verdict.limit},
                             {"reached", verdict.reached}});
  }
  return text;
}

}  // namespace mentedb::compare

#include "oracle.hpp"

#include <algorithm>

#include "engine/engine_impl.hpp"

namespace mentedb::prove {

std::string engine_says(const Error& error) { return std::string(to_string(error.code)) + ": " + error.message; }

Bounds bounds_at(std::span<const Record> records, std::uint64_t from, std::uint64_t to, std::uint32_t writer,
                 Bounds bounds) {
  for (const Record& record : records.subspan(from, to - from)) {
    if (record.kind == RecordKind::write || record.kind == RecordKind::flush || record.writer != writer) continue;
    if (record.kind != RecordKind::attempted) {
      bounds.low = record.offset;
      // Being shown a state settles what became of the operation that was under way.
      if (record.kind == RecordKind::shown) bounds.high = record.offset;
    }
    bounds.high = std::max(bounds.high, static_cast<std::size_t>(record.offset));
  }
  return bounds;
}

std::string problems_of(const StorageEngine& engine) {
  const auto report = engine.verify();
  if (!report) return "verify: " + engine_says(report.error());
  if (report->problems.empty()) return {};
  return "verify: " + report->problems.front().file + ": " + report->problems.front().message;
}

std::size_t settle(const StorageEngine& engine, const Expectation& expectation, std::string& problem) {
  const auto& [script, bounds] = expectation;
  const State found = read_state(engine, script, problem);
  std::size_t at = bounds.low;
  while (at < bounds.high && found != script.state(at)) ++at;
  if (found != script.state(at)) {
    problem = "I1: writer " + std::to_string(script.writer()) + " had " + std::to_string(bounds.low) +
              " operations acknowledged and " + std::to_string(bounds.high) +
              " attempted: " + difference(found, script.state(bounds.low)) + (problem.empty() ? "" : "; " + problem);
  }
  return at;
}

std::string check(Device* device, const std::string& store, Scenario scenario,
                  const std::vector<Expectation>& expectations, const Script& going_on, Boot boot) {
  auto engine = EngineAccess::open(altered_vfs(Breakage::none, boot), store, options_of(scenario));
  if (!engine) return "open: " + engine_says(engine.error());
  std::string problem;
  std::vector<std::size_t> shown;
  for (const Expectation& expectation : expectations) {
    const std::size_t at = settle(*engine, expectation, problem);
    if (!problem.empty()) return problem;
    shown.push_back(at);
    if (device != nullptr) device->mark(0, RecordKind::shown, expectation.script.writer(), at);
  }
  if (problem = problems_of(*engine); !problem.empty()) return problem;
  for (std::size_t i = 0; i < going_on.size(); ++i) {
    if (device != nullptr) device->mark(0, RecordKind::attempted, going_on.writer(), i + 1);
    if (const auto done = perform(*engine, going_on.operation(i)); !done)
      return "going on: " + engine_says(done.error());
    if (device != nullptr) device->mark(0, RecordKind::acknowledged, going_on.writer(), i + 1);
  }
  State all;
  for (std::size_t i = 0; i < expectations.size(); ++i) {
    const Script& script = expectations[i].script;
    const State found = read_state(*engine, script, problem);
    if (found != script.state(shown[i])) problem = "after going on: " + difference(found, script.state(shown[i]));
  }
  const State found = read_state(*engine, going_on, problem);
  if (found != going_on.state(going_on.size())) {
    problem = "what was just written: " + difference(found, going_on.state(going_on.size()));
  }
  return problem.empty() ? problems_of(*engine) : problem;
}

}  // namespace mentedb::prove

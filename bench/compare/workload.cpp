#include "workload.hpp"

#include <fmt/core.h>

#include <fstream>
#include <stdexcept>

namespace mentedb::compare {
namespace {

template <class Number>
void take(const nlohmann::json& text, const char* name, Number& number) {
  if (!text.contains(name) || !text[name].is_number() || text[name] < 0) {
    throw std::runtime_error(fmt::format("the workload file has no number '{}'", name));
  }
  number = text[name].get<Number>();
}

}  // namespace

Workload read_workload(const std::filesystem::path& file, bool quick) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error(fmt::format("'{}' cannot be read", file.string()));
  nlohmann::json text = nlohmann::json::parse(stream);
  if (quick) text.merge_patch(text.at("quick"));
  text.erase("quick");

  Workload w;
  take(text, "seed", w.seed);
  take(text, "rounds", w.rounds);
  take(text, "dimensions", w.dimensions);
  take(text, "encoded_bytes", w.encoded_bytes);
  take(text, "batch", w.batch);
  take(text, "records", w.records);
  take(text, "tail_stores", w.tail_stores);
  take(text, "warm_up_stores", w.warm_up_stores);
  take(text, "write_seconds", w.write_seconds);
  take(text, "read_seconds", w.read_seconds);
  take(text, "bulk_records", w.bulk_records);
  take(text, "mixed_records", w.mixed_records);
  take(text, "recovery_stores", w.recovery_stores);
  take(text, "recovery_repeats", w.recovery_repeats);
  take(text, "open_repeats", w.open_repeats);
  take(text, "scan_repeats", w.scan_repeats);
  take(text, "changes_records", w.changes_records);
  take(text, "changes_repeats", w.changes_repeats);
  take(text, "growth_small", w.growth_small);
  take(text, "growth_large", w.growth_large);
  take(text, "growth_singles", w.growth_singles);
  take(text, "growth_rounds", w.growth_rounds);
  w.text = std::move(text);
  return w;
}

}  // namespace mentedb::compare

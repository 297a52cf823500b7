// Compares two files of memories as JSON lines: the same ids, and for every id the same fields with the same values, in
// any order of lines and members. Reads JSON on its own, without the library it helps to test.
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
using Memories = std::map<std::string, json>;

constexpr int kMaxTold = 10;

/// 32-bit fields are compared as floats (an export writes the shortest text that means the same float); a null is as
/// good as absent.
json normal(json memory) {
  const auto as_float = [](json& number) {
    if (number.is_number()) number = static_cast<double>(number.get<float>());
  };
  for (auto member = memory.begin(); member != memory.end();) {
    if (member->is_null()) {
      member = memory.erase(member);
      continue;
    }
    if (member.key() == "embedding") {
      for (json& number : *member) as_float(number);
    } else if (member.key() == "salience" || member.key() == "confidence") {
      as_float(*member);
    }
    ++member;
  }
  return memory;
}

std::optional<Memories> read(const std::string& name, bool ids_once) {
  std::ifstream in(name);
  Memories memories;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty()) continue;
    json memory = json::parse(line, nullptr, false);
    if (!memory.is_object() || !memory["id"].is_string()) {
      fmt::print(stderr, "{}:{}: no memory\n", name, number);
      return std::nullopt;
    }
    const auto id = memory["id"].get<std::string>();
    if (memories.contains(id) && ids_once) {
      fmt::print(stderr, "{}:{}: {} appears twice\n", name, number, id);
      return std::nullopt;
    }
    memories[id] = normal(std::move(memory));
  }
  if (in.bad() || number == 0) {
    fmt::print(stderr, "{}: cannot be read or is empty\n", name);
    return std::nullopt;
  }
  return memories;
}

}  // namespace

int main(int count, char** values) {
  if (count != 3) {
    fmt::print(stderr, "usage: compare_memories ORIGINAL EXPORTED\n");
    return 2;
  }
  const std::optional<Memories> original = read(values[1], false);
  const std::optional<Memories> exported = read(values[2], true);
  if (!original || !exported) return 1;
  int differences = 0;
  const auto tell = [&](const std::string& text) {
    if (differences++ < kMaxTold) fmt::print(stderr, "{}\n", text);
  };
  for (const auto& [id, memory] : *original) {
    const auto found = exported->find(id);
    if (found == exported->end()) {
      tell(fmt::format("{} is missing", id));
      continue;
    }
    std::set<std::string> fields;
    for (const auto& [field, value] : memory.items()) fields.insert(field);
    for (const auto& [field, value] : found->second.items()) fields.insert(field);
    for (const std::string& field : fields) {
      if (memory.value(field, json()) != found->second.value(field, json())) {
        tell(fmt::format("{}: {} differs", id, field));
      }
    }
  }
  for (const auto& [id, memory] : *exported) {
    if (!original->contains(id)) tell(fmt::format("{} is too much", id));
  }
  if (differences > 0) {
    fmt::print(stderr, "{} differences\n", differences);
    return 1;
  }
  fmt::print("{} memories are equal, field for field\n", original->size());
  return 0;
}

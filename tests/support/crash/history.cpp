#include "support/crash/history.hpp"

#include <algorithm>
#include <ranges>

#include <fmt/format.h>

#include "support/crash/script.hpp"

namespace mentedb::test {

History::Operation History::begin() {
  ++changes_;
  operations_.push_back({.writes = {}, .begin_time = ++time_});
  return operations_.size() - 1;
}

MemoryNode History::put(Operation operation, std::uint64_t number, std::size_t content_bytes) {
  ++changes_;
  steps_.push_back({.number = number, .content_bytes = content_bytes, .operation = operation});
  const Version version = steps_.size();
  operations_[operation].writes.push_back(version);
  chains_[number].push_back(version);
  return make_memory(number, version, content_bytes);
}

void History::erase(Operation operation, std::uint64_t number) {
  ++changes_;
  steps_.push_back({.number = number, .operation = operation, .erased = true});
  operations_[operation].writes.push_back(steps_.size());
  chains_[number].push_back(steps_.size());
}

void History::acknowledge(Operation operation) {
  ++changes_;
  Entry& entry = operations_[operation];
  make_certain(entry);
  entry.end_time = ++time_;
}

void History::make_certain(Entry& entry) {
  entry.durable = true;
  for (const Version version : entry.writes) steps_[version - 1].visible = true;
}

void History::give_up(Operation operation) {
  ++changes_;
  operations_[operation].out = true;
}

std::optional<History::Version> History::identify(std::uint64_t number, const MemoryNode& node) const {
  const Version version = node.access_count;
  if (version == 0 || version > steps_.size()) return std::nullopt;
  const Step& made = step(version);
  if (made.number != number || made.erased || node != make_memory(number, version, made.content_bytes))
    return std::nullopt;
  return version;
}

std::optional<History::Version> History::identify_content(std::uint64_t number,
                                                          std::span<const std::byte> content) const {
  const auto chain = chains_.find(number);
  if (chain == chains_.end()) return std::nullopt;
  for (const Version version : chain->second) {
    const Step& made = step(version);
    if (made.erased || made.content_bytes != content.size()) continue;
    const MemoryNode node = make_memory(number, version, made.content_bytes);
    if (std::ranges::equal(content, std::as_bytes(std::span(node.content)))) return version;
  }
  return std::nullopt;
}

History::Version History::value(const std::vector<Version>& chain, std::size_t place) const {
  return place == 0 || step(chain[place - 1]).erased ? 0 : chain[place - 1];
}

History::Version History::value(const std::vector<Version>& chain, const Choice& in) const {
  for (std::size_t place = chain.size(); place > 0; --place) {
    if (in[step(chain[place - 1]).operation]) return value(chain, place);
  }
  return 0;
}

std::string History::describe(std::uint64_t number, Version version) const {
  return version == 0 ? fmt::format("memory {} absent", number) : fmt::format("memory {} version {}", number, version);
}

std::size_t History::bound(std::uint64_t number) const {
  const auto chain = chains_.find(number);
  if (chain == chains_.end()) return 0;
  std::size_t place = chain->second.size();
  while (place > 0 && !step(chain->second[place - 1]).visible) --place;
  return place;
}

History::Bounds History::acknowledged() const {
  Bounds all;
  for (const auto& [number, chain] : chains_) {
    std::size_t place = chain.size();
    while (place > 0 && entry(chain[place - 1]).end_time == kNever) --place;
    all[number] = place;
  }
  return all;
}

std::string History::shown(std::uint64_t number, Version version, std::size_t bound, Path path) {
  static const std::vector<Version> none;
  const auto found = chains_.find(number);
  const std::vector<Version>& chain = found == chains_.end() ? none : found->second;
  std::optional<std::size_t> match;
  bool unique = true;
  for (std::size_t place = bound; place <= chain.size(); ++place) {
    if (place > 0 && entry(chain[place - 1]).out) continue;
    if (value(chain, place) != version) continue;
    unique = !match;
    match = match.value_or(place);
  }
  if (!match) {
    return fmt::format("{} was shown after {} (I1, I3, I4)", describe(number, version),
                       describe(number, value(chain, bound)));
  }
  if (!unique) return {};
  ++changes_;
  if (*match > 0) {
    Step& made = steps_[chain[*match - 1] - 1];
    operations_[made.operation].durable = true;
    if (path != Path::ahead) made.visible = true;
    if (path == Path::under_lock) make_certain(operations_[made.operation]);
  }
  if (path == Path::under_lock) {
    for (std::size_t place = *match + 1; place <= chain.size(); ++place)
      operations_[step(chain[place - 1]).operation].out = true;
  }
  return {};
}

std::string History::listed(std::uint64_t number, bool there, std::size_t bound) const {
  const std::vector<Version>& chain = chains_.at(number);
  for (std::size_t place = bound; place <= chain.size(); ++place) {
    if (place > 0 && entry(chain[place - 1]).out) continue;
    if ((value(chain, place) != 0) == there) return {};
  }
  return fmt::format("a scan {} memory {} (I4)", there ? "shows the deleted" : "misses", number);
}

History::Choice History::durable() const {
  Choice choice(operations_.size());
  for (std::size_t i = 0; i < choice.size(); ++i) choice[i] = operations_[i].durable;
  return choice;
}

History::Choice History::optional() const {
  Choice choice(operations_.size());
  for (std::size_t i = 0; i < choice.size(); ++i) choice[i] = !operations_[i].durable && !operations_[i].out;
  return choice;
}

// What only one place of a chain can explain is forced; the rest is tried.
std::vector<History::Choice> History::solve(const Found& found, const Choice& must, const Choice& may, bool one_moment,
                                            std::string& why) const {
  Choice in = must;
  Choice forced_out(operations_.size());
  for (const auto& [number, version] : found) {
    if (!chains_.contains(number)) {
      why = fmt::format("memory {} comes from nowhere", number);
      return {};
    }
  }
  for (const auto& [number, chain] : chains_) {
    const auto at = found.find(number);
    const Version version = at == found.end() ? 0 : at->second;
    std::optional<std::size_t> match;
    bool unique = true;
    for (std::size_t place = chain.size() + 1; place-- > 0;) {
      const Operation made = place == 0 ? 0 : step(chain[place - 1]).operation;
      if (place > 0 && !must[made] && !may[made]) continue;
      if (value(chain, place) == version) {
        unique = !match;
        match = match.value_or(place);
      }
      if (place > 0 && must[made]) break;
    }
    if (!match) {
      why = fmt::format("{} is found instead of {}", describe(number, version), describe(number, value(chain, must)));
      return {};
    }
    if (!unique) continue;
    if (*match > 0) in[step(chain[*match - 1]).operation] = true;
    for (std::size_t place = *match + 1; place <= chain.size(); ++place) {
      const Operation made = step(chain[place - 1]).operation;
      if (may[made]) forced_out[made] = true;
    }
  }
  std::vector<Operation> open;
  for (Operation i = 0; i < operations_.size(); ++i) {
    if (in[i] && forced_out[i]) {
      why = fmt::format("half of operation {} is there, among it {} (I2)", i,
                        describe(step(operations_[i].writes[0]).number, operations_[i].writes[0]));
      return {};
    }
    if (may[i] && !in[i] && !forced_out[i]) open.push_back(i);
  }
  if (open.size() > 16) {
    why = "too many open operations for the oracle";
    return {};
  }
  std::vector<Choice> solutions;
  why = "no set of operations explains what is there";
  for (std::size_t bits = 0; bits < std::size_t{1} << open.size(); ++bits) {
    Choice choice = in;
    for (std::size_t i = 0; i < open.size(); ++i) choice[open[i]] = (bits >> i & 1U) != 0;
    const bool fits = std::ranges::all_of(chains_, [&](const auto& item) {
      const auto at = found.find(item.first);
      return value(item.second, choice) == (at == found.end() ? 0 : at->second);
    });
    if (!fits) continue;
    if (one_moment) {
      std::uint64_t latest = 0;
      for (Operation i = 0; i < choice.size(); ++i)
        if (choice[i]) latest = std::max(latest, operations_[i].begin_time);
      const auto left_out = [&](Operation i) { return may[i] && !choice[i] && operations_[i].end_time < latest; };
      if (std::ranges::any_of(std::views::iota(Operation{0}, choice.size()), left_out)) {
        why = "it shows operations of several moments";
        continue;
      }
    }
    solutions.push_back(std::move(choice));
  }
  return solutions;
}

std::string History::explain(const Found& found) const {
  std::string why;
  return solve(found, durable(), optional(), false, why).empty() ? why + " (I1, I2)" : std::string();
}

std::string History::explain_moment(const Found& found, std::uint64_t begin_time, std::uint64_t end_time) const {
  Choice must(operations_.size());
  Choice may(operations_.size());
  for (Operation i = 0; i < operations_.size(); ++i) {
    must[i] = operations_[i].end_time < begin_time;
    may[i] = !must[i] && !operations_[i].out && operations_[i].begin_time < end_time;
  }
  std::string why;
  return solve(found, must, may, true, why).empty() ? why + " (backup)" : std::string();
}

std::string History::settle(Found found) {
  // What this session wrote may have changed since it was read.
  for (const auto& [number, chain] : chains_) {
    if (chain.empty() || step(chain.front()).operation < session_begin_) continue;
    found.erase(number);
    if (const Version now = value(chain, durable()); now != 0) found[number] = now;
  }
  std::string why;
  const auto solutions = solve(found, durable(), optional(), false, why);
  if (solutions.empty()) return why + " (I1, I2)";
  ++changes_;
  for (Operation i = 0; i < session_begin_; ++i) {
    Entry& entry = operations_[i];
    if (entry.durable || entry.out) continue;
    const bool in = solutions.front()[i];
    if (std::ranges::any_of(solutions, [&](const Choice& other) { return other[i] != in; })) continue;
    if (in) {
      make_certain(entry);
    } else {
      entry.out = true;
    }
  }
  return {};
}

bool History::may_be_erased(std::uint64_t number) const {
  return std::ranges::any_of(chains_.at(number), [&](Version version) { return step(version).erased; });
}

std::vector<std::uint64_t> History::numbers() const {
  std::vector<std::uint64_t> all;
  for (const auto& [number, chain] : chains_) all.push_back(number);
  return all;
}

}  // namespace mentedb::test

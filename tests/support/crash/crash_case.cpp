#include "support/crash/crash_case.hpp"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <utility>

#include <fmt/format.h>

namespace mentedb::test {
namespace {

constexpr FateOptions kFates{.seed = 1, .exhaustive_sectors = 5, .random_draws = 24, .max_fates_per_kind = 16};

std::string to_string(const Accident& accident) {
  switch (accident.kind) {
    case Accident::Kind::kill:
      return fmt::format("k{}", accident.step);
    case Accident::Kind::fail_sync:
      return fmt::format("e{}.{}", accident.step, accident.detail);
    case Accident::Kind::cut:
      return fmt::format("c{}.{}{}", accident.step, accident.detail, accident.same_boot ? "s" : "");
    case Accident::Kind::kill_all:
      return fmt::format("x{}", accident.step);
  }
  return {};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (const auto part : std::views::split(text, separator)) parts.emplace_back(part.begin(), part.end());
  return parts;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Accident> parse_accident(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Accident accident;
  switch (text.front()) {
    case 'k':
      accident.kind = Accident::Kind::kill;
      break;
    case 'e':
      accident.kind = Accident::Kind::fail_sync;
      break;
    case 'c':
      accident.kind = Accident::Kind::cut;
      break;
    case 'x':
      accident.kind = Accident::Kind::kill_all;
      break;
    default:
      return std::nullopt;
  }
  text.remove_prefix(1);
  if (accident.kind == Accident::Kind::cut && text.ends_with('s')) {
    accident.same_boot = true;
    text.remove_suffix(1);
  }
  const auto parts = split(text, '.');
  const bool detailed = accident.kind == Accident::Kind::fail_sync || accident.kind == Accident::Kind::cut;
  if (parts.size() != (detailed ? 2U : 1U)) return std::nullopt;
  const auto step = parse_number(parts[0]);
  const auto detail = detailed ? parse_number(parts[1]) : std::optional<std::uint64_t>(0);
  if (!step || !detail) return std::nullopt;
  accident.step = *step;
  accident.detail = *detail;
  return accident;
}

std::optional<Session> parse_cast(std::string_view text) {
  if (text == "one") return Session{.cast = Session::Cast::one_opener};
  if (!text.starts_with("two")) return std::nullopt;
  const auto seed = parse_number(text.substr(3));
  if (!seed) return std::nullopt;
  return Session{.cast = Session::Cast::two_openers, .schedule_seed = *seed};
}

}  // namespace

std::string to_string(const CrashCase& crash) {
  std::string text = crash.workload;
  for (const Session& session : crash.sessions) {
    std::string separator = ",";
    if (session.cast == Session::Cast::workload) {
      text += fmt::format(":{}", session.schedule_seed);
      separator = ":";
    } else {
      text += session.cast == Session::Cast::one_opener ? ":one" : fmt::format(":two{}", session.schedule_seed);
    }
    if (session.accidents.empty() && session.cast == Session::Cast::workload) text += ":-";
    for (const Accident& accident : session.accidents) text += std::exchange(separator, ",") + to_string(accident);
  }
  return text;
}

std::optional<CrashCase> parse_crash_case(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() < 3) return std::nullopt;
  CrashCase crash{.workload = std::string(parts[0]), .sessions = {}};
  const auto seed = parse_number(parts[1]);
  if (!seed) return std::nullopt;
  for (std::size_t i = 2; i < parts.size(); ++i) {
    auto words = split(parts[i], ',');
    std::optional<Session> session = i == 2 ? Session{.schedule_seed = *seed} : parse_cast(words.front());
    if (!session) return std::nullopt;
    if (i > 2 || words.front() == "-") words.erase(words.begin());
    for (const std::string_view word : words) {
      const auto accident = parse_accident(word);
      if (!accident) return std::nullopt;
      session->accidents.push_back(*accident);
    }
    crash.sessions.push_back(std::move(*session));
  }
  return crash;
}

namespace {

// Files are written back one by one: of each, all or nothing, and its head apart from the rest.
std::vector<Fate> fates_by_file(const Pending& pending) {
  constexpr std::uint64_t kHeadSectors = 16;  // slots of the log, superblock and shared state of the pages
  std::vector<std::uint64_t> inodes;
  for (const PendingSector& sector : pending.sectors) inodes.push_back(sector.inode);
  std::ranges::sort(inodes);
  const auto repeated = std::ranges::unique(inodes);
  inodes.erase(repeated.begin(), repeated.end());
  std::vector<Fate> fates;
  for (const std::uint64_t inode : inodes) {
    for (const bool head : {false, true}) {
      for (const bool lost : {false, true}) {
        Fate fate = Fate::everything_kept(pending);
        for (std::size_t i = 0; i < pending.sectors.size(); ++i) {
          const PendingSector& sector = pending.sectors[i];
          const bool chosen = sector.inode == inode && (!head || sector.sector < kHeadSectors);
          fate.sectors[i] = chosen != lost;
        }
        fates.push_back(std::move(fate));
      }
    }
  }
  return fates;
}

}  // namespace

FateNumbers fate_numbers(const Pending& pending) {
  const std::size_t general = 2 + enumerate_fates(pending, kFates).size();
  return {.general = general, .by_file = fates_by_file(pending).size()};
}

Fate pick_fate(const Pending& pending, std::size_t number, bool same_boot) {
  Fate fate = Fate::nothing_kept();
  if (number == 1) fate = Fate::everything_kept(pending);
  if (number > 1) {
    auto fates = enumerate_fates(pending, kFates);
    if (number - 2 < fates.size()) {
      fate = std::move(fates[number - 2]);
    } else if (auto more = fates_by_file(pending); !more.empty()) {
      fate = std::move(more[(number - 2 - fates.size()) % more.size()]);
    }
  }
  fate.keep_boot_id = same_boot;
  return fate;
}

}  // namespace mentedb::test

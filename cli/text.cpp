#include "text.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <utf8proc.h>

namespace mentedb::cli {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

Error invalid(std::string message) { return Error{ErrorCode::invalid_argument, 0, std::move(message)}; }

/// Bytes of the character that starts at `at`; 1 for a byte that starts none.
std::size_t character_bytes(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 1;
  if (at + length > text.size()) return 1;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return 1;
  }
  return length;
}

/// Control characters, which a terminal obeys, and bytes that are no character.
bool is_harmful(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first >= 0x7F;
  return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;  // U+0080 to U+009F
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\n')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\n' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

template <class Number>
bool parse_whole(std::string_view text, Number& to) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), to);
  return status == std::errc() && end == text.data() + text.size();
}

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Error no_time(std::string_view text) {
  return invalid(
      fmt::format("'{}' is no time; expected for example 2024-05-01, 2024-05-01T13:30:00Z, @1714570200 (seconds since "
                  "1970), 2h or 7d (ago), +2h or now",
                  one_line(text, 60)));
}

Result<Timestamp> in_range(std::int64_t seconds, int fraction_us, std::string_view whole) {
  constexpr std::int64_t kEnd = kMaxTimestamp / 1'000'000;
  if (seconds >= 0 && seconds <= kEnd)
    return static_cast<Timestamp>(seconds) * 1'000'000 + static_cast<Timestamp>(fraction_us);
  return std::unexpected(
      invalid(fmt::format("'{}' lies {}", one_line(whole, 60),
                          seconds < 0 ? "before 1970" : "after the year 9999; @ is followed by seconds")));
}

/// ".5" as microseconds, from the front of the text. Further digits are dropped.
int take_fraction(std::string_view& text) {
  if (!text.starts_with('.') || text.size() < 2 || text[1] < '0' || text[1] > '9') return 0;
  text.remove_prefix(1);
  int fraction_us = 0;
  for (int scale = 100'000; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1)) {
    fraction_us += (text.front() - '0') * scale;
    scale /= 10;
  }
  return fraction_us;
}

/// "1714570200.5", what stands behind "@".
Result<Timestamp> parse_seconds(std::string_view text, std::string_view whole) {
  std::int64_t seconds = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (status == std::errc::result_out_of_range) return in_range(text.starts_with('-') ? -1 : INT64_MAX, 0, whole);
  if (status != std::errc()) return std::unexpected(no_time(whole));
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  const int fraction_us = take_fraction(text);
  if (!text.empty()) return std::unexpected(no_time(whole));
  return in_range(seconds, fraction_us, whole);
}

/// "2h": a number and a unit. Nothing when it is something else.
std::optional<std::int64_t> parse_span(std::string_view text) {
  constexpr std::string_view kUnits = "smhdw";
  constexpr std::int64_t kSeconds[] = {1, 60, 3600, 86'400, 604'800};
  std::uint32_t number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const std::size_t index = unit.size() == 1 ? kUnits.find(unit.front()) : std::string_view::npos;
  if (status != std::errc() || index == std::string_view::npos) return std::nullopt;
  return number * kSeconds[index];
}

/// Takes `digits` digits (and the separator before them) from the front.
bool take(std::string_view& text, std::string_view separators, std::size_t digits, int& to) {
  std::string_view rest = text;
  if (!separators.empty()) {
    if (rest.empty() || separators.find(rest.front()) == std::string_view::npos) return false;
    rest.remove_prefix(1);
  }
  if (rest.size() < digits) return false;
  to = 0;
  for (char c : rest.substr(0, digits)) {
    if (c < '0' || c > '9') return false;
    to = to * 10 + (c - '0');
  }
  text = rest.substr(digits);
  return true;
}

/// The end of a date and time: "Z" or "+02:00".
Result<std::int64_t> seconds_since_1970(std::tm& time, std::string_view zone, std::string_view whole) {
  const std::tm asked = time;
  int hours = 0;
  int minutes = 0;
  const char sign = zone.empty() ? '\0' : zone.front();
  if (zone == "Z" || zone == "z") {
    zone = {};
  } else if (!take(zone, "+-", 2, hours) || !take(zone, ":", 2, minutes) || hours > 23 || minutes > 59) {
    return std::unexpected(no_time(whole));
  }
  if (!zone.empty()) return std::unexpected(no_time(whole));
  const std::int64_t seconds = timegm(&time) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  // The library turns February 30 into March 1. An error is better for a typing mistake.
  if (time.tm_mday != asked.tm_mday && asked.tm_sec < 60) return std::unexpected(no_time(whole));
  if (asked.tm_mon < 0 || asked.tm_mon > 11 || asked.tm_mday < 1) return std::unexpected(no_time(whole));
  return seconds;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character = text.substr(at, character_bytes(text, at));
    at += character.size();
    out += character == "\n" || character == "\t" || !is_harmful(character) ? character : kReplacement;
  }
  return out;
}

std::string one_line(std::string_view text, std::size_t max_columns) {
  std::string out;
  std::size_t columns = 0;
  bool space = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character = text.substr(at, character_bytes(text, at));
    at += character.size();
    if (character == " " || character == "\n" || character == "\t" || character == "\r") {
      space = !out.empty();
      continue;
    }
    const std::size_t wanted = columns + (space ? 2 : 1);
    if (max_columns != 0 && wanted >= max_columns && !(wanted == max_columns && at >= text.size())) {
      return out + "\xE2\x80\xA6";
    }
    if (space) out += ' ';
    out += is_harmful(character) ? kReplacement : character;
    columns = wanted;
    space = false;
  }
  return out;
}

Result<std::string> fold_case(std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return lower(text);
  // As utf8proc_NFKC_Casefold, which wants a text without zeros in it.
  constexpr auto kFold = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                                        UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
  utf8proc_uint8_t* folded = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                               static_cast<utf8proc_ssize_t>(text.size()), &folded, kFold);
  if (length < 0) {
    const ErrorCode code = length == UTF8PROC_ERROR_NOMEM ? ErrorCode::out_of_memory : ErrorCode::invalid_argument;
    return std::unexpected(Error{code, 0, utf8proc_errmsg(length)});
  }
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(folded, &std::free);
  return std::string(reinterpret_cast<const char*>(folded), static_cast<std::size_t>(length));
}

std::string with_commas(std::uint64_t number) {
  std::string text = fmt::format("{}", number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_duration(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

std::string counted(std::uint64_t count, std::string_view singular, std::string_view plural) {
  return fmt::format("{} {}", with_commas(count), count == 1 ? singular : plural);
}

std::string format_time(Timestamp time) {
  const auto seconds = static_cast<std::time_t>(time / 1'000'000);
  std::tm local{};
  if (time > kMaxTimestamp || localtime_r(&seconds, &local) == nullptr) return fmt::format("{} us", time);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  const long minutes = local.tm_gmtoff / 60;
  if (minutes == 0) return std::string(text, length) + "Z";
  return fmt::format("{}{}{:02}:{:02}", std::string_view(text, length), minutes < 0 ? '-' : '+', std::abs(minutes) / 60,
                     std::abs(minutes) % 60);
}

bool is_time_ago(std::string_view text) { return parse_span(trimmed(text)).has_value(); }

Result<Timestamp> parse_time(std::string_view given) {
  std::string_view text = trimmed(given);
  const std::string_view whole = text;
  if (text == "now") return static_cast<Timestamp>(now_us());
  if (text.empty()) return std::unexpected(no_time(whole));
  if (text.starts_with('@')) return parse_seconds(text.substr(1), whole);
  const bool ahead = text.starts_with('+');
  if (const std::optional<std::int64_t> span = parse_span(text.substr(ahead ? 1 : 0))) {
    const std::int64_t now = now_us();
    return in_range(now / 1'000'000 + (ahead ? *span : -*span), static_cast<int>(now % 1'000'000), whole);
  }
  if (text.find_first_not_of("0123456789.") == std::string_view::npos) {
    return std::unexpected(invalid(
        fmt::format("'{}' could be seconds, microseconds or a year; write @{} for seconds since 1970, or a date "
                    "as 2024-05-01",
                    one_line(text, 40), one_line(text, 40))));
  }

  std::tm time{};
  if (!take(text, "", 4, time.tm_year) || !take(text, "-", 2, time.tm_mon) || !take(text, "-", 2, time.tm_mday)) {
    return std::unexpected(no_time(whole));
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  int fraction_us = 0;
  if (text.empty()) {
    text = "Z";  // a date is its midnight in UTC
  } else {
    if (!take(text, "Tt ", 2, time.tm_hour) || !take(text, ":", 2, time.tm_min)) return std::unexpected(no_time(whole));
    if (take(text, ":", 2, time.tm_sec)) fraction_us = take_fraction(text);
    if (time.tm_hour > 23 || time.tm_min > 59 || time.tm_sec > 60) return std::unexpected(no_time(whole));
    if (text.empty()) {
      return std::unexpected(
          invalid(fmt::format("'{}' has no zone; write {}Z for UTC, or the distance from it, for example {}+02:00",
                              one_line(whole, 40), one_line(whole, 40), one_line(whole, 40))));
    }
  }
  const Result<std::int64_t> seconds = seconds_since_1970(time, text, whole);
  if (!seconds) return std::unexpected(seconds.error());
  return in_range(*seconds, fraction_us, whole);
}

Result<MemoryType> parse_type(std::string_view text) {
  std::string plain = lower(text);
  std::erase_if(plain, [](char c) { return c == '-' || c == '_'; });
  for (int i = 0; i <= static_cast<int>(MemoryType::Correction); ++i) {
    const auto type = static_cast<MemoryType>(i);
    if (lower(to_string(type)) == plain) return type;
  }
  return parse_memory_type(text);  // for its message
}

Result<std::vector<float>> parse_embedding(std::string_view given) {
  std::string_view text = trimmed(given);
  if (text.starts_with('[') != text.ends_with(']')) {
    return std::unexpected(invalid("the embedding has one bracket; expected for example '[0.1, 0.2]'"));
  }
  if (text.starts_with('[')) text = trimmed(text.substr(1, text.size() - 2));
  std::vector<float> embedding;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view item = trimmed(text.substr(0, comma));
    if (item.starts_with('+')) item.remove_prefix(1);
    float value = 0;
    const auto [end, status] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (status == std::errc::result_out_of_range && end == item.data() + item.size()) {
      return std::unexpected(invalid(fmt::format("embedding[{}]: {} is out of the range of a 32-bit float",
                                                 embedding.size(), one_line(item, 40))));
    }
    if (item.empty() || status != std::errc() || end != item.data() + item.size()) {
      return std::unexpected(invalid(fmt::format("embedding[{}]: '{}' is no number; expected for example '[0.1, 0.2]'",
                                                 embedding.size(), one_line(item, 40))));
    }
    embedding.push_back(value);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (trimmed(text).empty()) return std::unexpected(invalid("the embedding ends with a comma"));
  }
  return embedding;
}

Result<std::pair<std::string, AttributeValue>> parse_attribute(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return std::unexpected(invalid(fmt::format(
        "'{}' is no attribute; expected key=value, key:int=5, key:float=0.5, key:bool=true or key:bytes=00ff",
        one_line(text, 60))));
  }
  std::string_view key = text.substr(0, equals);
  const std::string_view value = text.substr(equals + 1);
  const std::size_t colon = key.rfind(':');
  const std::string_view type = colon == std::string_view::npos ? "" : key.substr(colon + 1);
  const auto refuse = [&](std::string_view expected) {
    return std::unexpected(
        invalid(fmt::format("attribute '{}': '{}' is no {}", one_line(key, 40), one_line(value, 40), expected)));
  };
  const auto typed = [&](AttributeValue parsed) {
    return std::pair(std::string(key.substr(0, colon)), std::move(parsed));
  };
  if (type == "int") {
    std::int64_t number = 0;
    if (!parse_whole(value, number)) return refuse("64-bit integer");
    return typed(number);
  }
  if (type == "float") {
    double number = 0;
    if (!parse_whole(value, number) || !std::isfinite(number)) return refuse("finite number");
    return typed(number);
  }
  if (type == "bool") {
    if (value != "true" && value != "false") return refuse("bool; write true or false");
    return typed(value == "true");
  }
  if (type == "bytes") {
    if (value.size() % 2 != 0) return refuse("row of hexadecimal digits, two a byte");
    Bytes bytes;
    for (std::size_t i = 0; i < value.size(); i += 2) {
      std::uint8_t byte = 0;
      const auto [end, status] = std::from_chars(value.data() + i, value.data() + i + 2, byte, 16);
      if (status != std::errc() || end != value.data() + i + 2) return refuse("row of hexadecimal digits, two a byte");
      bytes.push_back(static_cast<std::byte>(byte));
    }
    return typed(std::move(bytes));
  }
  if (type == "string") return typed(std::string(value));
  return std::pair(std::string(key), AttributeValue(std::string(value)));
}

std::string format_attribute(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return one_line(*text, 200);
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return fmt::format("{} (int)", *integer);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{} (float)", *number);
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  const Bytes& bytes = std::get<Bytes>(value);
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 32); ++i) {
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  }
  return fmt::format("{}{} ({})", text, bytes.size() > 32 ? ".." : "", counted(bytes.size(), "byte", "bytes"));
}

std::string closest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Edit distance row by row, with a swap of two neighbours as one step.
    const std::size_t width = candidate.size() + 1;
    std::vector<std::size_t> before_last(width);
    std::vector<std::size_t> last(width);
    std::vector<std::size_t> row(width);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i) {
      before_last.swap(last);
      last.swap(row);
      row[0] = i;
      for (std::size_t j = 1; j < width; ++j) {
        row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (word[i - 1] == candidate[j - 1] ? 0 : 1)});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1]) {
          row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace mentedb::cli

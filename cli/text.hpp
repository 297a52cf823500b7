// Text for people, and text from people: sizes, times, ids, embeddings, attributes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mentedb/error.hpp>
#include <mentedb/memory_node.hpp>

namespace mentedb::cli {

/// Safe for a terminal: control characters other than line feed and tab become U+FFFD.
std::string printable(std::string_view text);
/// As `printable`, on one line. Several white spaces become one space. The result has at most `max_columns` characters
/// (0: no limit). When it is cut, it ends with an ellipsis.
std::string one_line(std::string_view text, std::size_t max_columns = 0);

/// The text without the differences of upper and lower case, and of the ways to write a character: Unicode's
/// NFKC_Casefold. So "STRASSE" is in "stra\u00DFe", and a letter with an accent is one character or two.
/// @errors `invalid_argument`: the text is not valid UTF-8
Result<std::string> fold_case(std::string_view text);

std::string with_commas(std::uint64_t number);
/// "1.5 MiB"
std::string human_bytes(std::uint64_t bytes);
/// "3.2 s", "4 min 10 s", "2 h 5 min"
std::string human_duration(double seconds);
/// "1 memory", "5,882 memories"
std::string counted(std::uint64_t count, std::string_view singular, std::string_view plural);

/// Local time to the second with its distance from UTC, in a form that `parse_time` reads: "2024-05-01 13:30:15+02:00".
/// Beyond the year 9999: the number itself.
std::string format_time(Timestamp time);
/// A time of RFC 3339, with its zone ("2024-05-01T13:30:00Z", "2024-05-01 13:30+02:00"; the seconds may be left out), a
/// date (its midnight in UTC), "@1714570200.5" (seconds since 1970), "2h" (ago) or "+2h" (from now) with s, m, h, d or
/// w, or "now". From 1970 to 9999. A plain number is refused: it could be seconds, milliseconds or a year.
/// @errors `invalid_argument`
Result<Timestamp> parse_time(std::string_view text);
/// True for "2h" and the like, which means a time ago.
bool is_time_ago(std::string_view text);

/// As `mentedb::parse_memory_type`, in any case and with hyphens: "anti-pattern". @errors `invalid_argument`
Result<MemoryType> parse_type(std::string_view text);
/// "[0.1, 0.2]" or "0.1,0.2". @errors `invalid_argument`
Result<std::vector<float>> parse_embedding(std::string_view text);
/// "key=text", "key:int=5", "key:float=0.5", "key:bool=true", "key:bytes=00ff", "key:string=..".
/// @errors `invalid_argument`
Result<std::pair<std::string, AttributeValue>> parse_attribute(std::string_view text);
/// For people: the value, and its type where it is not a string.
std::string format_attribute(const AttributeValue& value);

/// The candidate that is most like `word`, or nothing when none is like it.
std::string closest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace mentedb::cli

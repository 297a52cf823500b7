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

std::string with_commas(std::uint64_t number);
/// "1.5 MiB"
std::string human_bytes(std::uint64_t bytes);
/// "3.2 s", "4 min 10 s", "2 h 5 min"
std::string human_duration(double seconds);
/// "1 memory", "5,882 memories"
std::string counted(std::uint64_t count, std::string_view singular, std::string_view plural);

/// Local time, to the second. Beyond the year 9999: the number itself.
std::string format_time(Timestamp time);
/// "2024-05-01", "2024-05-01 13:30", "2024-05-01T13:30:00Z" (with zone or offset; local time without), "90s", "15m",
/// "2h", "7d", "4w" (ago), "now", or microseconds since 1970. @errors `invalid_argument`
Result<Timestamp> parse_time(std::string_view text);

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

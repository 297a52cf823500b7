#include "base/quote.hpp"

#include "base/utf8.hpp"

namespace mentedb::base {

std::string quoted(std::string_view text) {
  constexpr std::size_t kMaxBytes = 60;
  std::string_view start = text.substr(0, kMaxBytes);
  const bool cut = start.size() < text.size();
  while (cut && !start.empty() && (static_cast<unsigned char>(text[start.size()]) & 0xC0) == 0x80) {
    start.remove_suffix(1);
  }
  const bool valid = is_valid_utf8(start);
  std::string out = "\"";
  for (char c : start) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte != 0x7F && (byte < 0x80 || valid);
    out += plain ? c : '?';
  }
  return out + (cut ? "...\"" : "\"");
}

}  // namespace mentedb::base

#include "base/utf8.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace mentedb::base {
namespace {

constexpr bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/// True when so many words of eight bytes follow, and each byte of them is ASCII.
template <std::size_t kWords>
bool is_ascii(const unsigned char* at, std::size_t left) {
  if (left < 8 * kWords) return false;
  std::array<std::uint64_t, kWords> words;
  std::memcpy(words.data(), at, sizeof words);
  std::uint64_t all = 0;
  for (const std::uint64_t word : words) all |= word;
  return (all & 0x8080808080808080ULL) == 0;
}

/// Length of the well-formed sequence at `at`, whose first byte is not ASCII. 0 when there is none.
std::size_t sequence_length(const unsigned char* at, std::size_t left) {
  const unsigned char lead = at[0];
  if (lead < 0xC2) return 0;  // a continuation byte, or an overlong two-byte form
  if (lead < 0xE0) return left >= 2 && is_continuation(at[1]) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2])) return 0;
    if (lead == 0xE0 && at[1] < 0xA0) return 0;   // overlong
    if (lead == 0xED && at[1] >= 0xA0) return 0;  // surrogates
    return 3;
  }
  if (lead > 0xF4 || left < 4) return 0;
  if (!is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3])) return 0;
  if (lead == 0xF0 && at[1] < 0x90) return 0;   // overlong
  if (lead == 0xF4 && at[1] >= 0x90) return 0;  // above U+10FFFF
  return 4;
}

}  // namespace

bool is_valid_utf8(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  while (left > 0) {
    // Most text is ASCII.
    while (is_ascii<4>(at, left)) {
      at += 32;
      left -= 32;
    }
    while (is_ascii<1>(at, left)) {
      at += 8;
      left -= 8;
    }
    if (left == 0) break;
    if (left < 8 && text.size() >= 8 && is_ascii<1>(at + left - 8, 8)) break;  // the last eight bytes, some once more
    std::size_t length = 1;
    if (*at >= 0x80) {
      length = sequence_length(at, left);
      if (length == 0) return false;
    }
    at += length;
    left -= length;
  }
  return true;
}

}  // namespace mentedb::base

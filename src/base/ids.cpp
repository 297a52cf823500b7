#include <mentedb/ids.hpp>

#include <span>

#include "base/quote.hpp"
#include "base/random.hpp"

namespace mentedb {
namespace {

constexpr std::size_t kTextLength = 36;

constexpr bool is_hyphen_position(std::size_t position) {
  return position == 8 || position == 13 || position == 18 || position == 23;
}

/// 0 to 15, or -1.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

UuidBytes random_uuid() {
  UuidBytes bytes;
  base::fill_random(std::as_writable_bytes(std::span(bytes)));
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);  // version 4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);  // RFC 9562 variant
  return bytes;
}

std::string format_uuid(const UuidBytes& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(kTextLength, '-');
  std::size_t position = 0;
  for (std::uint8_t byte : bytes) {
    if (is_hyphen_position(position)) ++position;
    text[position++] = kDigits[byte >> 4];
    text[position++] = kDigits[byte & 0x0F];
  }
  return text;
}

Result<UuidBytes> parse_uuid(std::string_view text) {
  const auto fail = [&] {
    return std::unexpected(Error{ErrorCode::invalid_argument, 0,
                                 base::quoted(text) + " is no UUID; expected the 36-character form, for example "
                                                      "123e4567-e89b-42d3-a456-426614174000"});
  };
  if (text.size() != kTextLength) return fail();
  UuidBytes bytes{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < kTextLength; ++i) {
    if (is_hyphen_position(i)) {
      if (text[i] != '-') return fail();
      continue;
    }
    const int value = hex_value(text[i]);
    if (value < 0) return fail();
    bytes[digits / 2] = static_cast<std::uint8_t>(bytes[digits / 2] << 4 | value);
    ++digits;
  }
  return bytes;
}

}  // namespace mentedb

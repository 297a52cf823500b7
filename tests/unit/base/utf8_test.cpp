#include <gtest/gtest.h>

#include <string>

#include "base/utf8.hpp"

namespace mentedb::base {
namespace {

/// Straight from the definition: decode, then look at the number.
bool is_valid_by_definition(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
    const unsigned lead = byte(0);
    std::size_t length = 0;
    std::uint32_t value = 0;
    if (lead < 0x80)
      length = 1, value = lead;
    else if (lead >> 5 == 6)
      length = 2, value = lead & 0x1F;
    else if (lead >> 4 == 14)
      length = 3, value = lead & 0x0F;
    else if (lead >> 3 == 30)
      length = 4, value = lead & 0x07;
    else
      return false;
    if (i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if (byte(k) >> 6 != 2) return false;
      value = value << 6 | (byte(k) & 0x3FU);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < kSmallest[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return false;
    i += length;
  }
  return true;
}

std::string bytes(std::initializer_list<unsigned> values) {
  std::string text;
  for (unsigned value : values) text += static_cast<char>(static_cast<unsigned char>(value));
  return text;
}

TEST(Utf8, EveryPairOfBytesAndEveryInterestingSequence) {
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      ASSERT_EQ(is_valid_utf8(bytes({a, b})), is_valid_by_definition(bytes({a, b}))) << a << ' ' << b;
    }
  }
  const unsigned edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
  for (unsigned a = 0xC0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      for (unsigned c : edges) {
        ASSERT_EQ(is_valid_utf8(bytes({a, b, c})), is_valid_by_definition(bytes({a, b, c})));
        for (unsigned d : edges) {
          ASSERT_EQ(is_valid_utf8(bytes({a, b, c, d})), is_valid_by_definition(bytes({a, b, c, d})));
        }
      }
    }
  }
}

TEST(Utf8, FindsABadByteAtEveryPlaceOfALongText) {
  for (std::size_t length = 0; length < 110; ++length) {
    std::string text(length, 'a');
    EXPECT_TRUE(is_valid_utf8(text));
    for (std::size_t i = 0; i < length; ++i) {
      text[i] = static_cast<char>(0xFF);
      EXPECT_FALSE(is_valid_utf8(text)) << length << ' ' << i;
      text[i] = 'a';
    }
    EXPECT_TRUE(is_valid_utf8(text + "\xF0\x9F\x98\x80" + text));
    EXPECT_FALSE(is_valid_utf8(text + "\xF0\x9F\x98"));
  }
}

}  // namespace
}  // namespace mentedb::base

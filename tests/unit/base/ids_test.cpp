#include <gtest/gtest.h>

#include <set>
#include <string>

#include <mentedb/ids.hpp>

#include "base/quote.hpp"

namespace mentedb {
namespace {

TEST(ErrorCodeNames, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(ErrorCode::closed); ++i) names.insert(to_string(static_cast<ErrorCode>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::closed) + 1);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(to_string(ErrorCode::not_found), "not_found");
  EXPECT_EQ(to_string(ErrorCode::unsupported_filesystem), "unsupported_filesystem");
  EXPECT_EQ(to_string(static_cast<ErrorCode>(99)), "unknown");
}

TEST(Uuid, FormatsAndParsesBack) {
  const std::string text = "00010203-0405-4607-8809-0a0b0c0d0e0f";
  const auto id = MemoryId::parse(text);
  ASSERT_TRUE(id);
  for (std::uint8_t i = 0; i < 16; ++i) {
    const std::uint8_t expected = i == 6 ? 0x46 : i == 8 ? 0x88 : i;
    EXPECT_EQ(id->bytes[i], expected) << int{i};
  }
  EXPECT_EQ(id->to_string(), text);
}

TEST(Uuid, AcceptsEitherCaseAndPrintsLowerCase) {
  const auto id = AgentId::parse("ABCDEFab-cdef-ABCD-EFab-CDEFabcdefAB");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->to_string(), "abcdefab-cdef-abcd-efab-cdefabcdefab");
}

TEST(Uuid, RefusesEverythingElse) {
  const std::string good = "00010203-0405-4607-8809-0a0b0c0d0e0f";
  for (std::string bad : {std::string(), std::string("x"), good.substr(1), good + "0", "{" + good + "}", " " + good,
                          std::string("000102030405460788090a0b0c0d0e0f"), std::string(36, '-'),
                          std::string(10'000, 'a'), std::string("\xff\xfe\n")}) {
    const auto id = MemoryId::parse(bad);
    ASSERT_FALSE(id) << bad;
    EXPECT_EQ(id.error().code, ErrorCode::invalid_argument);
    EXPECT_LT(id.error().message.size(), 250U);
    EXPECT_EQ(id.error().message.find('\n'), std::string::npos);
  }
  for (std::size_t i = 0; i < good.size(); ++i) {  // one wrong character at every place
    std::string bad = good;
    bad[i] = bad[i] == '-' ? '0' : 'g';
    EXPECT_FALSE(MemoryId::parse(bad)) << bad;
    bad[i] = '\0';
    EXPECT_FALSE(MemoryId::parse(bad));
  }
}

TEST(Uuid, RandomOnesAreVersionFourAndDiffer) {
  std::set<MemoryId> ids;
  for (int i = 0; i < 1000; ++i) {
    const MemoryId id = MemoryId::random();
    EXPECT_EQ(id.bytes[6] >> 4, 4);
    EXPECT_EQ(id.bytes[8] >> 6, 2);
    EXPECT_FALSE(id.is_nil());
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 1000U);
  EXPECT_TRUE(MemoryId::nil().is_nil());
  EXPECT_EQ(MemoryId::nil().to_string(), "00000000-0000-0000-0000-000000000000");
}

TEST(Quoted, IsShortAndSafeForATerminal) {
  EXPECT_EQ(base::quoted("plain"), "\"plain\"");
  EXPECT_EQ(base::quoted("a\x1b[31m\n"), "\"a?[31m?\"");
  EXPECT_EQ(base::quoted("\xC3\xBC"), "\"\xC3\xBC\"");
  EXPECT_EQ(base::quoted("\xC3"), "\"?\"");
  // 59 letters and a character of two bytes across the limit: cut before it
  EXPECT_EQ(base::quoted(std::string(59, 'a') + "\xC3\xBC"), "\"" + std::string(59, 'a') + "...\"");
}

}  // namespace
}  // namespace mentedb

#include "text.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/results.hpp"

namespace mentedb::cli {
namespace {

using test::must;

TEST(Text, OneLineFoldsSpaceAndCutsWholeCharacters) {
  EXPECT_EQ(one_line("  a\n\n b\tc  "), "a b c");
  EXPECT_EQ(one_line("abcdef", 6), "abcdef");
  EXPECT_EQ(one_line("abcdefg", 6), "abcde\xE2\x80\xA6");
  EXPECT_EQ(one_line("\xC3\xBC\xC3\xBC\xC3\xBC", 2), "\xC3\xBC\xE2\x80\xA6");
  EXPECT_EQ(one_line(""), "");
  EXPECT_EQ(one_line("a\x1b]0;title\x07"), "a\xEF\xBF\xBD]0;title\xEF\xBF\xBD");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m\n\t\xFF"),
            "\xEF\xBF\xBD"
            "31m\n\t\xEF\xBF\xBD");  // the 8-bit form of ESC [
}

TEST(Text, NumbersForPeople) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(1234567), "1,234,567");
  EXPECT_EQ(human_bytes(1023), "1023 bytes");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(std::uint64_t{16} << 20), "16.0 MiB");
  EXPECT_EQ(human_bytes((std::uint64_t{1} << 30) - 1), "1.0 GiB");
  EXPECT_EQ(human_duration(0.04), "0.0 s");
  EXPECT_EQ(human_duration(59.96), "1 min 0 s");
  EXPECT_EQ(human_duration(7260), "2 h 1 min");
  EXPECT_EQ(counted(1, "memory", "memories"), "1 memory");
  EXPECT_EQ(counted(2000, "memory", "memories"), "2,000 memories");
}

TEST(Text, Times) {
  setenv("TZ", "UTC", 1);
  tzset();
  EXPECT_EQ(must(parse_time("2024-05-01")), 1'714'521'600'000'000U);
  EXPECT_EQ(must(parse_time("2024-05-01 13:30Z")), 1'714'570'200'000'000U);
  EXPECT_EQ(must(parse_time("2024-05-01T13:30:15Z")), 1'714'570'215'000'000U);
  EXPECT_EQ(must(parse_time("2024-05-01T13:30:15.25Z")), 1'714'570'215'250'000U);
  EXPECT_EQ(must(parse_time("2024-05-01T13:30:15-02:30")), 1'714'579'215'000'000U);
  EXPECT_EQ(must(parse_time("@1714570200")), 1'714'570'200'000'000U);
  EXPECT_EQ(must(parse_time("@1714570200.5")), 1'714'570'200'500'000U);
  EXPECT_EQ(must(parse_time("@0")), 0U);
  EXPECT_EQ(must(parse_time("9999-12-31T23:59:59.999999Z")), kMaxTimestamp);
  const Timestamp now = must(parse_time("now"));
  EXPECT_NEAR(static_cast<double>(now - must(parse_time("2h"))), 7.2e9, 1e6);
  EXPECT_NEAR(static_cast<double>(now - must(parse_time("1w"))), 6.048e11, 1e6);
  EXPECT_NEAR(static_cast<double>(must(parse_time("+2h")) - now), 7.2e9, 1e6);
  for (const char* bad : {"",
                          "x",
                          "2024-13-01",
                          "2024-00-01",
                          "2024-05-00",
                          "2024-02-30",
                          "2024-05-01T25:00Z",
                          "2024-05-01T13:60Z",
                          "5y",
                          "2024-05-01Tx",
                          "2024-05-01T13:30:00+25:00",
                          "1969-12-31",
                          "-5",
                          "2024-5-1",
                          "99999999999d",
                          "4000000000w",
                          "+4000000000w",
                          "@",
                          "@x",
                          "@5x",
                          "@5.",
                          "@-1",
                          "@99999999999999999999",
                          "@253402300800",
                          "+",
                          "0001-01-01"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
  // `list --since $(date +%s)` was taken for microseconds and showed everything.
  for (const char* doubtful : {"1714570200", "1714570200000", "0", "2024", "20240501", "1714570200.5"}) {
    const auto time = parse_time(doubtful);
    ASSERT_FALSE(time) << doubtful;
    EXPECT_NE(time.error().message.find("write @"), std::string::npos) << time.error().message;
  }
  // A time without a zone meant something else on every machine.
  for (const char* local : {"2024-05-01T13:30", "2024-05-01 13:30:15"}) {
    const auto time = parse_time(local);
    ASSERT_FALSE(time) << local;
    EXPECT_NE(time.error().message.find("has no zone"), std::string::npos) << time.error().message;
  }
  EXPECT_EQ(format_time(1'714'570'215'250'000), "2024-05-01 13:30:15Z");
  setenv("TZ", "EST5", 1);
  tzset();
  EXPECT_EQ(format_time(1'714'570'215'250'000), "2024-05-01 08:30:15-05:00");
  EXPECT_EQ(must(parse_time("2024-05-01 08:30:15-05:00")), 1'714'570'215'000'000U);  // what is shown can be typed
  EXPECT_EQ(must(parse_time("2024-05-01")), 1'714'521'600'000'000U) << "a date is that of UTC everywhere";
  setenv("TZ", "UTC", 1);
  tzset();
  EXPECT_EQ(format_time(~Timestamp{0}), "18446744073709551615 us");
}

TEST(Text, Embeddings) {
  EXPECT_EQ(must(parse_embedding("[]")), std::vector<float>{});
  EXPECT_EQ(must(parse_embedding("")), std::vector<float>{});
  EXPECT_EQ(must(parse_embedding(" [ 1 , -2.5e1,+.5 ] ")), (std::vector<float>{1, -25, 0.5F}));
  EXPECT_EQ(must(parse_embedding("1,2")), (std::vector<float>{1, 2}));
  for (const char* bad : {"[", "]", "[1", "1]", "[1,]", "[,1]", "[1,,2]", "[1 2]", "[a]", "[0x10]", "[1e99]"}) {
    EXPECT_FALSE(parse_embedding(bad)) << bad;
  }
}

TEST(Text, ClosestFindsTypingErrors) {
  const std::vector<std::string> commands = {"store", "get", "list", "import", "export"};
  EXPECT_EQ(closest("stroe", commands), "store");
  EXPECT_EQ(closest("lits", commands), "list");
  EXPECT_EQ(closest("exprot", commands), "export");
  EXPECT_EQ(closest("imports", commands), "import");
  EXPECT_EQ(closest("foo", commands), "");
  EXPECT_EQ(closest("", commands), "");
}

}  // namespace
}  // namespace mentedb::cli

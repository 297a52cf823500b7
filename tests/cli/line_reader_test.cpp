#include "line_reader.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

namespace mentedb::cli {
namespace {

/// Everything the reader finds in `text`, which arrives in pieces of `piece` bytes; too long lines as "!" + beginning.
std::vector<std::string> lines_of(const std::string& text, std::size_t limit, std::size_t piece) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  std::thread writer([&] {
    for (std::size_t at = 0; at < text.size(); at += piece) {
      const std::string part = text.substr(at, piece);
      EXPECT_EQ(write(ends[1], part.data(), part.size()), static_cast<ssize_t>(part.size()));
    }
    close(ends[1]);
  });
  LineReader reader(ends[0], limit);
  std::vector<std::string> lines;
  for (;;) {
    const auto line = reader.next();
    EXPECT_TRUE(line);
    if (!line || !*line) break;
    lines.push_back((*line)->too_long ? "!" : "");
    lines.back() += (*line)->text;
  }
  EXPECT_EQ(reader.bytes_done(), text.size());
  writer.join();
  close(ends[0]);
  return lines;
}

using Lines = std::vector<std::string>;

TEST(LineReader, SplitsAtLineFeedsHoweverTheBytesArrive) {
  for (std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
    EXPECT_EQ(lines_of("", 10, piece), Lines{});
    EXPECT_EQ(lines_of("\n", 10, piece), Lines{""});
    EXPECT_EQ(lines_of("a\n\nbc\r\nd", 10, piece), (Lines{"a", "", "bc\r", "d"}));
  }
}

TEST(LineReader, CutsLinesAboveTheLimitAndGoesOnBehindThem) {
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
    EXPECT_EQ(lines_of("1234567890\nab\n", 10, piece), (Lines{"1234567890", "ab"}));
    EXPECT_EQ(lines_of("1234567890x\nab\n", 10, piece), (Lines{"!1234567890", "ab"}));
    EXPECT_EQ(lines_of(std::string(500, 'x') + "\nab\n" + std::string(300, 'y'), 10, piece),
              (Lines{"!xxxxxxxxxx", "ab", "!yyyyyyyyyy"}));
  }
}

TEST(LineReader, KeepsLongLinesWhole) {
  const std::string line(3'000'000, 'z');
  EXPECT_EQ(lines_of("a\n" + line + "\nb\n", 4'000'000, 50'000), (Lines{"a", line, "b"}));
}

}  // namespace
}  // namespace mentedb::cli

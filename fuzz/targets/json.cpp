// JSON lines: a memory's JSON, and the lines of a file with them. What is read prints to JSON that reads the same.

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <mentedb/json.hpp>

#include "line_reader.hpp"
#include "support/input.hpp"

namespace {

using namespace mentedb;

void memory(std::string_view text) {
  std::vector<std::string> unknown;
  const auto node = from_json(text, &unknown);
  if (!node) {
    FUZZ_REQUIRE(!node.error().message.empty());
    return;
  }
  if (!validate(*node)) return;  // of the right types, but not what a store takes: a confidence of 5, say
  const std::string printed = to_json(*node);
  const auto again = from_json(printed);
  FUZZ_REQUIRE(again && *again == *node);
}

// What a line reader returns is the text, cut at its line feeds, each line cut at the limit.
void lines(std::string_view text, std::size_t limit) {
  static const int descriptor = memfd_create("lines", MFD_CLOEXEC);
  FUZZ_REQUIRE(descriptor >= 0 && ftruncate(descriptor, 0) == 0 && lseek(descriptor, 0, SEEK_SET) == 0);
  FUZZ_REQUIRE(write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  FUZZ_REQUIRE(lseek(descriptor, 0, SEEK_SET) == 0);
  cli::LineReader reader(descriptor, limit);
  std::size_t at = 0;
  for (;;) {
    const auto line = reader.next();
    FUZZ_REQUIRE(line);
    if (!*line) break;
    const std::string_view expected = text.substr(at, text.find('\n', at) - at);
    FUZZ_REQUIRE((*line)->text == expected.substr(0, limit));
    FUZZ_REQUIRE((*line)->too_long == (expected.size() > limit));
    at += expected.size() + 1;
    if (!(*line)->too_long) memory((*line)->text);
  }
  FUZZ_REQUIRE(at >= text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty() || text.front() == '{') {
    memory(text);
  } else {
    lines(text.substr(1), 1 + static_cast<std::size_t>(static_cast<unsigned char>(text.front())) * 8);
  }
  return 0;
}

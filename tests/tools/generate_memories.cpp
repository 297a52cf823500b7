// Prints memories as JSON lines, of the shape that a memory of conversations has: a few hundred bytes of text, an
// embedding of unit length, tags and attributes. The same arguments always print the same bytes.
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace {

/// SplitMix64: small, and the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }
  /// About normal: the sum of four uniform numbers.
  double normal() {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<double>(next() >> 11) / 9007199254740992.0 - 0.5;
    return sum;
  }

 private:
  std::uint64_t state_;
};

constexpr const char* kNames[] = {"Ada", "Bo", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana"};
constexpr const char* kWords[] = {"the",      "garden",       "we",      "went",     "to",    "paint",  "a",
                                  "mountain", "and",          "talked",  "about",    "music", "with",   "children",
                                  "summer",   "caf\u00e9",    "next",    "week",     "I",     "think",  "that",
                                  "running",  "helps",        "me",      "after",    "work",  "really", "proud",
                                  "of",       "you",          "because", "kindness", "grows", "slowly", "like",
                                  "pottery",  "\u65e5\u672c", "book",    "charity",  "race"};

std::string uuid(std::uint64_t high, std::uint64_t low) {
  return fmt::format("{:08x}-{:04x}-5{:03x}-{:x}{:03x}-{:012x}", high >> 32, high >> 16 & 0xFFFF, high & 0xFFF,
                     8 + (low >> 62), low >> 48 & 0xFFF, low & 0xFFFFFFFFFFFF);
}

void print_memory(Random& random, std::uint64_t number, std::size_t dimensions) {
  const std::uint64_t conversation = number / 588;
  const std::uint64_t session = number % 588 / 22 + 1;
  const std::uint64_t turn = number % 22 + 1;
  const char* speaker = kNames[(conversation * 2 + number % 2) % std::size(kNames)];
  const std::uint64_t time =
      1'680'000'000'000'000 + conversation * 100'000'000'000 + session * 86'400'000'000 + turn * 30'000'000;

  std::vector<double> embedding(dimensions);
  double square = 0;
  for (double& value : embedding) {
    value = random.normal();
    square += value * value;
  }
  std::string line = fmt::format(R"({{"id":"{}","agent_id":"{}","user_id":"{}","memory_type":"Episodic","embedding":[)",
                                 uuid(random.next(), random.next()), uuid(conversation + 1, 1),
                                 uuid(conversation + 1, 2 + number % 2));
  for (std::size_t i = 0; i < dimensions; ++i) {
    fmt::format_to(std::back_inserter(line), "{}{:.4f}", i == 0 ? "" : ",", embedding[i] / std::sqrt(square));
  }
  line += R"(],"content":")";
  for (std::uint64_t words = 4 + random.below(40), i = 0; i < words; ++i) {
    if (i > 0) line += i % 11 == 10 ? ". " : " ";
    line += kWords[random.below(std::size(kWords))];
  }
  fmt::format_to(std::back_inserter(line),
                 R"(.","created_at":{0},"accessed_at":{0},"access_count":0,"salience":1.0,"confidence":1.0,)"
                 R"("space_id":"00000000-0000-0000-0000-000000000000","attributes":{{"speaker":{{"String":"{1}"}},)"
                 R"("dialog_id":{{"String":"D{2}:{3}"}},"session":{{"Integer":{2}}}}},)"
                 R"("tags":["conversation:{4}","session:{2}","speaker:{1}"]}})",
                 time, speaker, session, turn, conversation);
  std::puts(line.c_str());
}

}  // namespace

int main(int count, char** values) {
  std::uint64_t numbers[] = {5882, 1, 384};
  const char* names[] = {"COUNT", "SEED", "DIMENSIONS"};
  for (int i = 1; i < count; ++i) {
    const char* end = values[i] + std::strlen(values[i]);
    if (i > 3 || std::from_chars(values[i], end, numbers[i - 1]).ptr != end) {
      std::fprintf(stderr, "usage: generate_memories [%s [%s [%s]]]\nPrints memories as JSON lines.\n", names[0],
                   names[1], names[2]);
      return 2;
    }
  }
  Random random(numbers[1]);
  for (std::uint64_t i = 0; i < numbers[0]; ++i) print_memory(random, i, numbers[2]);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

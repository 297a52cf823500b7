#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include <mentedb/json.hpp>

#include "support/results.hpp"
#include "support/sample_nodes.hpp"
#include "support/test_data.hpp"

namespace mentedb {
namespace {

using nlohmann::json;
using test::full_node;
using test::must;
using test::random_node;

constexpr std::string_view kIds =
    R"("id":"00010203-0405-4607-8809-0a0b0c0d0e0f","agent_id":"10111213-1415-4617-9819-1a1b1c1d1e1f")";

/// A memory with the required fields and `more`.
std::string memory(std::string_view more) {
  return "{" + std::string(kIds) + R"(,"memory_type":"Semantic","content":"c")" + (more.empty() ? "" : ",") +
         std::string(more) + "}";
}

void expect_refused(std::string_view text, std::string_view words, ErrorCode code = ErrorCode::invalid_argument) {
  const auto node = from_json(text);
  ASSERT_FALSE(node) << text;
  EXPECT_EQ(node.error().code, code);
  EXPECT_NE(node.error().message.find(words), std::string::npos) << node.error().message;
  EXPECT_LT(node.error().message.size(), 400U);
  EXPECT_EQ(node.error().message.find('\n'), std::string::npos) << node.error().message;
}

TEST(ToJson, WritesTheOriginalsForm) {
  EXPECT_EQ(to_json(full_node()),
            R"({"id":"00010203-0405-4607-8809-0a0b0c0d0e0f","agent_id":"10111213-1415-4617-9819-1a1b1c1d1e1f",)"
            R"("user_id":"20212223-2425-4627-a829-2a2b2c2d2e2f","memory_type":"AntiPattern",)"
            R"("embedding":[0.5,-0.0,0.1],"content":"Grüß Gott","created_at":1700000000000001,)"
            R"("accessed_at":1700000000000002,"access_count":7,"salience":0.25,"confidence":0.75,)"
            R"("space_id":"30313233-3435-4637-b839-3a3b3c3d3e3f",)"
            R"("attributes":{"bool":{"Boolean":true},"bytes":{"Bytes":[0,128,255]},"float":{"Float":2.0},)"
            R"("int":{"Integer":-5},"string":{"String":"value"}},"tags":["one","two"],)"
            R"("valid_from":1600000000000000,"valid_until":1800000000000000,"context":"chat"})");
  MemoryNode small;
  small.id = full_node().id;
  EXPECT_EQ(to_json(small),
            R"({"id":"00010203-0405-4607-8809-0a0b0c0d0e0f","agent_id":"00000000-0000-0000-0000-000000000000",)"
            R"("memory_type":"Episodic","embedding":[],"content":"","created_at":0,"accessed_at":0,"access_count":0,)"
            R"("salience":1.0,"confidence":1.0,"space_id":"00000000-0000-0000-0000-000000000000","attributes":{},)"
            R"("tags":[]})");
}

TEST(ToJson, EscapesEveryControlCharacter) {
  MemoryNode node = full_node();
  node.content.clear();
  for (int c = 0; c < 0x80; ++c) node.content += static_cast<char>(c);
  node.content += "\xE2\x80\xA8 \xF0\x9F\x98\x80";
  node.tags = {node.content};
  node.attributes.clear();
  node.attributes[node.content] = node.content;
  node.context = node.content;
  const std::string text = to_json(node);
  for (char c : text) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  EXPECT_EQ(json::parse(text)["content"].get<std::string>(), node.content);
  EXPECT_EQ(must(from_json(text)), node);
}

TEST(Json, RoundTripsRandomNodes) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 2000; ++i) {
    const MemoryNode node = random_node(random);
    const std::string text = to_json(node);
    const auto back = from_json(text);
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(*back, node) << text;
    ASSERT_TRUE(json::accept(text));
  }
}

TEST(FromJson, TakesDefaultsForWhatIsAbsentOrNull) {
  MemoryNode expected;
  expected.id = full_node().id;
  expected.agent_id = full_node().agent_id;
  expected.memory_type = MemoryType::Semantic;
  expected.content = "c";
  EXPECT_EQ(must(from_json(memory(""))), expected);
  EXPECT_EQ(must(from_json(memory(R"("user_id":null,"valid_from":null,"context":null,"tags":null,"salience":null)"))),
            expected);
  EXPECT_EQ(must(from_json("  \r\n" + memory("") + " \n")), expected);
}

TEST(FromJson, ReadsNumbersExactly) {
  const auto one = [](std::string_view text) {
    return must(from_json(memory("\"embedding\":[" + std::string(text) + "]"))).embedding.at(0);
  };
  EXPECT_EQ(one("1"), 1.0F);
  EXPECT_EQ(one("-1"), -1.0F);
  EXPECT_TRUE(std::signbit(one("-0.0")));
  EXPECT_EQ(one("3.4028235e38"), std::numeric_limits<float>::max());
  EXPECT_EQ(one("1e-45"), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(one("1e-60"), 0.0F);
  EXPECT_EQ(one("1E2"), 100.0F);
  // Just above the middle of two floats: through a double it would become the even one below.
  EXPECT_EQ(one("1.00000005960464477540"), std::nextafter(1.0F, 2.0F));
  EXPECT_EQ(one("16777217"), 16777216.0F);
  EXPECT_EQ(must(from_json(memory("\"created_at\":18446744073709551615"))).created_at,
            std::numeric_limits<std::uint64_t>::max());
}

TEST(FromJson, ReadsEveryKindOfAttribute) {
  const auto value = [](std::string_view text) {
    return must(from_json(memory("\"attributes\":{\"k\":" + std::string(text) + "}"))).attributes.at("k");
  };
  EXPECT_EQ(std::get<std::string>(value(R"({"String":"x"})")), "x");
  EXPECT_EQ(std::get<std::int64_t>(value(R"({"Integer":-9223372036854775808})")),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(std::get<std::int64_t>(value(R"({"Integer":7})")), 7);
  EXPECT_EQ(std::get<double>(value(R"({"Float":7})")), 7.0);
  EXPECT_EQ(std::get<double>(value(R"({"Float":1e300})")), 1e300);
  EXPECT_EQ(std::get<bool>(value(R"({"Boolean":false})")), false);
  EXPECT_EQ(std::get<Bytes>(value(R"({"Bytes":[]})")), Bytes{});
  EXPECT_EQ(std::get<Bytes>(value(R"({"Bytes":[0,255]})")), (Bytes{std::byte{0}, std::byte{255}}));
}

// The last value counted in silence, while a field that appears twice was refused.
TEST(FromJson, RefusesAnAttributeThatAppearsTwice) {
  expect_refused(memory(R"("attributes":{"k":{"Integer":1},"k":{"Integer":2}})"),
                 "attributes[\"k\"]: the attribute appears twice");
  expect_refused(memory(R"("attributes":{"":{"Integer":1},"":{"Integer":1}})"), "the attribute appears twice");
}

TEST(FromJson, NamesTheFieldsThatAreMissing) {
  std::vector<std::string> missing;
  must(from_json(memory(R"("created_at":5,"accessed_at":null)"), nullptr, &missing));
  EXPECT_EQ(missing,
            (std::vector<std::string>{"user_id", "embedding", "accessed_at", "access_count", "salience", "confidence",
                                      "space_id", "attributes", "tags", "valid_from", "valid_until", "context"}));
}

TEST(FromJson, PassesOverUnknownFieldsAndNamesThem) {
  std::vector<std::string> unknown;
  const auto node = from_json(
      memory(
          R"("a":1,"b":"x","c":null,"d":[1,[2,{"id":3}],{}],"e":{"content":{"f":[{}]}},"g":true,"h":1.5,"tags":["t"])"),
      &unknown);
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->content, "c");
  EXPECT_EQ(node->tags, std::vector<std::string>{"t"});
  EXPECT_EQ(unknown, (std::vector<std::string>{"a", "b", "c", "d", "e", "g", "h"}));
  EXPECT_TRUE(from_json(memory("\"x\":{}")));
  EXPECT_TRUE(from_json(memory("\"x\":[]")));
  EXPECT_TRUE(from_json(memory("\"x\":0")));
}

TEST(FromJson, RefusesWhatIsNoMemory) {
  expect_refused("", "no memory");
  expect_refused("   ", "no memory");
  expect_refused("null", "no memory: expected a JSON object, found null");
  expect_refused("[]", "expected a JSON object, found an array");
  expect_refused("5", "expected a JSON object");
  expect_refused("5.5", "expected a JSON object");
  expect_refused("\"text\"", "expected a JSON object");
  expect_refused("true", "expected a JSON object");
  expect_refused("{}", "\"id\" is missing");
  expect_refused("{" + std::string(kIds) + "}", "\"memory_type\" is missing");
  expect_refused(R"({"id":null})", "\"id\" is missing");
  expect_refused(memory("") + memory(""), "no valid JSON");
  expect_refused(memory("").substr(1), "no memory");
  expect_refused("hello", "no valid JSON");
  expect_refused(std::string(100'000, '['), "expected a JSON object, found an array");
}

TEST(FromJson, NamesTheFieldThatIsWrong) {
  expect_refused(R"({"id":"x"})", "id: \"x\" is no UUID");
  expect_refused(R"({"id":5})", "id: expected a string, found a number");
  expect_refused(R"({"agent_id":["x"]})", "agent_id: expected a string, found an array");
  expect_refused(R"({"memory_type":"semantic"})", "memory_type: \"semantic\" is no memory type");
  expect_refused(memory(R"("user_id":"")"), "user_id");
  expect_refused(R"({"content":7})", "content: expected a string, found a number");
  expect_refused(R"({"content":{}})", "content: expected a string, found an object");
  expect_refused(memory(R"("content":"d")"), "content: the field appears twice");
  expect_refused(memory(R"("embedding":5)"), "embedding: expected an array of numbers, found a number");
  expect_refused(memory(R"("embedding":{})"), "embedding: expected an array of numbers, found an object");
  expect_refused(memory(R"("embedding":[1,"2"])"), "embedding[1]: expected a number, found a string");
  expect_refused(memory(R"("embedding":[1,null])"), "embedding[1]: expected a number, found null");
  expect_refused(memory(R"("embedding":[[1]])"), "embedding[0]: expected a number, found an array");
  expect_refused(memory(R"("embedding":[0,1e39])"), "embedding[1]: the number is out of the range of a 32-bit float");
  expect_refused(memory(R"("embedding":[0,-1e39])"), "embedding[1]");
  expect_refused(memory(R"("embedding":[0,1,1e999])"), "embedding[2]");
  expect_refused(memory(R"("embedding":[0,NaN])"), "embedding[1]: no valid JSON at byte");
  expect_refused(memory(R"("embedding":[Infinity])"), "embedding[0]: no valid JSON");
  expect_refused(memory(R"("embedding":[-Infinity])"), "embedding[0]: no valid JSON");
  expect_refused(memory(R"("salience":NaN)"), "salience: no valid JSON");
  expect_refused(memory(R"("salience":"1")"), "salience: expected a number, found a string");
  expect_refused(memory(R"("confidence":1e39)"), "confidence: the number is out of the range");
  expect_refused(memory(R"("tags":"t")"), "tags: expected an array of strings, found a string");
  expect_refused(memory(R"("tags":["t",1])"), "tags[1]: expected a string, found a number");
  expect_refused(memory(R"("created_at":-1)"), "created_at: the number is negative");
  expect_refused(memory(R"("created_at":1.0)"), "created_at: expected an integer");
  expect_refused(memory(R"("created_at":18446744073709551616)"), "created_at: expected an integer");
  expect_refused(memory(R"("created_at":"2024-01-01")"), "created_at: expected an integer (microseconds since 1970)");
  expect_refused(memory(R"("valid_until":-5)"), "valid_until");
  expect_refused(memory(R"("access_count":4294967296)"), "access_count: the number is out of range; the largest is");
  expect_refused(memory(R"("context":false)"), "context: expected a string, found a boolean");
}

TEST(FromJson, NamesTheAttributeThatIsWrong) {
  const auto refused = [](std::string_view attributes, std::string_view words) {
    expect_refused(memory("\"attributes\":" + std::string(attributes)), words);
  };
  refused("[]", "attributes: expected an object, found an array");
  refused(R"({"k":"plain"})", "attributes[\"k\"]: expected {\"String\":..}");
  refused(R"({"k":null})", "attributes[\"k\"]");
  refused(R"({"k":[]})", "attributes[\"k\"]");
  refused(R"({"k":{}})", "attributes[\"k\"]: expected {\"String\":..}, {\"Integer\":..}");
  refused(R"({"k":{"Text":"x"}})", "\"Text\" is no kind of attribute");
  refused(R"({"k":{"String":5}})", "attributes[\"k\"]: expected a string, found a number");
  refused(R"({"k":{"String":null}})", "attributes[\"k\"]");
  refused(R"({"k":{"Integer":1.5}})", "attributes[\"k\"]: expected an integer");
  refused(R"({"k":{"Integer":9223372036854775808}})", "the largest is 9223372036854775807");
  refused(R"({"k":{"Boolean":0}})", "attributes[\"k\"]: expected a boolean, found a number");
  refused(R"({"k":{"Integer":true}})", "expected an integer, found a boolean");
  refused(R"({"k":{"Bytes":[256]}})", "attributes[\"k\"], byte 0");
  refused(R"({"k":{"Bytes":[1,-1]}})", "attributes[\"k\"], byte 1: the number is negative");
  refused(R"({"k":{"Bytes":[1,2.5]}})", "byte 1: expected an integer from 0 to 255");
  refused(R"({"k":{"Bytes":"AA=="}})", "attributes[\"k\"]: expected an array of integers");
  refused(R"({"k":{"String":"a","Integer":1}})", "attributes[\"k\"]: the attribute has more than one value");
}

TEST(FromJson, RefusesTextThatIsNotUtf8) {
  expect_refused("{\"content\":\"\xFF\"}", "content: no valid JSON");
  expect_refused("{\"content\":\"\xC0\x80\"}", "content");
  expect_refused("{\"content\":\"\xED\xA0\x80\"}", "content");
  expect_refused(R"({"content":"\ud800"})", "content");
  expect_refused("{\"content\":\"a\nb\"}", "content");
  expect_refused("\xFF", "no memory");
}

TEST(FromJson, NamesTheLimits) {
  std::string many = "\"embedding\":[0";
  for (std::size_t i = 0; i < kMaxEmbeddingDimensions; ++i) many += ",0";
  expect_refused(memory(many + "]"), "more than 65535 dimensions", ErrorCode::capacity_exceeded);
  many = "\"tags\":[\"\"";
  for (std::size_t i = 0; i < kMaxTags; ++i) many += ",\"\"";
  expect_refused(memory(many + "]"), "more than 4096 tags", ErrorCode::capacity_exceeded);
  many = "\"attributes\":{\"x\":{\"Integer\":0}";
  for (std::size_t i = 0; i < kMaxAttributes; ++i) many += ",\"" + std::to_string(i) + "\":{\"Integer\":0}";
  expect_refused(memory(many + "}"), "more than 4096 attributes", ErrorCode::capacity_exceeded);
}

TEST(FromJson, TruncationAndBitFlipsNeverCrash) {
  std::string text = to_json(full_node());
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(from_json(std::string_view(text).substr(0, length))) << length;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char original = text[i];
    for (int bit = 0; bit < 8; ++bit) {
      text[i] = static_cast<char>(original ^ (1 << bit));
      if (const auto node = from_json(text)) {
        EXPECT_EQ(must(from_json(to_json(*node))), *node);
      }
    }
    text[i] = original;
  }
}

TEST(Json, TheRealFileRoundTrips) {
  const auto file = test::test_data("locomo.jsonl");
  if (!file) GTEST_SKIP() << "MENTEDB_TEST_DATA is not set or has no locomo.jsonl";
  std::ifstream in(*file);
  std::size_t count = 0;
  for (std::string line; std::getline(in, line); ++count) {
    std::vector<std::string> unknown;
    const auto node = from_json(line, &unknown);
    ASSERT_TRUE(node) << "line " << count + 1 << ": " << node.error().message;
    ASSERT_TRUE(validate(*node)) << "line " << count + 1;
    EXPECT_TRUE(unknown.empty());
    const std::string text = to_json(*node);
    ASSERT_EQ(must(from_json(text)), *node);
    ASSERT_EQ(json::parse(text), json::parse(line)) << "line " << count + 1;
  }
  EXPECT_GT(count, 5000U);
}

}  // namespace
}  // namespace mentedb

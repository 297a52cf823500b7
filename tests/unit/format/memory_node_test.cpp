#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include <mentedb/memory_node.hpp>

#include "support/results.hpp"
#include "support/sample_nodes.hpp"

namespace mentedb {
namespace {

using test::full_node;
using test::must;

void expect_refused(const MemoryNode& node, ErrorCode code, std::string_view words) {
  const auto result = validate(node);
  ASSERT_FALSE(result) << words;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
}

TEST(MemoryNode, CreateFillsWhatEveryMemoryHas) {
  const AgentId agent = AgentId::random();
  const MemoryNode node = MemoryNode::create(agent, MemoryType::Semantic, "text", {0.1F, 0.2F});
  EXPECT_FALSE(node.id.is_nil());
  EXPECT_EQ(node.agent_id, agent);
  EXPECT_EQ(node.content, "text");
  EXPECT_EQ(node.embedding.size(), 2U);
  EXPECT_EQ(node.salience, 1.0F);
  EXPECT_EQ(node.confidence, 1.0F);
  EXPECT_GT(node.created_at, 1'700'000'000'000'000U);
  EXPECT_EQ(node.created_at, node.accessed_at);
  EXPECT_TRUE(validate(node));
}

TEST(MemoryNode, EqualityLooksAtEveryField) {
  const MemoryNode node = full_node();
  EXPECT_EQ(node, full_node());
  const auto differs = [&](auto&& change) {
    MemoryNode other = full_node();
    change(other);
    return !(other == node);
  };
  EXPECT_TRUE(differs([](MemoryNode& n) { n.id = MemoryId::random(); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.agent_id = AgentId::random(); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.user_id = UserId::nil(); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.memory_type = MemoryType::Episodic; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.embedding[1] = 0.0F; }));  // was -0.0
  EXPECT_TRUE(differs([](MemoryNode& n) { n.embedding.pop_back(); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.content += ' '; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { ++n.created_at; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { ++n.accessed_at; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { ++n.access_count; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.salience = 0; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.confidence = 0; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.space_id = SpaceId::nil(); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.attributes["float"] = std::int64_t{2}; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.attributes["float"] = std::nextafter(2.0, 3.0); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.attributes.erase("int"); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.tags = {"two", "one"}; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.valid_from.reset(); }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.valid_until = 0; }));
  EXPECT_TRUE(differs([](MemoryNode& n) { n.context.reset(); }));
}

TEST(MemoryNode, TypeNames) {
  for (const char* name : {"Episodic", "Semantic", "Procedural", "AntiPattern", "Reasoning", "Correction"}) {
    EXPECT_EQ(to_string(must(parse_memory_type(name))), name);
  }
  EXPECT_EQ(parse_memory_type("semantic").error().code, ErrorCode::invalid_argument);
  EXPECT_FALSE(parse_memory_type(""));
  EXPECT_EQ(to_string(static_cast<MemoryType>(6)), "unknown");
}

TEST(Validate, NamesTheFieldThatIsWrong) {
  EXPECT_TRUE(validate(full_node()));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const auto refused = [&](ErrorCode code, std::string_view words, auto&& change) {
    MemoryNode node = full_node();
    change(node);
    expect_refused(node, code, words);
  };
  const auto bad = ErrorCode::invalid_argument;
  refused(bad, "id is the nil UUID", [](MemoryNode& n) { n.id = MemoryId::nil(); });
  refused(bad, "memory_type 6", [](MemoryNode& n) { n.memory_type = static_cast<MemoryType>(6); });
  refused(bad, "embedding[2] is nan", [&](MemoryNode& n) { n.embedding[2] = nan; });
  refused(bad, "embedding[0] is -inf", [&](MemoryNode& n) { n.embedding[0] = -infinity; });
  refused(bad, "salience", [&](MemoryNode& n) { n.salience = infinity; });
  refused(bad, "confidence is 1.5", [](MemoryNode& n) { n.confidence = 1.5F; });
  refused(bad, "confidence", [](MemoryNode& n) { n.confidence = -0.1F; });
  refused(bad, "confidence", [&](MemoryNode& n) { n.confidence = nan; });
  refused(bad, "content is not valid UTF-8", [](MemoryNode& n) { n.content = "\xC0\x80"; });
  refused(bad, "context is not valid UTF-8", [](MemoryNode& n) { n.context = "\xED\xA0\x80"; });
  refused(bad, "tags[1] is not valid UTF-8", [](MemoryNode& n) { n.tags[1] = "\xFF"; });
  refused(bad, "key 5 of attributes", [](MemoryNode& n) { n.attributes["z\xFF"] = true; });
  refused(bad, "attributes[\"string\"] is not valid UTF-8",
          [](MemoryNode& n) { n.attributes["string"] = std::string("\x80"); });
  refused(bad, "attributes[\"float\"] is nan",
          [](MemoryNode& n) { n.attributes["float"] = std::numeric_limits<double>::quiet_NaN(); });
}

TEST(Validate, NamesTheLimit) {
  const auto refused = [&](std::string_view words, auto&& change) {
    MemoryNode node = full_node();
    change(node);
    expect_refused(node, ErrorCode::capacity_exceeded, words);
  };
  refused("content has 16777217 bytes; the limit is 16777216",
          [](MemoryNode& n) { n.content.assign(kMaxContentBytes + 1, 'a'); });
  refused("the limit is 65535", [](MemoryNode& n) { n.embedding.assign(kMaxEmbeddingDimensions + 1, 0.0F); });
  refused("tags has 4097", [](MemoryNode& n) { n.tags.assign(kMaxTags + 1, "t"); });
  refused("attributes has 4097", [](MemoryNode& n) {
    n.attributes.clear();
    for (std::size_t i = 0; i <= kMaxAttributes; ++i) n.attributes[std::to_string(i)] = true;
  });
  refused("the limit is 25165824", [](MemoryNode& n) { n.attributes["big"] = Bytes(kMaxEncodedBytes); });
}

// A salience of -1e30, an end before its beginning, a context of 17 MiB and the times of a wrong clock were stored
// without a word. Each field has a range now, and each end of it is tested.
TEST(Validate, EveryFieldHasARange) {
  const auto refused = [](ErrorCode code, std::string_view words, auto&& change) {
    MemoryNode node = full_node();
    change(node);
    expect_refused(node, code, words);
  };
  const auto accepted = [](auto&& change) {
    MemoryNode node = full_node();
    change(node);
    const auto result = validate(node);
    EXPECT_TRUE(result) << result.error().message;
  };
  const auto bad = ErrorCode::invalid_argument;
  refused(bad, "salience is -1e+30; it must lie between 0 and 1000000", [](MemoryNode& n) { n.salience = -1e30F; });
  refused(bad, "salience", [](MemoryNode& n) { n.salience = std::nextafter(kMaxSalience, 2e6F); });
  refused(bad, "salience", [](MemoryNode& n) { n.salience = -1e-30F; });
  accepted([](MemoryNode& n) { n.salience = kMaxSalience; });
  accepted([](MemoryNode& n) { n.salience = 0; });
  accepted([](MemoryNode& n) { n.access_count = std::numeric_limits<std::uint32_t>::max(); });
  refused(bad, "created_at is 253402300800000000", [](MemoryNode& n) { n.created_at = kMaxTimestamp + 1; });
  refused(bad, "accessed_at", [](MemoryNode& n) { n.accessed_at = ~Timestamp{0}; });  // a clock before 1970
  refused(bad, "valid_from", [](MemoryNode& n) { n.valid_from = kMaxTimestamp + 1; });
  refused(bad, "valid_until", [](MemoryNode& n) { n.valid_until = kMaxTimestamp + 1; });
  accepted([](MemoryNode& n) { n.created_at = n.accessed_at = kMaxTimestamp; });
  accepted([](MemoryNode& n) { n.created_at = n.accessed_at = 0; });
  refused(bad, "valid_until lies before valid_from", [](MemoryNode& n) { n.valid_until = *n.valid_from - 1; });
  accepted([](MemoryNode& n) { n.valid_until = n.valid_from; });
  const auto limit = ErrorCode::capacity_exceeded;
  refused(limit, "context has 1048577 bytes; the limit is 1048576",
          [](MemoryNode& n) { n.context = std::string(kMaxContextBytes + 1, 'c'); });
  refused(limit, "tags[1] has 65537 bytes", [](MemoryNode& n) { n.tags[1].assign(kMaxNameBytes + 1, 't'); });
  refused(limit, "of attributes has 65537 bytes",
          [](MemoryNode& n) { n.attributes[std::string(kMaxNameBytes + 1, 'k')] = true; });
  accepted([](MemoryNode& n) {
    n.context = std::string(kMaxContextBytes, 'c');
    n.tags[1].assign(kMaxNameBytes, 't');
    n.attributes[std::string(kMaxNameBytes, 'k')] = true;
  });
}

TEST(Validate, AcceptsEmptyThings) {
  MemoryNode node;
  node.id = MemoryId::random();
  node.confidence = 0;
  node.context = "";
  node.tags = {"", ""};
  node.attributes[""] = Bytes{};
  EXPECT_TRUE(validate(node));
}

}  // namespace
}  // namespace mentedb

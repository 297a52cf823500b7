#include "node_options.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include <fmt/core.h>

#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

template <class T, class Parse>
Result<void> set(const std::optional<std::string>& text, std::string_view option, T& to, Parse&& parse) {
  if (!text) return {};
  auto parsed = parse(*text);
  if (!parsed) {
    return std::unexpected(Error{parsed.error().code, 0, fmt::format("{}: {}", option, parsed.error().message)});
  }
  to = std::move(*parsed);
  return {};
}

/// "2h" means two hours ago everywhere. For the end of a validity that is most likely not what was meant.
Result<Timestamp> parse_end(std::string_view text) {
  if (!is_time_ago(text)) return parse_time(text);
  return std::unexpected(
      Error{ErrorCode::invalid_argument, 0,
            fmt::format("'{}' means that time ago; write +{} for the time from now on", text, text)});
}

}  // namespace

void add_node_options(CLI::App& command, NodeOptions& options) {
  const std::string group = "Fields";
  const auto option = [&](const std::string& name, auto& to, const std::string& help, const std::string& type) {
    return command.add_option(name, to, help)->type_name(type)->group(group);
  };
  option("--type", options.type, "Episodic, Semantic, Procedural, AntiPattern, Reasoning or Correction", "TYPE");
  option("--agent", options.agent, "Agent the memory belongs to", "UUID");
  option("--user", options.user, "User it is about; without one it is shared by all", "UUID");
  option("--space", options.space, "Space it belongs to", "UUID");
  // Each flag takes one value. Otherwise "--tag a b" would take the next argument too, and [x] would lose its brackets.
  option("--tag", options.tags, "A tag; repeat it for more", "TEXT")->allow_extra_args(false);
  option("--attribute", options.attributes,
         "key=text, key:int=5, key:float=0.5, key:bool=true or key:bytes=00ff; repeat it for more", "KEY=VALUE")
      ->allow_extra_args(false);
  option("--embedding", options.embedding, "The vector, for example '[0.1, 0.2]'", "NUMBERS");
  option("--context", options.context, "Where it comes from", "TEXT");
  option("--salience", options.salience, "How much it matters, 0 to 1000000", "NUMBER");
  option("--confidence", options.confidence, "How sure it is, 0 to 1", "NUMBER");
  option("--valid-from", options.valid_from,
         "True from then on: 2024-05-01, 2024-05-01T13:30:00Z, @1714570200, 2h (ago), +2h, now", "TIME");
  option("--valid-until", options.valid_until, "True until then; not before --valid-from", "TIME");
}

bool NodeOptions::any() const {
  return content || type || agent || user || space || !tags.empty() || !attributes.empty() || embedding || context ||
         salience || confidence || valid_from || valid_until;
}

Result<void> NodeOptions::apply(MemoryNode& node) const {
  if (auto r = set(type, "--type", node.memory_type, parse_type); !r) return r;
  if (auto r = set(agent, "--agent", node.agent_id, AgentId::parse); !r) return r;
  if (auto r = set(user, "--user", node.user_id, UserId::parse); !r) return r;
  if (auto r = set(space, "--space", node.space_id, SpaceId::parse); !r) return r;
  if (auto r = set(embedding, "--embedding", node.embedding, parse_embedding); !r) return r;
  if (auto r = set(valid_from, "--valid-from", node.valid_from, parse_time); !r) return r;
  if (auto r = set(valid_until, "--valid-until", node.valid_until, parse_end); !r) return r;
  if (content) node.content = *content;
  if (context) node.context = *context;
  if (salience) node.salience = *salience;
  if (confidence) node.confidence = *confidence;
  if (!tags.empty()) node.tags = tags;
  std::set<std::string> keys;
  for (const std::string& text : attributes) {
    auto attribute = parse_attribute(text);
    if (!attribute) return std::unexpected(attribute.error());
    if (!keys.insert(attribute->first).second) {
      return std::unexpected(Error{
          ErrorCode::invalid_argument, 0,
          fmt::format("--attribute: '{}' is given twice; an attribute has one value", one_line(attribute->first, 60))});
    }
    node.attributes.insert_or_assign(std::move(attribute->first), std::move(attribute->second));
  }
  return {};
}

Result<std::string> argument_or_stdin(const std::string& argument) {
  if (argument != "-") return argument;
  // Longer than any memory may be. For shorter texts the engine names the exact limit.
  constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
  std::string text;
  char block[65'536];
  for (;;) {
    const ssize_t got = read(STDIN_FILENO, block, sizeof block);
    if (got == 0) break;
    if (got < 0) {
      if (errno == EINTR && !interrupted()) continue;
      return std::unexpected(Error{ErrorCode::io_error, errno,
                                   interrupted()
                                       ? "interrupted while reading standard input; nothing was stored"
                                       : fmt::format("cannot read standard input: {}", std::strerror(errno))});
    }
    if (text.size() + static_cast<std::size_t>(got) > kMaxBytes) {
      return std::unexpected(Error{ErrorCode::capacity_exceeded, 0,
                                   fmt::format("standard input is longer than {}", human_bytes(kMaxBytes))});
    }
    text.append(block, static_cast<std::size_t>(got));
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<void> require_text(const std::string& text, const std::string& argument) {
  if (text.find_first_not_of(" \t\r\n\v\f") != std::string::npos) return {};
  return std::unexpected(Error{
      ErrorCode::invalid_argument, 0,
      fmt::format("{} is empty; nothing was stored", argument == "-" ? "standard input" : "the text of the memory")});
}

}  // namespace mentedb::cli

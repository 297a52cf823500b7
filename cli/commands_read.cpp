// get, list: they read memories.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include <fmt/core.h>

#include <mentedb/json.hpp>

#include "context.hpp"
#include "output.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

void print_field(std::string_view name, std::string_view value) {
  out() << out().style(kDim) << fmt::format("{:<12}", name) << out().style(kReset) << value << "\n";
}

void print_node(const MemoryNode& node, PageId page) {
  print_field("id", node.id.to_string());
  print_field("page", fmt::format("{}", page.value));
  print_field("type", to_string(node.memory_type));
  print_field("agent", node.agent_id.to_string());
  print_field("user", node.user_id.is_nil() ? "(shared)" : node.user_id.to_string());
  if (!node.space_id.is_nil()) print_field("space", node.space_id.to_string());
  print_field("created", format_time(node.created_at));
  print_field("accessed",
              fmt::format("{} ({})", format_time(node.accessed_at), counted(node.access_count, "time", "times")));
  print_field("salience", fmt::format("{}", node.salience));
  print_field("confidence", fmt::format("{}", node.confidence));
  if (node.valid_from) print_field("valid from", format_time(*node.valid_from));
  if (node.valid_until) print_field("valid until", format_time(*node.valid_until));
  if (!node.tags.empty()) {
    std::string tags;
    for (const std::string& tag : node.tags) tags += (tags.empty() ? "" : ", ") + one_line(tag);
    print_field("tags", tags);
  }
  for (std::string_view name = "attributes"; const auto& [key, value] : node.attributes) {
    print_field(name, fmt::format("{} = {}", one_line(key), format_attribute(value)));
    name = "";
  }
  if (!node.embedding.empty()) {
    std::string numbers;
    for (std::size_t i = 0; i < std::min<std::size_t>(node.embedding.size(), 4); ++i) {
      numbers += fmt::format("{}{}", i == 0 ? "" : ", ", node.embedding[i]);
    }
    print_field("embedding", fmt::format("{} [{}{}]", counted(node.embedding.size(), "number", "numbers"), numbers,
                                         node.embedding.size() > 4 ? ", .." : ""));
  }
  if (node.context) print_field("context", one_line(*node.context));
  out() << "\n" << printable(node.content) << "\n";
}

/// A page number or an id.
Result<std::pair<MemoryNode, PageId>> load(const StorageEngine& engine, const std::string& text) {
  PageId page;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), page.value);
  if (status == std::errc() && end == text.data() + text.size()) {
    auto node = engine.load_memory(page);
    if (!node) return std::unexpected(node.error());
    return std::pair(std::move(*node), page);
  }
  const Result<MemoryId> id = MemoryId::parse(text);
  if (!id) {
    return std::unexpected(Error{ErrorCode::invalid_argument, 0,
                                 fmt::format("'{}' is neither an id (a UUID, as 'mentedb list' prints it) nor a page "
                                             "number",
                                             one_line(text, 60))});
  }
  // The memory may move between the two calls. The page is for display only, so the newest place will do.
  auto node = engine.load_memory(*id);
  if (!node) return std::unexpected(node.error());
  const auto where = engine.find(*id);
  return std::pair(std::move(*node), where ? *where : PageId{});
}

int run_get(const Context& context, const std::vector<std::string>& names) {
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());
  int status = kOk;
  bool first = true;
  for (const std::string& name : names) {
    auto found = load(*engine, name);
    if (!found) {
      status = report(found.error());
      continue;
    }
    if (context.json) {
      out() << to_json(found->first) << "\n";
    } else {
      if (!first) out() << "\n" << out().style(kDim) << std::string(36, '-') << out().style(kReset) << "\n\n";
      print_node(found->first, found->second);
    }
    first = false;
  }
  return finish_output(status);
}

struct ListOptions {
  std::vector<std::string> tags;
  std::string agent;
  std::string user;
  std::string type;
  std::string since;
  std::string contains;
  std::optional<std::uint64_t> limit;
  bool ids_only = false;
  bool count_only = false;
};

struct Filter {
  std::vector<std::string> tags;
  std::optional<AgentId> agent;
  std::optional<UserId> user;
  std::optional<MemoryType> type;
  std::optional<Timestamp> since;
  std::string contains;  // lower case

  [[nodiscard]] bool accepts(const MemoryNode& node) const;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool Filter::accepts(const MemoryNode& node) const {
  if (agent && node.agent_id != *agent) return false;
  if (user && node.user_id != *user) return false;
  if (type && node.memory_type != *type) return false;
  if (since && node.created_at < *since) return false;
  for (const std::string& tag : tags) {
    if (std::ranges::find(node.tags, tag) == node.tags.end()) return false;
  }
  if (contains.empty()) return true;
  return std::search(node.content.begin(), node.content.end(), contains.begin(), contains.end(),
                     [](char a, char b) { return lower(a) == b; }) != node.content.end();
}

template <class T, class Parse>
Result<void> set(const std::string& text, std::string_view option, std::optional<T>& to, Parse&& parse) {
  if (text.empty()) return {};
  auto parsed = parse(text);
  if (!parsed) {
    return std::unexpected(Error{parsed.error().code, 0, fmt::format("{}: {}", option, parsed.error().message)});
  }
  to = *parsed;
  return {};
}

Result<Filter> filter_from(const ListOptions& options) {
  Filter filter;
  filter.tags = options.tags;
  if (auto r = set(options.agent, "--agent", filter.agent, AgentId::parse); !r) return std::unexpected(r.error());
  if (auto r = set(options.user, "--user", filter.user, UserId::parse); !r) return std::unexpected(r.error());
  if (auto r = set(options.type, "--type", filter.type, parse_type); !r) return std::unexpected(r.error());
  if (auto r = set(options.since, "--since", filter.since, parse_time); !r) return std::unexpected(r.error());
  filter.contains = options.contains;
  for (char& c : filter.contains) c = lower(c);
  return filter;
}

/// One memory on one line.
void print_row(const MemoryNode& node) {
  constexpr std::size_t kColumnsBefore = 36 + 2 + 11 + 2 + 16 + 2;
  const std::size_t columns = out().columns();
  const std::size_t room = columns == 0 ? 0 : columns > kColumnsBefore + 10 ? columns - kColumnsBefore : 10;
  out() << node.id.to_string() << "  " << out().style(kDim)
        << fmt::format("{:<11}  {:<16}", to_string(node.memory_type), format_time(node.created_at).substr(0, 16))
        << out().style(kReset) << "  " << one_line(node.content, room) << "\n";
}

void print_row_json(const MemoryNode& node, PageId page) {
  Json row = {{"id", node.id.to_string()},
              {"page", page.value},
              {"memory_type", to_string(node.memory_type)},
              {"agent_id", node.agent_id.to_string()}};
  if (!node.user_id.is_nil()) row["user_id"] = node.user_id.to_string();
  row["created_at"] = node.created_at;
  row["tags"] = node.tags;
  row["content"] = node.content;
  print_json(row);
}

int run_list(const Context& context, const ListOptions& options) {
  const Result<Filter> filter = filter_from(options);
  if (!filter) return report(filter.error());
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());

  const bool header = out().is_terminal() && !context.json && !options.ids_only && !options.count_only;
  std::uint64_t matched = 0;
  std::uint64_t damaged = 0;
  const auto on_memory = [&](const MemoryNode& node, PageId page) {
    if (options.limit && matched >= *options.limit) return false;
    if (!filter->accepts(node)) return !interrupted();
    if (header && matched == 0) {
      out() << out().style(kBold) << fmt::format("{:<36}  {:<11}  {:<16}  {}", "ID", "TYPE", "CREATED", "CONTENT")
            << out().style(kReset) << "\n";
    }
    ++matched;
    if (options.count_only) {
    } else if (options.ids_only) {
      out() << node.id.to_string() << "\n";
    } else if (context.json) {
      print_row_json(node, page);
    } else {
      print_row(node);
    }
    return out().good() && !interrupted() && !(options.limit && matched >= *options.limit);
  };
  const auto on_damage = [&](MemoryId id, PageId page, const Error& error) {
    ++damaged;
    report(error, {{"id", id.to_string()}, {"page", page.value}});
  };
  const Result<void> done = engine->for_each_memory(on_memory, on_damage);
  if (!done) return report(done.error());
  if (interrupted()) return finish_output(kFailed);
  if (options.count_only) {
    if (context.json) {
      print_json({{"count", matched}});
    } else {
      out() << fmt::format("{}\n", matched);
    }
  } else if (header && matched > 0) {
    out() << out().style(kDim) << counted(matched, "memory", "memories") << out().style(kReset) << "\n";
  } else if (matched == 0) {
    note(fmt::format("no memory in {} matches", context.directory().string()));
  }
  return finish_output(damaged > 0 ? kFailed : kOk);
}

}  // namespace

void add_get(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "get", "Show memories, by id or by page number",
                                  "  mentedb get 0b5c9a52-3f53-4f4e-9d0f-8a3f9d1c2b11\n"
                                  "  mentedb get 1 --json | jq .attributes\n\n"
                                  "With --json: one line a memory, in the form that 'mentedb import' reads.");
  auto names = std::make_shared<std::vector<std::string>>();
  command->add_option("id", *names, "Ids, or the pages that 'mentedb store --json' names")
      ->type_name("ID|PAGE")
      ->required();
  command->callback([&context, names] { context.run = [&context, names] { return run_get(context, *names); }; });
}

void add_list(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "list", "List memories, one a line",
                                  "  mentedb list --limit 20\n"
                                  "  mentedb list --tag preference --type semantic --since 7d\n"
                                  "  mentedb list --contains \"dark mode\" --ids | xargs mentedb get\n"
                                  "  mentedb list --count\n\n"
                                  "With --json: one object a line. Several filters must all match.");
  auto options = std::make_shared<ListOptions>();
  const std::string group = "Filters";
  const auto filter = [&](const std::string& name, std::string& to, const std::string& help, const std::string& type) {
    command->add_option(name, to, help)->type_name(type)->group(group);
  };
  command->add_option("--tag", options->tags, "Has this tag; repeat it to ask for several")
      ->type_name("TEXT")
      ->group(group)
      ->allow_extra_args(false);
  filter("--agent", options->agent, "Belongs to this agent", "UUID");
  filter("--user", options->user, "Is about this user", "UUID");
  filter("--type", options->type, "Episodic, Semantic, Procedural, AntiPattern, Reasoning or Correction", "TYPE");
  filter("--since", options->since, "Created then or later: 2024-05-01, 2024-05-01T13:30:00Z, 2h or 7d (ago)", "TIME");
  filter("--contains", options->contains, "Its text contains this; ASCII letters match in either case", "TEXT");
  command->add_option("--limit", options->limit, "Stop after this many memories")
      ->type_name("N")
      ->group(group)
      ->check(whole_number());
  CLI::Option* ids = command->add_flag("--ids", options->ids_only, "Print ids only");
  command->add_flag("--count", options->count_only, "Print only the number of memories")->excludes(ids);
  command->callback([&context, options] { context.run = [&context, options] { return run_list(context, *options); }; });
}

}  // namespace mentedb::cli

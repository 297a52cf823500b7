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
  std::string order = "newest";
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
  std::string contains;  // folded

  [[nodiscard]] bool accepts(const MemoryNode& node) const;
};

bool Filter::accepts(const MemoryNode& node) const {
  if (agent && node.agent_id != *agent) return false;
  if (user && node.user_id != *user) return false;
  if (type && node.memory_type != *type) return false;
  if (since && node.created_at < *since) return false;
  for (const std::string& tag : tags) {
    if (std::ranges::find(node.tags, tag) == node.tags.end()) return false;
  }
  if (contains.empty()) return true;
  const Result<std::string> folded = fold_case(node.content);
  return folded && folded->find(contains) != std::string::npos;
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
  if (!options.contains.empty()) {
    Result<std::string> folded = fold_case(options.contains);
    if (folded && folded->empty()) {
      folded = std::unexpected(Error{ErrorCode::invalid_argument, 0, "the text has no character that can be seen"});
    }
    if (!folded) {
      return std::unexpected(Error{folded.error().code, 0, fmt::format("--contains: {}", folded.error().message)});
    }
    filter.contains = std::move(*folded);
  }
  return filter;
}

/// Where a memory stands in the list.
struct Place {
  Timestamp created_at = 0;
  MemoryId id;
  PageId page;
};

/// The first memories of an order, each in 32 bytes. With a limit it holds at most about twice as many.
class FirstPlaces {
 public:
  FirstPlaces(bool newest_first, std::optional<std::uint64_t> limit) : newest_first_(newest_first), limit_(limit) {}

  void add(const Place& place) {
    places_.push_back(place);
    if (limit_ && places_.size() >= 1'024 && places_.size() / 2 >= *limit_) cut();
  }
  /// In order, at most as many as the limit.
  std::vector<Place> take() {
    cut();
    return std::move(places_);
  }

 private:
  [[nodiscard]] bool before(const Place& a, const Place& b) const {
    if (a.created_at != b.created_at) return (a.created_at < b.created_at) != newest_first_;
    return a.id < b.id;
  }
  void cut() {
    std::ranges::sort(places_, [this](const Place& a, const Place& b) { return before(a, b); });
    if (limit_ && places_.size() > *limit_) places_.resize(*limit_);
  }

  bool newest_first_;
  std::optional<std::uint64_t> limit_;
  std::vector<Place> places_;
};

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

/// One pass finds the memories that match and keeps where they stand, a second one loads and prints them in order.
class Lister {
 public:
  Lister(const Context& context, const ListOptions& options, const StorageEngine& engine, const Filter& filter)
      : context_(context), options_(options), engine_(engine), filter_(filter) {}

  int run() {
    FirstPlaces found(options_.order == "newest", options_.limit);
    std::uint64_t matched = 0;
    const Result<void> done = engine_.for_each_memory(
        [&](const MemoryNode& node, PageId page) {
          if (!filter_.accepts(node)) return !interrupted();
          ++matched;
          if (!options_.count_only) found.add({node.created_at, node.id, page});
          return !interrupted();
        },
        [&](MemoryId id, PageId page, const Error& error) { damaged(id, page, error); });
    if (!done) return report(done.error());
    if (interrupted()) return finish_output(kFailed);
    if (options_.limit) matched = std::min(matched, *options_.limit);
    if (options_.count_only) {
      print_count(matched);
    } else {
      print(found.take());
    }
    return finish_output(damaged_ > 0 || interrupted() ? kFailed : kOk);
  }

 private:
  void print(const std::vector<Place>& places) {
    const bool header = out().is_terminal() && !context_.json && !options_.ids_only;
    std::uint64_t printed = 0;
    for (const Place& place : places) {
      if (!out().good() || interrupted()) return;
      if (header && printed == 0) print_header();
      if (print_memory(place)) ++printed;
    }
    if (header && printed > 0) {
      out() << out().style(kDim) << counted(printed, "memory", "memories") << out().style(kReset) << "\n";
    } else if (printed == 0 && !(options_.limit && *options_.limit == 0)) {
      note(fmt::format("no memory in {} matches", context_.directory().string()));
    }
  }

  /// False for a memory that was deleted or changed since the first pass, so that it no longer matches.
  bool print_memory(const Place& place) {
    if (options_.ids_only) {
      if (context_.json) {
        print_json({{"id", place.id.to_string()}});
      } else {
        out() << place.id.to_string() << "\n";
      }
      return true;
    }
    PageId page = place.page;
    Result<MemoryNode> node = engine_.load_memory(page);
    if (!node || node->id != place.id) {  // it moved meanwhile
      node = engine_.load_memory(place.id);
      page = engine_.find(place.id).value_or(PageId{});
    }
    if (!node && node.error().code != ErrorCode::not_found) damaged(place.id, page, node.error());
    if (!node || !filter_.accepts(*node)) return false;
    if (context_.json) {
      print_row_json(*node, page);
    } else {
      print_row(*node);
    }
    return true;
  }

  void print_header() {
    out() << out().style(kBold) << fmt::format("{:<36}  {:<11}  {:<16}  {}", "ID", "TYPE", "CREATED", "CONTENT")
          << out().style(kReset) << "\n";
  }

  void print_count(std::uint64_t matched) {
    if (context_.json) {
      print_json({{"count", matched}});
    } else {
      out() << fmt::format("{}\n", matched);
    }
  }

  void damaged(MemoryId id, PageId page, const Error& error) {
    ++damaged_;
    report(error, {{"id", id.to_string()}, {"page", page.value}});
  }

  const Context& context_;
  const ListOptions& options_;
  const StorageEngine& engine_;
  const Filter& filter_;
  std::uint64_t damaged_ = 0;
};

int run_list(const Context& context, const ListOptions& options) {
  const Result<Filter> filter = filter_from(options);
  if (!filter) return report(filter.error());
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());
  return Lister(context, options, *engine, *filter).run();
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
  filter("--since", options->since,
         "Created then or later: 2024-05-01, 2024-05-01T13:30:00Z, @1714570200, 2h or 7d (ago)", "TIME");
  filter("--contains", options->contains, "Its text contains this; upper and lower case are the same", "TEXT");
  command->add_option("--order", options->order, "newest (default) or oldest first, by the time of creation")
      ->type_name("ORDER")
      ->check(CLI::IsMember({"newest", "oldest"}).description(""));
  command->add_option("--limit", options->limit, "Only this many, the first ones of the order")
      ->type_name("N")
      ->group(group)
      ->check(whole_number());
  CLI::Option* ids = command->add_flag("--ids", options->ids_only, "Print ids only");
  command->add_flag("--count", options->count_only, "Print only the number of memories")->excludes(ids);
  command->callback([&context, options] { context.run = [&context, options] { return run_list(context, *options); }; });
}

}  // namespace mentedb::cli

// store, update, delete: they change single memories.
#include <algorithm>
#include <memory>

#include <fmt/core.h>

#include "context.hpp"
#include "json_node.hpp"
#include "node_options.hpp"
#include "output.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

struct StoreOptions {
  NodeOptions fields;
  std::string id;
  std::string node_json;
  bool if_absent = false;
  std::uint32_t page_size_bytes = 0;
};

Result<MemoryNode> node_to_store(const StoreOptions& options) {
  if (!options.node_json.empty()) {
    Result<std::string> text = argument_or_stdin(options.node_json);
    if (!text) return std::unexpected(text.error());
    std::vector<JsonRemark> remarks;
    Result<MemoryNode> node = read_node(*text, parse_time("now").value_or(0), remarks);
    for (const JsonRemark& remark : remarks) note(remark.text);
    return node;
  }
  Result<std::string> content = argument_or_stdin(*options.fields.content);
  if (!content) return std::unexpected(content.error());
  if (auto text = require_text(*content, *options.fields.content); !text) return std::unexpected(text.error());
  MemoryNode node = MemoryNode::create(AgentId::nil(), MemoryType::Semantic, "");
  if (auto applied = options.fields.apply(node); !applied) return std::unexpected(applied.error());
  node.content = std::move(*content);
  if (!options.id.empty()) {
    auto id = MemoryId::parse(options.id);
    if (!id) return std::unexpected(id.error());
    node.id = *id;
  }
  return node;
}

int run_store(const Context& context, const StoreOptions& options) {
  if (options.node_json.empty() && !options.fields.content) {
    return report_usage("give the text of the memory, '-' to read it from standard input, or --node JSON", "store");
  }
  if (!options.node_json.empty() && (options.fields.any() || !options.id.empty())) {
    return report_usage("--node holds the whole memory; give no text and no other field beside it", "store");
  }
  const Result<MemoryNode> node = node_to_store(options);
  if (!node) return report(node.error());
  // Validated before the store is opened: a mistake must not leave an empty store behind.
  if (auto valid = validate(*node); !valid) return report(valid.error());
  Options engine_options = context.options();
  engine_options.page_size_bytes = options.page_size_bytes;
  Result<StorageEngine> engine = StorageEngine::open(context.directory(), engine_options);
  if (!engine) return report(engine.error());
  const Result<PageId> page = options.if_absent ? engine->store_memory_if_absent(*node) : engine->store_memory(*node);
  if (!page) return report(page.error());
  const Json result = {{"id", node->id.to_string()}, {"page", page->value}};
  if (context.json) {
    print_json(result);
  } else {
    out() << node->id.to_string() << "\n";
  }
  return finish_output(kOk, fmt::format("memory {} is stored", node->id.to_string()), result);
}

struct UpdateOptions {
  std::string id;
  NodeOptions fields;
  std::vector<std::string> add_tags;
  std::vector<std::string> remove_tags;
  std::vector<std::string> remove_attributes;
  std::vector<std::string> clear;
};

constexpr const char* kClearable[] = {"user",      "space",   "tags",       "attributes",
                                      "embedding", "context", "valid-from", "valid-until"};

void clear_field(MemoryNode& node, const std::string& field) {
  if (field == "user") node.user_id = UserId::nil();
  if (field == "space") node.space_id = SpaceId::nil();
  if (field == "tags") node.tags.clear();
  if (field == "attributes") node.attributes.clear();
  if (field == "embedding") node.embedding.clear();
  if (field == "context") node.context.reset();
  if (field == "valid-from") node.valid_from.reset();
  if (field == "valid-until") node.valid_until.reset();
}

/// Clears fields before it sets fields, so that `--clear tags --tag new` leaves the tag `new`.
Result<void> apply_update(const UpdateOptions& options, MemoryNode& node) {
  for (const std::string& field : options.clear) clear_field(node, field);
  for (const std::string& key : options.remove_attributes) node.attributes.erase(key);
  if (auto applied = options.fields.apply(node); !applied) return applied;
  for (const std::string& tag : options.remove_tags) std::erase(node.tags, tag);
  for (const std::string& tag : options.add_tags) {
    if (std::ranges::find(node.tags, tag) == node.tags.end()) node.tags.push_back(tag);
  }
  return {};
}

/// A tag or an attribute that is to be there and to be gone. Returns what to say about it.
std::string contradiction(const UpdateOptions& options) {
  for (const std::string& tag : options.remove_tags) {
    if (std::ranges::find(options.add_tags, tag) != options.add_tags.end() ||
        std::ranges::find(options.fields.tags, tag) != options.fields.tags.end()) {
      return fmt::format("the tag '{}' is added and removed", one_line(tag, 60));
    }
  }
  for (const std::string& text : options.fields.attributes) {
    const auto attribute = parse_attribute(text);
    if (attribute &&
        std::ranges::find(options.remove_attributes, attribute->first) != options.remove_attributes.end()) {
      return fmt::format("the attribute '{}' is set and removed", one_line(attribute->first, 60));
    }
  }
  return {};
}

int run_update(const Context& context, UpdateOptions& options) {
  const Result<MemoryId> id = MemoryId::parse(options.id);
  if (!id) return report(id.error());
  if (!options.fields.any() && options.add_tags.empty() && options.remove_tags.empty() &&
      options.remove_attributes.empty() && options.clear.empty()) {
    return report_usage("nothing to change: give a new text or at least one field", "update");
  }
  if (options.fields.content) {
    Result<std::string> content = argument_or_stdin(*options.fields.content);
    if (!content) return report(content.error());
    if (auto text = require_text(*content, *options.fields.content); !text) return report(text.error());
    options.fields.content = std::move(*content);
  }
  if (const std::string both = contradiction(options); !both.empty()) return report_usage(both, "update");
  // A scratch node is changed first. So a mistake in the options is reported before the command waits for the lock.
  MemoryNode scratch = MemoryNode::create(AgentId::nil(), MemoryType::Semantic, "");
  if (auto applied = apply_update(options, scratch); !applied) return report(applied.error());
  if (auto valid = validate(scratch); !valid) return report(valid.error());

  Result<StorageEngine> engine = open_existing(context);
  if (!engine) return report(engine.error());
  PageId page;
  const Result<void> done = engine->transact([&](Transaction& tx) -> Result<void> {
    Result<MemoryNode> node = tx.load(*id);
    if (!node) return std::unexpected(node.error());
    if (auto applied = apply_update(options, *node); !applied) return applied;
    if (auto updated = tx.update(*node); !updated) return updated;
    Result<PageId> where = tx.find(*id);
    if (!where) return std::unexpected(where.error());
    page = *where;
    return {};
  });
  if (!done) return report(done.error());
  const Json result = {{"id", id->to_string()}, {"page", page.value}};
  if (context.json) {
    print_json(result);
  } else {
    out() << "updated " << id->to_string() << "\n";
  }
  return finish_output(kOk, fmt::format("memory {} is updated", id->to_string()), result);
}

int run_delete(const Context& context, const std::vector<std::string>& texts, bool ignore_missing) {
  std::vector<MemoryId> ids;
  for (const std::string& text : texts) {
    const Result<MemoryId> id = MemoryId::parse(text);
    if (!id) return report(id.error());
    ids.push_back(*id);
  }
  Result<StorageEngine> engine = open_existing(context);
  if (!engine) return report(engine.error());
  std::vector<MemoryId> deleted;
  const Result<void> done = engine->transact([&](Transaction& tx) -> Result<void> {
    for (MemoryId id : ids) {
      Result<void> erased = tx.erase(id);
      if (erased) {
        deleted.push_back(id);
      } else if (erased.error().code != ErrorCode::not_found || !ignore_missing) {
        if (ids.size() > 1) erased.error().message += "; nothing was deleted";
        return erased;
      }
    }
    return {};
  });
  if (!done) return report(done.error());
  Json list = Json::array();
  std::string words;
  for (MemoryId id : deleted) {
    list.push_back(id.to_string());
    words += " " + id.to_string();
  }
  const Json result = {{"deleted", std::move(list)}};
  if (context.json) {
    print_json(result);
  } else {
    for (MemoryId id : deleted) out() << "deleted " << id.to_string() << "\n";
  }
  return finish_output(kOk, deleted.empty() ? "nothing was deleted" : "deleted" + words, result);
}

}  // namespace

void add_store(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "store", "Store one memory and print its id",
                                  "  mentedb store \"User likes dark mode\" --tag preference\n"
                                  "  mentedb store \"Build with make -j2\" --type procedural --attribute repo=site\n"
                                  "  git log -1 --format=%B | mentedb store - --attribute uses:int=3\n"
                                  "  mentedb store --node '{\"id\":\"...\",\"agent_id\":\"...\",...}'");
  auto options = std::make_shared<StoreOptions>();
  command->add_option("content", options->fields.content, "The text; '-' reads it from standard input")
      ->type_name("TEXT");
  add_node_options(*command, options->fields);
  command->get_option("--type")->description(command->get_option("--type")->get_description() + " (default: Semantic)");
  command->add_option("--id", options->id, "Id to use instead of a random one; an existing memory is replaced")
      ->type_name("UUID");
  command->add_option("--node", options->node_json, "The whole memory as JSON; '-' reads it from standard input")
      ->type_name("JSON");
  command->add_flag("--if-absent", options->if_absent, "Fail when the id exists; do not replace the memory");
  command->add_option("--page-size", options->page_size_bytes, "Page size of a new store (default: 1024)")
      ->type_name("BYTES")
      ->check(whole_number());
  command->callback(
      [&context, options] { context.run = [&context, options] { return run_store(context, *options); }; });
}

void add_update(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "update", "Change fields of a memory; the others stay as they are",
                  "  mentedb update ID \"User likes light mode\"\n"
                  "  mentedb update ID --confidence 0.4 --add-tag doubtful\n"
                  "  mentedb update ID --clear valid-until --attribute checked:bool=true\n\n"
                  "The change is one atomic step. It undoes nothing that another process writes meanwhile.");
  auto options = std::make_shared<UpdateOptions>();
  command->add_option("id", options->id, "The memory")->type_name("ID")->required();
  command->add_option("content", options->fields.content, "New text; '-' reads it from standard input")
      ->type_name("TEXT");
  add_node_options(*command, options->fields);
  command->get_option("--tag")->description("Replaces all tags; repeat it for more");
  const auto list = [&](const std::string& name, std::vector<std::string>& to, const std::string& help,
                        const std::string& type) {
    return command->add_option(name, to, help)->type_name(type)->group("Fields")->allow_extra_args(false);
  };
  list("--add-tag", options->add_tags, "Adds a tag; repeat it for more", "TEXT");
  list("--remove-tag", options->remove_tags, "Removes a tag; repeat it for more", "TEXT");
  list("--remove-attribute", options->remove_attributes, "Removes an attribute; repeat it for more", "KEY");
  list("--clear", options->clear,
       "Empties user, space, tags, attributes, embedding, context, valid-from or valid-until", "FIELD")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kClearable), std::end(kClearable))).description(""));
  command->callback(
      [&context, options] { context.run = [&context, options] { return run_update(context, *options); }; });
}

void add_delete(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "delete", "Delete memories",
                  "  mentedb delete 0b5c9a52-3f53-4f4e-9d0f-8a3f9d1c2b11\n"
                  "  mentedb list --tag draft --ids | xargs mentedb delete --ignore-missing\n\n"
                  "Several ids are deleted in one atomic step. When one of them does not exist, none is deleted.");
  auto ids = std::make_shared<std::vector<std::string>>();
  auto ignore_missing = std::make_shared<bool>(false);
  command->add_option("id", *ids, "The memories")->type_name("ID")->required();
  command->add_flag("--ignore-missing", *ignore_missing, "Pass over ids that do not exist");
  command->callback([&context, ids, ignore_missing] {
    context.run = [&context, ids, ignore_missing] { return run_delete(context, *ids, *ignore_missing); };
  });
}

}  // namespace mentedb::cli

#include "seam_roles.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "engine/engine_impl.hpp"
#include "offline/salvage.hpp"
#include "offline/verify.hpp"

namespace mentedb::faults {
namespace {

using test::kStorePath;
using test::make_memory;
using test::memory_id;
using test::Script;
using test::SimDisk;
using test::SimVfs;

std::unexpected<Error> wrong(const std::string& what) {
  return std::unexpected(Error{ErrorCode::corruption, 0, std::string(kWrongAnswer) + what});
}

template <class T>
Result<void> only_error(const Result<T>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

Options small_log() {
  Options options;
  options.wal_limit_bytes = 64 * 1024;
  options.page_size_bytes = 512;
  options.lock_timeout = std::chrono::seconds(5);
  return options;
}

/// The calls of a script; the name of the engine's function follows from the operation's first word.
std::vector<Call> calls_of(const Script& script) {
  static const std::vector<std::pair<std::string, std::string>> names{
      {"store", "store_memory"}, {"batch", "store_memories"},   {"erase", "delete_memory"},
      {"transact", "transact"},  {"checkpoint", "checkpoint"},  {"reopen", "open"},
      {"recover", "recover"},    {"allocate", "allocate_page"}, {"write", "write_page"},
      {"free", "free_page"},     {"backup", "backup"},          {"erase_deleted", "erase_deleted"}};
  std::vector<Call> calls;
  for (const Operation& operation : script.operations()) {
    const std::string word = operation.name.substr(0, operation.name.find(' '));
    const auto found = std::ranges::find(names, word, [](const auto& pair) { return pair.first; });
    if (found == names.end()) std::abort();
    calls.push_back({.name = found->second, .operation = operation});
  }
  return calls;
}

Call read(const std::string& name, std::function<Result<void>(Actor&)> run) {
  return {.name = name, .operation = {name, std::move(run), [](Model&, const Actor&) {}}, .is_read = true};
}

Call load(const MemoryNode& node) {
  return read("load_memory", [node](Actor& a) -> Result<void> {
    const auto loaded = a.engine->load_memory(node.id);
    if (loaded && *loaded != node) return wrong("load_memory gave another version");
    return only_error(loaded);
  });
}

Call load_nothing(std::uint64_t number) {
  return read("load_memory", [number](Actor& a) -> Result<void> {
    const auto loaded = a.engine->load_memory(memory_id(number));
    if (loaded) return wrong("load_memory found what was never stored");
    if (loaded.error().code == ErrorCode::not_found) return {};
    return only_error(loaded);
  });
}

/// Every way to read: each must give what the model has.
std::vector<Call> all_reads(const Model& model, const std::vector<PageId>& raw_pages) {
  std::vector<Call> calls;
  int some = 3;
  for (const auto& [id, node] : model.memories) {
    if (some-- == 0) break;
    calls.push_back(load(node));
    calls.push_back(read("load_memory_page", [node = node](Actor& a) -> Result<void> {
      const auto page = a.engine->find(node.id);
      if (!page) {
        if (page.error().code == ErrorCode::not_found) return wrong("find: " + page.error().message);
        return only_error(page);
      }
      const auto loaded = a.engine->load_memory(*page);
      if (loaded && *loaded != node) return wrong("load_memory by page gave another memory");
      return only_error(loaded);
    }));
  }
  calls.push_back(load_nothing(777));
  calls.push_back(read("scan_all_memories", [model](Actor& a) -> Result<void> {
    const auto all = a.engine->scan_all_memories();
    if (all && all->size() != model.memories.size()) return wrong("scan_all_memories: another number of memories");
    return only_error(all);
  }));
  calls.push_back(read("for_each_memory", [model](Actor& a) -> Result<void> {
    std::size_t seen = 0;
    const auto done = a.engine->for_each_memory([&](const MemoryNode& node, PageId) {
      const auto known = model.memories.find(node.id);
      seen += known != model.memories.end() && known->second == node ? 1U : 0U;
      return true;
    });
    if (done && seen != model.memories.size()) return wrong("for_each_memory left memories out");
    return done;
  }));
  calls.push_back(
      read("changes_since", [](Actor& a) { return only_error(a.engine->changes_since(a.engine->committed_lsn())); }));
  calls.push_back(read("wait_for_change", [](Actor& a) {
    return only_error(a.engine->wait_for_change(a.engine->committed_lsn(), std::chrono::milliseconds(150)));
  }));
  calls.push_back(read("stats", [model](Actor& a) -> Result<void> {
    const auto stats = a.engine->stats();
    if (stats && stats->memory_count != model.memories.size()) return wrong("stats: another number of memories");
    return only_error(stats);
  }));
  for (const PageId page : raw_pages) {
    calls.push_back(read("read_page", [page, model](Actor& a) -> Result<void> {
      const auto copy = a.engine->read_page(page);
      if (copy && copy->data != model.raw.at(page)) return wrong("read_page gave other bytes");
      return only_error(copy);
    }));
  }
  return calls;
}

Call close_engine() {
  return {.name = "close",
          .operation = {"close",
                        [](Actor& a) {
                          auto closed = a.engine->close();
                          a.engine.reset();
                          return closed;
                        },
                        [](Model&, const Actor&) {}}};
}

Call update(std::uint64_t number, std::uint64_t version) {
  return {.name = "update_memory",
          .operation = {fmt::format("update {} v{}", number, version),
                        [=](Actor& a) { return only_error(a.engine->update_memory(make_memory(number, version))); },
                        [=](Model& m, const Actor&) { m.memories[memory_id(number)] = make_memory(number, version); }}};
}

Call store_if_absent(std::uint64_t number) {
  return {.name = "store_memory_if_absent",
          .operation = {fmt::format("if absent {}", number),
                        [=](Actor& a) { return only_error(a.engine->store_memory_if_absent(make_memory(number, 1))); },
                        [=](Model& m, const Actor&) { m.memories[memory_id(number)] = make_memory(number, 1); }}};
}

/// Runs a script without faults.
void must_run(const Script& script, Actor& actor, Model& model) {
  if (!actor.engine && !actor.open()) std::abort();
  for (const Operation& operation : script.operations()) {
    if (const auto done = operation.run(actor); !done) {
      std::fprintf(stderr, "%s: %s\n", operation.name.c_str(), done.error().message.c_str());
      std::abort();
    }
    operation.apply(model, actor);
  }
}

/// The disk that `script` leaves behind when its process ends without a word.
void prepare(Role& role, const Script& script) {
  role.disk = std::make_shared<SimDisk>(test::SimDiskOptions{.seed = 7});
  SimVfs vfs(*role.disk);
  Actor actor{.vfs = &vfs, .options = role.options, .engine = std::nullopt, .raw_pages = {}};
  must_run(script, actor, role.model);
  role.raw_pages = actor.raw_pages;
}

/// The machine loses its power: only what was synced is there.
void lose_power(Role& role) {
  role.disk = std::shared_ptr<SimDisk>(role.disk->after_power_cut(test::Fate::nothing_kept()));
}

Call copying(const std::string& name, std::function<Result<void>(Actor&)> make) {
  Call call = read(name, std::move(make));
  call.makes_copy = true;
  call.needs_engine = name == "backup";
  return call;
}

Call verify_files() {
  Call call = read("verify", [](Actor& a) {
    return only_error(offline::verify_directory(*a.vfs, kStorePath, std::chrono::seconds(5)));
  });
  call.needs_engine = false;
  return call;
}

const Script& three_memories() {
  static const Script script = Script().store(1, 1).store(2, 1).store(3, 1);
  return script;
}

Role role_of(const std::string& name, const Script& before) {
  Role role{.name = name, .options = small_log(), .disk = nullptr, .model = {}, .raw_pages = {}, .calls = {}};
  prepare(role, before);
  return role;
}

std::vector<Call> operator+(std::vector<Call> a, const std::vector<Call>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Enough memories that the id index is nearly full: the next ones make a larger table.
Script nearly_full_index() {
  Script script;
  for (std::uint64_t i = 0; i < 2; ++i) script.batch(1'000 + 250 * i, 250, 1, 20);
  return script;
}

// ---- the roles

std::vector<Role> openers() {
  std::vector<Role> roles;
  Role creator{.name = "creator", .options = small_log(), .disk = nullptr, .model = {}, .raw_pages = {}, .calls = {}};
  creator.disk = std::make_shared<SimDisk>(test::SimDiskOptions{.seed = 7});
  creator.calls = calls_of(Script().store(1, 1)) + std::vector{close_engine()};
  roles.push_back(std::move(creator));

  Role opener = role_of("opener", three_memories());
  opener.calls = all_reads(opener.model, {}) + std::vector{close_engine()};
  roles.push_back(std::move(opener));

  // The log has what the pages lost.
  Role recoverer = role_of("recoverer", Script().batch(1, 4, 1).checkpoint().store(1, 2).erase(2).store(5, 1, 1'400));
  lose_power(recoverer);
  recoverer.calls = all_reads(recoverer.model, {}) + calls_of(Script().store(6, 1));
  roles.push_back(std::move(recoverer));

  Role read_only = role_of("read-only", three_memories());
  read_only.options.read_only = true;
  read_only.calls = all_reads(read_only.model, {});
  roles.push_back(std::move(read_only));
  return roles;
}

std::vector<Role> writers() {
  std::vector<Role> roles;
  Role writer = role_of("writer", three_memories());
  writer.opened = writer.peer = true;
  writer.calls = calls_of(Script().store(4, 1).store(1, 2, 900).batch(10, 3, 1).erase(2).transact(1, 3, 7, 5)) +
                 std::vector{update(1, 9), store_if_absent(8)};
  roles.push_back(std::move(writer));

  Role raw = role_of("raw-pages", Script().store(1, 1).allocate(700).write_raw(0, 3, 600));
  raw.opened = raw.peer = true;
  raw.calls = calls_of(Script().write_raw(0, 9, 700).allocate(10).write_raw(1, 4, 100).free_raw(0).store(2, 1));
  roles.push_back(std::move(raw));

  // The log has to be longer, the pages too, and a checkpoint makes room.
  Role grower = role_of("grower", Script().batch(1, 8, 1, 4'000));
  grower.opened = grower.peer = true;
  grower.calls = calls_of(Script().batch(1, 8, 2, 4'000).batch(20, 20, 1, 5'000).store(60, 1, 90'000));
  roles.push_back(std::move(grower));

  Role index = role_of("index-grower", nearly_full_index());
  index.opened = index.peer = true;
  index.calls = calls_of(Script().batch(5'000, 60, 1, 20));
  roles.push_back(std::move(index));

  Role takeover = role_of("takeover", three_memories());
  takeover.opened = takeover.peer = takeover.takeover = true;
  takeover.calls = calls_of(Script().store(4, 1)) + std::vector{load(make_memory(1, 1))} + calls_of(Script().erase(1));
  roles.push_back(std::move(takeover));
  return roles;
}

std::vector<Role> maintainers() {
  std::vector<Role> roles;
  Role checkpointer = role_of("checkpointer", three_memories());
  checkpointer.opened = checkpointer.peer = true;
  checkpointer.calls = calls_of(Script().store(1, 2).checkpoint().store(2, 2).checkpoint().batch(20, 6, 1, 4'000)) +
                       std::vector{close_engine()};
  roles.push_back(std::move(checkpointer));

  // Space goes back to the file system, and a batch takes it again.
  Role eraser = role_of("eraser", Script().batch(1, 5, 1, 6'000).erase(2).erase(3).checkpoint());
  eraser.opened = eraser.peer = true;
  eraser.calls = calls_of(Script().store(7, 1, 5'000).erase(4).erase_deleted().store(8, 1, 3'000));
  roles.push_back(std::move(eraser));

  Role recovery = role_of("recover", Script().batch(1, 4, 1).checkpoint().store(1, 2).erase(2));
  recovery.opened = true;
  recovery.calls = calls_of(Script().recover().store(2, 3));
  roles.push_back(std::move(recovery));

  Role reader = role_of("reader", Script().batch(1, 6, 1).erase(2).store(3, 2).allocate(300).write_raw(0, 5, 200));
  reader.opened = true;
  reader.calls = all_reads(reader.model, reader.raw_pages);
  roles.push_back(std::move(reader));

  // Pages that only the log can heal; every read has to ask it.
  Role healer = role_of("healer", three_memories());
  healer.opened = true;
  {
    const std::vector<std::byte> junk(64, std::byte{0xAA});
    const auto bytes = healer.disk->content("/store/pages.db");
    const format::Geometry geometry(small_log().page_size_bytes);
    for (const std::uint64_t page : {1U, 2U}) healer.disk->damage("/store/pages.db", geometry.page_offset(page), junk);
    healer.disk->damage("/store/pages.db", geometry.entry_offset(3), std::span(junk).first(32));
  }
  healer.calls = all_reads(healer.model, {});
  roles.push_back(std::move(healer));

  Role backup = role_of("backup", Script().batch(1, 6, 1).erase(2).store(3, 2, 900));
  backup.opened = true;
  backup.calls = {copying("backup", [](Actor& a) { return a.engine->backup(kCopy); })};
  roles.push_back(std::move(backup));

  Role restore = role_of("restore", Script().batch(1, 6, 1).erase(2).store(3, 2, 900));
  restore.calls = {copying("restore", [](Actor& a) { return EngineAccess::restore(*a.vfs, kStorePath, kCopy); })};
  roles.push_back(std::move(restore));

  Role salvage = role_of("salvage", Script().batch(1, 6, 1).erase(2).store(3, 2, 900));
  salvage.calls = {copying("salvage", [](Actor& a) -> Result<void> {
    const auto report = offline::salvage_directory(*a.vfs, kStorePath, kCopy, std::chrono::seconds(5));
    if (report && !report->lost.empty()) return std::unexpected(Error{ErrorCode::io_error, 0, std::string(kSomeLost)});
    return only_error(report);
  })};
  roles.push_back(std::move(salvage));

  Role verify = role_of("verify", Script().batch(1, 6, 1).erase(2).store(3, 2, 900));
  verify.calls = {verify_files()};
  roles.push_back(std::move(verify));
  return roles;
}

}  // namespace

std::vector<Role> make_roles() {
  std::vector<Role> roles = openers();
  for (auto* make : {writers, maintainers}) {
    for (Role& role : make()) roles.push_back(std::move(role));
  }
  return roles;
}

}  // namespace mentedb::faults

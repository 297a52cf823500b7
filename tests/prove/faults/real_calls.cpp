#include "real_calls.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include <mentedb/inspect.hpp>
#include <mentedb/json.hpp>

#include "format/geometry.hpp"
#include "support/results.hpp"

namespace mentedb::faults {
namespace {

namespace fs = std::filesystem;
using test::make_memory;
using test::memory_id;
using test::must;

// Closing makes no checkpoint while the log is short of a quarter of its limit; a full log makes one soon.
Options options_for(const std::string& image) {
  Options options;
  options.wal_limit_bytes = image == "full-log" ? 64 * 1024 : 1024 * 1024;
  options.page_size_bytes = 512;
  options.lock_timeout = std::chrono::seconds(5);
  return options;
}

template <class T>
Result<void> only_error(const Result<T>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "prove faults: %s\n", what.c_str());
  std::exit(2);
}

void put(StorageEngine& engine, Model& model, const MemoryNode& node) {
  must(engine.store_memory(node));
  model.memories[node.id] = node;
}

/// An engine call that stores `node`.
template <class Store>
std::function<Result<void>(Subject&)> storing(MemoryNode node, Store store) {
  return [node = std::move(node), store](Subject& s) -> Result<void> {
    s.intended.memories[node.id] = node;
    const auto result = s.inside([&] { return store(*s.engine, node); });
    return only_error(result);
  };
}

/// A read: `read(engine)` gives a Result, `right(value, subject)` judges it.
template <class Read, class Right>
std::function<Result<void>(Subject&)> reading(Read read, Right right) {
  return [read, right](Subject& s) -> Result<void> {
    const auto result = s.inside([&] { return read(s); });
    if (result && !right(*result, s)) return std::unexpected(Error{ErrorCode::resync_required, 0, "a wrong answer"});
    return only_error(result);
  };
}

const auto anything = [](const auto&, Subject&) { return true; };

Result<void> run_open(Subject& s) {
  auto result = s.inside([&] { return StorageEngine::open(s.store, s.options); });
  if (result) s.engine.emplace(std::move(*result));
  return only_error(result);
}

Result<void> run_batch(Subject& s, std::uint64_t first, std::uint64_t count, std::size_t bytes) {
  std::vector<MemoryNode> nodes;
  for (std::uint64_t i = 0; i < count; ++i) {
    nodes.push_back(make_memory(first + i, 1, bytes));
    s.intended.memories[nodes.back().id] = nodes.back();
  }
  const auto result = s.inside([&] { return s.engine->store_memories(nodes); });
  return only_error(result);
}

Result<void> run_transact(Subject& s) {
  const MemoryNode changed = make_memory(1, 5, 700);
  const MemoryNode added = make_memory(7, 5);
  s.intended.memories[changed.id] = changed;
  s.intended.memories.erase(memory_id(2));
  s.intended.memories[added.id] = added;
  // What a Transaction throws would come out into the user's function.
  const std::function<Result<void>(Transaction&)> body = [&](Transaction& tx) noexcept -> Result<void> {
    if (auto loaded = tx.load(changed.id); !loaded) return std::unexpected(std::move(loaded).error());
    if (auto updated = tx.update(changed); !updated) return updated;
    if (auto erased = tx.erase(memory_id(2)); !erased) return erased;
    if (auto stored = tx.store(added); !stored) return std::unexpected(std::move(stored).error());
    if (auto found = tx.find(added.id); !found) return std::unexpected(std::move(found).error());
    return {};
  };
  return s.inside([&] { return s.engine->transact(body); });
}

Result<void> run_for_each(Subject& s) {
  std::size_t seen = 0;
  const std::function<bool(const MemoryNode&, PageId)> count = [&](const MemoryNode&, PageId) {
    ++seen;
    return true;
  };
  auto result = s.inside([&] { return s.engine->for_each_memory(count); });
  if (result && seen != s.model.memories.size())
    return std::unexpected(Error{ErrorCode::resync_required, 0, "memories were left out"});
  return result;
}

Result<void> run_raw(Subject& s, bool allocate, bool free) {
  const Bytes data(400, std::byte{9});
  if (allocate) {
    const auto page = s.inside([&] { return s.engine->allocate_page(900); });
    return only_error(page);
  }
  if (free) {
    s.intended.raw.erase(s.raw_page);
    return s.inside([&] { return s.engine->free_page(s.raw_page); });
  }
  s.intended.raw[s.raw_page] = data;
  return s.inside([&] { return s.engine->write_page(s.raw_page, data); });
}

// Bytes of a page that only the log can bring back.
Result<void> run_heal(Subject& s) {
  must(s.engine->store_memory(make_memory(1, 1)));
  const auto page = must(s.engine->find(memory_id(1)));
  {
    std::fstream file(s.store / "pages.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(format::Geometry(512).page_offset(page.value)));
    file << std::string(64, 'x');
  }
  const auto loaded = s.inside([&] { return s.engine->load_memory(page); });
  return only_error(loaded);
}

const auto has_all = [](const auto& list, Subject& s) { return list.size() == s.model.memories.size(); };

std::vector<RealCall> make_calls() {
  const auto same_memory = [](const MemoryNode& node, Subject&) { return node == make_memory(1, 1); };
  return {
      {"create", "open", "empty", true, run_open},
      {"open", "open", "small", true, run_open},
      {"open-crashed", "open", "crashed", true, run_open},
      {"open-read-only", "open", "small", true,
       [](Subject& s) {
         Options options = s.options;
         options.read_only = true;
         auto result = s.inside([&] { return StorageEngine::open(s.store, options); });
         return only_error(result);
       }},
      {"store", "store_memory", "small", false,
       storing(make_memory(4, 1), [](auto& e, const auto& n) { return e.store_memory(n); })},
      {"store-large", "store_memory", "small", false,
       storing(make_memory(4, 1, 150'000), [](auto& e, const auto& n) { return e.store_memory(n); })},
      {"store-checkpoint", "store_memory", "full-log", false,
       storing(make_memory(4, 1, 9'000), [](auto& e, const auto& n) { return e.store_memory(n); })},
      {"store-index", "store_memories", "full-index", false, [](Subject& s) { return run_batch(s, 6'000, 40, 20); }},
      {"if-absent", "store_memory_if_absent", "small", false,
       storing(make_memory(5, 1), [](auto& e, const auto& n) { return e.store_memory_if_absent(n); })},
      {"batch", "store_memories", "small", false, [](Subject& s) { return run_batch(s, 10, 5, 300); }},
      {"update", "update_memory", "small", false,
       storing(make_memory(1, 2, 500), [](auto& e, const auto& n) { return e.update_memory(n); })},
      {"delete", "delete_memory", "small", false,
       [](Subject& s) {
         s.intended.memories.erase(memory_id(2));
         return s.inside([&] { return s.engine->delete_memory(memory_id(2)); });
       }},
      {"transact", "transact", "small", false, run_transact},
      {"allocate", "allocate_page", "small", false, [](Subject& s) { return run_raw(s, true, false); }},
      {"write-page", "write_page", "small", false, [](Subject& s) { return run_raw(s, false, false); }},
      {"free-page", "free_page", "small", false, [](Subject& s) { return run_raw(s, false, true); }},
      {"checkpoint", "checkpoint", "full-log", false,
       [](Subject& s) { return s.inside([&] { return s.engine->checkpoint(); }); }},
      {"erase-deleted", "erase_deleted", "full-log", false,
       [](Subject& s) { return s.inside([&] { return s.engine->erase_deleted(); }); }},
      {"recover", "recover", "small", false, reading([](Subject& s) { return s.engine->recover(); }, anything)},
      {"close", "close", "full-log", false, [](Subject& s) { return s.inside([&] { return s.engine->close(); }); },
       false},
      {"load", "load_memory", "small", false,
       reading([](Subject& s) { return s.engine->load_memory(memory_id(1)); }, same_memory)},
      {"load-page", "load_memory_page", "small", false,
       [same_memory](Subject& s) {
         const PageId page = must(s.engine->find(memory_id(1)));
         return reading([page](Subject& r) { return r.engine->load_memory(page); }, same_memory)(s);
       }},
      {"heal", "load_memory_page", "small", false, run_heal},
      {"find", "find", "small", false, reading([](Subject& s) { return s.engine->find(memory_id(1)); }, anything)},
      {"scan", "scan_all_memories", "small", false,
       reading([](Subject& s) { return s.engine->scan_all_memories(); }, has_all)},
      {"for-each", "for_each_memory", "small", false, run_for_each},
      {"changes", "changes_since", "small", false,
       reading([](Subject& s) { return s.engine->changes_since(Lsn{0}); }, anything)},
      {"wait", "wait_for_change", "small", false,
       reading([](Subject& s) { return s.engine->wait_for_change(Lsn{1'000}, std::chrono::milliseconds(1)); },
               anything)},
      {"stats", "stats", "small", false, reading([](Subject& s) { return s.engine->stats(); }, anything)},
      {"read-page", "read_page", "small", false,
       reading([](Subject& s) { return s.engine->read_page(s.raw_page); }, anything)},
      {"backup", "backup", "small", false,
       [](Subject& s) { return s.inside([&] { return s.engine->backup(s.copy); }); }},
      {"restore", "restore", "small", true,
       [](Subject& s) { return s.inside([&] { return StorageEngine::restore(s.store, s.copy); }); }},
      {"salvage", "salvage", "small", true,
       reading([](Subject& s) { return salvage(s.store, s.copy); },
               [](const SalvageReport& r, Subject& s) { return r.memories_saved == s.model.memories.size(); })},
      {"verify", "verify", "small", false,
       reading([](Subject& s) { return s.engine->verify(); },
               [](const VerifyReport& r, Subject&) { return r.problems.empty(); })},
      {"verify-store", "verify", "small", true,
       reading([](Subject& s) { return verify_store(s.store); },
               [](const VerifyReport& r, Subject&) { return r.problems.empty(); })},
      {"inspect-page", "inspect_page", "small", true,
       reading([](Subject& s) { return inspect_page(s.store, PageId{1}); }, anything)},
      {"inspect-log", "inspect_log", "small", true, reading([](Subject& s) { return inspect_log(s.store); }, anything)},
  };
}

fs::path make_root() {
  const fs::path memory = "/dev/shm";
  std::error_code error;
  const fs::path parent =
      fs::is_directory(memory, error) && access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
  std::string name = (parent / "mentedb-faults-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) give_up("cannot make a directory like " + name);
  return name;
}

}  // namespace

const std::vector<RealCall>& real_calls() {
  static const std::vector<RealCall> calls = make_calls();
  return calls;
}

const RealCall* find_call(const std::string& name) {
  const auto found = std::ranges::find(real_calls(), name, &RealCall::name);
  return found == real_calls().end() ? nullptr : &*found;
}

Images::Images() : root_(make_root()) {}
Images::~Images() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

Images::Image& Images::make(const std::string& name) {
  if (const auto found = std::ranges::find(images_, name, &Image::name); found != images_.end()) return *found;
  Image image{.name = name, .model = {}, .raw_page = {}};
  const fs::path directory = root_ / name;
  if (name != "empty") {
    auto engine = must(StorageEngine::open(directory, options_for(name)));
    for (std::uint64_t i = 1; i <= 3; ++i) put(engine, image.model, make_memory(i, 1));
    image.raw_page = must(engine.allocate_page(700));
    must(engine.write_page(image.raw_page, Bytes(300, std::byte{4})));
    image.model.raw[image.raw_page] = Bytes(300, std::byte{4});
    if (name == "full-log") {
      // A hole, and free pages that have space.
      for (const std::uint64_t gone : {90U, 100U}) must(engine.store_memory(make_memory(gone, 1, 12'000)));
      must(engine.delete_memory(memory_id(90)));
      must(engine.checkpoint());
      must(engine.delete_memory(memory_id(100)));
      for (std::uint64_t i = 101; i < 113; ++i) put(engine, image.model, make_memory(i, 1, 3'000));
    }
    if (name == "full-index") {
      for (std::uint64_t first = 1'000; image.model.memories.size() < 490; first += 83) {
        std::vector<MemoryNode> nodes;
        for (std::uint64_t i = 0; i < 83; ++i) nodes.push_back(make_memory(first + i, 1, 20));
        must(engine.store_memories(nodes));
        for (const MemoryNode& node : nodes) image.model.memories[node.id] = node;
      }
    }
    if (name == "crashed") {
      // The pages of one moment and the log of a later one, as a power cut leaves them.
      // (The engine has not been closed, so the log has no new epoch.)
      fs::copy_file(directory / "pages.db", root_ / "old-pages");
      put(engine, image.model, make_memory(1, 2));
      put(engine, image.model, make_memory(20, 1, 900));
      must(engine.delete_memory(memory_id(2)));
      image.model.memories.erase(memory_id(2));
      fs::copy_file(directory / "wal.log", root_ / "new-log");
      must(engine.close());
      fs::rename(root_ / "old-pages", directory / "pages.db");
      fs::rename(root_ / "new-log", directory / "wal.log");
    } else {
      // Before close() makes a checkpoint: the log keeps what it has.
      fs::copy(directory, root_ / "open");
      must(engine.close());
      fs::remove_all(directory);
      fs::rename(root_ / "open", directory);
    }
  }
  images_.push_back(std::move(image));
  return images_.back();
}

Subject Images::begin(const RealCall& call) {
  const Image& image = make(call.image);
  Subject subject{.store = root_ / "store",
                  .copy = root_ / "copy",
                  .options = options_for(call.image),
                  .engine = std::nullopt,
                  .model = image.model,
                  .intended = image.model,
                  .raw_page = image.raw_page,
                  .enter = [] {},
                  .leave = [] {}};
  fs::remove_all(subject.store);
  fs::remove_all(subject.copy);
  if (call.image != "empty") {
    fs::copy(root_ / call.image, subject.store);
    fs::permissions(subject.store, fs::perms::owner_all);
  }
  if (!call.opens) subject.engine.emplace(must(StorageEngine::open(subject.store, subject.options)));
  return subject;
}

std::string check_real_store(const Subject& subject, const std::vector<Model>& allowed) {
  Options options = subject.options;
  options.lock_timeout = std::chrono::seconds(0);  // whoever had the lock has let it go
  options.page_size_bytes = 0;
  auto engine = StorageEngine::open(subject.store, options);
  if (!engine) return "a second engine cannot open: " + engine.error().message;
  std::vector<PageId> raw;
  for (const auto& [page, bytes] : subject.model.raw) raw.push_back(page);
  std::string problem;
  const Model found = test::read_all(*engine, raw, problem);
  if (!problem.empty()) return problem;
  if (std::ranges::find(allowed, found) == allowed.end()) return test::difference(allowed.front(), found);
  const auto report = engine->verify();
  if (!report) return "verify: " + report.error().message;
  if (!report->problems.empty()) return "verify: " + report->problems.front().message;
  return {};
}

}  // namespace mentedb::faults

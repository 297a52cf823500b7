#include "support/crash/script.hpp"

#include <fmt/format.h>

#include "engine/engine_impl.hpp"

namespace mentedb::test {

MemoryNode make_memory(std::uint64_t number, std::uint64_t version, std::size_t content_bytes) {
  MemoryNode node;
  node.id = memory_id(number);
  node.content = fmt::format("memory {} version {} ", number, version);
  while (node.content.size() < content_bytes)
    node.content.push_back(static_cast<char>('a' + (number + version + node.content.size()) % 26));
  node.content.resize(content_bytes);
  node.access_count = static_cast<std::uint32_t>(version);
  node.tags = {fmt::format("v{}", version)};
  return node;
}

Result<void> Actor::open() {
  engine.reset();
  auto opened = EngineAccess::open(*vfs, kStorePath, options);
  if (!opened) return std::unexpected(opened.error());
  engine.emplace(std::move(*opened));
  return {};
}

namespace {

template <class T>
Result<void> only_error(const Result<T>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

void nothing(Model&, const Actor&) {}

}  // namespace

Script& Script::store(std::uint64_t number, std::uint64_t version, std::size_t content_bytes) {
  operations_.push_back(
      {fmt::format("store {} v{}", number, version),
       [=](Actor& a) { return only_error(a.engine->store_memory(make_memory(number, version, content_bytes))); },
       [=](Model& m, const Actor&) { m.memories[memory_id(number)] = make_memory(number, version, content_bytes); }});
  return *this;
}

Script& Script::batch(std::uint64_t first, std::uint64_t count, std::uint64_t version, std::size_t content_bytes) {
  std::vector<MemoryNode> nodes;
  for (std::uint64_t i = 0; i < count; ++i) nodes.push_back(make_memory(first + i, version, content_bytes));
  operations_.push_back({fmt::format("batch {}..{} v{}", first, first + count - 1, version),
                         [=](Actor& a) { return only_error(a.engine->store_memories(nodes)); },
                         [=](Model& m, const Actor&) {
                           for (const MemoryNode& node : nodes) m.memories[node.id] = node;
                         }});
  return *this;
}

Script& Script::erase(std::uint64_t number) {
  operations_.push_back({fmt::format("erase {}", number),
                         [=](Actor& a) -> Result<void> {
                           auto erased = a.engine->delete_memory(memory_id(number));
                           if (!erased && erased.error().code == ErrorCode::not_found) return {};
                           return erased;
                         },
                         [=](Model& m, const Actor&) { m.memories.erase(memory_id(number)); }});
  return *this;
}

Script& Script::transact(std::uint64_t update, std::uint64_t erase, std::uint64_t store, std::uint64_t version) {
  operations_.push_back({fmt::format("transact update {} erase {} store {} v{}", update, erase, store, version),
                         [=](Actor& a) {
                           return a.engine->transact([&](Transaction& tx) -> Result<void> {
                             if (auto r = tx.store(make_memory(update, version)); !r) return std::unexpected(r.error());
                             if (auto r = tx.erase(memory_id(erase)); !r && r.error().code != ErrorCode::not_found)
                               return r;
                             if (auto r = tx.store(make_memory(store, version)); !r) return std::unexpected(r.error());
                             // Once more, so that a page of this batch is freed in this batch.
                             return tx.update(make_memory(store, version + 1));
                           });
                         },
                         [=](Model& m, const Actor&) {
                           m.memories[memory_id(update)] = make_memory(update, version);
                           m.memories.erase(memory_id(erase));
                           m.memories[memory_id(store)] = make_memory(store, version + 1);
                         }});
  return *this;
}

Script& Script::erase_deleted() {
  operations_.push_back({"erase_deleted", [](Actor& a) { return a.engine->erase_deleted(); }, nothing});
  return *this;
}

Script& Script::checkpoint() {
  operations_.push_back({"checkpoint", [](Actor& a) { return a.engine->checkpoint(); }, nothing});
  return *this;
}

Script& Script::reopen() {
  operations_.push_back({"reopen", [](Actor& a) { return a.open(); }, nothing});
  return *this;
}

Script& Script::recover() {
  operations_.push_back({"recover", [](Actor& a) { return only_error(a.engine->recover()); }, nothing});
  return *this;
}

Script& Script::allocate(std::size_t min_bytes) {
  operations_.push_back({fmt::format("allocate {}", min_bytes),
                         [=](Actor& a) -> Result<void> {
                           const auto page = a.engine->allocate_page(min_bytes);
                           if (!page) return std::unexpected(page.error());
                           a.raw_pages.push_back(*page);
                           return {};
                         },
                         // A page whose number nobody was told is looked for by nobody.
                         [](Model& m, const Actor& a) {
                           if (!a.raw_pages.empty()) m.raw[a.raw_pages.back()] = {};
                         }});
  return *this;
}

Script& Script::write_raw(std::size_t index, std::uint8_t fill, std::size_t bytes) {
  const Bytes data(bytes, std::byte{fill});
  operations_.push_back({fmt::format("write raw #{} with {}", index, fill),
                         [=](Actor& a) -> Result<void> {
                           if (index >= a.raw_pages.size()) return {};  // the allocation failed
                           return a.engine->write_page(a.raw_pages[index], data);
                         },
                         [=](Model& m, const Actor& a) {
                           if (index < a.raw_pages.size()) m.raw[a.raw_pages[index]] = data;
                         }});
  return *this;
}

Script& Script::free_raw(std::size_t index) {
  operations_.push_back({fmt::format("free raw #{}", index),
                         [=](Actor& a) -> Result<void> {
                           if (index >= a.raw_pages.size()) return {};
                           return a.engine->free_page(a.raw_pages[index]);
                         },
                         [=](Model& m, const Actor& a) {
                           if (index < a.raw_pages.size()) m.raw.erase(a.raw_pages[index]);
                         }});
  return *this;
}

Script& Script::backup(const std::string& destination) {
  operations_.push_back({"backup", [=](Actor& a) { return a.engine->backup(destination); }, nothing});
  return *this;
}

Model read_all(StorageEngine& engine, const std::vector<PageId>& raw_pages, std::string& problem) {
  Model model;
  const auto all = engine.scan_all_memories();
  if (!all) {
    problem = "scan: " + all.error().message;
    return model;
  }
  for (const auto& [id, page] : *all) {
    const auto by_page = engine.load_memory(page);
    const auto by_id = engine.load_memory(id);
    const auto found = engine.find(id);
    if (!by_page || !by_id || !found) {
      const Error& error = !by_page ? by_page.error() : !by_id ? by_id.error() : found.error();
      problem = fmt::format("memory {} on page {}: {}", id.to_string(), page.value, error.message);
      return model;
    }
    if (*by_page != *by_id || *found != page || by_id->id != id) {
      problem = fmt::format("memory {}: scan says page {}, find says {}, the loads {}", id.to_string(), page.value,
                            found->value, *by_page == *by_id ? "agree" : "differ");
      return model;
    }
    model.memories[id] = *by_id;
  }
  for (const PageId page : raw_pages) {
    const auto copy = engine.read_page(page);
    if (copy && copy->header.type == PageType::raw) {
      model.raw[page] = copy->data;
    } else if (!copy && copy.error().code != ErrorCode::not_found) {
      problem = fmt::format("raw page {}: {}", page.value, copy.error().message);
    }
  }
  return model;
}

std::string difference(const Model& expected, const Model& found) {
  for (const auto& [id, node] : expected.memories) {
    const auto other = found.memories.find(id);
    if (other == found.memories.end()) return fmt::format("memory '{:.30}' is lost", node.content);
    if (other->second != node)
      return fmt::format("memory is '{:.30}' instead of '{:.30}'", other->second.content, node.content);
  }
  for (const auto& [id, node] : found.memories) {
    if (!expected.memories.contains(id)) return fmt::format("memory '{:.30}' came back", node.content);
  }
  if (expected.raw != found.raw) return "raw pages differ";
  return "equal";
}

}  // namespace mentedb::test

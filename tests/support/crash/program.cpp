#include "support/crash/program.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "engine/engine_impl.hpp"
#include "support/crash/script.hpp"

namespace mentedb::test {
namespace {

using Path = History::Path;

template <class T>
Result<void> only_error(const Result<T>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

}  // namespace

bool Process::may_answer(const Error& error) const {
  if (!vfs.is_alive()) throw ProcessKilled{vfs.process()};  // killed in a call that may not throw
  return faults && (error.code == ErrorCode::io_error || error.code == ErrorCode::poisoned);
}

Result<void> Process::open() {
  engine.reset();
  auto opened = EngineAccess::open(vfs, kStorePath, options);
  if (!opened) return std::unexpected(opened.error());
  engine.emplace(std::move(*opened));
  history.note_lsn(engine->committed_lsn().value);
  return {};
}

bool Process::read(std::uint64_t number) {
  const std::size_t bound = history.bound(number);
  const auto loaded = engine->load_memory(memory_id(number));
  if (!loaded && loaded.error().code != ErrorCode::not_found) {
    if (!may_answer(loaded.error())) violation(fmt::format("read of {}: {}", number, loaded.error().message));
    return false;
  }
  if (!vfs.is_alive()) throw ProcessKilled{vfs.process()};
  const auto version = loaded ? history.identify(number, *loaded) : std::optional<History::Version>(0);
  if (!version) {
    violation(fmt::format("memory {} read as '{:.40}', which nobody wrote", number, loaded->content));
    return false;
  }
  if (auto wrong = history.shown(number, *version, bound, Path::by_id); !wrong.empty()) violation(std::move(wrong));
  cache[number] = *version;
  return true;
}

void Process::read_all() {
  for (const std::uint64_t number : history.numbers()) {
    if (number < kFirstRawNumber && !read(number)) return;
  }
}

// ---------------------------------------------------------------------------------------------- writes

// `body(process, operation)` writes and says what came of it; a failed one is reopened after.
template <class Body>
Program& Program::change(Body body) {
  return add([body](Process& process) {
    const History::Operation operation = process.history.begin();
    const Result<void> done = body(process, operation);
    if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
    if (done) {
      process.history.acknowledge(operation);
      process.history.note_lsn(process.engine->committed_lsn().value);
    } else if (!process.may_answer(done.error())) {
      process.violation("a write without a fault: " + done.error().message);
    } else {
      process.engine.reset();
    }
  });
}

Program& Program::store(std::uint64_t number, std::size_t content_bytes) {
  return change([=](Process& process, History::Operation operation) {
    return only_error(process.engine->store_memory(process.history.put(operation, number, content_bytes)));
  });
}

Program& Program::update(std::uint64_t number, std::size_t content_bytes) {
  return change([=](Process& process, History::Operation operation) {
    return only_error(process.engine->update_memory(process.history.put(operation, number, content_bytes)));
  });
}

Program& Program::batch(std::uint64_t first, std::uint64_t count, std::size_t content_bytes) {
  return change([=](Process& process, History::Operation operation) {
    std::vector<MemoryNode> nodes;
    for (std::uint64_t i = 0; i < count; ++i)
      nodes.push_back(process.history.put(operation, first + i, content_bytes + 13 * i));
    return only_error(process.engine->store_memories(nodes));
  });
}

Program& Program::erase(std::uint64_t number) {
  return change([=](Process& process, History::Operation operation) -> Result<void> {
    process.history.erase(operation, number);
    auto erased = process.engine->delete_memory(memory_id(number));
    if (!erased && erased.error().code == ErrorCode::not_found) return {};  // absent either way
    return erased;
  });
}

Program& Program::transact(std::vector<std::uint64_t> stores, std::vector<std::uint64_t> erases,
                           std::size_t content_bytes) {
  return change([=](Process& process, History::Operation operation) {
    return process.engine->transact([&](Transaction& tx) -> Result<void> {
      History& history = process.history;
      const auto look = [&](std::uint64_t number) -> Result<void> {
        const auto now = tx.load(memory_id(number));
        if (!now && now.error().code != ErrorCode::not_found) return std::unexpected(now.error());
        const auto version = now ? history.identify(number, *now) : std::optional<History::Version>(0);
        auto wrong = version ? history.shown(number, *version, history.bound(number), Path::under_lock)
                             : fmt::format("memory {} under the lock was written by nobody", number);
        if (!wrong.empty()) process.violation("under the lock: " + wrong);
        return {};
      };
      for (const std::uint64_t number : stores)
        if (auto seen = look(number); !seen) return seen;
      for (const std::uint64_t number : erases)
        if (auto seen = look(number); !seen) return seen;
      for (const std::uint64_t number : erases) history.erase(operation, number);
      std::vector<MemoryNode> nodes;
      for (const std::uint64_t number : stores) nodes.push_back(history.put(operation, number, content_bytes));
      for (const MemoryNode& node : nodes) {
        // Twice, so that a run of this batch is freed by this batch; nobody may ever see the first.
        if (auto r = tx.store(make_memory(number_of(node.id), 0, content_bytes)); !r) return std::unexpected(r.error());
        if (auto r = tx.update(node); !r) return r;
      }
      for (const std::uint64_t number : erases) {
        if (auto r = tx.erase(memory_id(number)); !r && r.error().code != ErrorCode::not_found) return r;
      }
      return {};
    });
  });
}

Program& Program::give_up(std::uint64_t number) {
  return add([=](Process& process) {
    const auto done = process.engine->transact([&](Transaction& tx) -> Result<void> {
      static_cast<void>(tx.store(make_memory(number, 0)));
      return std::unexpected(Error{.code = ErrorCode::invalid_argument, .os_error = 0, .message = "given up"});
    });
    if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
    if (done) process.violation("a transaction that gave up was committed");
  });
}

Program& Program::allocate(std::uint64_t number, std::size_t content_bytes) {
  return change([=](Process& process, History::Operation operation) -> Result<void> {
    const auto page = process.engine->allocate_page(content_bytes);
    if (!page) return std::unexpected(page.error());
    // Nobody knows the page before now, so nobody looks for it earlier either.
    static_cast<void>(process.history.put(operation, number, 0));
    process.history.raw_pages[number] = page->value;
    return {};
  });
}

Program& Program::write_raw(std::uint64_t number, std::size_t content_bytes) {
  return change([=](Process& process, History::Operation operation) -> Result<void> {
    const auto page = process.history.raw_pages.find(number);
    if (page == process.history.raw_pages.end()) return {};  // its allocation failed
    const MemoryNode node = process.history.put(operation, number, content_bytes);
    return process.engine->write_page(PageId{page->second}, std::as_bytes(std::span(node.content)));
  });
}

Program& Program::free_raw(std::uint64_t number) {
  return change([=](Process& process, History::Operation operation) -> Result<void> {
    const auto page = process.history.raw_pages.find(number);
    if (page == process.history.raw_pages.end()) return {};
    process.history.erase(operation, number);
    return process.engine->free_page(PageId{page->second});
  });
}

// ---------------------------------------------------------------------------------------------- the rest

Program& Program::erase_deleted() {
  return change([](Process& process, History::Operation) { return process.engine->erase_deleted(); });
}

Program& Program::checkpoint() {
  return change([](Process& process, History::Operation) { return process.engine->checkpoint(); });
}

Program& Program::recover() {
  return change([](Process& process, History::Operation) { return only_error(process.engine->recover()); });
}

Program& Program::reopen() {
  return add([](Process& process) { process.engine.reset(); });  // run() opens it again
}

Program& Program::backup(std::string path) {
  return change([path](Process& process, History::Operation) {
    History& history = process.history;
    const std::size_t at = history.backups.size();
    history.backups.push_back({.path = path, .begin_time = history.time()});
    auto done = process.engine->backup(path);
    if (done && process.vfs.is_alive()) {
      history.backups[at].acknowledged = true;
      history.backups[at].end_time = history.time() + 1;
    }
    return done;
  });
}

Program& Program::read(std::uint64_t number) {
  return add([=](Process& process) { process.read(number); });
}

Program& Program::read_all() {
  return add([](Process& process) { process.read_all(); });
}

Program& Program::scan() {
  return add([](Process& process) {
    History& history = process.history;
    const History::Bounds bounds = history.acknowledged();
    const auto all = process.engine->scan_all_memories();
    if (!all) {
      if (!process.may_answer(all.error())) process.violation("scan: " + all.error().message);
      return;
    }
    if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
    std::set<std::uint64_t> there;
    for (const auto& [id, page] : *all) {
      if (!there.insert(number_of(id)).second) process.violation("a scan shows a memory twice");
    }
    for (const auto& [number, bound] : bounds) {
      if (number >= kFirstRawNumber && number < kFirstFillerNumber) continue;
      if (auto wrong = history.listed(number, there.contains(number), bound); !wrong.empty())
        process.violation(std::move(wrong));
    }
    for (const auto& [id, page] : *all) {
      if (number_of(id) >= kFirstFillerNumber) continue;
      const auto loaded = process.engine->load_memory(page);
      if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
      if (!loaded) continue;  // it moved meanwhile; pages are no promise
      const std::uint64_t number = number_of(loaded->id);
      const auto version = history.identify(number, *loaded);
      if (!version) {
        process.violation(fmt::format("page {} read as '{:.40}', which nobody wrote", page.value, loaded->content));
      } else if (auto wrong = history.shown(number, *version, 0, Path::ahead); !wrong.empty()) {
        process.violation(std::move(wrong));
      }
    }
  });
}

Program& Program::follow() {
  return add([](Process& process) {
    const History::Bounds bounds = process.history.acknowledged();
    const auto changes = process.engine->changes_since(process.cursor);
    if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
    if (!changes) {
      if (changes.error().code == ErrorCode::resync_required) {
        process.cursor = process.engine->committed_lsn();
        process.read_all();
      } else if (!process.may_answer(changes.error())) {
        process.violation("changes_since: " + changes.error().message);
      }
      return;
    }
    process.cursor = changes->cursor;
    process.history.note_lsn(changes->cursor.value);
    for (const Change& change : changes->changes) {
      if (number_of(change.id) < kFirstRawNumber && !process.read(number_of(change.id))) return;
    }
    // What was acknowledged before the call has to be in the copy now.
    for (const auto& [number, bound] : bounds) {
      if (number >= kFirstRawNumber) continue;
      const auto cached = process.cache.find(number);
      const History::Version version = cached == process.cache.end() ? 0 : cached->second;
      if (auto wrong = process.history.shown(number, version, bound, Path::ahead); !wrong.empty())
        process.violation("a copy kept by changes_since: " + wrong);
    }
  });
}

Program& Program::settle() {
  return add([](Process& process) {
    // An open that finds the lock taken leaves the operations of a dead writer to the holder (R3). Who has had the lock
    // has completed them.
    const auto had_lock = process.engine->transact([](Transaction&) { return Result<void>(); });
    if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
    if (!had_lock) return;
    History::Found found;
    for (const std::uint64_t number : process.history.numbers()) {
      if (number >= kFirstFillerNumber) {
        found[number] = process.history.only_version(number);
      } else if (number >= kFirstRawNumber) {
        std::string problem;
        const auto version = read_raw(*process.engine, process.history, number, problem);
        if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
        if (!problem.empty()) return process.violation(std::move(problem));
        if (version) found[number] = *version;
      } else {
        if (!process.read(number)) return;
        if (process.cache[number] != 0) found[number] = process.cache[number];
      }
    }
    if (auto wrong = process.history.settle(found); !wrong.empty()) process.violation("after a recovery: " + wrong);
  });
}

Program Program::repeat(std::size_t times) const {
  Program all;
  for (std::size_t i = 0; i < times; ++i) all.then(*this);
  return all;
}

Program& Program::then(const Program& more) {
  operations_.insert(operations_.end(), more.operations_.begin(), more.operations_.end());
  return *this;
}

void Program::run(Process& process) const {
  constexpr int kAttempts = 4;
  for (std::size_t next = 0; next <= operations_.size(); ++next) {
    for (int attempt = 0; !process.engine; ++attempt) {
      const auto opened = process.open();
      if (!process.vfs.is_alive()) throw ProcessKilled{process.vfs.process()};
      if (opened) break;
      if (!process.may_answer(opened.error())) return process.violation("open: " + opened.error().message);
      if (attempt == kAttempts) return;
    }
    if (next < operations_.size()) operations_[next](process);
  }
}

// ---------------------------------------------------------------------------------------------- after a crash

std::optional<History::Version> read_raw(StorageEngine& engine, const History& history, std::uint64_t number,
                                         std::string& problem) {
  const auto page = history.raw_pages.find(number);
  if (page == history.raw_pages.end()) return std::nullopt;
  const auto copy = engine.read_page(PageId{page->second});
  if (!copy && copy.error().code != ErrorCode::not_found)
    problem = fmt::format("raw page {}: {}", page->second, copy.error().message);
  if (!copy || copy->header.type != PageType::raw) return std::nullopt;
  const auto version = history.identify_content(number, copy->data);
  if (!version && !history.may_be_erased(number))
    problem = fmt::format("raw page {} holds what nobody wrote", page->second);
  return version;
}

History::Found read_store(StorageEngine& engine, const History& history, std::size_t filler_stride,
                          std::string& problem) {
  History::Found found;
  const auto fail = [&](std::string text) {
    problem = std::move(text);
    return History::Found{};
  };
  const auto all = engine.scan_all_memories();
  if (!all) return fail("scan: " + all.error().message);
  for (const auto& [id, page] : *all) {
    const std::uint64_t number = number_of(id);
    if (number >= kFirstFillerNumber && number % filler_stride != 0) {
      found[number] = 0;
      continue;
    }
    const auto by_page = engine.load_memory(page);
    const auto by_id = engine.load_memory(id);
    const auto place = engine.find(id);
    if (!by_page || !by_id || !place) {
      const Error& error = !by_page ? by_page.error() : !by_id ? by_id.error() : place.error();
      return fail(fmt::format("memory {} on page {}: {}", number, page.value, error.message));
    }
    if (*by_page != *by_id || *place != page) {
      return fail(fmt::format("memory {}: the scan says page {}, find says {}, the loads {}", number, page.value,
                              place->value, *by_page == *by_id ? "agree" : "differ"));
    }
    const auto version = history.identify(number, *by_id);
    if (!version) return fail(fmt::format("memory {} is '{:.40}', which nobody wrote", number, by_id->content));
    found[number] = *version;
  }
  for (const std::uint64_t number : history.numbers()) {
    if (number >= kFirstFillerNumber) {
      // A filler has one version: that it is there was all there is to know.
      const auto at = found.find(number);
      if (at == found.end()) return fail(fmt::format("memory {} is lost", number));
      at->second = history.only_version(number);
    } else if (number >= kFirstRawNumber) {
      const auto version = read_raw(engine, history, number, problem);
      if (!problem.empty()) return {};
      if (version) found[number] = *version;
    } else if (!found.contains(number)) {
      // What the scan does not list is not found by id either.
      const auto loaded = engine.load_memory(memory_id(number));
      if (loaded || loaded.error().code != ErrorCode::not_found)
        return fail(fmt::format("memory {} is not in a scan, and a read says: {}", number,
                                loaded ? loaded->content.substr(0, 40) : loaded.error().message));
    }
  }
  return found;
}

}  // namespace mentedb::test

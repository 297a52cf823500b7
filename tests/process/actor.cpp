// The other process of the process tests. Usage: mentedb_actor DIRECTORY ROLE [ARGUMENTS]
//
// Role `serve` obeys one line after the other and answers each with one line; the other roles loop until SIGTERM and
// then end with "done". A line "try KEY VERSION" is printed before a call and "ack KEY VERSION" after it returned, each
// with one write(2), so a line that is there was true whatever happened to the process then. A line "bad ..." is a
// broken promise of the engine.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include <mentedb/inspect.hpp>
#include <mentedb/storage_engine.hpp>

#include "process/key_plan.hpp"
#include "process/versioned_memory.hpp"
#include "support/ledger.hpp"

namespace mentedb::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

volatile std::sig_atomic_t stopping = 0;

void say(std::string line) {
  line += '\n';
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) ::_exit(4);
}

[[noreturn]] void bad(const std::string& what) {
  say("bad " + what);
  ::_exit(3);
}

std::string describe(const Error& error) { return fmt::format("error {} {}", to_string(error.code), error.message); }

template <class T>
T good(Result<T> result, std::string_view call) {
  if (!result) bad(fmt::format("{}: {}", call, describe(result.error())));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

bool is_code(const auto& result, ErrorCode code) { return !result && result.error().code == code; }

StorageEngine open_engine(const std::filesystem::path& directory, const Options& options = {}) {
  return good(StorageEngine::open(directory, options), "open");
}

// ---- serve

class Server {
 public:
  explicit Server(std::filesystem::path directory) : directory_(std::move(directory)) {}

  int run() {
    for (std::string line; std::getline(std::cin, line);) {
      std::istringstream words(line);
      std::string command;
      words >> command;
      if (command == "exit") return 0;
      const bool marked = command == "window";
      if (marked) words >> command;
      const auto action = parse(command, words);
      if (marked) ::syscall(SYS_getppid);
      std::string answer = action();
      if (marked) ::syscall(SYS_getppid);
      say(std::move(answer));
    }
    return 0;
  }

 private:
  using Action = std::function<std::string()>;

  static std::string answer(const Result<PageId>& page) {
    return page ? fmt::format("ok {}", page->value) : describe(page.error());
  }
  static std::string answer(const Result<void>& done) { return done ? "ok" : describe(done.error()); }
  static std::string answer(const Result<MemoryNode>& node) {
    if (!node) return describe(node.error());
    const std::string wrong = what_is_wrong(*node);
    return wrong.empty() ? fmt::format("version {}", version_of(*node)) : "bad " + wrong;
  }

  // What needs parsing or building is done here, so that a marked window holds the engine's system calls alone.
  Action parse(const std::string& command, std::istringstream& words) {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    if (command == "open") {
      Options options;
      std::string name;
      while (words >> name >> a) {
        if (name == "timeout") options.lock_timeout = milliseconds(a);
        if (name == "limit") options.wal_limit_bytes = a;
        if (name == "read_only") options.read_only = a != 0;
      }
      return [this, options] {
        auto opened = StorageEngine::open(directory_, options);
        if (!opened) return describe(opened.error());
        engine_.emplace(std::move(*opened));
        return std::string("ok");
      };
    }
    if (!engine_) return [] { return std::string("error closed open first"); };
    words >> a >> b;
    const auto version = static_cast<std::uint32_t>(b);
    if (command == "store")
      return [this, n = versioned_memory(a, version)] { return answer(engine_->store_memory(n)); };
    if (command == "update") {
      return [this, n = versioned_memory(a, version)] { return answer(engine_->update_memory(n)); };
    }
    if (command == "batch") {  // memories a and a + 1 at version b
      return [this, nodes = std::vector{versioned_memory(a, version), versioned_memory(a + 1, version)}] {
        const auto pages = engine_->store_memories(nodes);
        return pages ? std::string("ok") : describe(pages.error());
      };
    }
    if (command == "fill") {  // memories a .. b, to make a lot of log
      return [this, a, b] {
        std::vector<MemoryNode> nodes;
        for (std::uint64_t key = a; key <= b; ++key) nodes.push_back(versioned_memory(key, 1));
        const auto pages = engine_->store_memories(nodes);
        return pages ? std::string("ok") : describe(pages.error());
      };
    }
    if (command == "delete") return [this, a] { return answer(engine_->delete_memory(memory_id(a))); };
    if (command == "load") return [this, a] { return answer(engine_->load_memory(memory_id(a))); };
    if (command == "find") return [this, a] { return answer(engine_->find(memory_id(a))); };
    if (command == "page") return [this, a] { return answer(engine_->load_memory(PageId{a})); };
    if (command == "allocate") return [this, a] { return answer(engine_->allocate_page(a)); };
    if (command == "write") {  // b times the same byte into raw page a
      return [this, a, data = std::vector<std::byte>(b, std::byte{'x'})] {
        return answer(engine_->write_page(PageId{a}, data));
      };
    }
    if (command == "checkpoint") return [this] { return answer(engine_->checkpoint()); };
    if (command == "recover") {
      return [this] {
        const auto redone = engine_->recover();
        return redone ? fmt::format("ok {}", *redone) : describe(redone.error());
      };
    }
    if (command == "close") {
      return [this] {
        const auto closed = engine_->close();
        engine_.reset();
        return answer(closed);
      };
    }
    if (command == "count") {
      return [this] {
        const auto all = engine_->scan_all_memories();
        return all ? fmt::format("count {}", all->size()) : describe(all.error());
      };
    }
    if (command == "lsn") return [this] { return fmt::format("lsn {}", engine_->committed_lsn().value); };
    if (command == "changes") {
      return [this, a] {
        const auto changes = engine_->changes_since(Lsn{a});
        return changes ? fmt::format("changes {} {}", changes->changes.size(), changes->cursor.value)
                       : describe(changes.error());
      };
    }
    if (command == "wait") {
      return [this, a, b] {
        const auto lsn = engine_->wait_for_change(Lsn{a}, milliseconds(b));
        return lsn ? fmt::format("lsn {}", lsn->value) : describe(lsn.error());
      };
    }
    if (command == "hold") {
      // Holds the lock of everybody until the next line comes; anything but "commit" rolls back.
      return [this, node = versioned_memory(a, version)] {
        return answer(engine_->transact([&](Transaction& transaction) -> Result<void> {
          if (auto stored = transaction.store(node); !stored) return std::unexpected(stored.error());
          say("held");
          std::string word;
          std::getline(std::cin, word);
          if (word == "commit") return {};
          return std::unexpected(Error{ErrorCode::invalid_argument, 0, "rolled back"});
        }));
      };
    }
    return [command] { return "error unknown " + command; };
  }

  std::filesystem::path directory_;
  std::optional<StorageEngine> engine_;
};

// ---- the roles that loop

// Writes what its slot owns. Versions only ever rise; every start of a writer begins a new range of them.
class Writer {
 public:
  Writer(StorageEngine engine, std::uint64_t slot, std::uint32_t start)
      : engine_(std::move(engine)), slot_(slot), version_(start * 100'000), random_(start * 7 + slot) {}

  void run() {
    // The writer before this one may have died in a write, and an open waits for no repair. A lock holder finishes it.
    good(engine_.transact([](Transaction&) -> Result<void> { return {}; }), "transact");
    for (std::uint64_t i = 0; i < kPrivateKeys; ++i) {
      const auto now = engine_.load_memory(memory_id(private_key(slot_, i)));
      if (!now && now.error().code != ErrorCode::not_found) bad(describe(now.error()));
      exists_[i] = now.has_value();
    }
    while (stopping == 0) {
      switch (random_() % 10) {
        case 0:
        case 1:
          change_permanent();
          break;
        case 2:
        case 3:
          change_pair();
          break;
        case 4:
        case 5:
          change_shared_pair();
          break;
        default:
          change_private(random_() % kPrivateKeys);
          break;
      }
    }
    good(engine_.close(), "close");
  }

 private:
  // I4: the only writer of a memory reads what it has just written, through the id and through the page.
  void read_back(std::uint64_t key, std::uint32_t version, PageId page) {
    for (const auto& node : {engine_.load_memory(memory_id(key)), engine_.load_memory(page)}) {
      if (!node) bad(fmt::format("I4: {} version {} acknowledged, then {}", key, version, describe(node.error())));
      if (*node != versioned_memory(key, version)) {
        bad(fmt::format("I4: {} version {} acknowledged, then read version {}", key, version, version_of(*node)));
      }
    }
  }

  void put(std::uint64_t key, const std::function<Result<PageId>(const MemoryNode&)>& call) {
    const MemoryNode node = versioned_memory(key, ++version_);
    say(fmt::format("try {} {} put", key, version_));
    const PageId page = good(call(node), "put");
    say(fmt::format("ack {} {} put", key, version_));
    read_back(key, version_, page);
  }

  void change_permanent() {
    const std::uint64_t key = 1 + (random_() % (kPermanentKeys / kWriterSlots)) * kWriterSlots + slot_;
    put(key, [this](const MemoryNode& node) { return engine_.update_memory(node); });
  }

  void change_private(std::uint64_t i) {
    const std::uint64_t key = private_key(slot_, i);
    if (!exists_[i]) {
      put(key, [this](const MemoryNode& node) {
        return random_() % 2 == 0 ? engine_.store_memory(node) : engine_.store_memory_if_absent(node);
      });
      exists_[i] = true;
    } else if (random_() % 3 != 0) {
      put(key, [this](const MemoryNode& node) { return engine_.update_memory(node); });
    } else {
      say(fmt::format("try {} {} del", key, ++version_));
      good(engine_.delete_memory(memory_id(key)), "delete");
      say(fmt::format("ack {} {} del", key, version_));
      exists_[i] = false;
      if (!is_code(engine_.load_memory(memory_id(key)), ErrorCode::not_found)) {
        bad(fmt::format("I4: {} was deleted and is still read", key));
      }
    }
  }

  void change_pair() {
    const std::uint64_t key = pair_key(slot_);
    const std::vector nodes{versioned_memory(key, ++version_), versioned_memory(key + 1, version_)};
    say(fmt::format("try {} {} pair", key, version_));
    const auto pages = good(engine_.store_memories(nodes), "store_memories");
    say(fmt::format("ack {} {} pair", key, version_));
    read_back(key, version_, pages[0]);
    read_back(key + 1, version_, pages[1]);
  }

  // I6: a number that two writers took at the same time would be acknowledged twice.
  void change_shared_pair() {
    std::uint32_t next = 0;
    good(engine_.transact([&](Transaction& transaction) -> Result<void> {
      const auto one = good(transaction.load(memory_id(kSharedKey)), "transaction load");
      const auto two = good(transaction.load(memory_id(kSharedKey + 1)), "transaction load");
      if (version_of(one) != version_of(two)) {
        bad(fmt::format("I2: the shared pair is at versions {} and {} under the lock", version_of(one),
                        version_of(two)));
      }
      next = version_of(one) + 1;
      say(fmt::format("try {} {} pair", kSharedKey, next));
      for (const std::uint64_t key : {kSharedKey, kSharedKey + 1}) {
        if (auto done = transaction.update(versioned_memory(key, next)); !done) return done;
      }
      return {};
    }),
         "transact");
    say(fmt::format("ack {} {} pair", kSharedKey, next));
    const auto now = good(engine_.load_memory(memory_id(kSharedKey)), "load");
    if (version_of(now) < next) bad(fmt::format("I4: {} acknowledged, then read {}", next, version_of(now)));
  }

  StorageEngine engine_;
  std::uint64_t slot_;
  std::uint32_t version_;
  std::mt19937_64 random_;
  std::map<std::uint64_t, bool> exists_;
};

// Versions of one memory as one path of access has seen them; they never go back (I3).
class Monotonic {
 public:
  explicit Monotonic(std::string path) : path_(std::move(path)) {}

  void saw(const MemoryNode& node) {
    if (const std::string wrong = what_is_wrong(node); !wrong.empty()) bad(path_ + ": " + wrong);
    Seen& seen = seen_[number_of(node.id)];
    const std::uint32_t version = version_of(node);
    if (version < seen.version)
      bad(fmt::format("I3: {} went from version {} to {} {}", name(node), seen.version, version, path_));
    if (version == seen.version && seen.gone)
      bad(fmt::format("I3: {} came back at version {} {}", name(node), version, path_));
    seen = {.version = version, .gone = false};
  }
  void saw_none(std::uint64_t key) {
    if (key <= kPermanentKeys) bad(fmt::format("I3: permanent memory {} is gone {}", key, path_));
    if (const auto found = seen_.find(key); found != seen_.end()) found->second.gone = true;
  }

 private:
  struct Seen {
    std::uint32_t version = 0;
    bool gone = false;
  };
  static std::string name(const MemoryNode& node) { return fmt::format("memory {}", number_of(node.id)); }

  std::string path_;
  std::map<std::uint64_t, Seen> seen_;
};

std::uint64_t any_key(std::mt19937_64& random) {
  const std::uint64_t slot = random() % kWriterSlots;
  switch (random() % 4) {
    case 0:
      return 1 + random() % kPermanentKeys;
    case 1:
      return random() % 2 == 0 ? pair_key(slot) + random() % 2 : kSharedKey + random() % 2;
    default:
      return private_key(slot, random() % kPrivateKeys);
  }
}

class Reader {
 public:
  Reader(StorageEngine engine, std::uint64_t seed) : engine_(std::move(engine)), random_(seed) {}

  void run() {
    for (std::uint64_t round = 0; stopping == 0; ++round) {
      for (int i = 0; i < 100; ++i) {
        read_by_id(any_key(random_));
        read_by_page(any_key(random_));
      }
      if (round % 4 == 0) scan();
      if (round % 8 == 1) for_each();
      say(fmt::format("round {}", round));
    }
    good(engine_.close(), "close");
  }

 private:
  void read_by_id(std::uint64_t key) {
    const auto node = engine_.load_memory(memory_id(key));
    if (node) {
      by_id_.saw(*node);
    } else if (is_code(node, ErrorCode::not_found)) {
      by_id_.saw_none(key);
    } else {
      bad(fmt::format("load {}: {}", key, describe(node.error())));
    }
  }

  void read_by_page(std::uint64_t key) {
    const auto page = engine_.find(memory_id(key));
    if (is_code(page, ErrorCode::not_found)) {
      if (key <= kPermanentKeys) bad(fmt::format("I3: permanent memory {} is not found", key));
      return;
    }
    if (!page) bad(fmt::format("find {}: {}", key, describe(page.error())));
    const auto node = engine_.load_memory(*page);  // it may have moved meanwhile, and another one may live there
    if (node && node->id == memory_id(key)) by_page_.saw(*node);
    if (node) {
      if (const std::string wrong = what_is_wrong(*node); !wrong.empty()) bad("by page: " + wrong);
    } else if (!is_code(node, ErrorCode::not_found) && !is_code(node, ErrorCode::invalid_argument)) {
      bad(fmt::format("load page {}: {}", page->value, describe(node.error())));
    }
  }

  void scan() {
    const auto all = good(engine_.scan_all_memories(), "scan");
    std::uint64_t permanent = 0;
    std::map<std::uint64_t, int> times;
    for (const auto& [id, page] : all) {
      if (number_of(id) <= kPermanentKeys) ++permanent;
      if (++times[number_of(id)] > 1) bad(fmt::format("scan: memory {} twice", number_of(id)));
    }
    if (permanent != kPermanentKeys)
      bad(fmt::format("I3: a scan shows {} of {} permanent memories", permanent, kPermanentKeys));
  }

  void for_each() {
    std::uint64_t permanent = 0;
    good(engine_.for_each_memory([&](const MemoryNode& node, PageId) {
      in_scan_.saw(node);
      if (number_of(node.id) <= kPermanentKeys) ++permanent;
      return true;
    }),
         "for_each");
    if (permanent != kPermanentKeys)
      bad(fmt::format("I3: for_each shows {} of {} permanent memories", permanent, kPermanentKeys));
  }

  StorageEngine engine_;
  std::mt19937_64 random_;
  Monotonic by_id_{"by id"};
  Monotonic by_page_{"by page"};
  Monotonic in_scan_{"in for_each"};
};

// A cache above the engine that is kept right by changes_since alone.
class Follower {
 public:
  explicit Follower(StorageEngine engine) : engine_(std::move(engine)) {}

  void run() {
    reread();
    for (std::uint64_t round = 0; stopping == 0; ++round) {
      good(engine_.wait_for_change(cursor_, milliseconds(20)), "wait_for_change");
      follow();
      say(fmt::format("round {}", round));
    }
    // The writers have ended by now.
    follow();
    std::map<std::uint64_t, std::uint32_t> truth;
    good(engine_.for_each_memory([&](const MemoryNode& node, PageId) {
      truth[number_of(node.id)] = version_of(node);
      return true;
    }),
         "for_each");
    for (const auto& [key, version] : truth) {
      if (!cache_.contains(key)) bad(fmt::format("I4: changes_since never told of memory {} version {}", key, version));
      if (cache_[key] != version)
        bad(fmt::format("I4: memory {} is at version {}, the cache at {}", key, version, cache_[key]));
    }
    for (const auto& [key, version] : cache_) {
      if (!truth.contains(key))
        bad(fmt::format("I4: changes_since never told that memory {} version {} was deleted", key, version));
    }
    say(fmt::format("followed {} memories, {} resyncs", truth.size(), resyncs_));
    good(engine_.close(), "close");
  }

 private:
  void reread() {
    cursor_ = engine_.committed_lsn();
    cache_.clear();
    good(engine_.for_each_memory([&](const MemoryNode& node, PageId) {
      cache_[number_of(node.id)] = version_of(node);
      return true;
    }),
         "for_each");
  }

  void follow() {
    const auto changes = engine_.changes_since(cursor_);
    if (is_code(changes, ErrorCode::resync_required)) {
      ++resyncs_;
      return reread();
    }
    if (!changes) bad("changes_since: " + describe(changes.error()));
    for (const Change& change : changes->changes) {
      const std::uint64_t key = number_of(change.id);
      const auto node = engine_.load_memory(change.id);  // perhaps newer than the change
      if (node) {
        cache_[key] = version_of(*node);
      } else if (is_code(node, ErrorCode::not_found)) {
        cache_.erase(key);
      } else {
        bad(fmt::format("load {}: {}", key, describe(node.error())));
      }
    }
    cursor_ = changes->cursor;
  }

  StorageEngine engine_;
  Lsn cursor_;
  std::map<std::uint64_t, std::uint32_t> cache_;
  std::uint64_t resyncs_ = 0;
};

void keep(StorageEngine engine, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::uint64_t round = 0; stopping == 0; ++round) {
    switch (random() % 6) {
      case 0:
        good(engine.recover(), "recover");
        break;
      case 1: {
        const auto report = good(engine.verify(), "verify");
        if (!report.problems.empty()) bad("verify while others write: " + report.problems.front().message);
        break;
      }
      default:
        good(engine.checkpoint(), "checkpoint");
        break;
    }
    say(fmt::format("round {}", round));
  }
  good(engine.close(), "close");
}

void open_and_close(const std::filesystem::path& directory, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::uint64_t round = 0; stopping == 0; ++round) {
    Options options;
    options.wal_limit_bytes = random() % 2 == 0 ? 64 << 10 : 1 << 20;
    StorageEngine engine = open_engine(directory, options);
    const std::uint64_t key = 1 + random() % kPermanentKeys;
    const auto node = good(engine.load_memory(memory_id(key)), "load after open");
    if (const std::string wrong = what_is_wrong(node); !wrong.empty()) bad(wrong);
    if (random() % 2 == 0) good(engine.close(), "close");
    say(fmt::format("round {}", round));
  }
}

// Every backup is a clean store of one moment: pairs agree.
void make_backups(StorageEngine engine, const std::filesystem::path& destination) {
  for (std::uint64_t round = 0; stopping == 0; ++round) {
    std::filesystem::remove_all(destination);  // of a killed predecessor
    good(engine.backup(destination), "backup");
    StorageEngine copy = open_engine(destination);
    const auto report = good(copy.verify(), "verify of the backup");
    if (!report.problems.empty()) bad("the backup is damaged: " + report.problems.front().message);
    std::map<std::uint64_t, std::uint32_t> versions;
    good(copy.for_each_memory([&](const MemoryNode& node, PageId) {
      if (const std::string wrong = what_is_wrong(node); !wrong.empty()) bad("backup: " + wrong);
      versions[number_of(node.id)] = version_of(node);
      return true;
    }),
         "for_each of the backup");
    for (std::uint64_t key = 1; key <= kPermanentKeys; ++key) {
      if (!versions.contains(key)) bad(fmt::format("I3: the backup lacks permanent memory {}", key));
    }
    std::vector<std::uint64_t> pairs{kSharedKey};
    for (std::uint64_t slot = 0; slot < kWriterSlots; ++slot) pairs.push_back(pair_key(slot));
    for (const std::uint64_t key : pairs) {
      if (versions[key] == versions[key + 1]) continue;
      bad(fmt::format("I2: the backup has pair {} at versions {} and {}", key, versions[key], versions[key + 1]));
    }
    say(fmt::format("round {}", round));
  }
  good(engine.close(), "close");
}

// Any number of these count up together.
void advance(StorageEngine engine) {
  while (stopping == 0) {
    const std::uint64_t before = good(ledger_position(engine), "position");
    const std::uint64_t now = good(advance_ledger(engine), "transact");
    if (now <= before) bad(fmt::format("I4: {} was read, then counted up to {}", before, now));
  }
  good(engine.close(), "close");
}

// Each copy is the store of one moment between the beginning and the end of its backup, without anybody having repaired
// it, and so is a copy of the copy.
void back_up_ledger(StorageEngine engine, const std::filesystem::path& destination) {
  const std::filesystem::path restored = destination.string() + ".restored";
  for (std::uint64_t round = 0; stopping == 0; ++round) {
    std::filesystem::remove_all(destination);
    std::filesystem::remove_all(restored);
    const std::uint64_t before = good(ledger_position(engine), "position");
    good(engine.backup(destination), "backup");
    const std::uint64_t after = good(ledger_position(engine), "position");
    good(StorageEngine::restore(destination, restored), "restore");
    for (const auto& copy : {destination, restored}) {
      const auto report = good(verify_store(copy), "verify of the backup");
      if (!report.problems.empty()) bad("the backup is damaged: " + report.problems.front().message);
      StorageEngine opened = open_engine(copy);
      if (const std::string wrong = what_is_wrong_with_ledger(opened); !wrong.empty()) bad("no moment: " + wrong);
      const std::uint64_t moment = good(ledger_position(opened), "position of the backup");
      if (moment < before || moment > after)
        bad(fmt::format("a moment at {}, the backup ran from {} to {}", moment, before, after));
      // It goes on as a store.
      if (good(advance_ledger(opened), "transact") != moment + 1) bad("the copy does not go on");
    }
    say(fmt::format("round {} {} {}", round, before, after));
  }
}

// verify of a store that others write to: whatever it finds is a false alarm.
void verify_all_the_time(const std::filesystem::path& directory) {
  for (std::uint64_t round = 0; stopping == 0; ++round) {
    const auto report = good(verify_store(directory), "verify");
    if (!report.problems.empty()) {
      const Problem& problem = report.problems.front();
      bad(fmt::format("false alarm: {} at {}: {}", problem.file, problem.offset, problem.message));
    }
    say(fmt::format("round {} {}", round, report.log_batches_checked));
  }
}

// Writes as fast as it can from the word on; says how often it got the lock.
void write_greedily(StorageEngine engine, std::uint64_t key) {
  good(engine.store_memory(versioned_memory(key, 1)), "store");
  say("ready");
  std::string word;
  std::getline(std::cin, word);
  std::uint32_t version = 1;
  while (stopping == 0) good(engine.update_memory(versioned_memory(key, ++version)), "update");
  say(fmt::format("wrote {}", version - 1));
}

// Scans without a pause; says when it has begun.
void scan_all_the_time(StorageEngine engine) {
  for (std::uint64_t round = 0; stopping == 0; ++round) {
    good(engine.scan_all_memories(), "scan");
    good(engine.changes_since(Lsn{0}), "changes_since");
    if (round == 0) say("ready");
  }
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return 2;
  const std::filesystem::path directory = arguments[0];
  const std::string& role = arguments[1];
  const auto number = [&](std::size_t i) { return i < arguments.size() ? std::stoull(arguments[i]) : 0; };
  if (role == "serve") return Server(directory).run();
  Options small_log;
  small_log.wal_limit_bytes = 128 << 10;  // so that commits make checkpoints, too
  if (role == "writer")
    Writer(open_engine(directory, small_log), number(2), static_cast<std::uint32_t>(number(3))).run();
  if (role == "reader") Reader(open_engine(directory), number(2)).run();
  if (role == "follower") Follower(open_engine(directory)).run();
  if (role == "keeper") keep(open_engine(directory), number(2));
  if (role == "opener") open_and_close(directory, number(2));
  if (role == "backup") make_backups(open_engine(directory), arguments.at(2));
  if (role == "ledger") advance(open_engine(directory, small_log));
  if (role == "ledger_backup") back_up_ledger(open_engine(directory), arguments.at(2));
  if (role == "verifier") verify_all_the_time(directory);
  if (role == "scanner") scan_all_the_time(open_engine(directory));
  if (role == "greedy") write_greedily(open_engine(directory), number(2));
  say("done");
  return 0;
}

}  // namespace
}  // namespace mentedb::test

int main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // of a tracer that was killed
  struct sigaction action{};
  action.sa_handler = [](int) { mentedb::test::stopping = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  return mentedb::test::run({argv + 1, argv + argc});
}

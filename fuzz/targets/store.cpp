// Whole stores: a small valid one, edited, then verified, inspected, opened, read, written to, recovered, backed up and
// salvaged, on the simulated disk. Whatever the edits, each call returns, with a result or an error.
//
// With edits that forge no checksum, more holds: a memory that is read is one that was once stored under its id.

#include <optional>
#include <vector>

#include "engine/engine_impl.hpp"
#include "offline/inspect.hpp"
#include "offline/salvage.hpp"
#include "offline/verify.hpp"
#include "support/crash/script.hpp"
#include "support/hostile_store.hpp"
#include "support/input.hpp"
#include "support/sim/sim_vfs.hpp"

namespace {

using namespace mentedb;
using fuzz::HostileStore;
using test::make_memory;
using test::memory_id;

constexpr const char* kPath = "/store";
constexpr std::chrono::milliseconds kAtOnce{0};

class Session {
 public:
  explicit Session(fuzz::Input& input) : input_(input), store_(input.byte()), vfs_(store_.disk()) {
    options_.wal_limit_bytes = 64 * 1024;
    options_.lock_timeout = kAtOnce;
  }

  void run() {
    const std::uint8_t edits = input_.byte() % 8;
    for (std::uint8_t i = 0; i < edits; ++i) store_.edit(input_, false);
    look();
    read_only();
    work();
    if (input_.flag()) copies();
    look();
  }

 private:
  bool known_version(const MemoryNode& node) const {
    if (store_.forged()) return true;
    for (std::uint64_t number = 0; number < HostileStore::kMemories + 4; ++number) {
      if (node.id == memory_id(number)) return node == make_memory(number, node.access_count, node.content.size());
    }
    return false;
  }

  void look() {
    static_cast<void>(offline::verify_directory(vfs_, kPath, kAtOnce));
    static_cast<void>(offline::inspect_log(vfs_, kPath));
    for (const std::uint64_t page : {std::uint64_t{1}, std::uint64_t{6}, input_.number()})
      static_cast<void>(offline::inspect_page(vfs_, kPath, PageId{page}));
  }

  // Whatever stays damaged costs a thousand looks: a few of them will do.
  void read_all(StorageEngine& engine) {
    int damaged_left = 3;
    const auto note = [&](const auto& result) {
      if (!result && result.error().code != ErrorCode::not_found) --damaged_left;
    };
    for (std::uint64_t number = 0; number < HostileStore::kMemories + 4 && damaged_left > 0; ++number) {
      const auto node = engine.load_memory(memory_id(number));
      if (node) FUZZ_REQUIRE(node->id == memory_id(number) && known_version(*node));
      note(node);
      note(engine.find(memory_id(number)));
    }
    damaged_left = 3;
    for (std::uint64_t page = 0; page < 32 && damaged_left > 0; ++page) {
      const auto found = engine.read_page(PageId{page});
      note(found);
      if (found) FUZZ_REQUIRE(found->data.size() == found->header.data_bytes);
      const auto node = engine.load_memory(PageId{page});
      note(node);
      if (node) FUZZ_REQUIRE(known_version(*node));
    }
    static_cast<void>(engine.read_page(PageId{input_.number()}));
    static_cast<void>(engine.scan_all_memories());
    static_cast<void>(engine.changes_since(Lsn{0}));
    static_cast<void>(engine.changes_since(Lsn{input_.number()}));
    static_cast<void>(
        engine.for_each_memory([](const MemoryNode&, PageId) { return true; }, [](MemoryId, PageId, const Error&) {}));
    static_cast<void>(engine.stats());
    static_cast<void>(engine.committed_lsn());
  }

  void read_only() {
    Options options = options_;
    options.read_only = true;
    auto engine = EngineAccess::open(vfs_, kPath, options);
    if (!engine) return;
    if (input_.flag()) store_.edit(input_, true);
    read_all(*engine);
    static_cast<void>(engine->backup("/copy-of-reader"));
  }

  void work() {
    auto engine = EngineAccess::open(vfs_, kPath, options_);
    if (!engine) return;
    read_all(*engine);
    for (int step = 0; step < 8; ++step) {
      const std::uint8_t what = input_.byte();
      const std::uint64_t number = what / 16;
      switch (what % 12) {
        case 0:
        case 1:
          static_cast<void>(engine->store_memory(make_memory(number, 4, 60)));
          break;
        case 2:
          static_cast<void>(engine->update_memory(make_memory(number, 5, 2'500)));
          break;
        case 3:
          static_cast<void>(engine->delete_memory(memory_id(number)));
          break;
        case 4:
          static_cast<void>(engine->transact([&](Transaction& transaction) -> Result<void> {
            static_cast<void>(transaction.load(memory_id(number)));
            static_cast<void>(transaction.update(make_memory(number, 6)));
            static_cast<void>(transaction.erase(memory_id(1)));
            static_cast<void>(transaction.store(make_memory(1, 7)));
            return {};
          }));
          break;
        case 5:
          if (const auto page = engine->allocate_page(number * 500))
            static_cast<void>(engine->write_page(*page, std::vector<std::byte>(number * 50, std::byte{3})));
          break;
        case 6:
          static_cast<void>(engine->write_page(PageId{number * 2}, std::vector<std::byte>(700, std::byte{4})));
          break;
        case 7:
          static_cast<void>(engine->free_page(PageId{number + 1}));
          break;
        case 8:
          static_cast<void>(engine->checkpoint());
          break;
        case 9:
          static_cast<void>(engine->recover());
          break;
        case 10:
          static_cast<void>(engine->erase_deleted());
          break;
        default:
          store_.edit(input_, true);
          break;
      }
    }
    read_all(*engine);
    static_cast<void>(engine->close());
  }

  void copies() {
    static_cast<void>(offline::salvage_directory(vfs_, kPath, "/salvaged", kAtOnce));
    if (auto engine = EngineAccess::open(vfs_, kPath, options_)) {
      if (engine->backup("/copy")) {
        const auto copy = offline::verify_directory(vfs_, "/copy", kAtOnce);
        FUZZ_REQUIRE(copy);
        if (store_.forged() || copy->problems.empty()) return;
        // Two pages that both say that they hold a memory: each is whole, and only verify compares them.
        const auto source = offline::verify_directory(vfs_, kPath, kAtOnce);
        FUZZ_REQUIRE(source && !source->problems.empty());
      }
    }
    if (auto engine = EngineAccess::open(vfs_, "/salvaged", options_)) read_all(*engine);
  }

  fuzz::Input& input_;
  HostileStore store_;
  test::SimVfs vfs_;
  Options options_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Session(input).run();
  return 0;
}

// Every allocation of every engine call fails, once and from then on, on real files.
//
// Checked: the answer is success or `out_of_memory`; no exception comes out of the call; nothing that was alive before
// it is missing and nothing it made stays; no descriptor stays open; the lock is free; the engine goes on; what the
// store holds is the state before the call or after it, and exactly the one after it when the call succeeded.
// Nothing allocates between the append to the log and publication.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <new>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "campaign.hpp"
#include "real_calls.hpp"
#include "support/failing_new.hpp"
#include "wrapped_calls.hpp"

namespace mentedb::faults {
namespace {

namespace fs = std::filesystem;

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

// Asked before anything else uses the engine: its next write would take the lock and release it.
bool is_lock_free(const fs::path& store) {
  const int log = open((store / "wal.log").c_str(), O_RDONLY | O_CLOEXEC);
  if (log < 0) return true;
  const bool is_free = flock(log, LOCK_EX | LOCK_NB) == 0;
  close(log);
  return is_free;
}

std::size_t mappings_of(const fs::path& root) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(root.string()) != std::string::npos ? 1U : 0U;
  return count;
}

// ---- between the append and publication

// Another engine on the same store sees what is published.
const StorageEngine* witness = nullptr;
std::uint64_t published_before = 0;
ino_t log_inode = 0;
bool appended = false;
std::uint64_t allocations_in_between = 0;

Transfer note_append(WrappedCall call, int descriptor, off_t offset, const void* data, std::size_t bytes) {
  if (call == WrappedCall::write && offset >= 8'192) {
    struct stat status{};
    const bool is_log = fstat(descriptor, &status) == 0 && status.st_ino == log_inode;
    const auto* const begin = static_cast<const unsigned char*>(data);
    // Growth writes zeros; a batch begins with its checksum.
    appended = appended || (is_log && std::any_of(begin, begin + 8, [](unsigned char b) { return b != 0; }));
  }
  return {.bytes = bytes};
}

void note_allocation() {
  if (appended && witness != nullptr && witness->committed_lsn().value == published_before) ++allocations_in_between;
}

class Window {
 public:
  explicit Window(Subject& subject) {
    if (!subject.engine) return;
    auto opened = StorageEngine::open(subject.store, subject.options);
    if (!opened) return;
    engine_.emplace(std::move(*opened));
    struct stat status{};
    if (stat((subject.store / "wal.log").c_str(), &status) != 0) return;
    log_inode = status.st_ino;
    published_before = engine_->committed_lsn().value;
    witness = &*engine_;
    allocations_in_between = 0;
    appended = false;
    on_allocation = note_allocation;
    transfer_hook = note_append;
  }
  ~Window() {
    on_allocation = nullptr;
    transfer_hook = nullptr;
    witness = nullptr;
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

 private:
  std::optional<StorageEngine> engine_;
};

// ---- one call with one fault

struct Outcome {
  std::vector<std::string> wrong;
  std::uint64_t asked = 0;
};

Outcome attempt(Images& images, const RealCall& call, std::uint64_t first, bool from_then_on) {
  Outcome outcome;
  const auto violation = [&](const std::string& what) {
    outcome.wrong.push_back(fmt::format("{}, allocation {}: {}", call.name, first, what));
  };
  Subject subject = images.begin(call);
  std::optional<FailingNew> failing;
  bool fired = false;
  subject.enter = [&] { failing.emplace(first, from_then_on); };
  subject.leave = [&] {
    outcome.asked = FailingNew::asked();
    fired = FailingNew::fired();
    failing.reset();
  };
  Result<void> result;
  {
    const Window window(subject);
    try {
      result = call.run(subject);
    } catch (const std::bad_alloc&) {
      violation("std::bad_alloc came out of the call");
      return outcome;
    }
    if (allocations_in_between != 0)
      violation(fmt::format("{} allocations between the append to the log and publication", allocations_in_between));
  }
  if (!result && (result.error().code != ErrorCode::out_of_memory || !fired)) {
    violation(fmt::format("answered {}: {}", to_string(result.error().code), result.error().message));
  }
  if (!is_lock_free(subject.store)) violation("the lock is still held");
  std::vector<Model> allowed{subject.intended};
  if (!result && subject.intended != subject.model) allowed.push_back(subject.model);
  if (subject.engine && call.keeps_engine) {
    const MemoryNode node = test::make_memory(800, 1);
    if (const auto stored = subject.engine->store_memory(node); !stored) {
      violation("the engine does not go on: " + stored.error().message);
    }
    for (Model& model : allowed) model.memories[node.id] = node;
    std::string problem;
    const Model found = test::read_all(*subject.engine, {}, problem);
    if (!problem.empty()) violation("the engine reads: " + problem);
    if (std::ranges::none_of(allowed, [&](const Model& m) { return m.memories == found.memories; }))
      violation("the engine shows something else");
  }
  if (const std::string problem = check_real_store(subject, allowed); !problem.empty()) violation(problem);
  if (!result && fs::exists(subject.copy) && !from_then_on) violation("a failed copy left its destination behind");
  if (!result && fs::exists(subject.copy)) {
    Options options;
    options.read_only = true;
    const bool told = result.error().message.find("is not whole") != std::string::npos;
    // Where not even the removal can allocate, salvage leaves a store that is not whole.
    const bool starved = from_then_on && call.function == "salvage";
    if (!told && !starved && StorageEngine::open(subject.copy, options)) violation("half a copy can be opened");
  }
  return outcome;
}

}  // namespace

int run_allocations(Campaign& campaign, const Case* replay) {
  Images images;
  std::vector<Case> cases;
  for (const RealCall& call : real_calls()) {
    if (replay != nullptr && replay->at(1) != call.name) continue;
    // Twice: the first one fills what a thread keeps.
    static_cast<void>(attempt(images, call, ~std::uint64_t{0}, false));
    const Outcome outcome = attempt(images, call, ~std::uint64_t{0}, false);
    if (!outcome.wrong.empty()) {
      std::fprintf(stderr, "without a fault: %s\n", outcome.wrong.front().c_str());
      return 2;
    }
    for (std::uint64_t n = 0; n < outcome.asked; ++n) {
      for (const char* how : {"once", "on"}) cases.push_back({"allocations", call.name, std::to_string(n), how});
    }
  }
  if (replay != nullptr) cases = {*replay};
  campaign.run(std::move(cases), [&](const Case& one) {
    const RealCall* call = find_call(one.at(1));
    if (call == nullptr) return std::vector<std::string>{"there is no such call"};
    const std::size_t descriptors = open_descriptors();
    const std::size_t mappings = mappings_of(images.root());
    const std::int64_t alive = live_allocations();
    std::vector<std::string> wrong =
        attempt(images, *call, std::strtoull(one.at(2).c_str(), nullptr, 10), one.at(3) == "on").wrong;
    if (!wrong.empty()) return wrong;
    if (const std::int64_t now = live_allocations(); now != alive)
      wrong.push_back(fmt::format("{}: {} allocations are left", call->name, now - alive));
    if (const std::size_t now = open_descriptors(); now != descriptors)
      wrong.push_back(fmt::format("{}: {} descriptors before, {} after", call->name, descriptors, now));
    if (const std::size_t now = mappings_of(images.root()); now != mappings)
      wrong.push_back(fmt::format("{}: {} mappings before, {} after", call->name, mappings, now));
    return wrong;
  });
  return campaign.finish();
}

}  // namespace mentedb::faults

#include "full_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "child.hpp"
#include "oracle.hpp"

namespace mentedb::prove {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlockBytes = 4096;
constexpr std::size_t kOperations = 24;

bool reserve(const std::string& path, std::uint64_t bytes) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return false;
  const bool good = bytes == 0 || fallocate(descriptor, 0, 0, static_cast<off_t>(bytes)) == 0;
  ::close(descriptor);
  if (!good) ::unlink(path.c_str());
  return good;
}

void write_everything_back(const std::string& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  syncfs(descriptor);
  ::close(descriptor);
}

// Takes all space of the file system but `blocks`.
void fill(const std::string& directory, std::uint64_t blocks) {
  const std::string ballast = directory + "/ballast";
  fs::create_directory(ballast);
  if (!reserve(ballast + "/spare", blocks * kBlockBytes)) die("not even the spare blocks are there");
  int number = 0;
  for (std::uint64_t bytes = std::uint64_t{256} << 20; bytes >= kBlockBytes;) {
    if (!reserve(ballast + "/" + std::to_string(number++), bytes)) bytes /= 2;
  }
  write_everything_back(directory);
  // What the file system kept for metadata and gives away when asked once more.
  for (int i = 0; i < 64 && reserve(ballast + "/" + std::to_string(number++), kBlockBytes); ++i) {
  }
  fs::remove(ballast + "/spare");
  write_everything_back(directory);
}

// One engine on the full disk, and what it must hold.
class Tenant {
 public:
  Tenant(StorageEngine& engine, State& state, const Script& script) : engine_(engine), state_(state), script_(script) {}

  /// Does it when the keys are there that it wants. Empty, or what is wrong.
  std::string attempt(const Operation& wanted, bool must_succeed, FullCounts& counts) {
    Operation operation{.action = wanted.action, .changes = {}};
    for (const Change& change : wanted.changes) {
      const bool present = state_.contains(change.key);
      const bool needs_it = change.version == 0 || operation.action == Action::update;
      if (present || !needs_it) operation.changes.push_back(change);
    }
    if (operation.changes.empty() && !wanted.changes.empty()) return {};
    ++counts.operations;
    const auto done = perform(engine_, operation);
    if (done) {
      for (const Change& change : operation.changes) {
        if (change.version == 0) {
          state_.erase(change.key);
        } else {
          state_[change.key] = change.version;
        }
      }
      return {};
    }
    if (must_succeed) return "with room again: " + engine_says(done.error());
    if (done.error().code != ErrorCode::no_space) return "instead of no_space: " + engine_says(done.error());
    ++counts.refused_stores;
    return {};
  }

  std::string compare() {
    std::string problem;
    const State found = read_state(engine_, script_, problem);
    if (!problem.empty()) return problem;
    return difference(found, state_);
  }

 private:
  StorageEngine& engine_;
  State& state_;
  const Script& script_;
};

std::string first_of(std::initializer_list<std::string> problems) {
  for (const std::string& problem : problems) {
    if (!problem.empty()) return problem;
  }
  return {};
}

// Everything that can want space, on a disk that has none.
std::string live(const std::string& mounted, const FullCase& full, FullCounts& counts) {
  const std::string store = mounted + "/store";
  std::mt19937_64 random(full.seed);
  const bool write_back = random() % 2 == 0;  // clean pages of the mappings fault again when they are stored to
  const Script before(Scenario::mixed, 0, full.seed, kOperations);
  const Scenario scenario = kScenarios[random() % 3];
  const Script script(scenario, 1, full.seed, kOperations);
  auto engine = StorageEngine::open(store, options_of(scenario));
  if (!engine) return "open: " + engine_says(engine.error());
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (const auto done = perform(*engine, before.operation(i)); !done) return "prepare: " + engine_says(done.error());
  }
  fill(mounted, full.free_blocks);

  State old_state = before.state(before.size());
  State state;
  Tenant old_tenant(*engine, old_state, before);
  Tenant tenant(*engine, state, script);
  for (std::size_t i = 0; i < script.size(); ++i) {
    if (write_back) write_everything_back(mounted);
    if (std::string problem = tenant.attempt(script.operation(i), false, counts); !problem.empty()) return problem;
    if (i % 8 != 7) continue;
    if (std::string problem = first_of({tenant.compare(), old_tenant.compare(), problems_of(*engine)});
        !problem.empty())
      return "while the disk is full: " + problem;
    // Another engine, and one that does not exist yet.
    if (const auto other = StorageEngine::open(store, options_of(scenario)); !other) {
      if (other.error().code != ErrorCode::no_space) return "open again: " + engine_says(other.error());
      ++counts.refused_opens;
    }
    const std::string fresh = mounted + "/new-" + std::to_string(i);
    if (auto created = StorageEngine::open(fresh); !created) {
      if (created.error().code != ErrorCode::no_space) return "create: " + engine_says(created.error());
      ++counts.refused_creations;
    } else {
      static_cast<void>(created->close());
      fs::remove_all(fresh);
      write_everything_back(mounted);
    }
    const std::string copy = mounted + "/copy-" + std::to_string(i);
    if (const auto copied = engine->backup(copy); !copied) {
      if (copied.error().code != ErrorCode::no_space) return "backup: " + engine_says(copied.error());
      ++counts.refused_backups;
      if (StorageEngine::open(copy, {.read_only = true})) return "half a backup can be opened";
    }
    std::error_code ignored;
    fs::remove_all(copy, ignored);
    write_everything_back(mounted);
  }
  // Deletions go on.
  std::uint64_t deleted = 0;
  for (const auto& [key, version] : State(old_state)) {
    if (++deleted > 3) break;
    if (write_back) write_everything_back(mounted);
    const Operation erase{.action = Action::erase, .changes = {{key, 0}}};
    if (std::string problem = old_tenant.attempt(erase, true, counts); !problem.empty()) return "delete: " + problem;
  }

  fs::remove_all(mounted + "/ballast");
  write_everything_back(mounted);
  for (std::size_t i = 0; i < script.size(); ++i) {
    if (std::string problem = tenant.attempt(script.operation(i), true, counts); !problem.empty()) return problem;
  }
  if (std::string problem = first_of({tenant.compare(), old_tenant.compare(), problems_of(*engine)}); !problem.empty())
    return "with room again: " + problem;
  if (const auto done = engine->backup(mounted + "/copy"); !done)
    return "backup with room again: " + engine_says(done.error());
  for (std::size_t i = 7; i < script.size(); i += 8) {
    // What a creation left behind stands in nobody's way.
    if (const auto created = StorageEngine::open(mounted + "/new-" + std::to_string(i)); !created)
      return "create with room again: " + engine_says(created.error());
  }
  static_cast<void>(engine->close());
  const auto reopened = StorageEngine::open(store, options_of(scenario));
  if (!reopened) return "open with room again: " + engine_says(reopened.error());
  std::string problem;
  return first_of({difference(read_state(*reopened, script, problem), state),
                   difference(read_state(*reopened, before, problem), old_state), problem, problems_of(*reopened)});
}

}  // namespace

std::string FullCase::text() const {
  return std::string("full ") + name_of(kind) + " " + std::to_string(free_blocks) + " " + std::to_string(seed);
}

FullCounts& FullCounts::operator+=(const FullCounts& other) {
  cases += other.cases;
  operations += other.operations;
  refused_stores += other.refused_stores;
  refused_creations += other.refused_creations;
  refused_backups += other.refused_backups;
  refused_opens += other.refused_opens;
  violations += other.violations;
  return *this;
}

FullCounts try_full_disk(const Workplace& workplace, const FullCase& full) {
  FullCounts counts{.cases = 1};
  const auto violation = [&](const std::string& what) {
    ++counts.violations;
    printf("VIOLATION %s: %s | replay: tools/prove disks --replay '%s'\n", name_of(full.kind), what.c_str(),
           full.text().c_str());
    fflush(stdout);
  };
  const std::string mounted = workplace.directory("mounted");
  std::optional<LoopDevice> loop;
  if (full.kind == Kind::tmpfs) {
    if (::mount("tmpfs", mounted.c_str(), "tmpfs", 0, "size=64m") != 0) die("cannot mount a tmpfs");
  } else {
    make_file_system(full.kind, workplace.path("image"));
    loop.emplace(workplace.path("image"));
    if (const std::string error = mount_device(full.kind, loop->path(), mounted); !error.empty())
      die("cannot mount a new " + std::string(name_of(full.kind)) + ": " + error);
  }
  // The counts come back through a shared page.
  void* const page = mmap(nullptr, sizeof(FullCounts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) die("cannot map shared memory");
  auto* const shared = new (page) FullCounts;
  const std::string problem = run_in_child([&] { return live(mounted, full, *shared); });
  counts += *shared;
  munmap(page, sizeof(FullCounts));
  if (!problem.empty()) violation(problem);
  if (const std::string error = unmount(mounted); !error.empty()) die("cannot unmount: " + error);
  return counts;
}

}  // namespace mentedb::prove

#include "support/crash/process.hpp"

#include "engine/engine_impl.hpp"
#include "offline/verify.hpp"
#include "support/results.hpp"

namespace mentedb::test {

Process::Process(SimDisk& disk, const Options& options, const SimVfsOptions& vfs_options) : vfs_(disk, vfs_options) {
  open(options);
}

void Process::open(const Options& options) { must(try_open(options)); }

Result<void> Process::try_open(const Options& options) {
  auto opened = EngineAccess::open(vfs_, kStorePath, options);
  if (!opened) return std::unexpected(std::move(opened).error());
  engine_.emplace(std::move(*opened));
  return {};
}

void Process::open_and_close(const Options& options) {
  open(options);
  engine_.reset();
}

void store_memories(StorageEngine& engine, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t number = first; number <= last; ++number) must(engine.store_memory(make_memory(number, 1)));
}

std::uint32_t version_of(const StorageEngine& engine, std::uint64_t number) {
  const auto loaded = engine.load_memory(memory_id(number));
  if (!loaded) return 0;
  EXPECT_EQ(*loaded, make_memory(number, loaded->access_count, loaded->content.size()));
  return loaded->access_count;
}

std::vector<std::pair<MemoryId, PageId>> list(const StorageEngine& engine) { return must(engine.scan_all_memories()); }

void leave_room(SimDisk& disk, std::uint64_t bytes) {
  constexpr std::uint64_t kPlenty = std::uint64_t{1} << 30;
  disk.set_capacity(kPlenty);
  disk.set_capacity(kPlenty - disk.free_bytes() + bytes);
}

void expect_sound(SimDisk& disk, const std::filesystem::path& path) {
  SimVfs vfs(disk);
  const auto report = must(offline::verify_directory(vfs, path, std::chrono::seconds(1)));
  for (const Problem& problem : report.problems) ADD_FAILURE() << problem.file << ": " << problem.message;
}

bool reuse(StorageEngine& engine, PageId page, std::uint64_t first_number) {
  for (std::uint64_t i = 0; i < 400; ++i) {
    const auto stored = engine.store_memory(make_memory(first_number + i, 1));
    if (!stored) return false;
    if (*stored == page) return true;
  }
  return false;
}

}  // namespace mentedb::test

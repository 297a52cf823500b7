// Google Benchmark over the paths. The counters are for each memory: bytes that the process handed to write calls, and
// writes, flushes and bytes of the device below the store, where /sys tells them. Other work on that device counts,
// too.
#include <benchmark/benchmark.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "paths.hpp"

namespace mentedb::paths {
namespace {

struct Work {
  std::uint64_t write_calls = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t device_writes = 0;
  std::uint64_t device_bytes = 0;
  std::uint64_t device_flushes = 0;
};

// Documentation/filesystems/proc.rst and Documentation/block/stat.rst of the kernel.
Work work_so_far(const std::filesystem::path& directory) {
  Work work;
  std::ifstream io("/proc/self/io");
  std::string name;
  for (std::uint64_t value = 0; io >> name >> value;) {
    if (name == "syscw:") work.write_calls = value;
    if (name == "wchar:") work.bytes_written = value;
  }
  struct stat status{};
  if (stat(directory.c_str(), &status) != 0) return work;
  std::ifstream device("/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" +
                       std::to_string(minor(status.st_dev)) + "/stat");
  std::array<std::uint64_t, 17> numbers{};
  for (std::uint64_t& number : numbers) device >> number;
  work.device_writes = numbers[4];
  work.device_bytes = numbers[6] * 512;
  work.device_flushes = numbers[15];
  return work;
}

void run(benchmark::State& state, const Path& path) {
  constexpr std::size_t kMemories = 10'000;
  std::string name = (std::filesystem::current_path() / "paths-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    state.SkipWithError("cannot make a directory here");
    return;
  }
  {
    Subject subject(std::filesystem::path(name) / "store", kMemories);
    path.once(subject);
    const Work before = work_so_far(name);
    for (auto _ : state) path.once(subject);
    const Work after = work_so_far(name);
    const auto memories =
        static_cast<double>(state.iterations()) * static_cast<double>(path.memories == 0 ? kMemories : path.memories);
    const auto counter = [&](const char* what, std::uint64_t from, std::uint64_t to) {
      state.counters[what] = static_cast<double>(to - from) / memories;
    };
    state.SetItemsProcessed(static_cast<std::int64_t>(memories));
    counter("write_calls", before.write_calls, after.write_calls);
    counter("bytes", before.bytes_written, after.bytes_written);
    counter("device_writes", before.device_writes, after.device_writes);
    counter("device_bytes", before.device_bytes, after.device_bytes);
    counter("device_flushes", before.device_flushes, after.device_flushes);
  }
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace mentedb::paths

int main(int argc, char** argv) {
  for (const mentedb::paths::Path& path : mentedb::paths::all()) {
    benchmark::RegisterBenchmark(path.name.c_str(),
                                 [&path](benchmark::State& state) { mentedb::paths::run(state, path); })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

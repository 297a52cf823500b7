#include "store_files.hpp"

#include <chrono>
#include <set>
#include <thread>

#include <sys/stat.h>

namespace mentedb::prove {
namespace {

std::string look(const std::filesystem::path& store) {
  std::set<std::string> names;
  std::string others;
  std::uint64_t indexes = 0;
  std::uint64_t queues = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("ids-") && name.ends_with(".idx")) {
      ++indexes;
    } else if (name.starts_with("queue-") && name.ends_with(".shm")) {
      ++queues;
      continue;
    } else if (name != "wal.log" && name != "pages.db") {
      others += " " + name;
    }
    names.insert(name);
  }
  if (!others.empty()) return "there are other files in the directory:" + others;
  if (indexes != 1) return "there are " + std::to_string(indexes) + " id indexes";
  if (queues > 1) return "there are " + std::to_string(queues) + " commit queues";
  return names.size() == 3 ? std::string() : "wal.log or pages.db is missing";
}

}  // namespace

std::uint64_t disk_bytes(const std::filesystem::path& file) {
  constexpr std::uint64_t kUnitBytes = 512;  // of st_blocks
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_blocks) * kUnitBytes;
}

std::string unexpected_files(const std::filesystem::path& store) {
  constexpr int kAttempts = 20;
  std::string problem = look(store);
  for (int attempt = 0; attempt < kAttempts && !problem.empty(); ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    problem = look(store);
  }
  return problem;
}

}  // namespace mentedb::prove

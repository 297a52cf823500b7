#include "stores.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <system_error>

#include "process.hpp"

namespace mentedb::compare {
namespace {

namespace fs = std::filesystem;

void fill(Engine& engine, Records& records, const Workload& workload, std::size_t count) {
  const std::unique_ptr<Session> session = engine.session();
  const std::size_t tail = std::min(workload.tail_stores, count);
  for (std::size_t first = 0; first < count - tail; first += workload.batch) {
    session->store_batch(records.batch(first, std::min(workload.batch, count - tail - first)));
  }
  engine.settle();
  for (std::size_t number = count - tail; number < count; ++number) session->store(records.record(number));
}

}  // namespace

Stores::Stores(const Workload& workload, const fs::path& root)
    : workload_(workload), root_(root / fmt::format("mentedb-compare-{}", getpid())), records_(workload) {
  fs::create_directories(root_);
}

Stores::~Stores() { remove(root_); }

fs::path Stores::fresh() { return root_ / fmt::format("store-{}", next_++); }

void Stores::remove(const fs::path& directory) {
  std::error_code ignored;
  fs::remove_all(directory, ignored);
}

fs::path Stores::filled(const EngineKind& kind, Layout layout, std::size_t count, const char* purpose) {
  const char* layout_name = layout == Layout::by_id ? "id" : "number";
  const fs::path directory = root_ / fmt::format("{}-{}-{}-{}", kind.name, layout_name, count, purpose);
  if (fs::exists(directory)) return directory;
  fmt::print(stderr, "  making {}\n", directory.filename().string());
  try {
    run_in_child([&] {
      const std::unique_ptr<Engine> engine = kind.open(directory, layout);
      fill(*engine, records_, workload_, count);
    });
  } catch (...) {
    remove(directory);
    throw;
  }
  return directory;
}

double Stores::disk_bytes(const fs::path& directory) {
  double bytes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    struct stat status{};
    if (lstat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      bytes += static_cast<double>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

void Stores::drop_from_cache(const fs::path& directory) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    const int file = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    fsync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  }
}

}  // namespace mentedb::compare

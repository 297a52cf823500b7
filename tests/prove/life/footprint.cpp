#include "footprint.hpp"

#include <fstream>
#include <sstream>
#include <string_view>

#include <malloc.h>

namespace mentedb::prove {
namespace {

// How many large blocks there are depends on the memory that was written last.
constexpr std::uint64_t kLargeBlocksSlack = 16;
constexpr std::uint64_t kMemorySlackBytes = std::uint64_t{16} << 20;

bool is_unlinked(std::string_view line, const std::string& store) {
  return line.ends_with(" (deleted)") && line.find(store) != std::string_view::npos;
}

// An engine opens the commit queue with its first write beside others, so it may come late.
bool is_queue(std::string_view line) {
  return line.ends_with(".shm") && line.find("/queue-") != std::string_view::npos;
}

}  // namespace

Footprint Footprint::of_this_process(const std::filesystem::path& store) {
  Footprint found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    ++(is_queue(target) ? found.queues : found.descriptors);
    if (!error && is_unlinked(target, store)) found.unlinked = target + " is open";
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with((store / "pages.db").string())) {
      ++found.pages_mappings;
    } else if (line.find_first_of("/[") == std::string::npos) {
      ++found.large_blocks;
    } else if (is_queue(line)) {
      ++found.queue_mappings;
    } else if (!line.ends_with("[heap]")) {  // the kernel shows the heap in one piece or in two
      ++found.other_mappings;
    }
    if (is_unlinked(line, store)) found.unlinked = line.substr(line.find('/')) + " is mapped";
  }
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string line; std::getline(rollup, line);) {
    if (line.starts_with("Anonymous:")) found.anonymous_bytes = std::stoull(line.substr(line.find(':') + 1)) << 10;
  }
  return found;
}

std::string Watch::look(bool settled, std::uint64_t regions) {
  const Footprint now = Footprint::of_this_process(store_);
  if (!now.unlinked.empty()) return now.unlinked;
  std::ostringstream what;
  if (now.pages_mappings > regions + 1) {
    what << now.pages_mappings << " mappings of pages.db, which has " << regions << " regions";
    return what.str();
  }
  // The kernel shows the part that is kept in memory as a mapping of its own.
  if (now.queues > 1 || now.queue_mappings > 2) {
    what << now.queues << " open commit queues, " << now.queue_mappings << " mappings of them";
    return what.str();
  }
  if (!settled) return {};
  if (!first_) {
    first_ = now;
    return {};
  }
  if (now.descriptors > first_->descriptors) {
    what << now.descriptors << " open descriptors, " << first_->descriptors << " after the first tenth";
  } else if (now.other_mappings > first_->other_mappings) {
    what << now.other_mappings << " mappings beside pages.db, " << first_->other_mappings << " after the first tenth";
  } else if (now.large_blocks > first_->large_blocks + kLargeBlocksSlack) {
    what << now.large_blocks << " mappings of no file, " << first_->large_blocks << " after the first tenth";
  } else if (now.anonymous_bytes > first_->anonymous_bytes + kMemorySlackBytes) {
    what << (now.anonymous_bytes >> 10) << " KiB of memory, " << (first_->anonymous_bytes >> 10)
         << " KiB after the first tenth";
  }
  return what.str();
}

void give_large_blocks_back() {
  constexpr int kLargeBytes = 512 << 10;
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
}

}  // namespace mentedb::prove

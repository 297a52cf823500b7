#include "writer.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "footprint.hpp"
#include "hand.hpp"
#include "pace.hpp"
#include "peers.hpp"
#include "store_files.hpp"

namespace mentedb::prove {
namespace {

void raise(std::atomic<std::uint64_t>& most, std::uint64_t value) { most = std::max(most.load(), value); }

class Writer {
 public:
  Writer(const LifeCase& one, std::filesystem::path store, Board& board)
      : one_(one), store_(std::move(store)), board_(board), watch_(store_), random_(one.seed) {}

  std::string live() {
    give_large_blocks_back();
    auto engine = StorageEngine::open(store_, options_of(one_));
    if (!engine) return "open: " + engine_says(engine.error());
    Hand hand(*engine, board_);
    Workload workload(one_.churn, one_.seed);
    Pace pace(one_, board_);
    std::uint64_t next_look = 0;
    while (!pace.is_over() && board_.keys < Board::kMostKeys) {
      if (std::string problem = act(hand, workload); !problem.empty()) return problem;
      pace.note(call_seconds_);
      if (board_.operations < next_look && !pace.is_over()) continue;
      next_look = board_.operations + steps_between_looks(one_.churn);
      if (std::string problem = look(*engine); !problem.empty()) return problem;
    }
    if (std::string problem = compare(*engine, board_); !problem.empty()) return "at the end: " + problem;
    if (const auto done = engine->close(); !done) return "close: " + engine_says(done.error());
    auto again = StorageEngine::open(store_);
    if (!again) return "open at the end: " + engine_says(again.error());
    if (std::string problem = compare(*again, board_); !problem.empty()) return "opened again: " + problem;
    return verify_problem(store_);
  }

  static Options options_of(const LifeCase& one) {
    Options options;
    if (one.seed % 2 == 0) options.wal_limit_bytes = std::uint64_t{1} << 20;  // a checkpoint every few operations
    return options;
  }

 private:
  // One step in most cases; now and then some, as one batch or one transaction. A group needs a place for each version
  // that it writes, also where one replaces another, so a group of large memories is short.
  std::string act(Hand& hand, Workload& workload) {
    const std::uint64_t what = random_() % 32;
    const std::uint64_t most = what < 2 ? 2 + random_() % (kMostOfAGroup - 1) : 1;
    std::vector<Step> steps;
    std::uint64_t bytes = 0;
    do {
      steps.push_back(workload.next());
      bytes += steps.back().content_bytes;
    } while (steps.size() < most && bytes < kLongestGroupBytes);
    How how = How::single;
    if (steps.size() > 1) {
      const bool deletes = std::ranges::any_of(steps, [](const Step& step) { return step.action == Action::erase; });
      how = what == 0 && !deletes ? How::batch : How::transaction;
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto done = hand.apply(steps, how);
    call_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (done) note_content(steps, bytes);
    return done ? std::string() : "operation " + std::to_string(board_.operations) + ": " + engine_says(done.error());
  }

  // The most live bytes may come between two looks, and a group adds its versions before the old ones go.
  void note_content(const std::vector<Step>& steps, std::uint64_t group_bytes) {
    raise(board_.most_live_bytes, live_at_look_ + content_since_look_ + group_bytes);
    for (const Step& step : steps) {
      if (step.key >= content_bytes_.size()) content_bytes_.resize(step.key + 1);
      content_since_look_ += step.content_bytes;  // modulo 2^64, as the number may be negative
      content_since_look_ -= std::exchange(content_bytes_[step.key], step.content_bytes);
    }
    raise(board_.most_live_bytes, live_at_look_ + content_since_look_);
  }

  std::string look(StorageEngine& engine) {
    const auto stats = engine.stats();
    if (!stats) return "stats: " + engine_says(stats.error());
    if (std::string problem = look_at_files(*stats); !problem.empty())
      return "after " + std::to_string(board_.operations) + " operations: " + problem;
    if (std::string problem = look_at_footprint(engine, board_, watch_); !problem.empty())
      return "the writer, after " + std::to_string(board_.operations) + " operations: " + problem;
    return {};
  }

  std::string look_at_files(const Stats& stats) {
    const std::uint64_t live = stats.used_pages * stats.page_size_bytes;
    const std::uint64_t disk = disk_bytes(store_ / "pages.db");
    live_at_look_ = live;
    content_since_look_ = 0;
    raise(board_.most_live_bytes, live);
    raise(board_.most_disk_bytes, disk);
    raise(board_.most_file_bytes, stats.pages_file_bytes);
    board_.live_bytes = live;
    board_.disk_bytes = disk;
    board_.log_bytes = stats.log_file_bytes;
    const std::uint64_t allowed = allowed_bytes(
        one_.churn, {.most_live_bytes = board_.most_live_bytes, .disk_bytes = disk, .page_count = stats.page_count});
    raise(board_.most_of_bound_permille, disk * 1'000 / allowed);
    if (disk > allowed) {
      return fmt::format("pages.db takes {} bytes of the disk for {} live ones (at most {} so far), {} are allowed",
                         disk, live, board_.most_live_bytes.load(), allowed);
    }
    const std::uint64_t most_log = stats.wal_limit_bytes + kLongestWriteBytes;
    if (stats.log_file_bytes > most_log) {
      return fmt::format("wal.log has {} bytes, its limit is {}", stats.log_file_bytes, stats.wal_limit_bytes);
    }
    if (std::string problem = look_at_index(stats); !problem.empty()) return problem;
    return unexpected_files(store_);
  }

  std::string look_at_index(const Stats& stats) {
    // Two for each page, in a power of two. A batch that failed may have made the index longer, and not the page file.
    const std::uint64_t most_buckets = std::max(kLeastBuckets, 2 * std::bit_ceil(2 * stats.page_count));
    if (stats.index_buckets > most_buckets) {
      return fmt::format("the id index has {} buckets for {} pages", stats.index_buckets, stats.page_count);
    }
    // One when the store is made, one for each `recover`, one that may be under way.
    const std::uint64_t most_indexes = 2 + board_.recoveries;
    if (one_.churn == Churn::ids && stats.index_number > most_indexes) {
      return fmt::format("the id index was made {} times without more memories, {} times by recover",
                         stats.index_number, board_.recoveries.load());
    }
    return {};
  }

  static constexpr std::uint64_t kLongestGroupBytes = 400'000;    ///< the memory that passes it is the last one
  static constexpr std::uint64_t kLongestWriteBytes = 2'100'000;  ///< a group that ends with the largest memory
  static constexpr std::uint64_t kMostOfAGroup = 8;
  static constexpr std::uint64_t kLeastBuckets = 1'024;

  const LifeCase& one_;
  std::filesystem::path store_;
  Board& board_;
  Watch watch_;
  std::mt19937_64 random_;
  double call_seconds_ = 0;
  std::vector<std::uint32_t> content_bytes_;  ///< of each key
  std::uint64_t live_at_look_ = 0;
  std::uint64_t content_since_look_ = 0;
};

}  // namespace

std::string write_for_life(const LifeCase& one, const std::filesystem::path& store, Board& board) {
  return Writer(one, store, board).live();
}

}  // namespace mentedb::prove

#include "peers.hpp"

#include <chrono>
#include <random>
#include <thread>

#include "content.hpp"
#include "hand.hpp"

namespace mentedb::prove {
namespace {

class Reader {
 public:
  Reader(StorageEngine& engine, Board& board, std::uint64_t seed) : engine_(engine), board_(board), random_(seed) {}

  std::string read(std::uint32_t key) {
    const Board::Cell& cell = board_.cells[key];
    const Version before = Version::of(cell.acknowledged);
    const auto found = engine_.load_memory(id_of(key));
    const Version after = Version::of(cell.attempted);
    ++board_.reads;
    const std::string name = "a read of memory " + std::to_string(key) + " ";
    if (!found) {
      if (found.error().code != ErrorCode::not_found) return name + "answers " + engine_says(found.error());
      if (before.is_live() && !after.deleted) return name + "finds nothing";
      return {};
    }
    const auto version = version_of(key, *found);
    if (!version) return name + "gives no whole version";
    if (*version < before.number || (before.deleted && *version == before.number)) {
      return name + "gives version " + std::to_string(*version) + " behind version " + std::to_string(before.number);
    }
    if (*version > after.number) return name + "gives a version that was not attempted";
    return {};
  }

  std::string read_any() {
    const std::uint32_t keys = board_.keys;
    if (keys == 0) return {};
    constexpr std::uint32_t kRecent = 64;
    switch (random_() % 4) {
      case 0:
        return read(0);
      case 1:
        return read(static_cast<std::uint32_t>(random_() % keys));
      default:
        return read(keys - 1 - static_cast<std::uint32_t>(random_() % std::min(keys, kRecent)));
    }
  }

  std::string scan() {
    const auto listed = engine_.scan_all_memories();
    return listed ? std::string() : "a scan answers " + engine_says(listed.error());
  }

 private:
  StorageEngine& engine_;
  Board& board_;
  std::mt19937_64 random_;
};

}  // namespace

// Another process may replace the id index while we look. A read lets go of the old one.
std::string look_at_footprint(const StorageEngine& engine, const Board& board, Watch& watch) {
  constexpr int kAttempts = 20;
  constexpr std::uint64_t kPagesPerRegion = 65'536;
  std::string problem;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto stats = engine.stats();
    if (!stats) return "stats answer " + engine_says(stats.error());
    const std::uint64_t regions = (stats->page_count + kPagesPerRegion - 1) / kPagesPerRegion;
    problem = watch.look(board.permille >= Board::kSettledPermille, regions);
    if (problem.empty()) return {};
    static_cast<void>(engine.load_memory(id_of(0)));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return problem;
}

std::string read_all_the_time(const std::filesystem::path& store, Board& board, std::uint64_t seed) {
  constexpr std::uint64_t kReadsBetweenLooks = 1'000;
  constexpr std::uint64_t kLooksBetweenScans = 16;
  give_large_blocks_back();
  auto engine = StorageEngine::open(store);
  if (!engine) return "the reader's open answers " + engine_says(engine.error());
  Reader reader(*engine, board, seed);
  Watch watch(store);
  for (std::uint64_t looks = 0; !board.over; ++looks) {
    for (std::uint64_t i = 0; i < kReadsBetweenLooks && !board.over; ++i) {
      if (std::string problem = reader.read_any(); !problem.empty()) return problem;
      if (board.keys == 0) std::this_thread::yield();
    }
    if (looks % kLooksBetweenScans == 0) {
      if (std::string problem = reader.scan(); !problem.empty()) return problem;
    }
    if (std::string problem = look_at_footprint(*engine, board, watch); !problem.empty())
      return "the reader: " + problem;
  }
  return {};
}

std::string visit_now_and_then(const std::filesystem::path& store, Board& board, std::uint64_t seed) {
  constexpr std::uint64_t kVisitsBetweenRecoveries = 16;
  give_large_blocks_back();
  std::mt19937_64 random(seed);
  Watch watch(store);
  for (std::uint64_t visit = 1; !board.over; ++visit) {
    auto engine = StorageEngine::open(store);
    if (!engine) return "the visitor's open answers " + engine_says(engine.error());
    if (const auto done = engine->checkpoint(); !done) return "a checkpoint answers " + engine_says(done.error());
    if (visit % kVisitsBetweenRecoveries == 0) {
      ++board.recoveries;
      if (const auto done = engine->recover(); !done) return "recover answers " + engine_says(done.error());
    }
    if (const auto done = engine->close(); !done) return "close answers " + engine_says(done.error());
    ++board.visits;
    if (std::string problem = watch.look(board.permille >= Board::kSettledPermille, 0); !problem.empty())
      return "the visitor: " + problem;
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 80));
  }
  return {};
}

}  // namespace mentedb::prove

#include "life.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include <mentedb/storage_engine.hpp>

#include "../disks/child.hpp"
#include "board.hpp"
#include "hand.hpp"
#include "peers.hpp"
#include "support/scratch_directory.hpp"
#include "writer.hpp"

namespace mentedb::prove {
namespace {

using Clock = std::chrono::steady_clock;

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void print_figures(const LifeCase& one, const Board& board, double seconds) {
  fmt::print("  {:13} {:9} {:6.1f} {:8} {:8} {:8.2f} {:8.2f} {:8.2f} {:8.2f} {:6} {:8.2f} {:7.2f} {:10} {:6}\n",
             name_of(one.churn), board.operations.load(), seconds, board.first_rate.load(), board.last_rate.load(),
             mib(board.live_bytes), mib(board.most_live_bytes), mib(board.disk_bytes), mib(board.most_disk_bytes),
             fmt::format("{}%", board.most_of_bound_permille / 10), mib(board.most_file_bytes), mib(board.log_bytes),
             board.reads.load(), board.visits.load());
  std::fflush(stdout);
}

}  // namespace

void print_heads() {
  fmt::print("  {:13} {:>9} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>7} {:>10} {:>6}\n", "life", "ops",
             "s", "ops/s 1", "ops/s 10", "live", "most", "pages.db", "most", "bound", "size", "wal.log", "reads",
             "visits");
}

LifeResult live(const LifeCase& one) {
  constexpr std::chrono::hours kHangs{1};
  const test::ScratchDirectory scratch;
  const std::filesystem::path store = scratch / "store";
  const SharedBoard board;
  LifeResult result;
  const auto violation = [&](const std::string& what) {
    ++result.violations;
    const std::uint64_t operations = std::max<std::uint64_t>(board->operations, 1);
    fmt::print("VIOLATION {}: {} | replay: tools/prove life --replay 'churn {} {} {}'\n", name_of(one.churn), what,
               name_of(one.churn), one.seed, one.seconds > 0 ? operations : one.operations);
    std::fflush(stdout);
  };
  const auto tell = [&](const std::string& problem) {
    if (!problem.empty()) violation(problem);
  };
  tell(run_in_child([&] {
    const auto engine = StorageEngine::open(store);
    return engine ? std::string() : "create: " + engine_says(engine.error());
  }));
  if (result.violations != 0) return result;
  const auto begin = Clock::now();
  Child reader([&] { return read_all_the_time(store, *board, one.seed); });
  Child visitor([&] { return visit_now_and_then(store, *board, one.seed); });
  Child writer([&] { return write_for_life(one, store, *board); });
  tell(writer.wait(kHangs));
  board->over = true;
  tell(reader.wait());
  tell(visitor.wait());
  print_figures(one, *board, std::chrono::duration<double>(Clock::now() - begin).count());
  result.operations = board->operations;
  return result;
}

}  // namespace mentedb::prove

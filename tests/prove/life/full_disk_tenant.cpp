#include "full_disk_tenant.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <random>
#include <vector>

#include <mentedb/storage_engine.hpp>

#include "footprint.hpp"
#include "hand.hpp"
#include "outside_file.hpp"
#include "peers.hpp"
#include "population.hpp"
#include "store_files.hpp"

namespace mentedb::prove {
namespace {

constexpr std::uint32_t kFillBytes = 100'000;
constexpr std::uint32_t kCrumbBytes = 10;

class Tenant {
 public:
  Tenant(const std::string& mounted, const DiskCase& one, Board& board)
      : one_(one),
        store_(store_in(mounted)),
        board_(board),
        counts_(board.tenant),
        outside_(mounted),
        watch_(store_),
        random_(one.seed * 1'000'003 + static_cast<unsigned>(one.kind)) {
    options_.wal_limit_bytes = std::uint64_t{64 << 10} << (2 * draw(4));  // 64 KiB to 4 MiB
  }

  std::string live();

 private:
  std::uint64_t draw(std::uint64_t limit) { return random_() % limit; }
  double part_lived() const;

  // Each answers what is wrong, or nothing.
  std::string open();
  std::string fill(std::uint32_t content_bytes, std::uint64_t& stored);
  std::string round();
  std::string delete_and_store();
  std::string store_some();
  std::string open_again();
  std::string recover();
  std::string look();
  std::string after_the_last_round();

  std::string erase(const std::vector<Step>& steps);
  /// `refused`: it had no space.
  std::string write(const std::vector<Step>& steps, bool& refused);
  std::string allow_no_space(const std::string& what, const Error& error, std::atomic<std::uint64_t>* count = nullptr);

  const DiskCase& one_;
  std::filesystem::path store_;
  Board& board_;
  TenantCounts& counts_;
  OutsideFile outside_;
  Watch watch_;
  std::mt19937_64 random_;
  Options options_;
  std::optional<StorageEngine> engine_;
  Population memories_{[this](std::uint64_t limit) { return draw(limit); }};
  std::string said_;          ///< by the engine with its last `no_space`
  std::uint64_t filled_ = 0;  ///< memories of 100 KB that the empty disk took
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

std::string Tenant::allow_no_space(const std::string& what, const Error& error, std::atomic<std::uint64_t>* count) {
  if (error.code != ErrorCode::no_space)
    return what + ", round " + std::to_string(counts_.rounds) + ": " + engine_says(error);
  ++counts_.refused;
  said_ = error.message;
  if (count != nullptr) ++*count;
  return {};
}

std::string Tenant::open() {
  auto opened = StorageEngine::open(store_, options_);
  if (!opened && opened.error().code == ErrorCode::no_space && outside_.is_there()) {
    ++counts_.refused;
    ++counts_.refused_opens;
    outside_.give_back();
    opened = StorageEngine::open(store_, options_);
  }
  if (!opened) return "open, round " + std::to_string(counts_.rounds) + ": " + engine_says(opened.error());
  ++counts_.opens;
  engine_.emplace(std::move(*opened));
  return {};
}

std::string Tenant::write(const std::vector<Step>& steps, bool& refused) {
  const How how = steps.size() == 1 ? How::single : draw(2) == 0 ? How::batch : How::transaction;
  const auto done = Hand(*engine_, board_).apply(steps, how);
  refused = !done;
  if (!done) return allow_no_space("a write of " + std::to_string(steps.size()), done.error());
  memories_.note(steps);
  return {};
}

std::string Tenant::fill(std::uint32_t content_bytes, std::uint64_t& stored) {
  for (bool refused = false;; ++stored) {
    if (std::string problem = write({memories_.draw_write(content_bytes, false)}, refused); !problem.empty())
      return problem;
    if (refused) return {};
  }
}

// Deletes each for itself, or all as one transaction.
std::string Tenant::erase(const std::vector<Step>& steps) {
  const auto done = Hand(*engine_, board_).apply(steps, draw(2) == 0 ? How::single : How::transaction);
  if (!done) return "a deletion, round " + std::to_string(counts_.rounds) + ": " + engine_says(done.error());
  counts_.deletions += steps.size();
  return {};
}

std::string Tenant::delete_and_store() {
  if (memories_.is_empty()) return {};
  std::uint32_t longest = 0;
  if (std::string problem = erase(memories_.take(1 + draw(6), longest)); !problem.empty()) return problem;
  bool refused = false;
  const auto content_bytes = static_cast<std::uint32_t>(draw(longest / 2 + 1));
  if (std::string problem = write({memories_.draw_write(content_bytes, draw(2) == 0)}, refused); !problem.empty())
    return problem;
  if (refused) {
    return "no_space for " + std::to_string(content_bytes) + " bytes after a deletion of " + std::to_string(longest) +
           ", round " + std::to_string(counts_.rounds) + ": " + said_;
  }
  ++counts_.stores_into_freed;
  return {};
}

// A few writes, or as many as the disk takes.
std::string Tenant::store_some() {
  std::uint64_t left = draw(2) == 0 ? 1 + draw(12) : UINT64_MAX;
  for (bool refused = false; left > 0 && !refused; --left) {
    constexpr double kMost = 200'000;
    std::vector<Step> steps;
    for (std::uint64_t i = draw(8) == 0 ? 1 + draw(5) : 1; i > 0; --i) {
      const double part = static_cast<double>(draw(1'001)) / 1'000;
      const auto content_bytes = static_cast<std::uint32_t>(kCrumbBytes * std::pow(kMost / kCrumbBytes, part));
      steps.push_back(memories_.draw_write(content_bytes, draw(2) == 0));
    }
    if (std::string problem = write(steps, refused); !problem.empty()) return problem;
  }
  return {};
}

std::string Tenant::open_again() {
  if (const auto closed = engine_->close(); !closed) {
    if (std::string problem = allow_no_space("close", closed.error()); !problem.empty()) return problem;
  }
  engine_.reset();
  return open();
}

std::string Tenant::recover() {
  const auto done = engine_->recover();
  return done ? std::string() : allow_no_space("recover", done.error(), &counts_.refused_recoveries);
}

std::string Tenant::look() {
  if (std::string problem = compare(*engine_, board_); !problem.empty()) return problem;
  if (std::string problem = unexpected_files(store_); !problem.empty()) return problem;
  return verify_problem(store_);
}

std::string Tenant::round() {
  switch (draw(16)) {
    case 0:
      outside_.take_all();
      ++counts_.outside_files;
      return {};
    case 1:
      outside_.give_back();
      return {};
    case 2: {
      const auto done = engine_->checkpoint();
      return done ? std::string() : allow_no_space("checkpoint", done.error(), &counts_.refused_checkpoints);
    }
    case 3:
      return open_again();
    case 4:
      return recover();
    case 5:
      return look();
    case 6:
    case 7:
    case 8:
    case 9:
      return store_some();
    default:
      return delete_and_store();
  }
}

// With everything deleted the disk takes what it took when it was new. A tenth is for log and index, which have grown.
std::string Tenant::after_the_last_round() {
  outside_.give_back();
  if (std::string problem = look(); !problem.empty()) return "at the end: " + problem;
  if (std::string problem = erase(memories_.take_all()); !problem.empty()) return problem;
  for (std::uint64_t i = 0; i < filled_ * 9 / 10; ++i) {
    bool refused = false;
    if (std::string problem = write({memories_.draw_write(kFillBytes, false)}, refused); !problem.empty())
      return problem;
    if (refused) {
      return "the emptied disk takes " + std::to_string(i) + " memories, the new one took " + std::to_string(filled_);
    }
  }
  if (std::string problem = look(); !problem.empty()) return "filled again: " + problem;
  if (std::string problem = open_again(); !problem.empty()) return problem;
  if (std::string problem = look(); !problem.empty()) return "opened at the end: " + problem;
  return {};
}

double Tenant::part_lived() const {
  if (one_.seconds <= 0) return static_cast<double>(counts_.rounds) / static_cast<double>(one_.rounds);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() / one_.seconds;
}

std::string Tenant::live() {
  give_large_blocks_back();
  std::uint64_t crumbs = 0;
  if (std::string problem = open(); !problem.empty()) return problem;
  if (std::string problem = fill(kFillBytes, filled_); !problem.empty()) return problem;
  if (std::string problem = fill(kCrumbBytes, crumbs); !problem.empty()) return problem;
  while (part_lived() < 1) {
    board_.permille = static_cast<std::uint32_t>(part_lived() * 1'000);
    if (std::string problem = round(); !problem.empty()) return problem;
    ++counts_.rounds;
    if (std::string problem = look_at_footprint(*engine_, board_, watch_); !problem.empty()) return problem;
  }
  return after_the_last_round();
}

}  // namespace

std::filesystem::path store_in(const std::string& mounted) { return mounted + "/store"; }

std::string create_store(const std::string& mounted) {
  const auto engine = StorageEngine::open(store_in(mounted));
  return engine ? std::string() : "create: " + engine_says(engine.error());
}

std::string live_as_tenant(const std::string& mounted, const DiskCase& one, Board& board) {
  return Tenant(mounted, one, board).live();
}

}  // namespace mentedb::prove

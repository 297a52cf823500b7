#include "hand.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <mentedb/inspect.hpp>

#include "content.hpp"

namespace mentedb::prove {
namespace {

std::string name(std::uint32_t key, const Version& version) {
  return "memory " + std::to_string(key) + ", version " + std::to_string(version.number) +
         (version.deleted ? " (the deletion)" : "");
}

std::string compare_one(const StorageEngine& engine, std::uint32_t key, const Version& wanted) {
  const auto found = engine.load_memory(id_of(key));
  if (!wanted.is_live()) {
    if (found) return name(key, wanted) + ": the memory is there";
    if (found.error().code != ErrorCode::not_found) return name(key, wanted) + ": " + engine_says(found.error());
    return {};
  }
  if (!found) return name(key, wanted) + ": " + engine_says(found.error());
  const auto version = version_of(key, *found);
  if (!version) return name(key, wanted) + ": the content is no whole version";
  if (*version != wanted.number) return name(key, wanted) + ": version " + std::to_string(*version) + " is there";
  return {};
}

}  // namespace

std::string engine_says(const Error& error) { return std::string(to_string(error.code)) + ": " + error.message; }

Result<void> Hand::apply(std::span<const Step> steps, How how) {
  if (how != How::single) return group(steps, how);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (auto done = group(steps.subspan(i, 1), how); !done) return done;
  }
  return {};
}

Result<void> Hand::group(std::span<const Step> steps, How how) {
  std::vector<MemoryNode> nodes(steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    auto& cell = board_.cells[step.key];
    const Version version{.number = Version::of(cell.attempted).number + 1, .deleted = step.action == Action::erase};
    cell.attempted = version.word();
    board_.keys = std::max(board_.keys.load(), step.key + 1);
    if (!version.deleted) nodes[i] = make_memory(step.key, version.number, step.content_bytes);
  }
  Result<void> done;
  if (how == How::batch) {
    if (const auto stored = engine_.store_memories(nodes); !stored) done = std::unexpected(stored.error());
  } else if (how == How::transaction) {
    done = engine_.transact([&](Transaction& transaction) -> Result<void> {
      for (std::size_t i = 0; i < steps.size(); ++i) {
        Result<void> one;
        if (steps[i].action == Action::erase) {
          one = transaction.erase(id_of(steps[i].key));
        } else if (steps[i].action == Action::update) {
          one = transaction.update(nodes[i]);
        } else if (const auto stored = transaction.store(nodes[i]); !stored) {
          one = std::unexpected(stored.error());
        }
        if (!one) return one;
      }
      return {};
    });
  } else if (steps.front().action == Action::erase) {
    done = engine_.delete_memory(id_of(steps.front().key));
  } else {
    const bool update = steps.front().action == Action::update;
    const auto stored = update ? engine_.update_memory(nodes.front()) : engine_.store_memory(nodes.front());
    if (!stored) done = std::unexpected(stored.error());
  }
  for (const Step& step : steps) {
    auto& cell = board_.cells[step.key];
    if (done) {
      cell.acknowledged = cell.attempted.load();
    } else {
      cell.attempted = cell.acknowledged.load();
    }
  }
  if (done) board_.operations += steps.size();
  return done;
}

std::string compare(const StorageEngine& engine, const Board& board) {
  std::uint64_t live = 0;
  for (std::uint32_t key = 0; key < board.keys; ++key) {
    const Version wanted = Version::of(board.cells[key].acknowledged);
    if (wanted.is_live()) ++live;
    if (std::string problem = compare_one(engine, key, wanted); !problem.empty()) return problem;
  }
  const auto stats = engine.stats();
  if (!stats) return "stats: " + engine_says(stats.error());
  if (stats->memory_count != live) {
    return "stats count " + std::to_string(stats->memory_count) + " memories, there are " + std::to_string(live);
  }
  const auto listed = engine.scan_all_memories();
  if (!listed) return "scan: " + engine_says(listed.error());
  if (listed->size() != live) {
    return "a scan lists " + std::to_string(listed->size()) + " memories, there are " + std::to_string(live);
  }
  return {};
}

std::string verify_problem(const std::filesystem::path& store) {
  const auto report = verify_store(store);
  if (!report) return "verify: " + engine_says(report.error());
  if (report->problems.empty()) return {};
  return "verify: " + report->problems.front().file + ": " + report->problems.front().message;
}

}  // namespace mentedb::prove

#include "support/ledger.hpp"

#include <map>
#include <optional>

#include <fmt/format.h>

namespace mentedb::test {
namespace {

MemoryId id_of(std::uint64_t cell) {
  MemoryId id;
  id.bytes[0] = 0x1E;
  id.bytes[15] = static_cast<std::uint8_t>(cell);
  return id;
}
const MemoryId kCounter = id_of(kLedgerCells);

MemoryNode node_of(const MemoryId& id, std::uint64_t number) {
  MemoryNode node;
  node.id = id;
  node.agent_id.bytes[0] = 1;
  node.content = fmt::format("{} ", number);
  node.content.append(number * 131 % 3'000, static_cast<char>('a' + number % 26));  // one to three pages
  return node;
}

bool deletes(std::uint64_t number) { return number % 5 == 4; }

std::uint64_t number_in(const MemoryNode& node) { return std::stoull(node.content); }

}  // namespace

Result<void> begin_ledger(StorageEngine& engine) {
  const auto stored = engine.store_memory_if_absent(node_of(kCounter, 0));
  if (!stored && stored.error().code != ErrorCode::already_exists) return std::unexpected(stored.error());
  return {};
}

Result<std::uint64_t> advance_ledger(StorageEngine& engine) {
  std::uint64_t number = 0;
  auto done = engine.transact([&](Transaction& transaction) -> Result<void> {
    const auto counter = transaction.load(kCounter);
    if (!counter) return std::unexpected(counter.error());
    number = number_in(*counter) + 1;
    if (auto counted = transaction.update(node_of(kCounter, number)); !counted) return counted;
    const MemoryId cell = id_of(number % kLedgerCells);
    if (!deletes(number)) {
      if (auto stored = transaction.store(node_of(cell, number)); !stored) return std::unexpected(stored.error());
      return {};
    }
    if (auto erased = transaction.erase(cell); !erased && erased.error().code != ErrorCode::not_found) return erased;
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return number;
}

Result<std::uint64_t> ledger_position(const StorageEngine& engine) {
  const auto counter = engine.load_memory(kCounter);
  if (!counter) return std::unexpected(counter.error());
  return number_in(*counter);
}

std::string what_is_wrong_with_ledger(const StorageEngine& engine) {
  std::map<MemoryId, MemoryNode> found;
  const auto read = engine.for_each_memory([&](const MemoryNode& node, PageId) {
    found.emplace(node.id, node);
    return true;
  });
  if (!read) return read.error().message;
  if (!found.contains(kCounter)) return "the counter is missing";
  const std::uint64_t last = number_in(found.at(kCounter));
  std::size_t expected = 1;
  for (std::uint64_t number = last; number > 0 && last - number < kLedgerCells; --number) {
    const MemoryId cell = id_of(number % kLedgerCells);
    const auto there = found.find(cell);
    if (deletes(number)) {
      if (there == found.end()) continue;
      return fmt::format("at {}: what transaction {} deleted is there, from {}", last, number,
                         number_in(there->second));
    }
    ++expected;
    if (there == found.end()) return fmt::format("at {}: what transaction {} stored is missing", last, number);
    if (there->second != node_of(cell, number)) {
      return fmt::format("at {}: the cell of transaction {} is from {}", last, number, number_in(there->second));
    }
  }
  if (found.at(kCounter) != node_of(kCounter, last)) return "the counter is torn";
  if (found.size() != expected) return fmt::format("at {}: {} memories instead of {}", last, found.size(), expected);
  return {};
}

}  // namespace mentedb::test

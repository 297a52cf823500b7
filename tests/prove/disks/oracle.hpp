// What a store has to hold after whatever happened: acknowledged <= recovered <= acknowledged + attempted, for each
// writer, with whole operations only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "altered_vfs.hpp"
#include "device.hpp"
#include "script.hpp"

namespace mentedb::prove {

/// Acknowledged (or shown) and attempted operations of one writer.
struct Bounds {
  std::size_t low = 0;
  std::size_t high = 0;
};

struct Expectation {
  Script script;
  Bounds bounds;
};

std::string engine_says(const Error& error);

/// What the marks of the records from `from` to `to` say about a writer of whom `bounds` was known before.
Bounds bounds_at(std::span<const Record> records, std::uint64_t from, std::uint64_t to, std::uint32_t writer,
                 Bounds bounds);

/// The number of operations, within the bounds, after which the state is what `engine` holds; else sets `problem`.
std::size_t settle(const StorageEngine& engine, const Expectation& expectation, std::string& problem);

/// Empty, or the first thing that verify finds.
std::string problems_of(const StorageEngine& engine);

/// Opens the store: everything acknowledged, verify clean, and it goes on with the operations of `going_on`. Marks go
/// into the device's log when one is given. Empty, or what is wrong.
std::string check(Device* device, const std::string& store, Scenario scenario,
                  const std::vector<Expectation>& expectations, const Script& going_on, Boot boot);

}  // namespace mentedb::prove

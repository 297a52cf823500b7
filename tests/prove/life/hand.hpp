// Does what a workload wants, and notes on the board what that attempts and what was acknowledged.
#pragma once

#include <span>
#include <string>

#include <mentedb/storage_engine.hpp>

#include "board.hpp"
#include "churn.hpp"

namespace mentedb::prove {

std::string engine_says(const Error& error);

enum class How {
  single,       ///< one call for each step
  batch,        ///< `store_memories`; the steps delete nothing
  transaction,  ///< `transact`
};

class Hand {
 public:
  Hand(StorageEngine& engine, Board& board) : engine_(engine), board_(board) {}

  /// Does all steps, or none when they are a group. Steps of `single` end at the first error.
  Result<void> apply(std::span<const Step> steps, How how);

 private:
  Result<void> group(std::span<const Step> steps, How how);

  StorageEngine& engine_;
  Board& board_;
};

/// Compares the store with the board when nothing is under way: each live memory is there as it was acknowledged, each
/// other one is not. Empty, or what is wrong.
std::string compare(const StorageEngine& engine, const Board& board);

/// `verify_store` of a directory. Empty, or the first problem.
std::string verify_problem(const std::filesystem::path& store);

}  // namespace mentedb::prove

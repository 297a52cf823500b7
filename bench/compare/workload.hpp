// What is measured, and how much of it: the one file workload.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include <nlohmann/json.hpp>

namespace mentedb::compare {

struct Workload {
  std::uint64_t seed = 0;
  std::size_t rounds = 0;
  std::size_t dimensions = 0;        ///< floats of an embedding
  std::size_t encoded_bytes = 0;     ///< bytes of a record
  std::size_t batch = 0;             ///< records of a batch
  std::size_t records = 0;           ///< records of the stores that are read
  std::size_t tail_stores = 0;       ///< single stores behind the last checkpoint of such a store
  std::size_t warm_up_stores = 0;    ///< single stores before the clock starts
  double write_seconds = 0;          ///< length of a measurement that stores
  double read_seconds = 0;           ///< length of a measurement that loads
  std::size_t bulk_records = 0;      ///< records of the row bulk
  std::size_t mixed_records = 0;     ///< records of the store that is read and written at once
  std::size_t recovery_stores = 0;   ///< single stores before the kill
  std::size_t recovery_repeats = 0;  ///< kills of one round
  std::size_t open_repeats = 0;      ///< opens of one round
  std::size_t scan_repeats = 0;      ///< scans of one round
  std::size_t changes_records = 0;   ///< records of the row changes
  std::size_t changes_repeats = 0;   ///< commits of the row changes
  std::size_t growth_small = 0;      ///< records of the small store
  std::size_t growth_large = 0;      ///< records of the large store
  std::size_t growth_singles = 0;    ///< single stores after each batch on the way
  std::size_t growth_rounds = 0;     ///< rounds of the row growth, which takes long
  nlohmann::json text;               ///< the file as it was used
};

/// Reads the file. Throws std::runtime_error with a sentence when a number is missing.
/// @param quick takes the small numbers of "quick" instead
Workload read_workload(const std::filesystem::path& file, bool quick);

}  // namespace mentedb::compare

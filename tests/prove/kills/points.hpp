// The operations that are killed at each of their system calls.
#pragma once

#include <array>
#include <string_view>

#include "roles.hpp"

namespace mentedb::prove {

enum class Point {
  open,
  recoverer,
  create,
  change,
  erase,
  batch,
  bulk,
  shared,
  raw_allocate,
  raw_write,
  raw_free,
  growth,
  checkpoint,
  recover,
  backup,
  close,
  read,
  group_commit,
  count
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Point::count)> kPointNames{
    "open",       "recoverer", "store",  "update",     "delete",  "batch",  "bulk",  "transact", "allocate_page",
    "write_page", "free_page", "growth", "checkpoint", "recover", "backup", "close", "reads",    "group commit"};

/// In a process of its own: prepares, waits for the board's word `go` in clock_nanosleep(2), does the operation, twice
/// when the first time differs (R1), and ends.
void run_point(Point point, const Actor& actor);

}  // namespace mentedb::prove

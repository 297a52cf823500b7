// Reads of every kind, each judged against the history on the board.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <mentedb/storage_engine.hpp>

#include "board.hpp"

namespace mentedb::prove {

/// What must hold of every member before a read of many begins.
using Floors = std::vector<std::uint64_t>;

class Witness {
 public:
  Witness(Board& board, std::string who, Lane& lane) : board_(board), who_(std::move(who)), lane_(lane) {}

  Board& board() { return board_; }
  const std::string& who() const { return who_; }
  [[noreturn]] void fail(std::string_view what) const { board_.fail(who_, what); }
  /// The value, or the end of this process with a violation.
  template <class T>
  T good(Result<T> result, std::string_view call) const {
    if (!result) fail(fmt::format("{} answered {}: {}", call, to_string(result.error().code), result.error().message));
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }
  /// Counts an operation and the values it brought that were compared.
  void count(Op op, std::uint64_t checks = 1);

  void read_id(const StorageEngine& engine, Member& member);
  /// The page that an acknowledgement named; whoever lives there may only be newer.
  void read_where(const StorageEngine& engine, Member& member);
  /// The image's LSN never falls, whatever lives on the page.
  void read_page(const StorageEngine& engine, Member& member);
  void read_raw(const StorageEngine& engine, Member& member);
  void find(const StorageEngine& engine, Member& member);
  /// The last member of a batch first: who sees it sees the first one, too.
  void read_backwards(const StorageEngine& engine, Group& group);
  void scan(const StorageEngine& engine);
  void for_each(const StorageEngine& engine);
  Lsn committed(const StorageEngine& engine);
  void verify(const StorageEngine& engine, std::string_view what);

  Floors floors();
  Floors scan_floors();
  /// A read of everything that began at `floors`: what was there, and nothing else.
  void judge_all(const Floors& floors, const std::vector<std::optional<std::uint64_t>>& seen, std::string_view path);
  /// The member and version of a node that came out of a scan.
  std::pair<std::uint32_t, std::uint64_t> identify(const MemoryNode& node, std::string_view path) const;

 private:
  void judge_value(Member& member, std::uint64_t floor, std::uint64_t version, std::string_view path);
  /// The version that an empty answer stands for at least.
  std::uint64_t judge_absent(Member& member, std::uint64_t floor, std::string_view path);
  std::optional<std::uint64_t> read_id_from(const StorageEngine& engine, Member& member, std::uint64_t floor);
  std::string name(Member& member) const;

  Board& board_;
  std::string who_;
  Lane& lane_;
};

inline bool is_code(const auto& result, ErrorCode code) { return !result && result.error().code == code; }

}  // namespace mentedb::prove

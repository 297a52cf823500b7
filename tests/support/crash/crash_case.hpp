// One crash, spelt out: everything that follows from it is the same every time. As text, for replays:
//
//   transact:3:k120,c300.5:two17,k40,x60:one,c7.1s
//
// workload : schedule seed : accidents of the first session : next session, its accidents : ...
//
// A session ends when all its processes ended, or with c or x; the next one begins with what is there then: one opener,
// or two that race under a schedule seed. Steps are counted from the beginning of the session, over all its processes.
//   k120     the process that takes step 120 is killed before it; the others go on. "-" when there is no accident.
//   e120.1   the sync that is step 120 fails with EIO and makes nothing (0), some (1) or all (2) durable
//   c300.5   power is cut before step 300, or at the end when the session is shorter; the fate's number (pick_fate),
//            "s" when the page cache is lost without a reboot
//   x60      every process is killed before step 60: the page cache survives
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/sim/sim_fate.hpp"

namespace mentedb::test {

struct Accident {
  enum class Kind : std::uint8_t { kill, fail_sync, cut, kill_all };
  Kind kind = Kind::kill;
  std::uint64_t step = 0;
  std::uint64_t detail = 0;  ///< of fail_sync and cut
  bool same_boot = false;    ///< of cut

  [[nodiscard]] bool ends_session() const { return kind == Kind::cut || kind == Kind::kill_all; }
};

struct Session {
  enum class Cast : std::uint8_t { workload, one_opener, two_openers };
  Cast cast = Cast::workload;
  std::uint64_t schedule_seed = 0;
  std::vector<Accident> accidents{};
};

struct CrashCase {
  std::string workload;
  std::vector<Session> sessions;  ///< the first is the workload's
};

std::string to_string(const CrashCase& crash);
/// Nothing when the text is not such a line.
std::optional<CrashCase> parse_crash_case(std::string_view text);

/// Fate 0 keeps nothing, 1 everything. The general ones go on with kinds of loss over all sectors (sim_fate.hpp); those
/// by file follow.
struct FateNumbers {
  std::size_t general = 0;
  std::size_t by_file = 0;
};
FateNumbers fate_numbers(const Pending& pending);
Fate pick_fate(const Pending& pending, std::size_t number, bool same_boot);

}  // namespace mentedb::test

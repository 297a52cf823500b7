#include "log_check.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

namespace mentedb::prove {
namespace {

std::vector<const Record*> all_records(Board& board) {
  std::vector<const Record*> all;
  for (std::size_t lane = 0; lane < kMaxLanes; ++lane) {
    const std::uint64_t size = board.lanes[lane].log_size.load();
    for (std::uint64_t i = 0; i < size; ++i) all.push_back(&board.logs[lane][i]);
  }
  return all;
}

class Check {
 public:
  Check(Board& board, LogVerdict& verdict) : board_(board), verdict_(verdict), all_(all_records(board)) {
    verdict_.records = all_.size();
  }

  void acknowledged_once();
  void lsns();
  void backups();

 private:
  template <class... Args>
  void violation(fmt::format_string<Args...> text, Args&&... args) {
    if (verdict_.violations.size() < 5) verdict_.violations.push_back(fmt::format(text, std::forward<Args>(args)...));
  }
  static std::uint64_t key(const Record& record) { return std::uint64_t{record.group} << 32 | record.version; }

  Board& board_;
  LogVerdict& verdict_;
  std::vector<const Record*> all_;
  std::vector<std::map<std::uint64_t, std::uint64_t>> lsn_of_version_;  ///< for each group
};

// I6: two writers that took the same turn would both be acknowledged.
void Check::acknowledged_once() {
  std::set<std::uint64_t> acked;
  for (const Record* record : all_) {
    if (record->what.load() == What::acked && !acked.insert(key(*record)).second)
      violation("I6: version {} of group {} was acknowledged twice", record->version, record->group);
  }
  for (const std::uint64_t one : acked) {
    const Group& group = board_.groups[one >> 32];
    if ((one & 0xFFFF'FFFF) > group.acked.load())
      violation("I1: group {} ends at version {}, and {} was acknowledged", one >> 32, group.acked.load(),
                one & 0xFFFF'FFFF);
  }
}

void Check::lsns() {
  lsn_of_version_.resize(board_.group_count);
  for (const Record* record : all_) {
    const What what = record->what.load();
    if (record->lsn == 0 || what == What::attempted || what == What::in_backup) continue;
    const auto [at, fresh] = lsn_of_version_[record->group].emplace(record->version, record->lsn);
    if (!fresh && at->second != record->lsn)
      violation("I3/I8: version {} of group {} has LSN {} and LSN {}", record->version, record->group, at->second,
                record->lsn);
  }
  struct Write {
    std::uint64_t lsn;
    const Record* record;
  };
  std::vector<Write> writes;
  for (const Record* record : all_) {
    const What what = record->what.load();
    if (what == What::attempted || what == What::in_backup) continue;
    // Of a shared group the next writer tells the LSN.
    const auto& lsns = lsn_of_version_[record->group];
    if (const auto found = lsns.find(record->version); found != lsns.end()) writes.push_back({found->second, record});
  }
  std::ranges::sort(writes, {}, &Write::lsn);
  std::vector<Write> last(board_.group_count);
  Write before{};
  std::uint64_t latest_invoked = 0;  // of all with a lower LSN
  for (const Write& write : writes) {
    const Record& record = *write.record;
    if (before.record != nullptr && before.lsn == write.lsn && key(*before.record) != key(record))
      violation("I8: LSN {} is of group {} version {} and of group {} version {}", write.lsn, before.record->group,
                before.record->version, record.group, record.version);
    before = write;
    Write& previous = last[record.group];
    if (previous.record != nullptr && previous.lsn < write.lsn && previous.record->version >= record.version)
      violation("I3/I8: group {} has version {} at LSN {} and version {} at LSN {}", record.group,
                previous.record->version, previous.lsn, record.version, write.lsn);
    previous = write;
    ++verdict_.writes_in_order;
    if (record.what.load() != What::acked) continue;
    // Acknowledged before another began, and yet with a higher LSN than that one?
    if (record.returned_ns < latest_invoked)
      violation("I8: group {} version {} (LSN {}) returned before a write with a lower LSN was begun", record.group,
                record.version, write.lsn);
    latest_invoked = std::max(latest_invoked, record.invoked_ns);
  }
}

// A moment is an LSN at which everything that the backup holds was written and nothing that it lacks.
void Check::backups() {
  std::unordered_map<std::uint64_t, std::vector<const Record*>> of_backup;
  for (const Record* record : all_) {
    if (record->what.load() == What::in_backup) of_backup[record->lsn].push_back(record);
  }
  for (const auto& [number, records] : of_backup) {
    std::uint64_t begin = 0;
    std::uint64_t end = UINT64_MAX;
    const Record* first = nullptr;
    const Record* next = nullptr;
    for (const Record* record : records) {
      const auto& lsns = lsn_of_version_[record->group];
      if (const auto held = lsns.find(record->version); held != lsns.end() && held->second > begin) {
        begin = held->second;
        first = record;
      }
      const auto superseded = lsns.find(record->version + 1);
      if (superseded != lsns.end() && superseded->second < end) {
        end = superseded->second;
        next = record;
      }
    }
    ++verdict_.backups;
    if (begin < end || first == nullptr || next == nullptr) continue;
    violation("backup {} is of no moment: it has group {} version {} (LSN {}) and lacks group {} version {} (LSN {})",
              number, first->group, first->version, begin, next->group, next->version + 1, end);
  }
}

}  // namespace

LogVerdict check_logs(Board& board) {
  LogVerdict verdict;
  Check check(board, verdict);
  check.acknowledged_once();
  check.lsns();
  check.backups();
  return verdict;
}

std::string tail_of_logs(Board& board, std::size_t lines) {
  constexpr std::array<std::string_view, 5> kWhat{"attempted", "acked", "resolved", "observed", "in backup"};
  std::string text;
  for (std::size_t lane = 0; lane < kMaxLanes; ++lane) {
    const std::uint64_t size = board.lanes[lane].log_size.load();
    for (std::uint64_t i = size - std::min<std::uint64_t>(size, lines); i < size; ++i) {
      const Record& record = board.logs[lane][i];
      text += fmt::format("{} {} lane {} group {} version {} lsn {} {} {}\n", record.invoked_ns, record.returned_ns,
                          lane, record.group, record.version, record.lsn, kOpNames[static_cast<std::size_t>(record.op)],
                          kWhat[static_cast<std::size_t>(record.what.load())]);
    }
  }
  return text;
}

}  // namespace mentedb::prove

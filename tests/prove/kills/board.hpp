// What all processes of a round share, in a mapped file: whoever is killed leaves here what was known to him.
//
// A memory's history is a line of version numbers. A group is one to many memories that are always written together,
// at one version, as one batch. Which versions put and which ones delete follows from the number alone (see Kind), and
// a memory's content follows from its number and version, so a reader can judge what it got without asking anybody:
//
//     acked or shown to anybody before the read began  <=  version read  <=  attempted when the read had ended
//
// That is exact, not a sample: the floor is loaded before the call, and raised only after a call has returned.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include <sys/types.h>

namespace mentedb::prove {

inline constexpr std::size_t kMaxGroups = 512;
inline constexpr std::size_t kMaxMembers = 8'192;
inline constexpr std::size_t kMaxSlots = 16;
inline constexpr std::size_t kThreadsPerSlot = 3;
inline constexpr std::size_t kMaxLanes = kMaxSlots * kThreadsPerSlot;
inline constexpr std::size_t kPageLsns = std::size_t{1} << 18;
inline constexpr std::size_t kLogRecords = std::size_t{1} << 18;  // a lane; the file is sparse
inline constexpr std::uint32_t kShared = 0xFFFF;                  // owner of groups that every writer changes

enum class Kind : std::uint32_t {
  permanent,  ///< every version puts
  deletable,  ///< every fourth version deletes, the one after it stores anew
  raw,        ///< a raw page: every eighth version frees it, the one after it allocates an empty one
};

constexpr std::uint64_t absent_cycle(Kind kind) {
  return kind == Kind::permanent ? 0 : kind == Kind::deletable ? 4 : 8;
}
constexpr bool is_absent(Kind kind, std::uint64_t version) {
  return absent_cycle(kind) != 0 && version % absent_cycle(kind) == 0;
}
/// The first version from `version` on that leaves nothing; not for permanent ones.
constexpr std::uint64_t next_absent(Kind kind, std::uint64_t version) {
  const std::uint64_t cycle = absent_cycle(kind);
  return (version + cycle - 1) / cycle * cycle;
}

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free);

inline void raise(Word& word, std::uint64_t value) {
  std::uint64_t now = word.load(std::memory_order_relaxed);
  while (now < value && !word.compare_exchange_weak(now, value)) {
  }
}

struct alignas(64) Group {
  Word attempted;  ///< highest version whose write has begun; lowered when it is certain that it never happened
  Word acked;      ///< highest version that was acknowledged, or seen under the lock
  Word acked_lsn;  ///< its first LSN at least
  Kind kind;
  std::uint32_t owner;  ///< lane that writes it, or kShared
  std::uint32_t first_member;
  std::uint32_t member_count;
};

struct Member {
  Word shown;  ///< highest version that any read in any process has returned
  Word where;  ///< page (low half) that held the version (high half) when that was acknowledged
  std::uint32_t group;
};

enum class Op : std::uint32_t {
  store,
  update,
  erase,
  batch,
  transact,
  rollback,
  raw_write,
  read_id,
  read_page,
  read_raw,
  find,
  scan,
  for_each,
  changes,
  wait,
  checkpoint,
  recover,
  verify,
  backup,
  open,
  open_read_only,
  close,
  fork,
  resolve,
  read_back,
  count
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Op::count)> kOpNames{
    "store",           "update",       "delete",        "batch",    "transact", "rollback", "raw write",
    "read by id",      "read by page", "read raw page", "find",     "scan",     "for_each", "changes_since",
    "wait_for_change", "checkpoint",   "recover",       "verify",   "backup",   "open",     "open read-only",
    "close",           "fork",         "resolve",       "read back"};

/// What a lane (a thread of an actor slot, whichever process fills it) has counted. One writer each.
struct alignas(64) Lane {
  std::array<Word, static_cast<std::size_t>(Op::count)> operations;
  Word checks;  ///< values that were compared with the history
  Word log_size;
};

enum class What : std::uint32_t {
  attempted,  ///< and never answered
  acked,      ///< returned_ns is when
  resolved,   ///< seen under the lock by the next process of the slot
  observed,   ///< seen under the lock by another writer
  in_backup,  ///< `lsn` is the backup's number
};

/// One line of a lane's log, which survives SIGKILL.
struct Record {
  std::uint64_t invoked_ns;
  std::uint64_t returned_ns;
  std::uint64_t lsn;  ///< of the group's first memory; 0: not known
  std::uint32_t group;
  std::uint32_t version;
  std::atomic<What> what;
  Op op;
};

enum class Phase : std::uint32_t { gone, starting, ready, in_call, in_transaction };

struct alignas(64) Slot {
  std::atomic<Phase> phase;
  std::atomic<std::uint32_t> forked;  ///< children forked in this life
};

struct Config {
  std::uint64_t seed = 0;
  std::uint64_t round = 0;
  std::uint32_t page_size_bytes = 0;
  std::uint32_t wal_limit_kib = 0;
  std::uint32_t content_bytes = 0;  ///< of the longest memory
  std::uint32_t bulk = 0;           ///< memories of a bulk group
  bool on_disk = false;
};

struct Board {
  Config config;
  std::atomic<std::uint32_t> stop;
  std::atomic<std::uint32_t> go;  ///< an actor that is traced begins its operation
  std::atomic<std::uint32_t> violations;
  std::array<std::array<char, 700>, 8> violation_text;
  Word acked_lsn;  ///< highest that an acknowledged write is known to have
  Word shown_lsn;  ///< highest that committed_lsn() has returned to anybody
  Word backups;
  std::uint32_t group_count;
  std::uint32_t member_count;
  std::array<Group, kMaxGroups> groups;
  std::array<Member, kMaxMembers> members;
  std::array<Word, kPageLsns> page_lsn;  ///< highest LSN that a read of the page has returned
  std::array<Slot, kMaxSlots> slots;
  std::array<Lane, kMaxLanes> lanes;
  std::array<std::array<Record, kLogRecords>, kMaxLanes> logs;

  Group& region_of(const Member& member) { return groups[member.group]; }
  std::uint32_t index_of(const Group& group) const { return static_cast<std::uint32_t>(&group - groups.data()); }
  std::uint32_t index_of(const Member& member) const { return static_cast<std::uint32_t>(&member - members.data()); }
  /// The newest version that the next read must not fall behind. Load it before the read begins.
  std::uint64_t floor_of(const Member& member) {
    const std::uint64_t acked = region_of(member).acked.load();
    const std::uint64_t shown = member.shown.load();
    return acked > shown ? acked : shown;
  }
  /// Adds a violation and ends this process.
  [[noreturn]] void fail(std::string_view who, std::string_view what);
  void note_violation(std::string_view who, std::string_view what);
};

/// Maps the file `path`, made when it is missing.
Board& map_board(const std::filesystem::path& path);
void unmap_board(Board& board);

std::uint64_t now_ns();

}  // namespace mentedb::prove

// The oracle of several processes: which operations may, must and must not be in a store, as of now.
//
// Every write of a memory makes a version that no other write has, so that a copy tells which operation made it. An
// operation is a set of writes that is there as a whole or not at all (I2). It is
//
//     optional   begun and not answered: its process is in it, died in it, or got an error
//     certain    acknowledged, or a reader was shown it (I1, I3)
//     out        it is known to have left nothing, and may not come back
//
// A store is explained when there is a subset of the optional operations that gives, with all certain ones, exactly
// what was found: acknowledged <= recovered <= acknowledged + attempted.
//
// Rules
// - The chain of a memory is the order in which its versions would be committed. So a memory is written by one process
//   (program order), or in `transact` by functions that call `begin` (the order of the lock).
// - A copy is a snapshot. Not for several threads at once; simulated processes run one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mentedb/memory_node.hpp>

namespace mentedb::test {

class History {
 public:
  using Operation = std::size_t;
  using Version = std::uint64_t;                   ///< 0: no such memory
  using Found = std::map<std::uint64_t, Version>;  ///< memories that are there, by number
  using Bounds = std::map<std::uint64_t, std::size_t>;
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  /// How a value was come by.
  enum class Path {
    by_id,       ///< what later reads by id may not fall behind
    ahead,       ///< by page or scan: durable, but reads by id may still be one batch behind (I3)
    under_lock,  ///< everything that dead processes left is decided
  };

  Operation begin();
  /// Adds a write to an operation; returns the memory to store.
  MemoryNode put(Operation operation, std::uint64_t number, std::size_t content_bytes);
  void erase(Operation operation, std::uint64_t number);
  void acknowledge(Operation operation);
  /// It did nothing, and says so.
  void give_up(Operation operation);

  /// The version whose every byte `node` has; nothing when there is none.
  [[nodiscard]] std::optional<Version> identify(std::uint64_t number, const MemoryNode& node) const;
  [[nodiscard]] std::optional<Version> identify_content(std::uint64_t number, std::span<const std::byte> content) const;

  /// What a read of the memory that begins now may not fall behind.
  [[nodiscard]] std::size_t bound(std::uint64_t number) const;
  /// The same for what was acknowledged, of all memories: scans and changes_since may be behind what reads by id were
  /// shown of a commit that has not returned.
  [[nodiscard]] Bounds acknowledged() const;
  /// A read that began at `bound` returned this version. An empty answer is a pass.
  std::string shown(std::uint64_t number, Version version, std::size_t bound, Path path);
  /// As `shown`, for a scan that only tells which memories are there.
  [[nodiscard]] std::string listed(std::uint64_t number, bool there, std::size_t bound) const;

  /// Is this what a store may hold now? An empty answer is a pass.
  [[nodiscard]] std::string explain(const Found& found) const;
  /// As `explain`, for a copy that shows one moment between two times.
  [[nodiscard]] std::string explain_moment(const Found& found, std::uint64_t begin_time, std::uint64_t end_time) const;
  /// After a recovery returned and showed this: what came before `session` is in or out for ever.
  std::string settle(Found found);
  /// Operations from here on belong to the next session of the machine.
  void next_session() { session_begin_ = operations_.size(); }

  void note_lsn(std::uint64_t lsn) { lsn_ = std::max(lsn_, lsn); }
  [[nodiscard]] std::uint64_t lsn() const { return lsn_; }  ///< highest that anybody was shown (I8)
  [[nodiscard]] std::uint64_t time() const { return time_; }
  /// Grows with every change: equal means that nothing happened in between.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] std::vector<std::uint64_t> numbers() const;
  /// Of a memory that was written once.
  [[nodiscard]] Version only_version(std::uint64_t number) const { return chains_.at(number).front(); }
  [[nodiscard]] bool may_be_erased(std::uint64_t number) const;

  struct Backup {
    std::string path;
    std::uint64_t begin_time = 0;
    std::uint64_t end_time = kNever;  ///< of its acknowledgement
    bool acknowledged = false;
  };
  std::vector<Backup> backups;
  std::map<std::uint64_t, std::uint64_t> raw_pages;  ///< number -> page, of what was acknowledged

 private:
  struct Step {
    std::uint64_t number = 0;
    std::size_t content_bytes = 0;
    Operation operation = 0;
    bool erased = false;
    bool visible = false;  ///< must be shown to every later read by id; the others of its batch may be a moment behind
  };
  struct Entry {
    std::vector<Version> writes;
    bool durable = false;  ///< must be there after any crash
    bool out = false;
    std::uint64_t begin_time = 0;
    std::uint64_t end_time = kNever;
  };
  using Choice = std::vector<bool>;  ///< of each operation: is it in?

  [[nodiscard]] const Step& step(Version version) const { return steps_[version - 1]; }
  void make_certain(Entry& entry);
  [[nodiscard]] const Entry& entry(Version version) const { return operations_[step(version).operation]; }
  /// What the memory is at a place of its chain; place 0 is before its first write.
  [[nodiscard]] Version value(const std::vector<Version>& chain, std::size_t place) const;
  [[nodiscard]] Version value(const std::vector<Version>& chain, const Choice& in) const;
  [[nodiscard]] std::vector<Choice> solve(const Found& found, const Choice& must, const Choice& may, bool one_moment,
                                          std::string& why) const;
  [[nodiscard]] std::string describe(std::uint64_t number, Version version) const;
  [[nodiscard]] Choice durable() const;
  [[nodiscard]] Choice optional() const;

  std::vector<Step> steps_;  ///< version - 1 is the index
  std::vector<Entry> operations_;
  std::map<std::uint64_t, std::vector<Version>> chains_;
  std::size_t session_begin_ = 0;
  std::uint64_t lsn_ = 0;
  std::uint64_t time_ = 0;
  std::uint64_t changes_ = 0;
};

}  // namespace mentedb::test

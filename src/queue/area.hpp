// A mapped queue-N.shm: words and bytes of slots, without a rule of who may change what (commit_queue.hpp has those).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <mentedb/error.hpp>

#include "format/queue_format.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::queue {

enum class SlotState : std::uint64_t {
  free = 0,
  filled = 1,    ///< the request waits for a leader
  taken = 2,     ///< a leader works on it
  answered = 3,  ///< the answer waits for the owner
};

/// The state word of a slot. The generation counts the requests that were in the slot.
struct SlotWord {
  std::uint64_t value = 0;

  SlotState state() const { return static_cast<SlotState>(value & 7); }
  std::uint64_t generation() const { return value >> 3; }
  SlotWord in(SlotState state) const { return {(value & ~std::uint64_t{7}) | static_cast<std::uint64_t>(state)}; }
  SlotWord of_next_request() const { return {(generation() + 1) << 3 | static_cast<std::uint64_t>(SlotState::filled)}; }
  friend bool operator==(SlotWord, SlotWord) = default;
};

/// An answer as the record of a slot holds it. Its size is fixed, so to write it needs no memory.
struct Answer {
  format::QueueAnswerHead head{};
  std::array<std::byte, format::kQueueAnswerRoom> rest{};

  /// The text is cut when it does not fit.
  void set(std::span<const std::uint64_t> pages, std::string_view text);
  std::span<const std::byte> pages() const { return std::span(rest).first(8 * std::size_t{head.page_count}); }
  std::uint64_t page(std::size_t i) const { return base::read_struct<std::uint64_t>(rest, 8 * i); }
  std::string_view text() const;
};

class Area {
 public:
  Area(std::uint64_t number, std::unique_ptr<vfs::File> file, std::unique_ptr<vfs::Mapping> mapping)
      : number_(number), file_(std::move(file)), mapping_(std::move(mapping)) {}

  std::uint64_t number() const { return number_; }
  vfs::File& file() const { return *file_; }

  /// Slots up to here may have been claimed.
  std::size_t used() const;
  void raise_used(std::size_t used);

  SlotWord word(std::size_t slot) const { return {mapping_->load(record(slot) + format::kQueueStateWord)}; }
  /// R14: the only way to change a state. False when the word is not `from` any more.
  [[nodiscard]] bool change(std::size_t slot, SlotWord from, SlotWord to) {
    return mapping_->compare_exchange(record(slot) + format::kQueueStateWord, from.value, to.value);
  }
  std::uint64_t mark(std::size_t slot) const { return mapping_->load(record(slot) + format::kQueueMarkWord); }
  void set_mark(std::size_t slot, std::uint64_t lsn) { mapping_->store(record(slot) + format::kQueueMarkWord, lsn); }
  std::uint64_t given_up(std::size_t slot) const { return mapping_->load(record(slot) + format::kQueueGivenUpWord); }
  void set_given_up(std::size_t slot, std::uint64_t generation) {
    mapping_->store(record(slot) + format::kQueueGivenUpWord, generation);
  }

  void write_answer(std::size_t slot, const Answer& answer);
  /// The lengths in it are possible ones.
  Answer read_answer(std::size_t slot) const;
  void write_body(std::size_t slot, std::span<const std::byte> request);
  /// A copy of the request, when its checksum holds.
  std::optional<std::vector<std::byte>> read_body(std::size_t slot, SlotWord filled) const;
  void wipe_body(std::size_t slot, std::size_t bytes);

  /// The number of times that `wake` was called for the slot. An owner reads it before it looks whether it has to wait.
  std::uint64_t wakes(std::size_t slot) const { return mapping_->load(record(slot) + format::kQueueWakeWord); }
  /// Sleeps until `wakes` may have moved from `seen`, or until `timeout` is over.
  void wait(std::size_t slot, std::uint64_t seen, std::chrono::microseconds timeout) const {
    mapping_->wait(record(slot) + format::kQueueWakeWord, static_cast<std::uint32_t>(seen), timeout);
  }
  void wake(std::size_t slot) {
    const std::uint64_t seen = wakes(slot);
    static_cast<void>(mapping_->compare_exchange(record(slot) + format::kQueueWakeWord, seen, seen + 1));
    mapping_->wake(record(slot) + format::kQueueWakeWord);
  }

  /// @errors as vfs::Mapping::make_writable
  Result<void> make_records_writable();
  Result<void> make_slot_writable(std::size_t slot, std::size_t body_bytes);

 private:
  static constexpr std::uint64_t record(std::size_t slot) {
    return format::kQueueRecordsOffset + slot * format::kQueueRecordBytes;
  }
  static constexpr std::uint64_t body(std::size_t slot) {
    return format::kQueueBodiesOffset + slot * format::kQueueBodyBytes;
  }

  std::uint64_t number_;
  std::unique_ptr<vfs::File> file_;
  std::unique_ptr<vfs::Mapping> mapping_;
};

/// Fills in the checksum of a request: the header and the edits.
void seal_request(std::span<std::byte> request, SlotWord filled);

}  // namespace mentedb::queue

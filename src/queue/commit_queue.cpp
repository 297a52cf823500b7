#include "queue/commit_queue.hpp"

#include <algorithm>
#include <atomic>
#include <new>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace mentedb::queue {

using format::kQueueSlots;

// ---- the owner

Result<void> CommitQueue::Slot::fill(std::span<std::byte> request) {
  const SlotWord free = area_->word(slot_);
  MENTEDB_TRY(area_->make_slot_writable(slot_, request.size()));
  filled_ = free.of_next_request();
  bytes_ = request.size();
  seal_request(request, filled_);
  area_->write_body(slot_, request);
  area_->set_mark(slot_, 0);  // R13: the mark of the request before says nothing about this one
  const bool filled = area_->change(slot_, free, filled_);
  // Against a holder that releases the lock and then looks for filled slots.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (filled) return {};
  return base::failf(ErrorCode::io_error, "{} was changed by another program; remove it while no engine is open",
                     area_->file().path());
}

bool CommitQueue::Slot::take_back_to_lead() {
  if (!area_->change(slot_, filled_, filled_.in(SlotState::free))) return false;
  area_->wipe_body(slot_, bytes_);
  return true;
}

bool CommitQueue::Slot::take_back() {
  if (!take_back_to_lead()) return false;
  queue_->wake_a_leader();
  return true;
}

void CommitQueue::Slot::give_up() { area_->set_given_up(slot_, filled_.generation()); }

Answer CommitQueue::Slot::take_answer() {
  Answer answer = area_->read_answer(slot_);
  area_->wipe_body(slot_, bytes_);
  const SlotWord answered = filled_.in(SlotState::answered);
  static_cast<void>(area_->change(slot_, answered, answered.in(SlotState::free)));
  return answer;
}

// ---- claims

std::optional<CommitQueue::Slot> CommitQueue::claim(std::size_t request_bytes, std::size_t edits) {
  if (request_bytes > format::kQueueBodyBytes || edits > format::kQueueMostEdits) return std::nullopt;
  if (!state_.has_queue()) return std::nullopt;
  const base::MutexLock guard(mutex_);
  const auto area = current();
  if (!area || !*area) return std::nullopt;
  Area& found = **area;
  for (std::size_t slot = 0; slot < kQueueSlots; ++slot) {
    // A slot whose request was given up is in use until a lock holder has dealt with it.
    if (mine_[slot] != Mine::idle || !try_slot(found, slot)) continue;
    mine_[slot] = Mine::in_use;
    return Slot(*this, *area, slot);
  }
  return std::nullopt;
}

void CommitQueue::claim_another() {
  constexpr std::uint64_t kPatience = 256;
  const base::MutexLock guard(mutex_);
  if (claims_to_pass_ > 0) {
    --claims_to_pass_;
    return;
  }
  try {
    if (!state_.has_queue() && !try_make()) claims_to_pass_ = kPatience;
    const auto area = current();
    if (!area || !*area) return;
    Area& found = **area;
    for (std::size_t slot = 0; slot < kQueueSlots; ++slot) {
      if (mine_[slot] != Mine::no) continue;
      const auto claimed = found.file().try_claim(slot);
      if (!claimed) break;
      if (!*claimed) continue;
      const std::uint64_t body = format::kQueueBodiesOffset + slot * format::kQueueBodyBytes;
      if (try_slot(found, slot) && found.file().allocate(body, format::kQueueBodyBytes)) {
        found.raise_used(slot + 1);
        mine_[slot] = Mine::idle;
        return;
      }
      found.file().give_up_claim(slot);
    }
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): as without space
  }
  claims_to_pass_ = kPatience;  // a try for each write would cost more than the wait
}

// True when the slot, which this engine has claimed, is free now. A dead owner may have left it in any state. A slot
// that is `taken` belongs to its leader.
bool CommitQueue::try_slot(Area& area, std::size_t slot) {
  const SlotWord word = area.word(slot);
  if (word.state() == SlotState::free) return true;
  return word.state() != SlotState::taken && area.change(slot, word, word.in(SlotState::free));
}

void CommitQueue::give_back(const std::shared_ptr<Area>& area, std::size_t slot) {
  const base::MutexLock guard(mutex_);
  if (area == area_) mine_[slot] = Mine::idle;
}

// ---- the file

std::shared_ptr<Area> CommitQueue::area() const {
  const base::MutexLock guard(mutex_);
  return area_;
}

Result<std::shared_ptr<Area>> CommitQueue::current() {
  if (!state_.has_queue()) return nullptr;
  const std::uint64_t number = state_.queue_number();
  if (area_ && area_->number() == number) return area_;
  // The number never falls. A lower one comes from a page of the shared state that the kernel lost and read again.
  if (area_ && area_->number() > number) return base::failf(ErrorCode::not_found, "{} is old", area_->file().path());
  MENTEDB_TRY_ASSIGN(auto mapped, map(number));
  area_ = std::move(mapped);
  mine_.fill(Mine::no);
  return area_;
}

// R14. A claim is a lock of an open file description, and a mapping keeps its description open. A forked child closes
// the descriptors that it inherits, and keeps the mappings. So the file is opened twice, and the description of the
// claims is not the mapped one. Else a child would keep the claims of a dead parent alive.
Result<std::shared_ptr<Area>> CommitQueue::map(std::uint64_t number) const {
  const std::string name = format::queue_file_name(number);
  MENTEDB_TRY_ASSIGN(const auto mapped, directory_.open(name, vfs::OpenMode::read_write, false));
  std::array<std::byte, base::kBlockBytes> block{};
  MENTEDB_TRY_ASSIGN(const std::size_t bytes, mapped->read_at(0, block));
  MENTEDB_TRY_ASSIGN(const std::uint64_t size, mapped->size_bytes());
  const auto header = format::decode_queue_header(std::span(block).first(bytes));
  if (!header || size < format::kQueueFileBytes || header->store_id != identity_.store_id ||
      header->incarnation != identity_.incarnation || header->boot_id != identity_.boot_id ||
      header->pages_device != identity_.pages.device || header->pages_inode != identity_.pages.inode) {
    return base::failf(ErrorCode::not_found, "{} is of another boot or store", mapped->path());
  }
  MENTEDB_TRY_ASSIGN(auto file, directory_.open(name, vfs::OpenMode::read_write, false));
  MENTEDB_TRY_ASSIGN(const vfs::FileId id, file->id());
  MENTEDB_TRY_ASSIGN(const vfs::FileId mapped_id, mapped->id());
  if (id != mapped_id) return base::failf(ErrorCode::not_found, "{} was replaced", file->path());
  MENTEDB_TRY_ASSIGN(auto mapping, mapped->map(0, format::kQueueFileBytes, true));
  mapping->keep_in_memory(0, format::kQueueBodiesOffset);
  return std::make_shared<Area>(number, std::move(file), std::move(mapping));
}

Result<std::shared_ptr<Area>> CommitQueue::create(std::uint64_t number) const {
  {
    MENTEDB_TRY_ASSIGN(const auto file, directory_.open(format::queue_file_name(number), vfs::OpenMode::create, false));
    file->share_like(pages_file_);
    MENTEDB_TRY(file->allocate(0, format::kQueueBodiesOffset));
    const std::vector<std::byte> zeros(format::kQueueBodiesOffset);
    MENTEDB_TRY(file->write_at(0, zeros));
    // Bodies get their space when their slots are claimed.
    MENTEDB_TRY(file->write_at(format::kQueueFileBytes - base::kBlockBytes, std::span(zeros).first(base::kBlockBytes)));
    std::array<std::byte, base::kBlockBytes> block{};
    format::encode_queue_header({.checksum = 0,
                                 .magic = 0,
                                 .version = 0,
                                 .reserved = 0,
                                 .store_id = identity_.store_id,
                                 .incarnation = identity_.incarnation,
                                 .boot_id = identity_.boot_id,
                                 .pages_device = identity_.pages.device,
                                 .pages_inode = identity_.pages.inode},
                                block);
    MENTEDB_TRY(file->write_at(0, block));
  }
  return map(number);
}

bool CommitQueue::try_make() {
  // No number is used twice while an engine may have the file mapped, also when the kernel lost the number.
  std::uint64_t number = std::max(state_.queue_number(), area_ ? area_->number() : 0);
  const auto names = directory_.list();
  if (!names) return false;
  // Those of other boots, and one that a dead process did not finish.
  for (const std::string& name : *names) {
    const auto other = format::parse_queue_file_name(name);
    if (!other) continue;
    number = std::max(number, *other);
    static_cast<void>(directory_.remove(name));
  }
  ++number;
  auto made = create(number);
  if (made && state_.make_writable()) {
    area_ = std::move(*made);
    mine_.fill(Mine::no);
    state_.publish_queue(number, true);
    return true;
  }
  static_cast<void>(directory_.remove(format::queue_file_name(number)));
  return false;
}

// ---- the lock holder

Result<void> CommitQueue::settle(std::uint64_t next_lsn) {
  const base::MutexLock guard(mutex_);
  const std::uint64_t known = area_ ? area_->number() : 0;
  if (!state_.has_queue() && known <= state_.queue_number()) return {};
  auto found = current();
  if (!found) {
    const bool gone = found.error().code == ErrorCode::not_found || found.error().code == ErrorCode::invalid_argument;
    if (!gone) return std::unexpected(std::move(found).error());
  }
  if (!found || !*found) {
    // A queue of another boot, or one that was removed. Owners that still have it mapped see that it is not current.
    MENTEDB_TRY(state_.make_writable());
    state_.publish_queue(std::max(known, state_.queue_number()), false);
    return {};
  }
  Area& area = **found;
  bool writable = false;
  const std::size_t used = area.used();
  for (std::size_t slot = 0; slot < used; ++slot) {
    const SlotWord word = area.word(slot);
    if (word.state() != SlotState::taken) continue;
    if (!writable) MENTEDB_TRY(area.make_records_writable());
    writable = true;
    const std::uint64_t mark = area.mark(slot);
    if (mark != 0 && next_lsn > mark) {
      static_cast<void>(area.change(slot, word, word.in(SlotState::answered)));
      area.wake(slot);
      continue;
    }
    area.set_mark(slot, 0);  // before the change: a later leader may die before its mark
    const bool given_up = area.given_up(slot) == word.generation();
    static_cast<void>(area.change(slot, word, word.in(given_up ? SlotState::free : SlotState::filled)));
  }
  return {};
}

std::vector<Taken> CommitQueue::take() {
  std::vector<Taken> taken;
  const std::shared_ptr<Area> area = this->area();
  if (!area || area->number() != state_.queue_number()) return taken;
  taken.reserve(area->used());
  const std::size_t used = std::min(area->used(), taken.capacity());
  for (std::size_t slot = 0; slot < used; ++slot) {
    const SlotWord word = area->word(slot);
    if (word.state() != SlotState::filled) continue;
    if (taken.empty() && !area->make_records_writable()) break;
    {
      const base::MutexLock guard(mutex_);
      const bool mine = area == area_ && mine_[slot] != Mine::no;
      const auto claimed = mine ? Result<bool>(true) : area->file().is_claimed(slot);
      if (!claimed) continue;
      // R14: nothing of a dead owner appears later, and nothing that no thread waits for.
      if (!*claimed || area->given_up(slot) == word.generation()) {
        static_cast<void>(area->change(slot, word, word.in(SlotState::free)));
        continue;
      }
    }
    auto request = area->read_body(slot, word);
    if (!area->change(slot, word, word.in(SlotState::taken))) continue;
    taken.push_back({.slot = slot, .word = word, .request = std::move(request), .answer = {}});
  }
  return taken;
}

void CommitQueue::mark(std::span<const Taken> taken, std::uint64_t first_lsn) {
  if (taken.empty()) return;
  const std::shared_ptr<Area> area = this->area();
  for (const Taken& one : taken) {
    area->write_answer(one.slot, one.answer);
    area->set_mark(one.slot, first_lsn);
  }
}

void CommitQueue::put_back(std::span<const Taken> taken) {
  if (taken.empty()) return;
  const std::shared_ptr<Area> area = this->area();
  for (const Taken& one : taken) static_cast<void>(area->change(one.slot, one.word.in(SlotState::taken), one.word));
}

void CommitQueue::answer(std::span<const Taken> taken) {
  if (taken.empty()) return;
  const std::shared_ptr<Area> area = this->area();
  if (!area->make_records_writable()) return;
  for (const Taken& one : taken) {
    area->write_answer(one.slot, one.answer);
    static_cast<void>(area->change(one.slot, one.word.in(SlotState::taken), one.word.in(SlotState::answered)));
  }
}

void CommitQueue::wake(std::span<const Taken> taken) const {
  if (taken.empty()) return;
  const std::shared_ptr<Area> area = this->area();
  for (const Taken& one : taken) area->wake(one.slot);
}

void CommitQueue::wake_a_leader() const {
  if (!state_.has_queue()) return;
  const std::shared_ptr<Area> area = this->area();
  if (!area) return;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // against an owner that fills its slot and tries the lock
  const std::size_t used = area->used();
  for (std::size_t slot = 0; slot < used; ++slot) {
    if (area->word(slot).state() != SlotState::filled) continue;
    area->wake(slot);
    return;
  }
}

Result<void> CommitQueue::erase() {
  const base::MutexLock guard(mutex_);
  auto erased = erase_old_files();
  if (erased) erased = erase_bodies();
  if (!erased) base::as_internal_error(erased.error());
  return erased;
}

Result<void> CommitQueue::erase_old_files() {
  MENTEDB_TRY_ASSIGN(const auto names, directory_.list());
  for (const std::string& name : names) {
    const auto number = format::parse_queue_file_name(name);
    if (number && !(state_.has_queue() && *number == state_.queue_number())) MENTEDB_TRY(directory_.remove(name));
  }
  return {};
}

Result<void> CommitQueue::erase_bodies() {
  if (!area_) return {};
  Area& area = *area_;
  for (std::size_t slot = 0; slot < area.used(); ++slot) {
    if (mine_[slot] != Mine::no) continue;  // the threads of this engine zero their own
    MENTEDB_TRY_ASSIGN(const bool claimed, area.file().try_claim(slot));
    if (!claimed) continue;
    const auto writable = area.make_slot_writable(slot, format::kQueueBodyBytes);
    if (writable && try_slot(area, slot)) area.wipe_body(slot, format::kQueueBodyBytes);
    area.file().give_up_claim(slot);
    MENTEDB_TRY(writable);
  }
  return area.file().sync();
}

}  // namespace mentedb::queue

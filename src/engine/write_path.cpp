// The path of a write, from the public call to the acknowledgement, top to bottom:
//
//   store_memory            validates and encodes the memory before anything waits
//   Impl::write             one call; R11: a second one when files of the same store have replaced the open files
//   engine::write           leads when the lock is free, else waits in the commit queue
//   CombinedWrite::lead     takes the requests that wait, plans them into one batch, commits it, answers
//   Writer::commit          log, sync, pages, index, shared state (store/writer.cpp)
//   Impl::write             returns: this is the acknowledgement
#include "engine/write_path.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "engine/engine_impl.hpp"
#include "queue/commit_queue.hpp"
#include "store/lock.hpp"

namespace mentedb {

using store::Edit;
using store::EditType;
using store::EncodedNode;
using store::Outcome;
using store::Store;

// ---- the calls

Result<PageId> StorageEngine::store_memory(const MemoryNode& node) { return impl().put(node, EditType::put); }
Result<PageId> StorageEngine::store_memory_if_absent(const MemoryNode& node) {
  return impl().put(node, EditType::put_new);
}
Result<PageId> StorageEngine::update_memory(const MemoryNode& node) { return impl().put(node, EditType::put_existing); }

Result<PageId> StorageEngine::Impl::put(const MemoryNode& node, EditType type) {
  return call([&](Store&) -> Result<PageId> {
    MENTEDB_TRY_ASSIGN(const EncodedNode memory, store::encode(node));
    return write({.type = type, .id = memory.id, .number = 0, .payload = memory.bytes});
  });
}

Result<std::vector<PageId>> StorageEngine::store_memories(std::span<const MemoryNode> nodes) {
  return impl().call([&](Store&) -> Result<std::vector<PageId>> {
    std::vector<EncodedNode> memories;
    std::vector<Edit> edits;
    memories.reserve(nodes.size());
    edits.reserve(nodes.size());
    for (const MemoryNode& node : nodes) {
      MENTEDB_TRY_ASSIGN(EncodedNode one, store::encode(node));
      memories.push_back(std::move(one));
      edits.push_back({.type = EditType::put, .id = node.id, .number = 0, .payload = memories.back().bytes});
    }
    std::vector<PageId> pages(edits.size());
    if (!edits.empty()) MENTEDB_TRY(impl().write(edits, pages));
    return pages;
  });
}

Result<void> StorageEngine::delete_memory(MemoryId id) {
  MENTEDB_TRY(impl().write({.type = EditType::erase, .id = id, .number = 0, .payload = {}}));
  return {};
}

Result<PageId> StorageEngine::allocate_page(std::size_t min_bytes) {
  return impl().write({.type = EditType::allocate_raw, .id = {}, .number = min_bytes, .payload = {}});
}

Result<void> StorageEngine::write_page(PageId page, std::span<const std::byte> data) {
  MENTEDB_TRY(impl().write({.type = EditType::write_raw, .id = {}, .number = page.value, .payload = data}));
  return {};
}

Result<void> StorageEngine::free_page(PageId page) {
  MENTEDB_TRY(impl().write({.type = EditType::free_page, .id = {}, .number = page.value, .payload = {}}));
  return {};
}

// ---- one write

namespace {

Result<void> refuse_if_read_only(const Store& store) {
  if (!store.options().read_only) return {};
  return base::failf(ErrorCode::read_only, "{} was opened with read_only; open it without to write",
                     store.files().path().string());
}

}  // namespace

Result<PageId> StorageEngine::Impl::write(const Edit& edit) {
  PageId page;
  MENTEDB_TRY(write(std::span(&edit, 1), std::span(&page, 1)));
  return page;
}

Result<void> StorageEngine::Impl::write(std::span<const Edit> edits, std::span<PageId> pages) {
  return change([&](Store& store) -> Outcome<void> {
    MENTEDB_TRY(refuse_if_read_only(store));
    return engine::write(store, edits, pages);
  });
}

Result<void> StorageEngine::Impl::write_alone(engine::LocalWrite& write) {
  return change([&](Store& store) -> Outcome<void> {
    MENTEDB_TRY(refuse_if_read_only(store));
    return engine::write_alone(store, write);
  });
}

}  // namespace mentedb

namespace mentedb::engine {

using queue::Answer;
using queue::CommitQueue;
using queue::Taken;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using store::Batch;
using store::Edit;
using store::Failure;
using store::FilesReplaced;
using store::Outcome;
using store::StoreLock;
using store::Writer;

namespace {

// The time at which a write stops waiting.
class Deadline {
 public:
  explicit Deadline(const store::Store& store)
      : vfs_(store.vfs()), timeout_(store.options().lock_timeout), begin_(vfs_.now()) {}
  bool never() const { return timeout_ > store::kLongestWait; }
  bool passed(microseconds more = {}) const { return !never() && vfs_.now() - begin_ >= timeout_ + more; }
  milliseconds left() const {
    if (never()) return timeout_;
    return std::max(timeout_ - std::chrono::duration_cast<milliseconds>(vfs_.now() - begin_), milliseconds(0));
  }
  /// At most `longest`, and until then.
  microseconds slice(microseconds longest) const {
    if (never()) return longest;
    const microseconds left = timeout_ - (vfs_.now() - begin_);
    return left <= microseconds(0) ? longest : std::min(left, longest);
  }

 private:
  const vfs::Vfs& vfs_;
  milliseconds timeout_;
  microseconds begin_;
};

void set_failure(Answer& answer, const Failure& failure) {
  answer.head = {};
  answer.head.code = static_cast<std::uint32_t>(failure.code) + 1;
  answer.head.os_error = failure.os_error;
  if (failure.durable) answer.head.flags |= format::kQueueAnswerDurable;
  if (failure.replaced == FilesReplaced::before_commit) answer.head.flags |= format::kQueueAnswerReplacedBeforeCommit;
  if (failure.replaced == FilesReplaced::after_commit) answer.head.flags |= format::kQueueAnswerReplacedAfterCommit;
  answer.set({}, failure.message);
}

// `hidden`: the answer for a write that is durable and no more. It was made before the request was handed over, so
// that it needs no memory now.
Outcome<void> outcome_of(const Answer& answer, std::span<PageId> pages, Failure hidden) {
  if (answer.head.code == 0) {
    for (std::size_t i = 0; i < pages.size() && i < answer.head.page_count; ++i) pages[i] = PageId{answer.page(i)};
    return {};
  }
  if ((answer.head.flags & format::kQueueAnswerDurable) != 0) {
    hidden.os_error = answer.head.os_error;
    try {
      hidden.message = answer.text();
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): it has a message already
    }
    return std::unexpected(std::move(hidden));
  }
  const auto code = std::min<std::uint32_t>(answer.head.code - 1, static_cast<std::uint32_t>(ErrorCode::closed));
  Failure failure(Error{static_cast<ErrorCode>(code), answer.head.os_error, std::string(answer.text())});
  if ((answer.head.flags & format::kQueueAnswerReplacedBeforeCommit) != 0)
    failure.replaced = FilesReplaced::before_commit;
  if ((answer.head.flags & format::kQueueAnswerReplacedAfterCommit) != 0)
    failure.replaced = FilesReplaced::after_commit;
  return std::unexpected(std::move(failure));
}

// All edits or none.
template <class SetPage>
Result<void> plan_all(Batch& batch, std::span<const Edit> edits, SetPage&& set_page) {
  const Batch::Mark mark = batch.mark();
  for (std::size_t i = 0; i < edits.size(); ++i) {
    auto page = store::plan(batch, edits[i]);
    if (!page) {
      batch.rollback(mark);
      return std::unexpected(std::move(page).error());
    }
    set_page(i, *page);
  }
  return {};
}

// The request of another thread, and the answer for the case that the batch is committed.
Result<void> plan_taken(Batch& batch, Taken& taken) {
  std::optional<std::vector<Edit>> edits;
  if (taken.request) edits = store::decode_request(*taken.request);
  if (!edits) return base::fail(ErrorCode::io_error, "the write was damaged in the commit queue; try it again");
  std::array<std::uint64_t, format::kQueueMostEdits> pages{};
  MENTEDB_TRY(plan_all(batch, *edits, [&](std::size_t i, PageId page) { pages[i] = page.value; }));
  taken.answer.head = {};
  taken.answer.set(std::span(pages).first(edits->size()), {});
  return {};
}

class CombinedWrite {
 public:
  CombinedWrite(store::Store& store, std::span<const Edit> edits, std::span<PageId> pages)
      : store_(store), edits_(edits), pages_(pages), deadline_(store) {}

  Outcome<void> run();

 private:
  /// Nothing: the request was taken back, because no leader comes to this slot.
  std::optional<Outcome<void>> wait_in(CommitQueue::Slot& slot);
  /// This thread does not wait any more, and the request is not free: it is answered, or the outcome is unknown.
  Outcome<void> end_of_wait(CommitQueue::Slot& slot);
  Outcome<void> lead(Writer writer);
  Outcome<void> commit(Writer& writer, std::span<Taken> taken);
  Outcome<void> commit_one_by_one(Writer& writer, std::span<Taken> taken);
  Result<void> plan_own(Batch& batch) {
    return plan_all(batch, edits_, [this](std::size_t i, PageId page) { pages_[i] = page; });
  }

  store::Store& store_;
  std::span<const Edit> edits_;
  std::span<PageId> pages_;
  Deadline deadline_;
  // Answers that need no memory when they are given: `out_of_memory` would promise that nothing changed.
  Failure hidden_{Error{}};
  Failure unknown_{Error{}};
};

Outcome<void> CombinedWrite::run() {
  for (;;) {
    MENTEDB_TRY_ASSIGN(auto writer, Writer::try_acquire(store_, StoreLock::Turn::gives_way));
    if (writer) return lead(std::move(*writer));
    MENTEDB_TRY(store_.lock().check_may_wait());
    if (deadline_.passed()) break;
    auto slot = store_.queue().claim(store::request_bytes(edits_), edits_.size());
    if (!slot) break;
    auto outcome = wait_in(*slot);
    if (outcome) return std::move(*outcome);
  }
  MENTEDB_TRY_ASSIGN(Writer writer, Writer::acquire(store_, deadline_.left()));
  writer.queue().claim_another();  // for the next time
  return lead(std::move(writer));
}

// ---- the wait for a leader

std::optional<Outcome<void>> CombinedWrite::wait_in(CommitQueue::Slot& slot) {
  constexpr microseconds kPatience = std::chrono::seconds(10);  // with a leader that has taken the request
  auto request = store::encode_request(edits_);
  hidden_ = store::durable_not_visible();
  unknown_ = base::failf(ErrorCode::io_error,
                         "the process that was committing this write to {} stopped or died, and the outcome is not "
                         "known: the write may appear. Read the memory before you write it again",
                         store_.files().path().string())
                 .error();
  if (auto filled = slot.fill(request); !filled) return Outcome<void>(std::unexpected(std::move(filled).error()));
  StoreLock::Turn turn = StoreLock::Turn::gives_way;
  microseconds longest = StoreLock::kGiveWay;
  for (;;) {
    const std::uint64_t wakes = slot.wakes();
    if (slot.is_answered()) return end_of_wait(slot);
    auto writer = Writer::try_acquire(store_, turn);
    if (!writer) {  // this thread had the lock for a moment, and cannot lead
      if (slot.take_back()) return Outcome<void>(std::unexpected(std::move(writer).error()));
      return end_of_wait(slot);
    }
    if (*writer) {
      // No other thread leads, and what a dead leader had taken is settled.
      if (slot.take_back_to_lead()) return lead(std::move(**writer));
      return end_of_wait(slot);
    }
    if (!slot.is_current() && slot.take_back()) return std::nullopt;
    if (deadline_.passed()) {
      if (slot.take_back()) return Outcome<void>(store_.lock().busy());
      if (deadline_.passed(kPatience)) return end_of_wait(slot);
    }
    slot.wait(wakes, deadline_.slice(longest));
    turn = StoreLock::Turn::any;
    longest = StoreLock::kSlice;
  }
}

Outcome<void> CombinedWrite::end_of_wait(CommitQueue::Slot& slot) {
  if (slot.is_answered()) return outcome_of(slot.take_answer(), pages_, std::move(hidden_));
  slot.give_up();
  return std::unexpected(std::move(unknown_));
}

// ---- the leader

Outcome<void> CombinedWrite::lead(Writer writer) {
  CommitQueue& queue = writer.queue();
  // When an allocation fails here, the next lock holder finds what was taken and settles it.
  std::vector<Taken> taken = queue.take();
  Outcome<void> own = commit(writer, taken);
  const wal::Tail tail = writer.tail();
  {
    const Writer done = std::move(writer);
  }  // releases the lock
  queue.wake(taken);
  if (own) store_.start_write_back_early(tail);
  return own;
}

Outcome<void> CombinedWrite::commit(Writer& writer, std::span<Taken> taken) {
  constexpr std::uint64_t kEnoughBytes = std::uint64_t{4} << 20;
  CommitQueue& queue = writer.queue();
  Batch batch = writer.begin();
  for (const Edit& edit : edits_) batch.expect_put(edit.payload.size());
  Outcome<void> own = plan_own(batch);
  std::size_t planned = 0;
  for (; planned < taken.size() && batch.payload_bytes() < kEnoughBytes; ++planned) {
    const auto done = plan_taken(batch, taken[planned]);
    if (done) continue;
    if (done.error().code == ErrorCode::capacity_exceeded && !batch.empty()) break;  // it may fit into the next batch
    set_failure(taken[planned].answer, done.error());
  }
  queue.put_back(taken.subspan(planned));
  taken = taken.first(planned);

  auto committed = writer.commit(batch, taken);
  if (committed) {
    queue.answer(taken);
    return own;
  }
  // Nothing changed. One request may be what the disk has no room for, and the others must not fail with it.
  const Failure& failure = committed.error();
  const bool alone = taken.empty() || !writer.may_commit();
  if (!alone && !failure.durable && failure.replaced == FilesReplaced::no && failure.code == ErrorCode::no_space) {
    return commit_one_by_one(writer, taken);
  }
  for (Taken& one : taken) set_failure(one.answer, failure);
  queue.answer(taken);
  return committed;
}

Outcome<void> CombinedWrite::commit_one_by_one(Writer& writer, std::span<Taken> taken) {
  const auto commit_own = [&]() -> Outcome<void> {
    Batch batch = writer.begin();
    MENTEDB_TRY(plan_own(batch));
    return writer.commit(batch);
  };
  Outcome<void> own = commit_own();
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (!writer.may_commit()) {
      writer.queue().put_back(taken.subspan(i));
      break;
    }
    Batch batch = writer.begin();
    Outcome<void> done = plan_taken(batch, taken[i]);
    if (done) done = writer.commit(batch, taken.subspan(i, 1));
    if (!done) set_failure(taken[i].answer, done.error());
    writer.queue().answer(taken.subspan(i, 1));
  }
  return own;
}

}  // namespace

Outcome<void> write(store::Store& store, std::span<const Edit> edits, std::span<PageId> pages) {
  return CombinedWrite(store, edits, pages).run();
}

Outcome<void> write_alone(store::Store& store, LocalWrite& write) {
  std::optional<wal::Tail> tail;
  {
    MENTEDB_TRY_ASSIGN(Writer writer, Writer::acquire(store, store.options().lock_timeout));
    Batch batch = writer.begin();
    MENTEDB_TRY(write.plan(batch));
    MENTEDB_TRY(writer.commit(batch));
    tail = writer.tail();
  }
  store.start_write_back_early(*tail);
  return {};
}

}  // namespace mentedb::engine

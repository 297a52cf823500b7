// Reads. They take no lock and make no system call once their pages were touched (I5): copy, verify the copy, look
// again, retry. Only what keeps failing goes to the lock.

#include "base/error.hpp"
#include "engine/store.hpp"
#include "format/node_codec.hpp"

namespace mentedb::engine {

namespace {

// A writer that overwrites a page or moves a memory needs microseconds; a reader that still fails after this many
// looks is not racing any more.
constexpr int kSpins = 1'000;
// ... or after it has looked at so many bytes: a large run takes longer to copy than any writer needs.
constexpr std::uint64_t kMaxLookedBytes = std::uint64_t{256} << 20;

// One buffer a thread, so that a warm read allocates nothing but its result. Big ones are given back.
class ReadBuffer {
 public:
  base::AlignedBuffer& get() { return buffer_; }
  ReadBuffer() : buffer_(std::move(spare())) {}
  ~ReadBuffer() {
    constexpr std::size_t kKeepBytes = 1 << 20;
    if (buffer_.size_bytes() <= kKeepBytes) spare() = std::move(buffer_);
  }
  ReadBuffer(const ReadBuffer&) = delete;
  ReadBuffer& operator=(const ReadBuffer&) = delete;

 private:
  static base::AlignedBuffer& spare() {
    static thread_local base::AlignedBuffer buffer;
    return buffer;
  }
  base::AlignedBuffer buffer_;
};

std::unexpected<Error> no_memory(const MemoryId& id) {
  return base::fail(ErrorCode::not_found, "there is no memory " + id.to_string());
}

std::unexpected<Error> damaged(std::uint64_t page) {
  return base::failf(
      ErrorCode::corruption,
      "page {} is damaged and the log has no copy of it; restore a backup, or run mentedb salvage for the rest", page);
}

}  // namespace

// R8, the one place: `look` copies what is on a page and says what it is; that is believed only when the slot and the
// table are unchanged afterwards. Nothing when no page holds the id; that is believed only when nothing was committed
// meanwhile, since a memory that moved away and back leaves its slot as it was.
template <class Look>
Result<std::optional<std::uint64_t>> Store::probe_id(const MemoryId& id, Look&& look) {
  const format::IdHash hash = index_->hash(id);
  std::uint64_t damaged_page = 0;
  for (int spin = 0; spin < kSpins; ++spin) {
    auto table = index_->current();
    if (!table) {
      MENTEDB_TRY(heal(0));
      continue;
    }
    damaged_page = 0;
    bool again = false;
    const std::uint64_t committed = words_->committed_lsn();
    index::Probe probe(**table, hash);
    while (const std::uint64_t page = probe.next_page()) {
      if (!pool_->contains(page)) continue;
      MENTEDB_TRY_ASSIGN(const Seen seen, look(page));
      again = !probe.unchanged() || !index_->is_current(**table);  // R8
      if (again) break;
      if (seen == Seen::wanted) return page;
      if (seen == Seen::damaged) damaged_page = page;  // or a neighbour's page that is just being written: look again
    }
    if (again || !index_->is_current(**table) || words_->committed_lsn() != committed) continue;
    if (damaged_page == 0) return std::nullopt;
  }
  if (damaged_page != 0) return damaged(damaged_page);
  return base::failf(ErrorCode::busy, "memory {} changes all the time; try again", id.to_string());
}

Result<MemoryNode> Store::load(const MemoryId& id) {
  ReadBuffer buffer;
  std::optional<pages::RunCopy> run;
  std::uint64_t looked_bytes = 0;
  MENTEDB_TRY_ASSIGN(const auto page, probe_id(id, [&](std::uint64_t at) -> Result<Seen> {
                       if (looked_bytes > kMaxLookedBytes) return damaged(at);
                       MENTEDB_TRY_ASSIGN(run, pool_->read_run(at, buffer.get()));
                       looked_bytes += buffer.get().size_bytes();
                       if (!run) return Seen::damaged;
                       if (run->header.type != format::RunType::memory) return Seen::other;
                       const auto found = format::decode_node_id(run->payload);
                       return found && *found == id ? Seen::wanted : Seen::other;
                     }));
  if (!page) return no_memory(id);
  return format::decode_node(run->payload);
}

Result<std::optional<Location>> Store::locate(const MemoryId& id) {
  std::optional<format::Entry> entry;
  MENTEDB_TRY_ASSIGN(const auto page, probe_id(id, [&](std::uint64_t at) -> Result<Seen> {
                       MENTEDB_TRY_ASSIGN(entry, pool_->read_entry(at));
                       if (!entry) return Seen::damaged;
                       return format::is_memory(entry->type) && entry->id == id.bytes ? Seen::wanted : Seen::other;
                     }));
  if (!page) return std::nullopt;
  return Location{.page = *page, .entry = *entry};
}

// One look. `retry` tells damage or a race from an answer.
Result<Page> Store::read_page_once(std::uint64_t page, bool& retry, std::uint64_t& looked_bytes) {
  retry = false;
  const auto none = [page] { return base::failf(ErrorCode::not_found, "no run starts at page {}", page); };
  if (!pool_->contains(page)) return none();
  MENTEDB_TRY_ASSIGN(const auto entry, pool_->read_entry(page));
  if (entry && !format::is_head(entry->type)) return none();
  ReadBuffer buffer;
  MENTEDB_TRY_ASSIGN(const auto run, pool_->read_run(page, buffer.get()));
  looked_bytes += buffer.get().size_bytes();
  // The entry says that a run starts here; an image that is older than its entry is stale.
  if (!entry || !run || run->header.lsn < entry->lsn || run->header.type == format::RunType::free ||
      run->header.run_pages != entry->run_pages) {
    retry = true;
    return damaged(page);
  }
  return Page{.header = {.id = PageId{page},
                         .lsn = Lsn{run->header.lsn},
                         .type = run->header.type == format::RunType::memory ? PageType::memory : PageType::raw,
                         .page_count = run->header.run_pages,
                         .data_bytes = run->header.payload_bytes},
              .data = {run->payload.begin(), run->payload.end()}};
}

Result<Page> Store::read_page(PageId page) {
  bool retry = false;
  std::uint64_t looked_bytes = 0;
  for (int spin = 0; spin < kSpins && looked_bytes <= kMaxLookedBytes; ++spin) {
    auto result = read_page_once(page.value, retry, looked_bytes);
    if (!retry) return result;
  }
  // The exception of I5: a writer died or stopped in the middle of this page, or the page is damaged.
  MENTEDB_TRY(heal(page.value));
  return read_page_once(page.value, retry, looked_bytes);
}

Result<MemoryNode> Store::load(PageId page) {
  MENTEDB_TRY_ASSIGN(const Page copy, read_page(page));
  if (copy.header.type != PageType::memory) {
    return base::failf(ErrorCode::invalid_argument, "page {} holds no memory; use read_page", page.value);
  }
  return format::decode_node(copy.data);
}

// Waits for the lock (bounded), which completes what a dead writer left, and replays the log from the checkpoint when
// that alone does not help.
Result<void> Store::heal(std::uint64_t page) {
  if (options_.read_only) {
    return base::failf(
        ErrorCode::busy,
        "page {} cannot be read as it is and this engine may not repair it; run: mentedb recover --dir '{}'", page,
        path_.string());
  }
  MENTEDB_TRY_ASSIGN(Hold hold, acquire(options_.lock_timeout));
  bool retry = true;
  std::uint64_t looked_bytes = 0;
  if (page != 0) static_cast<void>(read_page_once(page, retry, looked_bytes));
  if (!retry) return {};
  MENTEDB_TRY_ASSIGN(const Recovered recovered, redo(Redo::normal));
  hold.tail = recovered.tail;
  return {};
}

}  // namespace mentedb::engine

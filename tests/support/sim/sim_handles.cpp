#include "support/sim/sim_handles.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "support/sim/sim_vfs.hpp"

namespace mentedb::test {
namespace {

constexpr std::uint64_t kAlignment = 4096;
constexpr std::chrono::seconds kMaxRealWait{5};
constexpr std::uint32_t kPatience = 64;

std::uint64_t backoff_us(std::uint32_t failures, std::uint64_t most) {
  return std::min(std::uint64_t{1} << std::min(failures, 20U), most);
}

std::uint64_t page_end(std::uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

/// How much of a transfer happens in one step.
std::size_t part_length(const SimKernel& kernel, std::uint64_t at, std::size_t left) {
  const std::size_t tear = kernel.options.tear_bytes;
  if (tear == 0) return left;
  return std::min(left, tear - static_cast<std::size_t>(at % tear));
}

/// The longest prefix of at most `bytes` that ends with a sector of the file.
std::size_t whole_sectors(std::uint64_t offset, std::uint64_t bytes, std::size_t length) {
  if (bytes >= length) return length;
  const std::uint64_t end = (offset + bytes) / kSectorBytes * kSectorBytes;
  return end > offset ? static_cast<std::size_t>(end - offset) : 0;
}

}  // namespace

// ---------------------------------------------------------------------------------------------- file

Verdict SimFileHandle::begin(StepKind kind, std::uint64_t offset, std::uint64_t length, bool may_throw) const {
  return kernel().begin(*open_->process, kind, open_->file->name(), offset, length, may_throw);
}

void SimFileHandle::check_direct(const char* what, std::uint64_t offset, const std::byte* data,
                                 std::size_t length) const {
  if (!open_->direct) return;
  if (offset % kAlignment == 0 && length % kAlignment == 0 && std::bit_cast<std::uintptr_t>(data) % kAlignment == 0) {
    return;
  }
  sim_abort(path_ + ": direct " + what + " is not aligned to 4,096: offset " + std::to_string(offset) + ", length " +
            std::to_string(length) +
            ", buffer address % 4096 = " + std::to_string(std::bit_cast<std::uintptr_t>(data) % kAlignment));
}

Result<vfs::FileId> SimFileHandle::id() const {
  const Verdict verdict = begin(StepKind::file_id);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "identify"));
  return vfs::FileId{.device = kSimDevice, .inode = open_->file->inode()};
}

Result<std::uint64_t> SimFileHandle::size_bytes() const {
  const Verdict verdict = begin(StepKind::size);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "size"));
  const std::scoped_lock lock(kernel().mutex);
  return open_->file->size_bytes();
}

Result<std::size_t> SimFileHandle::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  check_direct("read", offset, out.data(), out.size());
  const Verdict verdict = begin(StepKind::read, offset, out.size());
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "read"));
  const std::scoped_lock lock(kernel().mutex);
  const SimFile& file = *open_->file;
  if (offset >= file.size_bytes()) return std::size_t{0};
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), file.size_bytes() - offset));
  if (file.is_bad(offset, length)) return std::unexpected(errno_error(EIO, path_, "read"));
  file.read(offset, out.first(length), open_->direct);
  return length;
}

Result<void> SimFileHandle::write_some(std::uint64_t offset, std::span<const std::byte> data) {
  const std::scoped_lock lock(kernel().mutex);
  SimFile& file = *open_->file;
  std::size_t fits = data.size();
  if (kernel().options.capacity_bytes != 0) {
    std::uint64_t free = kernel().free_chunks();
    for (std::size_t done = 0; done < data.size();) {
      const std::size_t piece =
          std::min(kChunkBytes - static_cast<std::size_t>((offset + done) % kChunkBytes), data.size() - done);
      const std::uint64_t missing = file.missing_chunks(offset + done, piece);
      if (missing > free) {
        fits = done;
        break;
      }
      free -= missing;
      done += piece;
    }
  }
  file.write(offset, data.first(fits), kernel().write_sequence);
  kernel().changed();
  if (fits < data.size()) return std::unexpected(errno_error(ENOSPC, path_, "write"));
  return {};
}

Result<void> SimFileHandle::write_at(std::uint64_t offset, std::span<const std::byte> data) {
  check_direct("write", offset, data.data(), data.size());
  std::size_t done = 0;
  do {
    const auto rest = data.subspan(done);
    const std::uint64_t at = offset + done;
    const std::size_t length = part_length(kernel(), at, rest.size());
    const Verdict verdict = begin(done == 0 ? StepKind::write : StepKind::write_slice, at, rest.size());
    switch (verdict.kind) {
      case Verdict::Kind::proceed:
        break;
      case Verdict::Kind::dead:
        return std::unexpected(verdict.error(path_, "write"));
      case Verdict::Kind::fail: {
        std::size_t happened = verdict.effect == Effect::complete ? rest.size() : 0;
        if (verdict.effect == Effect::partial) happened = whole_sectors(at, verdict.bytes, rest.size());
        static_cast<void>(write_some(at, rest.first(happened)));
        return std::unexpected(verdict.error(path_, "write"));
      }
      case Verdict::Kind::kill_mid:
        static_cast<void>(write_some(at, rest.first(whole_sectors(at, verdict.bytes, rest.size()))));
        return std::unexpected(kernel().die(*open_->process, Life::killed, true).error(path_, "write"));
    }
    if (open_->mode == vfs::OpenMode::read_only) return std::unexpected(errno_error(EBADF, path_, "write"));
    if (at + rest.size() > kernel().options.max_file_bytes) {
      return std::unexpected(errno_error(EFBIG, path_, "write"));
    }
    if (auto written = write_some(at, rest.first(length)); !written) return written;
    done += length;
  } while (done < data.size());
  return {};
}

Result<void> SimFileHandle::sync() {
  const Verdict verdict = begin(StepKind::sync);
  if (verdict.kind == Verdict::Kind::dead) return std::unexpected(verdict.error(path_, "sync"));
  const std::scoped_lock lock(kernel().mutex);
  SimFile& file = *open_->file;
  if (verdict.proceeds() || verdict.effect == Effect::complete) {
    file.sync();
  } else {
    file.fail_sync(open_->direct, verdict.effect == Effect::partial, kernel().random);
  }
  kernel().changed();
  if (!verdict.proceeds()) return std::unexpected(verdict.sync_error(path_));
  return {};
}

Result<void> SimFileHandle::allocate(std::uint64_t offset, std::uint64_t length) {
  const Verdict verdict = begin(StepKind::allocate, offset, length);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "allocate"));
  if (open_->mode == vfs::OpenMode::read_only) return std::unexpected(errno_error(EBADF, path_, "allocate"));
  if (length == 0) return std::unexpected(errno_error(EINVAL, path_, "allocate"));
  const std::scoped_lock lock(kernel().mutex);
  if (offset + length > kernel().options.max_file_bytes || offset + length < offset) {
    return std::unexpected(errno_error(EFBIG, path_, "allocate"));
  }
  if (kernel().options.capacity_bytes != 0 && open_->file->missing_chunks(offset, length) > kernel().free_chunks()) {
    return std::unexpected(errno_error(ENOSPC, path_, "allocate"));
  }
  open_->file->allocate(offset, length);
  kernel().changed();
  return {};
}

Result<bool> SimFileHandle::give_back(std::uint64_t offset, std::uint64_t length) {
  const Verdict verdict = begin(StepKind::give_back, offset, length);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "give back"));
  if (open_->mode == vfs::OpenMode::read_only) return std::unexpected(errno_error(EBADF, path_, "give back"));
  const std::scoped_lock lock(kernel().mutex);
  open_->file->give_back(offset, length, kernel().write_sequence);
  kernel().changed();
  return true;
}

Result<std::uint64_t> SimFileHandle::allocated_bytes() const {
  const Verdict verdict = begin(StepKind::size);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "size"));
  const std::scoped_lock lock(kernel().mutex);
  return open_->file->allocated_chunks() * kChunkBytes;
}

void SimFileHandle::start_writeback() {
  // Any unsynced sector may have reached the device at any time, so there is nothing to do: fates cover it.
  static_cast<void>(begin(StepKind::start_writeback));
}

Result<bool> SimFileHandle::try_lock() {
  const Verdict verdict = begin(StepKind::try_lock);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "lock"));
  SimProcess& process = *open_->process;
  {
    const std::scoped_lock lock(kernel().mutex);
    if (kernel().take_lock(*open_)) {
      process.failed_try_locks = 0;
      return true;
    }
  }
  // Callers poll. Let the holder go on, or make time pass so that a timeout of many seconds takes few steps.
  const std::uint32_t failed = ++process.failed_try_locks;
  if (!kernel().scheduled() || !kernel().scheduler->yield()) {
    kernel().clock_us += backoff_us(failed, 100'000);
    if (!kernel().scheduled()) std::this_thread::yield();
  } else if (failed > kPatience) {
    // Others run and the lock stays taken: they poll too, most likely for a holder that was stopped.
    kernel().clock_us += backoff_us(failed - kPatience, 10'000);
  }
  return false;
}

Result<void> SimFileHandle::lock() {
  const Verdict verdict = begin(StepKind::lock);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "lock"));
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    {
      const std::scoped_lock lock(kernel().mutex);
      if (open_->process->life == Life::alive && kernel().take_lock(*open_)) return {};
    }
    if (kernel().scheduled()) {
      if (open_->process->life == Life::alive) kernel().scheduler->block_on_lock(*open_->file);
    } else {
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() - start > kMaxRealWait) sim_abort(path_ + ": lock() waits for ever");
    }
    if (open_->process->life != Life::alive) {
      return std::unexpected(kernel().refuse(*open_->process, true).error(path_, "lock"));
    }
  }
}

void SimFileHandle::unlock() {
  if (begin(StepKind::unlock, 0, 0, false).kind == Verdict::Kind::dead) return;
  const std::scoped_lock lock(kernel().mutex);
  kernel().release_lock(*open_);
}

std::string SimFileHandle::lock_holder() const {
  if (!begin(StepKind::lock_holder).proceeds()) return {};
  const std::scoped_lock lock(kernel().mutex);
  const OpenFile* owner = open_->file->lock_owner;
  return owner == nullptr ? std::string() : "pid " + std::to_string(owner->process->id + 1) + " (sim)";
}

Result<std::unique_ptr<vfs::Mapping>> SimFileHandle::map(std::uint64_t offset, std::size_t length, bool writable) {
  const Verdict verdict = begin(StepKind::map, offset, length);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "map"));
  // As a kernel with pages of 64 KiB (arm64) would.
  if (offset % vfs::kMapAlignment != 0 || length == 0) return std::unexpected(errno_error(EINVAL, path_, "map"));
  if (writable && open_->mode == vfs::OpenMode::read_only) return std::unexpected(errno_error(EACCES, path_, "map"));
  return std::make_unique<SimMapping>(open_, offset, length, writable);
}

// ---------------------------------------------------------------------------------------------- claims

Result<bool> SimFileHandle::try_claim(std::uint64_t byte) {
  const Verdict verdict = begin(StepKind::try_claim, byte, 1);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "lock a byte of"));
  const std::scoped_lock lock(kernel().mutex);
  return open_->file->claims.try_emplace(byte, open_.get()).first->second == open_.get();
}

void SimFileHandle::give_up_claim(std::uint64_t byte) {
  if (begin(StepKind::give_up_claim, byte, 1, false).kind == Verdict::Kind::dead) return;
  const std::scoped_lock lock(kernel().mutex);
  const auto claim = open_->file->claims.find(byte);
  if (claim != open_->file->claims.end() && claim->second == open_.get()) open_->file->claims.erase(claim);
}

Result<bool> SimFileHandle::is_claimed(std::uint64_t byte) const {
  const Verdict verdict = begin(StepKind::is_claimed, byte, 1);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "look at the locks of"));
  const std::scoped_lock lock(kernel().mutex);
  const auto claim = open_->file->claims.find(byte);
  return claim != open_->file->claims.end() && claim->second != open_.get();
}

// ---------------------------------------------------------------------------------------------- mapping

Verdict SimMapping::begin(StepKind kind, std::size_t offset, std::size_t length, bool may_throw) const {
  return kernel().begin(*open_->process, kind, open_->file->name(), offset_ + offset, length, may_throw);
}

void SimMapping::check_touch(const char* what, std::size_t offset, std::size_t length) const {
  const SimFile& file = *open_->file;
  const auto fail = [&](const std::string& why) {
    sim_abort(file.name() + ": " + what + " of [" + std::to_string(offset_ + offset) + ", " +
              std::to_string(offset_ + offset + length) + ") " + why);
  };
  if (offset > size_bytes() || length > size_bytes() - offset) fail("is outside the mapping");
  if (offset_ + offset + length > file.size_bytes()) {
    fail("is beyond the file of " + std::to_string(file.size_bytes()) + " bytes (SIGBUS)");
  }
  if (file.is_bad(offset_ + offset, length)) fail("touches an unreadable sector (SIGBUS)");
}

void SimMapping::check_word(const char* what, std::size_t offset) const {
  if ((offset_ + offset) % sizeof(std::uint64_t) != 0) {
    sim_abort(open_->file->name() + ": " + what + " of a word that is not aligned: " + std::to_string(offset));
  }
  check_touch(what, offset, sizeof(std::uint64_t));
}

Result<void> SimMapping::populate(std::size_t offset, std::size_t length) {
  const Verdict verdict = begin(StepKind::populate, offset, length);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(open_->file->name(), "populate"));
  const std::scoped_lock lock(kernel().mutex);
  const SimFile& file = *open_->file;
  if (offset > size_bytes() || length > size_bytes() - offset) {
    return std::unexpected(errno_error(ENOMEM, file.name(), "populate"));
  }
  if (offset_ + offset >= file.size_bytes() || offset_ + offset + length > page_end(file.size_bytes())) {
    return std::unexpected(errno_error(EIO, file.name(), "populate"));
  }
  if (file.is_bad(offset_ + offset, length)) return std::unexpected(errno_error(EIO, file.name(), "populate"));
  return {};
}

// The simulated file system overwrites in place; the call can fail all the same, as any step.
Result<void> SimMapping::make_writable(std::size_t offset, std::size_t length) {
  const Verdict verdict = begin(StepKind::make_writable, offset, length);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(open_->file->name(), "write"));
  return {};
}

void SimMapping::copy(std::size_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  do {
    const auto rest = out.subspan(done);
    const Verdict verdict = begin(done == 0 ? StepKind::copy : StepKind::copy_slice, offset + done, rest.size());
    if (verdict.kind == Verdict::Kind::dead) {
      std::ranges::fill(rest, std::byte{0});
      return;
    }
    const std::size_t length = part_length(kernel(), offset_ + offset + done, rest.size());
    const std::scoped_lock lock(kernel().mutex);
    check_touch("copy", offset + done, rest.size());
    open_->file->read(offset_ + offset + done, rest.first(length));
    done += length;
  } while (done < out.size());
}

std::uint64_t SimMapping::load(std::size_t offset) const {
  if (begin(StepKind::load, offset, sizeof(std::uint64_t)).kind == Verdict::Kind::dead) return 0;
  const std::scoped_lock lock(kernel().mutex);
  check_word("load", offset);
  return open_->file->load(offset_ + offset);
}

void SimMapping::store(std::size_t offset, std::uint64_t value) {
  if (begin(StepKind::store, offset, sizeof value).kind == Verdict::Kind::dead) return;
  const std::scoped_lock lock(kernel().mutex);
  check_word("store", offset);
  change("store", offset, std::as_bytes(std::span(&value, 1)));
}

bool SimMapping::compare_exchange(std::size_t offset, std::uint64_t expected, std::uint64_t desired) {
  if (begin(StepKind::compare_exchange, offset, sizeof desired).kind == Verdict::Kind::dead) return false;
  const std::scoped_lock lock(kernel().mutex);
  check_word("compare and swap", offset);
  if (open_->file->load(offset_ + offset) != expected) return false;
  change("compare and swap", offset, std::as_bytes(std::span(&desired, 1)));
  return true;
}

// A process may die in the middle of it: the hook leaves as many bytes as it says.
void SimMapping::write(std::size_t offset, std::span<const std::byte> data) {
  const Verdict verdict = begin(StepKind::write_mapped, offset, data.size());
  if (verdict.kind == Verdict::Kind::dead) return;
  const std::scoped_lock lock(kernel().mutex);
  check_touch("write", offset, data.size());
  change("write", offset, data);
}

void SimMapping::change(const char* what, std::size_t offset, std::span<const std::byte> data) {
  SimFile& file = *open_->file;
  if (!writable_) sim_abort(file.name() + ": " + what + " to a read-only mapping (SIGSEGV)");
  if (file.missing_chunks(offset_ + offset, data.size()) > kernel().free_chunks()) {
    sim_abort(file.name() + ": " + what + " to a hole of a full disk (SIGBUS)");
  }
  file.write(offset_ + offset, data, kernel().write_sequence);
  kernel().changed();
}

void SimMapping::wait(std::size_t offset, std::uint32_t expected, std::chrono::microseconds timeout) const {
  if (begin(StepKind::wait, offset, static_cast<std::uint64_t>(std::max<std::int64_t>(timeout.count(), 0))).kind ==
      Verdict::Kind::dead) {
    return;
  }
  {
    const std::scoped_lock lock(kernel().mutex);
    check_word("wait", offset);
    if (static_cast<std::uint32_t>(open_->file->load(offset_ + offset)) != expected) return;
  }
  if (timeout.count() <= 0) return;
  const auto timeout_us = static_cast<std::uint64_t>(timeout.count());
  if (!kernel().scheduled()) {
    kernel().clock_us += timeout_us;
    std::this_thread::yield();
    return;
  }
  kernel().scheduler->block_on_word(*open_->file, offset_ + offset, timeout_us);
  if (open_->process->life != Life::alive) static_cast<void>(kernel().refuse(*open_->process, true));
}

std::size_t SimMapping::wake(std::size_t offset) const {
  if (begin(StepKind::wake, offset, sizeof(std::uint64_t), false).kind == Verdict::Kind::dead) return 0;
  const std::scoped_lock lock(kernel().mutex);
  if (kernel().scheduler == nullptr) return 0;
  return kernel().scheduler->woken(*open_->file, offset_ + offset);
}

std::uint64_t SimMapping::resident_bytes(std::size_t length) const {
  if (begin(StepKind::resident, 0, length).kind == Verdict::Kind::dead) return 0;
  const std::scoped_lock lock(kernel().mutex);
  const std::uint64_t size = open_->file->size_bytes();
  return size <= offset_ ? 0 : std::min<std::uint64_t>({length, size_bytes(), size - offset_});
}

}  // namespace mentedb::test

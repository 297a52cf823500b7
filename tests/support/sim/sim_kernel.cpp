#include "support/sim/sim_kernel.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "base/assert.hpp"
#include "vfs/posix_error.hpp"

namespace mentedb::test {
namespace {

// A destructor that polls the seam for ever must not hang the test once its process is dead.
constexpr std::uint32_t kMaxCallsWhileDead = 1'000'000;

}  // namespace

std::string_view to_string(StepKind kind) {
  static constexpr std::array<std::string_view, 37> kNames = {"open_directory",
                                                              "create_directory",
                                                              "remove_directory",
                                                              "open",
                                                              "id_of",
                                                              "remove",
                                                              "sync_directory",
                                                              "list",
                                                              "file_id",
                                                              "size",
                                                              "read",
                                                              "write",
                                                              "write_slice",
                                                              "sync",
                                                              "allocate",
                                                              "give_back",
                                                              "start_writeback",
                                                              "try_lock",
                                                              "lock",
                                                              "unlock",
                                                              "lock_holder",
                                                              "try_claim",
                                                              "give_up_claim",
                                                              "is_claimed",
                                                              "map",
                                                              "populate",
                                                              "make_writable",
                                                              "copy",
                                                              "copy_slice",
                                                              "load",
                                                              "store",
                                                              "compare_exchange",
                                                              "write_mapped",
                                                              "wait",
                                                              "wake",
                                                              "resident",
                                                              "sleep"};
  static_assert(kNames.size() == static_cast<std::size_t>(StepKind::sleep) + 1);
  return kNames[static_cast<std::size_t>(kind)];
}

Error errno_error(int os_error, std::string_view file, std::string_view what) {
  return vfs::errno_error(os_error, what, file).error();
}

void sim_abort(const std::string& message) {
  std::fprintf(stderr, "simulated disk: %s\n", message.c_str());
  std::abort();
}

Error Verdict::error(std::string_view file, std::string_view what) const {
  if (kind == Kind::fail) return errno_error(os_error, file, what);
  std::string message(file);
  message.append(": ").append(what).append(": process is dead");
  return {.code = ErrorCode::io_error, .os_error = 0, .message = std::move(message)};
}

Error Verdict::sync_error(std::string_view file) const {
  if (kind == Kind::fail) return vfs::sync_error(os_error, file).error();
  return error(file, "sync");
}

SimKernel::SimKernel(const SimDiskOptions& disk_options) : options(disk_options), random(disk_options.seed) {
  directories.emplace("/", SimDirectory{.path = "/", .inode = 1, .current = {}, .durable = {}});
}

SimKernel::SimKernel(const SimKernel& other, bool with_files)
    : options(other.options),
      directories(other.directories),
      clock_us(other.clock_us.load()),
      next_inode(other.next_inode),
      write_sequence(other.write_sequence),
      boot_count(other.boot_count),
      mount_count(other.mount_count),
      next_process(other.next_process),
      random(other.random) {
  options.tracing = false;
  if (!with_files) return;
  for (const auto& file : other.files) {
    if (other.is_named(*file)) files.push_back(std::make_shared<SimFile>(*file));
  }
}

// ---------------------------------------------------------------------------------------------- steps

Verdict SimKernel::begin(SimProcess& process, StepKind kind, std::string_view file, std::uint64_t offset,
                         std::uint64_t length, bool may_throw) {
  for (;;) {
    if (process.life != Life::alive) return refuse(process, may_throw);
    if (scheduled()) {
      scheduler->before_step(step_count);
      // Others ran meanwhile, and may have ended this process.
      if (process.life != Life::alive) return refuse(process, may_throw);
    }
    Step step{.process = process.id, .kind = kind, .file = file, .offset = offset, .length = length};
    {
      const std::scoped_lock lock(mutex);
      step.index = step_count++;
      if (options.tracing) record(step);
    }
    clock_us.fetch_add(1, std::memory_order_relaxed);
    if (!hook) return {};
    const StepAction action = hook(step);
    if (process.life != Life::alive) return die(process, Life::killed, may_throw);  // the hook ended it by hand
    switch (action.kind) {
      case StepAction::Kind::proceed:
        return {};
      case StepAction::Kind::fail:
        return {
            .kind = Verdict::Kind::fail, .os_error = action.os_error, .effect = action.effect, .bytes = action.bytes};
      case StepAction::Kind::kill:
        if (action.bytes != 0 && (kind == StepKind::write || kind == StepKind::write_slice)) {
          return {.kind = Verdict::Kind::kill_mid, .bytes = action.bytes};
        }
        return die(process, Life::killed, may_throw);
      case StepAction::Kind::power_cut:
        cut_power();
        return die(process, Life::power_lost, may_throw);
      case StepAction::Kind::stop:
        if (!scheduled()) sim_abort("a process can be stopped under a SimScheduler only");
        {
          // The step has not happened: it gets its number once the process goes on.
          const std::scoped_lock lock(mutex);
          --step_count;
          if (options.tracing) trace.pop_back();
        }
        scheduler->stop_self();
    }
  }
}

Verdict SimKernel::die(SimProcess& process, Life how, bool may_throw) {
  kill(process, how);
  process.throw_pending = true;
  return refuse(process, may_throw);
}

Verdict SimKernel::refuse(SimProcess& process, bool may_throw) {
  if (may_throw && process.throw_pending && std::uncaught_exceptions() == 0) {
    process.throw_pending = false;
    if (process.life == Life::power_lost) throw PowerCut{};
    throw ProcessKilled{process.id};
  }
  if (++process.calls_while_dead > kMaxCallsWhileDead) sim_abort("a dead process does not stop calling");
  return {.kind = Verdict::Kind::dead};
}

void SimKernel::kill(SimProcess& process, Life how) {
  const std::scoped_lock lock(mutex);
  if (process.life != Life::alive) return;
  // Its body runs on a thread of the scheduler, which waits for it to end.
  process.throw_pending = scheduler != nullptr;
  process.life = how;
  for (const auto& file : files) {
    if (file->lock_owner != nullptr && file->lock_owner->process.get() == &process) release_lock(*file->lock_owner);
    std::erase_if(file->claims, [&](const auto& claim) { return claim.second->process.get() == &process; });
  }
}

void SimKernel::cut_power() {
  std::vector<std::shared_ptr<SimProcess>> alive;
  {
    const std::scoped_lock lock(mutex);
    power_lost = true;
    for (const auto& process : processes) {
      if (auto held = process.lock()) alive.push_back(std::move(held));
    }
  }
  for (const auto& process : alive) kill(*process, Life::power_lost);
}

void SimKernel::record(const Step& step) {
  auto name = std::ranges::find(trace_names, step.file);
  if (name == trace_names.end()) name = trace_names.insert(name, std::string(step.file));
  trace.push_back({.process = step.process,
                   .kind = step.kind,
                   .file = static_cast<std::uint32_t>(name - trace_names.begin()),
                   .offset = step.offset,
                   .length = step.length});
}

// ---------------------------------------------------------------------------------------------- locks

OpenFile::~OpenFile() {
  if (!process) return;
  --process->open_files;
  const std::scoped_lock lock(process->kernel->mutex);
  process->kernel->release_lock(*this);
  std::erase_if(file->claims, [this](const auto& claim) { return claim.second == this; });
}

bool SimKernel::take_lock(OpenFile& open) {
  if (open.file->lock_owner == nullptr) open.file->lock_owner = &open;
  return open.file->lock_owner == &open;
}

void SimKernel::release_lock(OpenFile& open) {
  if (open.file->lock_owner != &open) return;
  open.file->lock_owner = nullptr;
  if (scheduler != nullptr) scheduler->lock_released(*open.file);
}

// ---------------------------------------------------------------------------------------------- files

SimDirectory* SimKernel::find_directory(std::string_view path) {
  const auto found = directories.find(path);
  return found == directories.end() ? nullptr : &found->second;
}

std::shared_ptr<SimFile> SimKernel::find_file(std::uint64_t inode) const {
  const auto found = std::ranges::lower_bound(files, inode, {}, [](const auto& file) { return file->inode(); });
  return found != files.end() && (*found)->inode() == inode ? *found : nullptr;
}

std::shared_ptr<SimFile> SimKernel::create_file(SimDirectory& directory, std::string_view name) {
  auto file = std::make_shared<SimFile>(next_inode++, std::string(name));
  directory.current.insert_or_assign(std::string(name), file->inode());
  files.push_back(file);
  changed();
  return file;
}

bool SimKernel::is_named(const SimFile& file) const {
  const auto lists_it = [&](const auto& names) {
    return std::ranges::any_of(names, [&](const auto& entry) { return entry.second == file.inode(); });
  };
  return std::ranges::any_of(directories, [&](const auto& directory) {
    return lists_it(directory.second.current) || lists_it(directory.second.durable);
  });
}

std::uint64_t SimKernel::free_chunks() const {
  if (options.capacity_bytes == 0) return ~std::uint64_t{0};
  std::uint64_t used = 0;
  for (const auto& file : files) {
    // A removed file keeps its space while somebody has it open.
    if (is_named(*file) || file.use_count() > 1) used += file->allocated_chunks();
  }
  const std::uint64_t capacity = options.capacity_bytes / kChunkBytes;
  return used < capacity ? capacity - used : 0;
}

const std::vector<SimKernel::OrderedSector>& SimKernel::write_order() const {
  if (order_version_ == version) return order_;
  order_.clear();
  for (std::size_t file = 0; file < files.size(); ++file) {
    const auto& dirty = files[file]->dirty();
    if (dirty.empty() || !is_named(*files[file])) continue;
    for (std::size_t chunk = 0; chunk < dirty.size(); ++chunk) {
      for (std::uint8_t sector = 0; sector < kSectorsPerChunk; ++sector) {
        if ((dirty[chunk].mask >> sector & 1U) == 0) continue;
        order_.push_back({.sequence = dirty[chunk].sequence[sector],
                          .file = static_cast<std::uint32_t>(file),
                          .dirty_chunk = static_cast<std::uint32_t>(chunk),
                          .sector = sector});
      }
    }
  }
  std::ranges::sort(order_, {}, &OrderedSector::sequence);
  order_version_ = version;
  return order_;
}

std::vector<PendingName> SimKernel::pending_names() const {
  std::vector<PendingName> names;
  for (const auto& [path, directory] : directories) {
    for (const auto& [name, inode] : directory.current) {
      const auto durable = directory.durable.find(name);
      const std::uint64_t known = durable == directory.durable.end() ? 0 : durable->second;
      if (known != inode) names.push_back({path, name, known, inode});
    }
    for (const auto& [name, inode] : directory.durable) {
      if (!directory.current.contains(name)) names.push_back({path, name, inode, 0});
    }
  }
  return names;
}

Pending SimKernel::pending() const {
  Pending pending;
  for (const OrderedSector& at : write_order()) {
    const SimFile& file = *files[at.file];
    const std::uint64_t slot = file.dirty()[at.dirty_chunk].slot;
    pending.sectors.push_back({file.inode(), file.name(), slot * kSectorsPerChunk + at.sector});
  }
  pending.names = pending_names();
  for (const auto& file : files) {
    if (file->size_bytes() == file->durable_size_bytes() || !is_named(*file)) continue;
    pending.sizes.push_back({file->inode(), file->name(), file->durable_size_bytes(), file->size_bytes()});
  }
  return pending;
}

std::shared_ptr<SimKernel> SimKernel::after_power_cut(const Fate& fate) const {
  auto after = std::make_shared<SimKernel>(*this, false);
  if (!fate.keep_boot_id) ++after->boot_count;
  ++after->mount_count;

  const auto& order = write_order();
  MENTEDB_ASSERT(fate.sectors.empty() || fate.sectors.size() == order.size());
  std::vector<std::vector<std::uint8_t>> kept(files.size());
  for (std::size_t file = 0; file < files.size(); ++file) kept[file].resize(files[file]->dirty().size());
  for (std::size_t i = 0; i < fate.sectors.size(); ++i) {
    if (!fate.sectors[i]) continue;
    std::uint8_t& mask = kept[order[i].file][order[i].dirty_chunk];
    mask = static_cast<std::uint8_t>(mask | 1U << order[i].sector);
  }

  const std::vector<PendingName> names = pending_names();
  MENTEDB_ASSERT(fate.names.empty() || fate.names.size() == names.size());
  for (auto& [path, directory] : after->directories) directory.current = directory.durable;
  for (std::size_t i = 0; i < fate.names.size(); ++i) {
    if (!fate.names[i]) continue;
    auto& entries = after->directories.at(names[i].directory).current;
    if (names[i].current_inode == 0) {
      entries.erase(names[i].name);
    } else {
      entries.insert_or_assign(names[i].name, names[i].current_inode);
    }
  }
  std::vector<std::uint64_t> reachable;
  for (auto& [path, directory] : after->directories) {
    directory.durable = directory.current;
    for (const auto& [name, inode] : directory.current) reachable.push_back(inode);
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (std::ranges::find(reachable, files[i]->inode()) == reachable.end()) continue;
    after->files.push_back(std::make_shared<SimFile>(files[i]->after_power_cut(kept[i], fate.sizes_kept)));
  }
  return after;
}

}  // namespace mentedb::test

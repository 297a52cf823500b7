#include "support/sim/sim_vfs.hpp"

#include <cerrno>
#include <cstring>

#include "support/sim/sim_handles.hpp"

namespace mentedb::test {
namespace {

/// The key of a directory: absolute or relative, without "." and without a slash at the end.
std::string directory_key(const std::filesystem::path& path) {
  std::string key = path.lexically_normal().string();
  while (key.size() > 1 && key.back() == '/') key.pop_back();
  return key;
}

bool parent_exists(SimKernel& kernel, const std::string& key) {
  const std::string parent = std::filesystem::path(key).parent_path().string();
  return parent.empty() || kernel.find_directory(parent) != nullptr;
}

bool is_regular_file(SimKernel& kernel, const std::string& key) {
  const std::filesystem::path path(key);
  const SimDirectory* parent = kernel.find_directory(path.parent_path().string());
  return parent != nullptr && parent->current.contains(path.filename().string());
}

/// With `may_exist` an existing directory is fine.
Result<void> make_directory(SimKernel& kernel, const std::string& key, bool may_exist) {
  const std::scoped_lock lock(kernel.mutex);
  if (is_regular_file(kernel, key)) {
    return std::unexpected(errno_error(may_exist ? ENOTDIR : EEXIST, key, "make directory"));
  }
  if (kernel.find_directory(key) != nullptr) {
    if (may_exist) return {};
    return std::unexpected(errno_error(EEXIST, key, "make directory"));
  }
  if (!parent_exists(kernel, key)) return std::unexpected(errno_error(ENOENT, key, "make directory"));
  kernel.directories.emplace(key,
                             SimDirectory{.path = key, .inode = kernel.next_inode++, .current = {}, .durable = {}});
  kernel.changed();
  return {};
}

}  // namespace

SimVfs::SimVfs(SimDisk& disk, const SimVfsOptions& options) : process_(std::make_shared<SimProcess>()) {
  const auto& kernel = disk.kernel();
  const std::scoped_lock lock(kernel->mutex);
  if (kernel->power_lost) sim_abort("a process cannot start without power: use SimDisk::after_power_cut");
  process_->kernel = kernel;
  process_->id = kernel->next_process++;
  process_->support_direct = options.support_direct;
  process_->random = SimRandom(options.seed.value_or(kernel->options.seed * 0x10001U + process_->id));
  kernel->processes.push_back(process_);
}

Result<std::unique_ptr<vfs::Directory>> SimVfs::open_directory(const std::filesystem::path& path, bool create) {
  SimKernel& kernel = *process_->kernel;
  const std::string key = directory_key(path);
  const Verdict verdict = kernel.begin(*process_, StepKind::open_directory, key);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(key, "open directory"));
  if (create) {
    if (auto made = make_directory(kernel, key, true); !made) return std::unexpected(made.error());
  } else {
    const std::scoped_lock lock(kernel.mutex);
    if (is_regular_file(kernel, key)) return std::unexpected(errno_error(ENOTDIR, key, "open directory"));
    if (kernel.find_directory(key) == nullptr) return std::unexpected(errno_error(ENOENT, key, "open directory"));
  }
  return std::make_unique<SimDirectoryHandle>(process_, key);
}

Result<std::unique_ptr<vfs::Directory>> SimVfs::create_directory(const std::filesystem::path& path) {
  SimKernel& kernel = *process_->kernel;
  const std::string key = directory_key(path);
  const Verdict verdict = kernel.begin(*process_, StepKind::create_directory, key);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(key, "make directory"));
  if (auto made = make_directory(kernel, key, false); !made) return std::unexpected(made.error());
  return std::make_unique<SimDirectoryHandle>(process_, key);
}

Result<void> SimVfs::remove_directory(const std::filesystem::path& path) {
  SimKernel& kernel = *process_->kernel;
  const std::string key = directory_key(path);
  const Verdict verdict = kernel.begin(*process_, StepKind::remove_directory, key);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(key, "remove"));
  const std::scoped_lock lock(kernel.mutex);
  const SimDirectory* directory = kernel.find_directory(key);
  if (directory == nullptr) return std::unexpected(errno_error(ENOENT, key, "remove"));
  if (!directory->current.empty()) return std::unexpected(errno_error(ENOTEMPTY, key, "remove"));
  kernel.directories.erase(key);
  kernel.changed();
  return {};
}

std::chrono::microseconds SimVfs::now() const {
  return std::chrono::microseconds(process_->kernel->clock_us.fetch_add(1, std::memory_order_relaxed) + 1);
}

void SimVfs::sleep(std::chrono::microseconds time) {
  SimKernel& kernel = *process_->kernel;
  const auto time_us = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
  if (kernel.begin(*process_, StepKind::sleep, "", 0, time_us).kind == Verdict::Kind::dead) return;
  if (!kernel.scheduled()) {
    kernel.clock_us += time_us;
    return;
  }
  kernel.scheduler->block_for(time_us);
  if (process_->life != Life::alive) static_cast<void>(kernel.refuse(*process_, true));
}

void SimVfs::random_bytes(std::span<std::byte> out) {
  const std::scoped_lock lock(process_->kernel->mutex);
  for (std::byte& byte : out) byte = static_cast<std::byte>(process_->random.next() & 0xffU);
}

std::array<std::uint8_t, 16> SimVfs::boot_id() const {
  const SimKernel& kernel = *process_->kernel;
  SimRandom random(kernel.options.seed ^ kernel.boot_count << 32U);
  std::array<std::uint8_t, 16> id{};
  for (std::uint8_t& byte : id) byte = static_cast<std::uint8_t>(random.next());
  return id;
}

// ---------------------------------------------------------------------------------------------- directory

std::string SimDirectoryHandle::path_of(std::string_view name) const {
  std::string path = path_;
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

Result<std::unique_ptr<vfs::File>> SimDirectoryHandle::open(std::string_view name, vfs::OpenMode mode, bool direct) {
  SimKernel& kernel = *process_->kernel;
  const Verdict verdict = kernel.begin(*process_, StepKind::open, name);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(name, "open"));
  auto open = std::make_shared<OpenFile>();
  open->mode = mode;
  open->direct = direct && process_->support_direct;
  const std::scoped_lock lock(kernel.mutex);
  if (kernel.find_directory(path_of(name)) != nullptr) return std::unexpected(errno_error(EISDIR, name, "open"));
  SimDirectory& directory = *kernel.find_directory(path_);
  const auto entry = directory.current.find(name);
  if (entry != directory.current.end()) {
    open->file = kernel.find_file(entry->second);
  } else if (mode == vfs::OpenMode::create) {
    open->file = kernel.create_file(directory, name);
  } else {
    return std::unexpected(errno_error(ENOENT, name, "open"));
  }
  open->process = process_;
  ++process_->open_files;
  return std::make_unique<SimFileHandle>(std::move(open), path_of(name));
}

Result<vfs::FileId> SimDirectoryHandle::id_of(std::string_view name) const {
  SimKernel& kernel = *process_->kernel;
  const Verdict verdict = kernel.begin(*process_, StepKind::id_of, name);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(name, "identify"));
  const std::scoped_lock lock(kernel.mutex);
  const SimDirectory& directory = *kernel.find_directory(path_);
  const auto entry = directory.current.find(name);
  if (entry == directory.current.end()) return std::unexpected(errno_error(ENOENT, name, "identify"));
  return vfs::FileId{.device = kSimDevice, .inode = entry->second};
}

std::uint64_t SimDirectoryHandle::mount_id() const { return process_->kernel->mount_count; }

Result<void> SimDirectoryHandle::remove(std::string_view name) {
  SimKernel& kernel = *process_->kernel;
  const Verdict verdict = kernel.begin(*process_, StepKind::remove, name);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(name, "remove"));
  const std::scoped_lock lock(kernel.mutex);
  SimDirectory& directory = *kernel.find_directory(path_);
  const auto entry = directory.current.find(name);
  if (entry == directory.current.end()) return std::unexpected(errno_error(ENOENT, name, "remove"));
  directory.current.erase(entry);
  kernel.changed();
  return {};
}

Result<void> SimDirectoryHandle::sync() {
  SimKernel& kernel = *process_->kernel;
  const Verdict verdict = kernel.begin(*process_, StepKind::sync_directory, path_);
  const bool all = verdict.kind == Verdict::Kind::fail && verdict.effect == Effect::complete;
  if (verdict.proceeds() || all) {
    const std::scoped_lock lock(kernel.mutex);
    SimDirectory& directory = *kernel.find_directory(path_);
    directory.durable = directory.current;
    kernel.changed();
  }
  if (!verdict.proceeds()) return std::unexpected(verdict.sync_error(path_));
  return {};
}

Result<std::vector<std::string>> SimDirectoryHandle::list() const {
  SimKernel& kernel = *process_->kernel;
  const Verdict verdict = kernel.begin(*process_, StepKind::list, path_);
  if (!verdict.proceeds()) return std::unexpected(verdict.error(path_, "list"));
  const std::scoped_lock lock(kernel.mutex);
  std::vector<std::string> names;
  for (const auto& [name, inode] : kernel.find_directory(path_)->current) names.push_back(name);
  for (const auto& [path, directory] : kernel.directories) {
    const std::filesystem::path as_path(path);
    if (path != path_ && as_path.parent_path() == path_) names.push_back(as_path.filename().string());
  }
  return names;
}

}  // namespace mentedb::test

#include "support/sim/sim_disk.hpp"

#include <utility>

namespace mentedb::test {
namespace {

std::pair<std::string_view, std::string_view> split(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", path};
  return {slash == 0 ? std::string_view("/") : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

SimDisk::SimDisk(const SimDiskOptions& options) : kernel_(std::make_shared<SimKernel>(options)) {}

SimDisk::SimDisk(std::shared_ptr<SimKernel> kernel) : kernel_(std::move(kernel)) {}

SimDisk::~SimDisk() {
  kernel_->hook = nullptr;
  kernel_->cut_power();
}

std::unique_ptr<SimDisk> SimDisk::clone() const {
  const std::scoped_lock lock(kernel_->mutex);
  return std::unique_ptr<SimDisk>(new SimDisk(std::make_shared<SimKernel>(*kernel_, true)));
}

Pending SimDisk::pending() const {
  const std::scoped_lock lock(kernel_->mutex);
  return kernel_->pending();
}

std::unique_ptr<SimDisk> SimDisk::after_power_cut(const Fate& fate) const {
  const std::scoped_lock lock(kernel_->mutex);
  return std::unique_ptr<SimDisk>(new SimDisk(kernel_->after_power_cut(fate)));
}

void SimDisk::cut_power() { kernel_->cut_power(); }

void SimDisk::set_hook(StepHook hook) { kernel_->hook = std::move(hook); }

std::uint64_t SimDisk::step_count() const {
  const std::scoped_lock lock(kernel_->mutex);
  return kernel_->step_count;
}

void SimDisk::set_tracing(bool on) {
  const std::scoped_lock lock(kernel_->mutex);
  kernel_->options.tracing = on;
}

std::string SimDisk::trace_text() const {
  const std::scoped_lock lock(kernel_->mutex);
  std::string text;
  std::uint64_t index = kernel_->step_count - kernel_->trace.size();
  for (const TraceEntry& entry : kernel_->trace) {
    text += std::to_string(index++) + " p" + std::to_string(entry.process) + ' ';
    text.append(to_string(entry.kind)).append(" ").append(kernel_->trace_names[entry.file]);
    if (entry.offset != 0 || entry.length != 0) {
      text += ' ' + std::to_string(entry.offset) + '+' + std::to_string(entry.length);
    }
    text += '\n';
  }
  return text;
}

std::shared_ptr<SimFile> SimDisk::file_at(std::string_view path) const {
  const auto [directory_path, name] = split(path);
  const SimDirectory* directory = kernel_->find_directory(directory_path);
  if (directory == nullptr) return nullptr;
  const auto entry = directory->current.find(name);
  return entry == directory->current.end() ? nullptr : kernel_->find_file(entry->second);
}

bool SimDisk::exists(std::string_view path) const {
  const std::scoped_lock lock(kernel_->mutex);
  return file_at(path) != nullptr;
}

std::vector<std::byte> SimDisk::content(std::string_view path) const {
  const std::scoped_lock lock(kernel_->mutex);
  const auto file = file_at(path);
  if (!file) return {};
  std::vector<std::byte> bytes(static_cast<std::size_t>(file->size_bytes()));
  file->read(0, bytes);
  return bytes;
}

void SimDisk::install(std::string_view path, std::span<const std::byte> content) {
  const std::scoped_lock lock(kernel_->mutex);
  const auto [directory_path, name] = split(path);
  SimDirectory* directory = kernel_->find_directory(directory_path);
  if (directory == nullptr) {
    SimDirectory made{
        .path = std::string(directory_path), .inode = kernel_->next_inode++, .current = {}, .durable = {}};
    directory = &kernel_->directories.emplace(made.path, made).first->second;
  }
  const auto file = kernel_->create_file(*directory, name);
  file->write(0, content, kernel_->write_sequence);
  file->sync();
  directory->durable.insert_or_assign(std::string(name), file->inode());
  kernel_->changed();
}

void SimDisk::erase(std::string_view path) {
  const std::scoped_lock lock(kernel_->mutex);
  const auto [directory_path, name] = split(path);
  SimDirectory* directory = kernel_->find_directory(directory_path);
  if (directory == nullptr) return;
  directory->current.erase(std::string(name));
  directory->durable.erase(std::string(name));
  kernel_->changed();
}

void SimDisk::remount() {
  const std::scoped_lock lock(kernel_->mutex);
  ++kernel_->mount_count;
}

void SimDisk::damage(std::string_view path, std::uint64_t offset, std::span<const std::byte> bytes) {
  remount();
  const std::scoped_lock lock(kernel_->mutex);
  const auto file = file_at(path);
  if (!file) sim_abort("damage: no file " + std::string(path));
  file->damage(offset, bytes);
}

void SimDisk::set_bad(std::string_view path, std::uint64_t offset, std::uint64_t length) {
  const std::scoped_lock lock(kernel_->mutex);
  const auto file = file_at(path);
  if (!file) sim_abort("set_bad: no file " + std::string(path));
  file->add_bad_range(offset, length);
}

void SimDisk::set_capacity(std::uint64_t capacity_bytes) {
  const std::scoped_lock lock(kernel_->mutex);
  kernel_->options.capacity_bytes = capacity_bytes;
}

std::uint64_t SimDisk::free_bytes() const {
  const std::scoped_lock lock(kernel_->mutex);
  const std::uint64_t chunks = kernel_->free_chunks();
  return chunks == ~std::uint64_t{0} ? chunks : chunks * kChunkBytes;
}

}  // namespace mentedb::test

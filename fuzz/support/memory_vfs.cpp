#include "support/memory_vfs.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"

namespace mentedb::fuzz {
namespace {

class Mapping final : public vfs::Mapping {
 public:
  Mapping(MemoryFile& file, std::uint64_t offset, std::size_t length, bool writable)
      : vfs::Mapping(length), file_(file), offset_(offset), writable_(writable) {}

  Result<void> populate(std::size_t offset, std::size_t length) override {
    if (offset <= size_bytes() && length <= size_bytes() - offset && offset_ + offset + length <= file_.size_bytes())
      return {};
    return base::failf(ErrorCode::io_error, "{}: cannot be read", file_.name());
  }
  void copy(std::size_t offset, std::span<std::byte> out) const override {
    if (!out.empty()) std::memcpy(out.data(), file_.at(offset_ + offset, out.size(), "copy"), out.size());
  }
  std::uint64_t load(std::size_t offset) const override {
    std::uint64_t word = 0;
    std::memcpy(&word, file_.at(offset_ + offset, sizeof word, "load"), sizeof word);
    return word;
  }
  void store(std::size_t offset, std::uint64_t value) override {
    if (!writable_) file_.at(file_.size_bytes(), 1, "store to a read-only mapping");
    file_.at(offset_ + offset, sizeof value, "store");
    file_.write(offset_ + offset, std::as_bytes(std::span(&value, 1)));
  }
  bool compare_exchange(std::size_t offset, std::uint64_t expected, std::uint64_t desired) override {
    if (load(offset) != expected) return false;
    store(offset, desired);
    return true;
  }
  void write(std::size_t offset, std::span<const std::byte> data) override {
    if (!writable_) file_.at(file_.size_bytes(), 1, "write to a read-only mapping");
    file_.at(offset_ + offset, data.size(), "write");
    file_.write(offset_ + offset, data);
  }
  void wait(std::size_t, std::uint32_t, std::chrono::microseconds) const override {}
  std::size_t wake(std::size_t) const override { return 0; }
  std::uint64_t resident_bytes(std::size_t length) const override { return length; }

 private:
  MemoryFile& file_;
  std::uint64_t offset_;
  bool writable_;
};

class File final : public vfs::File {
 public:
  explicit File(MemoryFile& file) : file_(file) {}

  const std::string& path() const override { return file_.name(); }
  Result<vfs::FileId> id() const override { return vfs::FileId{.device = 1, .inode = 1}; }
  Result<std::uint64_t> size_bytes() const override { return file_.size_bytes(); }
  bool is_direct() const override { return false; }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return file_.read(offset, out);
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    file_.write(offset, data);
    return {};
  }
  Result<void> sync() override { return {}; }
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override {
    if (offset + length > file_.size_bytes()) file_.resize(offset + length);
    return {};
  }
  Result<bool> give_back(std::uint64_t offset, std::uint64_t length) override {
    file_.write(offset, std::vector<std::byte>(length));
    return true;
  }
  void start_writeback() override {}
  Result<bool> try_lock() override { return true; }
  Result<void> lock() override { return {}; }
  void unlock() override {}
  std::string lock_holder() const override { return {}; }
  Result<bool> try_claim(std::uint64_t) override { return true; }
  void give_up_claim(std::uint64_t) override {}
  Result<bool> is_claimed(std::uint64_t) const override { return false; }
  Result<std::unique_ptr<vfs::Mapping>> map(std::uint64_t offset, std::size_t length, bool writable) override {
    return std::make_unique<Mapping>(file_, offset, length, writable);
  }

 private:
  MemoryFile& file_;
};

}  // namespace

void MemoryFile::reset() {
  for (const auto& [offset, length] : written_)
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
  written_.clear();
  size_bytes_ = 0;
  bytes_read_ = 0;
}

void MemoryFile::resize(std::uint64_t size_bytes) {
  if (size_bytes > bytes_.size()) bytes_.resize(size_bytes);
  size_bytes_ = size_bytes;
}

void MemoryFile::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset + data.size() > size_bytes_) resize(offset + data.size());
  std::ranges::copy(data, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  written_.emplace_back(offset, data.size());
}

std::size_t MemoryFile::read(std::uint64_t offset, std::span<std::byte> out) {
  const std::uint64_t have = std::min<std::uint64_t>(out.size(), size_bytes_ - std::min(offset, size_bytes_));
  if (have > 0) std::memcpy(out.data(), bytes_.data() + offset, have);
  bytes_read_ += have;
  return have;
}

std::byte* MemoryFile::at(std::uint64_t offset, std::uint64_t length, const char* what) {
  if (offset > size_bytes_ || length > size_bytes_ - offset) {
    std::fprintf(stderr, "fuzz: %s: %s of [%llu, +%llu) is beyond the file of %llu bytes (SIGBUS)\n", name_.c_str(),
                 what, static_cast<unsigned long long>(offset), static_cast<unsigned long long>(length),
                 static_cast<unsigned long long>(size_bytes_));
    std::abort();
  }
  return bytes_.data() + offset;
}

std::unique_ptr<vfs::File> open_memory_file(MemoryFile& file) { return std::make_unique<File>(file); }

MemoryFile& MemoryDirectory::make(const std::string& name) {
  auto& file = files_[name];
  if (file == nullptr) file = std::make_unique<MemoryFile>(name);
  file->reset();
  return *file;
}

Result<std::unique_ptr<vfs::File>> MemoryDirectory::open(std::string_view name, vfs::OpenMode mode, bool) {
  auto found = files_.find(name);
  if (found == files_.end()) {
    if (mode != vfs::OpenMode::create) return base::failf(ErrorCode::not_found, "{}: no such file", name);
    found = files_.emplace(std::string(name), std::make_unique<MemoryFile>(std::string(name))).first;
  }
  return open_memory_file(*found->second);
}

Result<vfs::FileId> MemoryDirectory::id_of(std::string_view name) const {
  if (!files_.contains(name)) return base::failf(ErrorCode::not_found, "{}: no such file", name);
  return vfs::FileId{.device = 1, .inode = 1};
}

Result<void> MemoryDirectory::remove(std::string_view name) {
  const auto found = files_.find(name);
  if (found == files_.end()) return base::failf(ErrorCode::not_found, "{}: no such file", name);
  removed_.push_back(std::move(found->second));
  files_.erase(found);
  return {};
}

Result<std::vector<std::string>> MemoryDirectory::list() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

}  // namespace mentedb::fuzz

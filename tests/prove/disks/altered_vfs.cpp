#include "altered_vfs.hpp"

#include "vfs/posix_vfs.hpp"

namespace mentedb::prove {

const char* name_of(Breakage breakage) {
  switch (breakage) {
    case Breakage::none:
      return "none";
    case Breakage::log_unsynced:
      return "log_unsynced";
    case Breakage::pages_unsynced:
      return "pages_unsynced";
    case Breakage::sync_retried:
      return "sync_retried";
  }
  return "";
}

namespace {

class AlteredFile final : public vfs::File {
 public:
  AlteredFile(std::unique_ptr<vfs::File> file, Breakage breakage, std::string_view name)
      : file_(std::move(file)), breakage_(breakage), name_(name) {}

  const std::string& path() const override { return file_->path(); }
  Result<vfs::FileId> id() const override { return file_->id(); }
  Result<std::uint64_t> size_bytes() const override { return file_->size_bytes(); }
  bool is_direct() const override { return file_->is_direct(); }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return file_->read_at(offset, out);
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    return file_->write_at(offset, data);
  }
  Result<void> sync() override {
    if (breakage_ == Breakage::log_unsynced && name_ == "wal.log") return {};
    if (breakage_ == Breakage::pages_unsynced && name_ == "pages.db") return {};
    auto result = file_->sync();
    if (!result && breakage_ == Breakage::sync_retried) result = file_->sync();
    return result;
  }
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override { return file_->allocate(offset, length); }
  Result<bool> give_back(std::uint64_t offset, std::uint64_t length) override {
    return file_->give_back(offset, length);
  }
  Result<std::uint64_t> allocated_bytes() const override { return file_->allocated_bytes(); }
  void start_writeback() override { file_->start_writeback(); }
  Result<bool> try_lock() override { return file_->try_lock(); }
  Result<void> lock() override { return file_->lock(); }
  void unlock() override { file_->unlock(); }
  std::string lock_holder() const override { return file_->lock_holder(); }
  Result<bool> try_claim(std::uint64_t byte) override { return file_->try_claim(byte); }
  void give_up_claim(std::uint64_t byte) override { file_->give_up_claim(byte); }
  Result<bool> is_claimed(std::uint64_t byte) const override { return file_->is_claimed(byte); }
  Result<std::unique_ptr<vfs::Mapping>> map(std::uint64_t offset, std::size_t length, bool writable) override {
    return file_->map(offset, length, writable);
  }

 private:
  std::unique_ptr<vfs::File> file_;
  Breakage breakage_;
  std::string name_;
};

class AlteredDirectory final : public vfs::Directory {
 public:
  AlteredDirectory(std::unique_ptr<vfs::Directory> directory, Breakage breakage)
      : directory_(std::move(directory)), breakage_(breakage) {}

  const std::string& path() const override { return directory_->path(); }
  Result<std::unique_ptr<vfs::File>> open(std::string_view name, vfs::OpenMode mode, bool direct) override {
    auto file = directory_->open(name, mode, direct);
    if (!file) return std::unexpected(file.error());
    return std::make_unique<AlteredFile>(std::move(*file), breakage_, name);
  }
  Result<vfs::FileId> id_of(std::string_view name) const override { return directory_->id_of(name); }
  Result<void> remove(std::string_view name) override { return directory_->remove(name); }
  Result<void> sync() override { return directory_->sync(); }
  Result<std::vector<std::string>> list() const override { return directory_->list(); }
  std::optional<std::string> unsupported_reason() const override { return directory_->unsupported_reason(); }

 private:
  std::unique_ptr<vfs::Directory> directory_;
  Breakage breakage_;
};

class AlteredVfs final : public vfs::Vfs {
 public:
  AlteredVfs(Breakage breakage, Boot boot) : breakage_(breakage), boot_id_(real_.boot_id()) {
    if (boot == Boot::next) real_.random_bytes(std::as_writable_bytes(std::span(boot_id_)));
  }

  Result<std::unique_ptr<vfs::Directory>> open_directory(const std::filesystem::path& path, bool create) override {
    return wrap(real_.open_directory(path, create));
  }
  Result<std::unique_ptr<vfs::Directory>> create_directory(const std::filesystem::path& path) override {
    return wrap(real_.create_directory(path));
  }
  Result<void> remove_directory(const std::filesystem::path& path) override { return real_.remove_directory(path); }
  std::chrono::microseconds now() const override { return real_.now(); }
  void sleep(std::chrono::microseconds time) override { real_.sleep(time); }
  void random_bytes(std::span<std::byte> out) override { real_.random_bytes(out); }
  std::array<std::uint8_t, 16> boot_id() const override { return boot_id_; }
  std::uint64_t process_token() const override { return real_.process_token(); }

 private:
  Result<std::unique_ptr<vfs::Directory>> wrap(Result<std::unique_ptr<vfs::Directory>> directory) const {
    if (!directory) return std::unexpected(directory.error());
    return std::make_unique<AlteredDirectory>(std::move(*directory), breakage_);
  }

  vfs::Vfs& real_ = vfs::posix_vfs();
  Breakage breakage_;
  std::array<std::uint8_t, 16> boot_id_;
};

}  // namespace

vfs::Vfs& altered_vfs(Breakage breakage, Boot boot) {
  if (breakage == Breakage::none && boot == Boot::same) return vfs::posix_vfs();
  return *new AlteredVfs(breakage, boot);
}

}  // namespace mentedb::prove

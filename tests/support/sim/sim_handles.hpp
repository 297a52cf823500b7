// The handles of a simulated process; see sim_vfs.hpp for their rules.
#pragma once

#include <memory>
#include <string>

#include "support/sim/sim_kernel.hpp"
#include "vfs/vfs.hpp"

namespace mentedb::test {

class SimMapping final : public vfs::Mapping {
 public:
  SimMapping(std::shared_ptr<OpenFile> open, std::uint64_t offset, std::size_t length, bool writable)
      : Mapping(length), open_(std::move(open)), offset_(offset), writable_(writable) {}

  Result<void> populate(std::size_t offset, std::size_t length) override;
  Result<void> make_writable(std::size_t offset, std::size_t length) override;
  void copy(std::size_t offset, std::span<std::byte> out) const override;
  std::uint64_t load(std::size_t offset) const override;
  void store(std::size_t offset, std::uint64_t value) override;
  bool compare_exchange(std::size_t offset, std::uint64_t expected, std::uint64_t desired) override;
  void write(std::size_t offset, std::span<const std::byte> data) override;
  void wait(std::size_t offset, std::uint32_t expected, std::chrono::microseconds timeout) const override;
  std::size_t wake(std::size_t offset) const override;
  std::uint64_t resident_bytes(std::size_t length) const override;

 private:
  [[nodiscard]] SimKernel& kernel() const { return *open_->process->kernel; }
  [[nodiscard]] Verdict begin(StepKind kind, std::size_t offset, std::size_t length, bool may_throw = true) const;
  /// Ends the program when the touch would raise a signal. Call with the kernel's mutex held.
  void check_touch(const char* what, std::size_t offset, std::size_t length) const;
  void check_word(const char* what, std::size_t offset) const;
  /// Changes bytes. Ends the program when the touch would raise a signal. Call with the kernel's mutex held.
  void change(const char* what, std::size_t offset, std::span<const std::byte> data);

  std::shared_ptr<OpenFile> open_;
  std::uint64_t offset_;
  bool writable_;
};

class SimFileHandle final : public vfs::File {
 public:
  SimFileHandle(std::shared_ptr<OpenFile> open, std::string path) : open_(std::move(open)), path_(std::move(path)) {}

  const std::string& path() const override { return path_; }
  Result<vfs::FileId> id() const override;
  Result<std::uint64_t> size_bytes() const override;
  bool is_direct() const override { return open_->direct; }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override;
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> sync() override;
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override;
  Result<bool> give_back(std::uint64_t offset, std::uint64_t length) override;
  Result<std::uint64_t> allocated_bytes() const override;
  void start_writeback() override;
  Result<bool> try_lock() override;
  Result<void> lock() override;
  void unlock() override;
  std::string lock_holder() const override;
  Result<bool> try_claim(std::uint64_t byte) override;
  void give_up_claim(std::uint64_t byte) override;
  Result<bool> is_claimed(std::uint64_t byte) const override;
  Result<std::unique_ptr<vfs::Mapping>> map(std::uint64_t offset, std::size_t length, bool writable) override;

 private:
  [[nodiscard]] SimKernel& kernel() const { return *open_->process->kernel; }
  [[nodiscard]] Verdict begin(StepKind kind, std::uint64_t offset = 0, std::uint64_t length = 0,
                              bool may_throw = true) const;
  [[nodiscard]] Result<void> write_some(std::uint64_t offset, std::span<const std::byte> data);
  void check_direct(const char* what, std::uint64_t offset, const std::byte* data, std::size_t length) const;

  std::shared_ptr<OpenFile> open_;
  std::string path_;
};

class SimDirectoryHandle final : public vfs::Directory {
 public:
  SimDirectoryHandle(std::shared_ptr<SimProcess> process, std::string path)
      : process_(std::move(process)), path_(std::move(path)) {}

  const std::string& path() const override { return path_; }
  Result<std::unique_ptr<vfs::File>> open(std::string_view name, vfs::OpenMode mode, bool direct) override;
  Result<vfs::FileId> id_of(std::string_view name) const override;
  Result<void> remove(std::string_view name) override;
  Result<void> sync() override;
  Result<std::vector<std::string>> list() const override;
  std::uint64_t mount_id() const override;
  std::optional<std::string> unsupported_reason() const override { return std::nullopt; }

 private:
  [[nodiscard]] std::string path_of(std::string_view name) const;

  std::shared_ptr<SimProcess> process_;
  std::string path_;
};

/// The device number of every simulated disk.
inline constexpr std::uint64_t kSimDevice = 0x51;

}  // namespace mentedb::test

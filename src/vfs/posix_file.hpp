// An open file on the operating system. It retries calls that a signal interrupted, and it never retries a failed sync.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "vfs/vfs.hpp"

namespace mentedb::vfs {

class PosixFile final : public File {
 public:
  /// Takes ownership of the descriptor, which the caller registers (fork_guard.hpp).
  PosixFile(int descriptor, std::string path, bool direct);
  ~PosixFile() override;

  const std::string& path() const override { return path_; }
  Result<FileId> id() const override;
  Result<std::uint64_t> size_bytes() const override;
  bool is_direct() const override { return direct_; }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override;
  void start_reading(std::uint64_t offset, std::uint64_t length) const override;
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> check_size_limit(std::uint64_t end) const override;
  Result<void> sync() override;
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override;
  Result<bool> give_back(std::uint64_t offset, std::uint64_t length) override;
  Result<std::uint64_t> allocated_bytes() const override;
  void share_like(const File& other) override;
  void start_writeback() override;
  Result<bool> try_lock() override;
  Result<void> lock() override;
  void unlock() override;
  std::string lock_holder() const override;
  Result<bool> try_claim(std::uint64_t byte) override;
  void give_up_claim(std::uint64_t byte) override;
  Result<bool> is_claimed(std::uint64_t byte) const override;
  Result<std::unique_ptr<Mapping>> map(std::uint64_t offset, std::size_t length, bool writable) override;

 private:
  Result<void> allocate_by_writing(std::uint64_t offset, std::uint64_t length);

  int descriptor_;
  std::string path_;
  bool direct_;
  std::uint64_t owner_;                                ///< process_token of the process that opened the file
  mutable std::atomic<std::uint64_t> allowed_end_{0};  ///< the process may write the bytes below it
};

}  // namespace mentedb::vfs

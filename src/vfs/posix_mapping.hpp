// A shared mapping on the operating system: acquire loads, release stores, copies that may be torn, and futexes.
#pragma once

#include <atomic>
#include <string>

#include "vfs/vfs.hpp"

namespace mentedb::vfs {

class PosixMapping final : public Mapping {
 public:
  PosixMapping(std::byte* data, std::size_t size_bytes, bool writable, std::string path);
  ~PosixMapping() override;

  Result<void> populate(std::size_t offset, std::size_t length) override;
  Result<void> make_writable(std::size_t offset, std::size_t length) override;
  void prefetch(std::size_t offset, std::size_t length) const override;
  void copy(std::size_t offset, std::span<std::byte> out) const override;
  std::uint64_t load(std::size_t offset) const override;
  void store(std::size_t offset, std::uint64_t value) override;
  bool compare_exchange(std::size_t offset, std::uint64_t expected, std::uint64_t desired) override;
  void write(std::size_t offset, std::span<const std::byte> data) override;
  void wait(std::size_t offset, std::uint32_t expected, std::chrono::microseconds timeout) const override;
  std::size_t wake(std::size_t offset) const override;
  void keep_in_memory(std::size_t offset, std::size_t length) const override;
  std::uint64_t resident_bytes(std::size_t length) const override;

 private:
  bool advise(std::size_t offset, std::size_t length, int advice) const;
  std::uint64_t* word(std::size_t offset) const;

  std::byte* data_;
  bool writable_;
  std::string path_;
  std::atomic<bool> is_populated_{false};  ///< in part
};

}  // namespace mentedb::vfs

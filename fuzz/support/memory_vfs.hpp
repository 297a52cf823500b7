// A store's files in memory: fast, deterministic, and as strict as the kernel. Touching a mapping beyond the end of the
// file ends the program, as SIGBUS would. Nothing fails and nobody else is there; the simulated disk has all that.
//
// Files keep their memory from one execution of a fuzz target to the next: `reset` clears what was written, no more.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vfs/vfs.hpp"

namespace mentedb::fuzz {

class MemoryFile {
 public:
  explicit MemoryFile(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  std::uint64_t size_bytes() const { return size_bytes_; }
  /// An empty file again.
  void reset();
  void resize(std::uint64_t size_bytes);
  void write(std::uint64_t offset, std::span<const std::byte> data);
  std::size_t read(std::uint64_t offset, std::span<std::byte> out);
  /// Of reads with `read`, since the last reset.
  std::uint64_t bytes_read() const { return bytes_read_; }
  /// The bytes [offset, offset + length), which the file has: else the program ends.
  std::byte* at(std::uint64_t offset, std::uint64_t length, const char* what);

 private:
  std::string name_;
  std::vector<std::byte> bytes_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> written_;
};

/// An open file.
std::unique_ptr<vfs::File> open_memory_file(MemoryFile& file);

class MemoryDirectory final : public vfs::Directory {
 public:
  /// Adds a file or empties the one that is there.
  MemoryFile& make(const std::string& name);

  const std::string& path() const override { return path_; }
  Result<std::unique_ptr<vfs::File>> open(std::string_view name, vfs::OpenMode mode, bool direct) override;
  Result<vfs::FileId> id_of(std::string_view name) const override;
  Result<void> remove(std::string_view name) override;
  Result<void> sync() override { return {}; }
  Result<std::vector<std::string>> list() const override;
  std::optional<std::string> unsupported_reason() const override { return std::nullopt; }

 private:
  std::string path_ = "/memory";
  std::map<std::string, std::unique_ptr<MemoryFile>, std::less<>> files_;
  std::vector<std::unique_ptr<MemoryFile>> removed_;  ///< somebody may have them open
};

}  // namespace mentedb::fuzz

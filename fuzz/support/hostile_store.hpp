// A small valid store on the simulated disk, and edits of its files that a fuzzer describes. An edit of a structure can
// put its checksum right afterwards, so that the code behind the checksum is reached.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "format/geometry.hpp"
#include "format/log_format.hpp"
#include "format/superblock.hpp"
#include "support/input.hpp"
#include "support/sim/sim_disk.hpp"

namespace mentedb::fuzz {

class HostileStore {
 public:
  static constexpr std::uint64_t kShapes = 4;
  static constexpr std::uint64_t kMemories = 12;

  /// One of the stores that are made once: in use; closed after a checkpoint; with operations in the log that are not
  /// in the pages; with pages of 512 bytes.
  explicit HostileStore(std::uint64_t shape);

  test::SimDisk& disk() { return *disk_; }
  /// True when an edit forged a checksum: then wrong content is nobody's fault.
  bool forged() const { return forged_; }

  /// One edit. `live`: the store is open, so files keep their identity and size.
  void edit(Input& input, bool live);

 private:
  struct Batch {
    std::uint64_t offset;
    std::vector<std::byte> bytes;
  };

  std::string pick_file(Input& input) const;
  std::uint64_t pick_page(Input& input) const;
  void edit_bytes(Input& input);
  void edit_superblock(Input& input);
  void edit_slot(Input& input);
  void edit_words(Input& input);
  void edit_log(Input& input);
  void edit_entry(Input& input);
  void edit_run(Input& input);
  void edit_index(Input& input);
  void move_bytes(Input& input);
  void resize_file(Input& input);

  std::vector<Batch> read_log(const format::LogHeader& slot) const;
  std::vector<std::byte> read(const std::string& path, std::uint64_t offset, std::size_t length) const;
  void write(const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes);
  std::uint64_t size_of(const std::string& path) const;
  std::string index_path() const;

  std::unique_ptr<test::SimDisk> disk_;
  format::Superblock superblock_{};
  format::Geometry geometry_;
  bool forged_ = false;
};

}  // namespace mentedb::fuzz

// A file for output that appears under its name only when it is complete.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include <mentedb/error.hpp>

#include "output.hpp"

namespace mentedb::cli {

/// An output that fails, is interrupted or is killed keeps an earlier file as it was, and leaves nothing else: until
/// `keep` the new file has no name. Where the file system has no files without a name, it has a name that begins with
/// ".mentedb-partial-", and the next output into the directory removes those whose program is gone.
///
/// Memories are private, so a new file has mode 0600. A file that is replaced keeps what it allowed to others.
/// Devices and pipes are written directly.
class NewFile {
 public:
  /// `store` is the store of the command. @errors as `check_output_path`, and those of the file system
  static Result<std::unique_ptr<NewFile>> create(const std::string& name, const std::filesystem::path& store);

  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  Output& output() { return *output_; }

  /// Makes the file durable and gives it its name.
  Result<void> keep();

 private:
  explicit NewFile(std::string name) : name_(std::move(name)) {}
  Result<void> open_in_place();
  Result<void> open_beside(const std::filesystem::path& target, mode_t mode);
  bool open_without_name();
  bool open_with_partial_name();
  bool give_name();

  std::string name_;     // as the user gave it
  std::string target_;   // its name in the directory; empty: written in place
  std::string partial_;  // the name until then; empty when there is none
  mode_t mode_ = 0600;
  int directory_ = -1;
  int descriptor_ = -1;
  std::unique_ptr<Output> output_;
};

}  // namespace mentedb::cli

// The I/O seam: every system call of the engine goes through these interfaces, and so does every store to memory that
// is shared with other processes. Product code binds posix_vfs; tests bind a simulated disk that cuts power, tears
// writes, fails calls and kills processes between any two steps. Nothing here knows the storage format.
//
// Contract for implementations and users
// - A method that can fail returns Result; the Error names the file. Methods are safe to call from many threads.
// - The simulator may throw its own exception type from any method that is not a destructor, `unlock` or
//   `wake` to kill a simulated process. Product code therefore keeps its state consistent by RAII and never
//   marks a function noexcept that calls into the seam (destructors aside).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>

namespace mentedb::vfs {

/// What identifies a file for the kernel.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileId&, const FileId&) = default;
};

/// A shared mapping of a file. Other threads and processes write the same bytes meanwhile.
class Mapping {
 public:
  virtual ~Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  /// Mapped length in bytes; it may reach beyond the end of the file, where nothing may be touched.
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

  /// First touch of a range: brings it into memory and reports a bad sector as `io_error` (EIO, EFAULT) where a
  /// plain load would raise SIGBUS.
  [[nodiscard]] virtual Result<void> populate(std::size_t offset, std::size_t length) = 0;
  /// To be called shortly before `store`: brings the range into memory, ready to be stored to, and reports as an error
  /// what a store would raise as SIGBUS: a copy-on-write file system that is full, or one that shut down after an I/O
  /// error. The kernel may write the range back and protect it again, so the answer is good for moments only.
  /// @errors `no_space`, `io_error`, `read_only`
  [[nodiscard]] virtual Result<void> make_writable(std::size_t offset, std::size_t length);
  /// Copies bytes that others may be writing: the copy may be torn, the caller validates it.
  virtual void copy(std::size_t offset, std::span<std::byte> out) const = 0;
  /// Atomic load (acquire) of an aligned word.
  [[nodiscard]] virtual std::uint64_t load(std::size_t offset) const = 0;
  /// Atomic store (release) of an aligned word. Writable mappings only.
  virtual void store(std::size_t offset, std::uint64_t value) = 0;
  /// Sleeps until `wake(offset)`, at most `timeout`, unless the low 32 bits of the word differ from `expected`.
  virtual void wait(std::size_t offset, std::uint32_t expected, std::chrono::microseconds timeout) const = 0;
  /// Wakes every process that waits on the word.
  virtual void wake(std::size_t offset) const = 0;
  /// Bytes of [0, length) that are in the page cache now.
  [[nodiscard]] virtual std::uint64_t resident_bytes(std::size_t length) const = 0;

 protected:
  explicit Mapping(std::size_t size_bytes) : size_bytes_(size_bytes) {}

 private:
  std::size_t size_bytes_;
};

/// Memory that is always writable.
inline Result<void> Mapping::make_writable(std::size_t /*offset*/, std::size_t /*length*/) { return {}; }

class File {
 public:
  virtual ~File() = default;
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// For messages.
  [[nodiscard]] virtual const std::string& path() const = 0;
  [[nodiscard]] virtual Result<FileId> id() const = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size_bytes() const = 0;
  /// True when reads and writes bypass the page cache: offsets, lengths and buffers are multiples of 4,096.
  [[nodiscard]] virtual bool is_direct() const = 0;

  /// Reads until `out` is full or the file ends; returns the bytes read.
  [[nodiscard]] virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
  /// Writes all of `data`, extending the file when needed. After an error any part may have been written.
  [[nodiscard]] virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) = 0;
  /// Makes everything written to the file durable, with the metadata needed to read it back (fdatasync). After an
  /// error the state of everything unsynced is unknown, also when a later sync succeeds.
  [[nodiscard]] virtual Result<void> sync() = 0;
  /// Reserves disk space for the range and extends the file to cover it; new bytes read as zero. Not durable before
  /// `sync`. @errors `no_space`
  [[nodiscard]] virtual Result<void> allocate(std::uint64_t offset, std::uint64_t length) = 0;
  /// Starts write-back of the whole file and waits for nothing; consumes no pending error.
  virtual void start_writeback() = 0;

  /// Tries to take the exclusive flock(2) of the file. False: somebody else has it. The kernel drops it when the
  /// process dies.
  [[nodiscard]] virtual Result<bool> try_lock() = 0;
  /// Takes it, waiting for ever.
  [[nodiscard]] virtual Result<void> lock() = 0;
  virtual void unlock() = 0;
  /// Who holds the lock, for messages: "pid 123 (node)", or empty when it cannot be told.
  [[nodiscard]] virtual std::string lock_holder() const = 0;

  /// Maps [offset, offset + length); offset is a multiple of 4,096.
  [[nodiscard]] virtual Result<std::unique_ptr<Mapping>> map(std::uint64_t offset, std::size_t length,
                                                             bool writable) = 0;
};

enum class OpenMode {
  read_only,
  read_write,
  create,  ///< read_write, and creates an empty file (mode 0600) when missing
};

class Directory {
 public:
  virtual ~Directory() = default;
  Directory() = default;
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] virtual const std::string& path() const = 0;
  /// Opens a regular file of the directory; never follows a symbolic link. `direct` asks for I/O past the page cache
  /// and is ignored where the file system does not take it (see File::is_direct).
  /// @errors `not_found`, `permission_denied` (also a file that everybody may write), `read_only`, `invalid_argument`
  /// (no regular file), `io_error`
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode, bool direct) = 0;
  /// The identity of the file that the directory's *path* leads to now; a symbolic link in its place is another file.
  /// @errors `not_found`
  [[nodiscard]] virtual Result<FileId> id_of(std::string_view name) const = 0;
  [[nodiscard]] virtual Result<void> remove(std::string_view name) = 0;
  /// Makes created and removed names durable.
  [[nodiscard]] virtual Result<void> sync() = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> list() const = 0;
  /// A sentence why the kind of file system is known not to serve several machines or processes (network and
  /// host-shared ones), or nothing.
  [[nodiscard]] virtual std::optional<std::string> unsupported_reason() const = 0;
  /// Who but its owner may change the directory or the named files in it: a sentence each, with the remedy.
  [[nodiscard]] virtual std::vector<std::string> access_warnings(std::span<const std::string>) const { return {}; }
};

class Vfs {
 public:
  virtual ~Vfs() = default;
  Vfs() = default;
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;

  /// Opens a directory. With `create` it is made when missing (mode 0700) and its name made durable.
  /// @errors `not_found`, `invalid_argument` (no directory), `permission_denied` (also one that everybody may write),
  /// `read_only`, `io_error`
  [[nodiscard]] virtual Result<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path,
                                                                          bool create) = 0;
  /// Makes a directory that must not exist. @errors `already_exists`, as above
  [[nodiscard]] virtual Result<std::unique_ptr<Directory>> create_directory(const std::filesystem::path& path) = 0;
  /// Removes an empty directory.
  [[nodiscard]] virtual Result<void> remove_directory(const std::filesystem::path& path) = 0;
  [[nodiscard]] virtual std::chrono::microseconds now() const = 0;  ///< monotonic
  virtual void sleep(std::chrono::microseconds time) = 0;
  virtual void random_bytes(std::span<std::byte> out) = 0;
  /// Changes with every boot of the machine; all zero when unknown.
  [[nodiscard]] virtual std::array<std::uint8_t, 16> boot_id() const = 0;
  /// Differs between a process and its forked children. One load.
  [[nodiscard]] virtual std::uint64_t process_token() const = 0;
};

}  // namespace mentedb::vfs

// The I/O seam. Every system call on a store goes through these interfaces, and so does every store to memory that
// other processes share. Product code binds posix_vfs. Tests bind a simulated disk that cuts power, tears writes, fails
// calls and kills processes between any two steps. Nothing here knows the storage format.
//
// Rules for implementations and users
// - A method that can fail returns a Result, and its Error names the file. Any thread may call any method.
// - The simulator kills a simulated process by throwing its own exception type. Every method may throw it, except
//   destructors, `unlock` and `wake`. So product code keeps its state consistent by RAII. It marks no function noexcept
//   that calls into the seam, except destructors.
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

/// The identity of a file for the kernel.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileId&, const FileId&) = default;
};

/// A shared mapping of a file. Other threads and processes may write the same bytes at any time.
class Mapping {
 public:
  virtual ~Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  /// Mapped length in bytes. The mapping may reach beyond the end of the file, and no caller may touch those bytes.
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

  /// For the first touch of a range: brings the range into memory. Reports a bad sector as `io_error`, where a load
  /// would raise SIGBUS.
  [[nodiscard]] virtual Result<void> populate(std::size_t offset, std::size_t length) = 0;
  /// Call it shortly before `store`: it makes the range ready for stores. A store would raise SIGBUS on a copy-on-write
  /// file system that is full, and on one that shut down after an I/O error. This call reports both as an error. The
  /// kernel may write the range back and protect it again, so a success holds for moments only.
  /// @errors `no_space`, `io_error`, `read_only`
  [[nodiscard]] virtual Result<void> make_writable(std::size_t offset, std::size_t length);
  /// Has the processor fetch bytes that a copy will take, while the caller goes on. They may lie beyond the file, and
  /// what lies beyond the mapping is left out.
  virtual void prefetch(std::size_t /*offset*/, std::size_t /*length*/) const {}
  /// Copies bytes that another process may be writing. The copy may be torn, so the caller verifies it.
  virtual void copy(std::size_t offset, std::span<std::byte> out) const = 0;
  /// Atomic load (acquire) of an aligned word.
  [[nodiscard]] virtual std::uint64_t load(std::size_t offset) const = 0;
  /// Atomic store (release) of an aligned word. Writable mappings only.
  virtual void store(std::size_t offset, std::uint64_t value) = 0;
  /// Atomic compare and swap of an aligned word. True when the word was `expected`. Writable mappings only.
  [[nodiscard]] virtual bool compare_exchange(std::size_t offset, std::uint64_t expected, std::uint64_t desired) = 0;
  /// Copies bytes in. Another process may see any part of them. Writable mappings only.
  virtual void write(std::size_t offset, std::span<const std::byte> data) = 0;
  /// Sleeps until `wake(offset)`, at most for `timeout`. Returns at once when the low 32 bits of the word differ from
  /// `expected`.
  virtual void wait(std::size_t offset, std::uint32_t expected, std::chrono::microseconds timeout) const = 0;
  /// Wakes every thread that waits on the word, in any process. Returns how many there were.
  virtual std::size_t wake(std::size_t offset) const = 0;
  /// Asks the kernel to keep the range in memory (mlock(2)). A limit of the process may refuse that.
  virtual void keep_in_memory(std::size_t /*offset*/, std::size_t /*length*/) const {}
  /// Bytes of [0, length) that are in the page cache now.
  [[nodiscard]] virtual std::uint64_t resident_bytes(std::size_t length) const = 0;

 protected:
  explicit Mapping(std::size_t size_bytes) : size_bytes_(size_bytes) {}

 private:
  std::size_t size_bytes_;
};

/// The default, for memory that always takes stores.
inline Result<void> Mapping::make_writable(std::size_t /*offset*/, std::size_t /*length*/) { return {}; }

/// The largest page of a kernel that this engine knows (arm64). A mapping begins at a multiple of it, so that every
/// kernel can map every store.
inline constexpr std::uint64_t kMapAlignment = 65'536;

class File {
 public:
  virtual ~File() = default;
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// The path for error messages.
  [[nodiscard]] virtual const std::string& path() const = 0;
  [[nodiscard]] virtual Result<FileId> id() const = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size_bytes() const = 0;
  /// True when reads and writes bypass the page cache: offsets, lengths and buffers are multiples of 4,096.
  [[nodiscard]] virtual bool is_direct() const = 0;

  /// Reads until `out` is full or the file ends; returns the bytes read.
  [[nodiscard]] virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
  /// Starts to read the range into the page cache and does not wait for it. A hint.
  virtual void start_reading(std::uint64_t /*offset*/, std::uint64_t /*length*/) const {}
  /// Writes all of `data`, extending the file when needed. After an error any part may have been written.
  [[nodiscard]] virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) = 0;
  /// Whether this process may write the file up to `end` (RLIMIT_FSIZE). No system call for an end that was allowed
  /// before. @errors `no_space`
  [[nodiscard]] virtual Result<void> check_size_limit(std::uint64_t /*end*/) const { return {}; }
  /// Makes all written bytes of the file durable, with the metadata that a read needs (fdatasync). After an error the
  /// state of every unsynced byte is unknown, also when a later sync succeeds. @errors `io_error` alone
  [[nodiscard]] virtual Result<void> sync() = 0;
  /// Reserves disk space for the range, all or nothing. The bytes that are there stay, and so does the file's size,
  /// unless the file system can reserve only by writing zeros behind the end. The result is durable after `sync`.
  /// @errors `no_space`
  [[nodiscard]] virtual Result<void> allocate(std::uint64_t offset, std::uint64_t length) = 0;
  /// Gives whole blocks of the range back to the file system; the size stays. The bytes read as zero from then on, and
  /// a write there needs space again. After a power cut a block is as it was, or given back. False, and nothing
  /// changed, when the file system has no such call, or when a reader of the hole would take space. An empty range only
  /// asks.
  [[nodiscard]] virtual Result<bool> give_back(std::uint64_t /*offset*/, std::uint64_t /*length*/) { return false; }
  /// Bytes of the disk that the file takes.
  [[nodiscard]] virtual Result<std::uint64_t> allocated_bytes() const { return size_bytes(); }
  /// Gives the users of `other` the same rights to this file. Where the system refuses, this file's owner has them
  /// alone.
  virtual void share_like(const File& /*other*/) {}
  /// Starts write-back of the whole file and does not wait for it. Leaves a failed write-back for `sync` to report.
  virtual void start_writeback() = 0;

  /// Tries to take the exclusive flock(2) of the file. False when another descriptor has the lock. The kernel releases
  /// the lock when the process dies.
  [[nodiscard]] virtual Result<bool> try_lock() = 0;
  /// Takes the lock, and waits for it without a limit.
  [[nodiscard]] virtual Result<void> lock() = 0;
  virtual void unlock() = 0;
  /// The lock holder, for error messages: "pid 123 (node)". Empty when the system does not tell.
  [[nodiscard]] virtual std::string lock_holder() const = 0;

  /// Tries to claim a byte of the file: a lock on that byte that belongs to this open file (fcntl(2),
  /// F_OFD_SETLK). False when another open file has claimed it. The kernel takes the claim away when the process dies.
  [[nodiscard]] virtual Result<bool> try_claim(std::uint64_t byte) = 0;
  virtual void give_up_claim(std::uint64_t byte) = 0;
  /// True when another open file has claimed the byte.
  [[nodiscard]] virtual Result<bool> is_claimed(std::uint64_t byte) const = 0;

  /// Maps [offset, offset + length). `offset` is a multiple of kMapAlignment.
  [[nodiscard]] virtual Result<std::unique_ptr<Mapping>> map(std::uint64_t offset, std::size_t length,
                                                             bool writable) = 0;
};

enum class OpenMode {
  read_only,
  read_write,
  create,  ///< read_write; a missing file is created, empty and with mode 0600
};

class Directory {
 public:
  virtual ~Directory() = default;
  Directory() = default;
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] virtual const std::string& path() const = 0;
  /// Opens a regular file of the directory and never follows a symbolic link. `direct` asks for I/O past the page
  /// cache. A file system that has no such I/O ignores the wish (see File::is_direct).
  /// @errors `not_found`, `permission_denied` (also a file that every user may write), `read_only`, `invalid_argument`
  /// (no regular file), `io_error`
  [[nodiscard]] virtual Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode, bool direct) = 0;
  /// The identity of the file that the directory's *path* leads to now. A symbolic link in its place is another file.
  /// @errors `not_found`
  [[nodiscard]] virtual Result<FileId> id_of(std::string_view name) const = 0;
  [[nodiscard]] virtual Result<void> remove(std::string_view name) = 0;
  /// Makes the creation and removal of names durable.
  [[nodiscard]] virtual Result<void> sync() = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> list() const = 0;
  /// Names the mount that the directory is reached through. The system uses no number again before the next boot. 0:
  /// the system does not tell.
  [[nodiscard]] virtual std::uint64_t mount_id() const { return 0; }
  /// The reason why this kind of file system cannot serve a store: a network file system, or one that hosts share.
  /// Nothing when the kind may be tried.
  [[nodiscard]] virtual std::optional<std::string> unsupported_reason() const = 0;
  /// One sentence, with the remedy, for each way in which another user may change the directory or the named files.
  [[nodiscard]] virtual std::vector<std::string> access_warnings(std::span<const std::string>) const { return {}; }
};

class Vfs {
 public:
  virtual ~Vfs() = default;
  Vfs() = default;
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;

  /// Opens a directory. `create` makes a missing directory with mode 0700 and makes its name durable.
  /// @errors `not_found`, `invalid_argument` (no directory), `permission_denied` (also one that every user may write),
  /// `read_only`, `io_error`
  [[nodiscard]] virtual Result<std::unique_ptr<Directory>> open_directory(const std::filesystem::path& path,
                                                                          bool create) = 0;
  /// Makes a directory that must not exist. @errors `already_exists`, as above
  [[nodiscard]] virtual Result<std::unique_ptr<Directory>> create_directory(const std::filesystem::path& path) = 0;
  /// Removes an empty directory.
  [[nodiscard]] virtual Result<void> remove_directory(const std::filesystem::path& path) = 0;
  [[nodiscard]] virtual std::chrono::microseconds now() const = 0;  ///< monotonic
  /// The same clock, some milliseconds behind. No system call, and cheap enough for each read.
  [[nodiscard]] virtual std::chrono::microseconds coarse_now() const { return now(); }
  virtual void sleep(std::chrono::microseconds time) = 0;
  virtual void random_bytes(std::span<std::byte> out) = 0;
  /// Changes with every boot of the machine; all zero when unknown.
  [[nodiscard]] virtual std::array<std::uint8_t, 16> boot_id() const = 0;
  /// Differs between a process and its forked children. One load.
  [[nodiscard]] virtual std::uint64_t process_token() const = 0;
};

}  // namespace mentedb::vfs

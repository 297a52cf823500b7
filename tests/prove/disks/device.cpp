#include "device.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

namespace mentedb::prove {
namespace {

constexpr std::uint64_t kBlockBytes = 4096;
constexpr fuse_ino_t kFileInode = 2;
constexpr const char* kFileName = "disk";

// What clients can ask for.
enum What : std::uint32_t { kMark, kStartLog, kStopLog, kShowImage, kArm, kFired, kUseAsDisk, kLoseCache, kSave };

struct Message {
  std::uint32_t what;
  std::uint64_t a, b, c, d;
  std::array<char, 256> text;
};

// Blocks above a medium: the cache of the device.
class CachedMedium {
 public:
  CachedMedium(std::byte* medium, std::uint64_t bytes) : medium_(medium), bytes_(bytes) {}

  std::uint64_t size_bytes() const { return bytes_; }

  void read(std::uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const std::uint64_t number = offset / kBlockBytes;
      const std::uint64_t n = std::min<std::uint64_t>(out.size(), kBlockBytes - offset % kBlockBytes);
      const auto cached = cache_.find(number);
      const std::byte* from =
          (cached == cache_.end() ? medium_ + number * kBlockBytes : cached->second->data()) + offset % kBlockBytes;
      std::memcpy(out.data(), from, n);
      out = out.subspan(n);
      offset += n;
    }
  }

  void write(std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::uint64_t number = offset / kBlockBytes;
      const std::uint64_t n = std::min<std::uint64_t>(bytes.size(), kBlockBytes - offset % kBlockBytes);
      auto& block = cache_[number];
      if (!block) {
        block = std::make_unique<Block>();
        std::memcpy(block->data(), medium_ + number * kBlockBytes, kBlockBytes);
      }
      std::memcpy(block->data() + offset % kBlockBytes, bytes.data(), n);
      bytes = bytes.subspan(n);
      offset += n;
    }
  }

  void write_to_medium(std::uint64_t offset, std::span<const std::byte> bytes) {
    std::memcpy(medium_ + offset, bytes.data(), bytes.size());
  }

  void flush() {
    for (const auto& [number, block] : cache_) std::memcpy(medium_ + number * kBlockBytes, block->data(), kBlockBytes);
    cache_.clear();
  }

  void drop() { cache_.clear(); }

  bool save(const char* path) const {
    std::FILE* out = std::fopen(path, "wb");
    if (out == nullptr) return false;
    static constexpr std::array<std::byte, kBlockBytes> kZeros{};
    std::array<std::byte, kBlockBytes> block;
    bool good = true;
    for (std::uint64_t offset = 0; good && offset < bytes_; offset += kBlockBytes) {
      read(offset, block);
      if (block == kZeros) continue;
      good = std::fseek(out, static_cast<long>(offset), SEEK_SET) == 0 &&
             std::fwrite(block.data(), 1, block.size(), out) == block.size();
    }
    good &= ftruncate(fileno(out), static_cast<off_t>(bytes_)) == 0;
    return std::fclose(out) == 0 && good;
  }

 private:
  using Block = std::array<std::byte, kBlockBytes>;
  std::byte* medium_;
  std::uint64_t bytes_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Block>> cache_;
};

// The process behind the device; everything in it happens one after the other.
class Server {
 public:
  Server(BlockLog& log, CachedMedium medium) : log_(log), medium_(std::move(medium)) {}

  const CachedMedium& medium() const { return medium_; }

  int read(std::uint64_t offset, std::span<std::byte> out) {
    if (fails(FaultTarget::read)) return EIO;
    medium_.read(offset, out);
    return 0;
  }

  int write(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (fails(FaultTarget::write)) {
      if (fault_.effect != FaultEffect::lie) return EIO;
      lied_ = true;
      return 0;
    }
    if (logging_) log_.add_write(offset, bytes);
    medium_.write(offset, bytes);
    return 0;
  }

  int flush() {
    if (fails(FaultTarget::flush)) {
      if (fault_.effect == FaultEffect::lose_cache) medium_.drop();
      return EIO;
    }
    if (std::exchange(lied_, false)) return EIO;
    if (logging_) log_.add(RecordKind::flush);
    if (is_disk_) medium_.flush();
    return 0;
  }

  std::uint64_t answer(const Message& message) {
    switch (message.what) {
      case kMark:
        if (logging_ || is_disk_)
          log_.add(static_cast<RecordKind>(message.a), static_cast<std::uint32_t>(message.b), message.c);
        return 0;
      case kStartLog:
      case kStopLog:
        logging_ = message.what == kStartLog;
        return 0;
      case kShowImage:
        show_image(message.a, message.b);
        return 0;
      case kArm:
        fault_ = {.target = static_cast<FaultTarget>(message.a),
                  .effect = static_cast<FaultEffect>(message.b),
                  .after = message.c,
                  .count = message.d};
        seen_ = fired_ = 0;
        return 0;
      case kFired:
        return fired_;
      case kUseAsDisk:
        is_disk_ = true;
        medium_.flush();
        return 0;
      case kLoseCache:
        medium_.drop();
        return 0;
      case kSave:
        return medium_.save(message.text.data()) ? 0 : 1;
    }
    return 0;
  }

 private:
  bool fails(FaultTarget target) {
    if (fault_.target != target) return false;
    const std::uint64_t number = seen_++;
    if (number < fault_.after || number - fault_.after >= fault_.count) return false;
    ++fired_;
    return true;
  }

  void show_image(std::uint64_t durable, std::uint64_t pieces) {
    for (; merged_ < durable; ++merged_) {
      const Record& record = log_.records()[merged_];
      if (record.kind == RecordKind::write) medium_.write_to_medium(record.offset, log_.data(record));
    }
    medium_.drop();
    for (const Piece& piece : log_.pieces(pieces)) {
      const Record& record = log_.records()[piece.record];
      medium_.write(record.offset + piece.skip, log_.data(record).subspan(piece.skip, piece.length));
    }
  }

  BlockLog& log_;
  CachedMedium medium_;
  bool logging_ = false;
  bool is_disk_ = false;
  bool lied_ = false;
  Fault fault_;
  std::uint64_t seen_ = 0;
  std::uint64_t fired_ = 0;
  std::uint64_t merged_ = 0;
};

struct stat attributes(const Server& server, fuse_ino_t inode) {
  struct stat status{};
  status.st_ino = inode;
  status.st_nlink = 1;
  status.st_mode = inode == kFileInode ? S_IFREG | 0600 : S_IFDIR | 0700;
  if (inode == kFileInode) status.st_size = static_cast<off_t>(server.medium().size_bytes());
  return status;
}

constexpr double kForever = 1e6;  // seconds that the kernel may believe an attribute

Server& server_of(fuse_req_t request) { return *static_cast<Server*>(fuse_req_userdata(request)); }

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  if (parent != FUSE_ROOT_ID || std::strcmp(name, kFileName) != 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kFileInode;
  entry.attr = attributes(server_of(request), kFileInode);
  entry.attr_timeout = entry.entry_timeout = kForever;
  fuse_reply_entry(request, &entry);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  const struct stat status = attributes(server_of(request), inode);
  fuse_reply_attr(request, &status, kForever);
}

void on_open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  if (inode != kFileInode) {
    fuse_reply_err(request, EISDIR);
    return;
  }
  info->direct_io = 1;
  fuse_reply_open(request, info);
}

void on_read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
  Server& server = server_of(request);
  const auto at = static_cast<std::uint64_t>(offset);
  const std::uint64_t total = server.medium().size_bytes();
  std::vector<std::byte> bytes(std::min<std::uint64_t>(size, total - std::min(at, total)));
  if (const int error = server.read(at, bytes); error != 0) {
    fuse_reply_err(request, error);
  } else {
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

void on_write(fuse_req_t request, fuse_ino_t, const char* bytes, std::size_t size, off_t offset, fuse_file_info*) {
  Server& server = server_of(request);
  const auto at = static_cast<std::uint64_t>(offset);
  const bool fits = at + size <= server.medium().size_bytes();
  const int error = fits ? server.write(at, std::as_bytes(std::span(bytes, size))) : EFBIG;
  if (error != 0) {
    fuse_reply_err(request, error);
  } else {
    fuse_reply_write(request, size);
  }
}

void on_fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
  fuse_reply_err(request, server_of(request).flush());
}

constexpr fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops all{};
  all.lookup = on_lookup;
  all.getattr = on_getattr;
  all.open = on_open;
  all.read = on_read;
  all.write = on_write;
  all.fsync = on_fsync;
  return all;
}

// One thread for the kernel and the clients: the log's order is the order in which things happened.
void serve(Server& server, fuse_session* session, std::vector<int> sockets) {
  fuse_buf buffer{};
  std::vector<pollfd> all{{.fd = fuse_session_fd(session), .events = POLLIN, .revents = 0}};
  for (const int socket : sockets) all.push_back({.fd = socket, .events = POLLIN, .revents = 0});
  for (std::size_t open = sockets.size(); open > 0 && !fuse_session_exited(session);) {
    if (poll(all.data(), all.size(), -1) < 0 && errno != EINTR) break;
    if (all[0].revents != 0) {
      const int got = fuse_session_receive_buf(session, &buffer);
      if (got == -EINTR || got == -EAGAIN) continue;
      if (got <= 0) break;
      fuse_session_process_buf(session, &buffer);
    }
    for (std::size_t i = 1; i < all.size(); ++i) {
      if (all[i].revents == 0) continue;
      Message message{};
      if (recv(all[i].fd, &message, sizeof(message), 0) == sizeof(message)) {
        const std::uint64_t answer = server.answer(message);
        send(all[i].fd, &answer, sizeof(answer), MSG_NOSIGNAL);
      } else {
        ::close(all[i].fd);
        all[i].fd = -1;
        --open;
      }
    }
  }
  std::free(buffer.mem);
}

}  // namespace

Device::Device(BlockLog& log, const std::string& image, const std::string& directory)
    : directory_(directory), file_(directory + "/" + kFileName) {
  const int descriptor = ::open(image.c_str(), O_RDWR | O_CLOEXEC);
  struct stat status{};
  if (descriptor < 0 || fstat(descriptor, &status) != 0) die("cannot open " + image);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* medium = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (medium == MAP_FAILED) die("cannot map " + image);
  ::close(descriptor);

  std::vector<int> servers;
  for (int i = 0; i < kClients; ++i) {
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) die("cannot make a socket");
    clients_.push_back(pair[0]);
    servers.push_back(pair[1]);
  }
  std::array<int, 2> ready{};
  if (pipe2(ready.data(), O_CLOEXEC) != 0) die("cannot make a pipe");
  process_ = fork();
  if (process_ < 0) die("cannot fork");
  if (process_ == 0) {
    for (const int client : clients_) ::close(client);
    ::close(ready[0]);
    Server server(log, CachedMedium(static_cast<std::byte*>(medium), bytes));
    static constexpr fuse_lowlevel_ops kOperations = operations();
    std::array<char*, 2> arguments{const_cast<char*>("disks"), nullptr};
    fuse_args args = FUSE_ARGS_INIT(1, arguments.data());
    fuse_session* session = fuse_session_new(&args, &kOperations, sizeof(kOperations), &server);
    if (session == nullptr || fuse_session_mount(session, directory.c_str()) != 0) _exit(1);
    // When the others are killed, their namespace and the file system in it go with the last of them: were that this
    // process, it would wait for itself to serve the unmount.
    if (unshare(CLONE_NEWNS) != 0) _exit(1);
    if (write(ready[1], "r", 1) != 1) _exit(1);
    ::close(ready[1]);
    serve(server, session, servers);
    _exit(0);
  }
  for (const int server : servers) ::close(server);
  ::close(ready[1]);
  munmap(medium, bytes);
  char said = 0;
  const bool is_ready = ::read(ready[0], &said, 1) == 1;
  ::close(ready[0]);
  if (!is_ready) {
    waitpid(process_, nullptr, 0);
    die("cannot serve a file through FUSE");
  }
}

Device::~Device() {
  for (const int client : clients_) ::close(client);
  umount2(directory_.c_str(), MNT_DETACH);
  waitpid(process_, nullptr, 0);
}

std::uint64_t Device::ask(int client, std::uint32_t what, std::uint64_t a, std::uint64_t b, std::uint64_t c,
                          std::uint64_t d, const std::string& text) {
  Message message{.what = what, .a = a, .b = b, .c = c, .d = d, .text = {}};
  text.copy(message.text.data(), message.text.size() - 1);
  std::uint64_t answer = 0;
  const int socket = clients_.at(static_cast<std::size_t>(client));
  if (send(socket, &message, sizeof(message), MSG_NOSIGNAL) != sizeof(message) ||
      recv(socket, &answer, sizeof(answer), 0) != sizeof(answer)) {
    die("the device's process is gone");
  }
  return answer;
}

void Device::mark(int client, RecordKind kind, std::uint32_t writer, std::uint64_t operation) {
  ask(client, kMark, static_cast<std::uint64_t>(kind), writer, operation);
}
void Device::start_log() { ask(0, kStartLog); }
void Device::stop_log() { ask(0, kStopLog); }
void Device::show_image(std::uint64_t durable, std::uint64_t pieces) { ask(0, kShowImage, durable, pieces); }
void Device::arm(int client, const Fault& fault) {
  ask(client, kArm, static_cast<std::uint64_t>(fault.target), static_cast<std::uint64_t>(fault.effect), fault.after,
      fault.count);
}
std::uint64_t Device::fired() { return ask(0, kFired); }
void Device::use_as_disk() { ask(0, kUseAsDisk); }
void Device::lose_cache() { ask(0, kLoseCache); }
void Device::save(const std::string& path) {
  if (ask(0, kSave, 0, 0, 0, 0, path) != 0) die("cannot write " + path);
}

}  // namespace mentedb::prove

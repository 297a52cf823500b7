// Full disks, read-only media and missing permissions, each the real thing: I11 and the errors that part 1 promises.
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/process_test.hpp"
#include "support/run_command.hpp"

namespace mentedb::test {
namespace {

namespace fs = std::filesystem;

// A file system in memory, mounted for one test.
class SmallDisk {
 public:
  SmallDisk(const fs::path& path, const std::string& options) : path_(path) {
    fs::create_directory(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  bool make_read_only() const { return ::mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0; }
  bool make_writable() const { return ::mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT, nullptr) == 0; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  bool mounted_ = false;
};

// What `mount` mounted, also when the test gives up half-way.
class Unmount {
 public:
  explicit Unmount(fs::path path) : path_(std::move(path)) {}
  ~Unmount() { ::umount2(path_.c_str(), MNT_DETACH); }
  Unmount(const Unmount&) = delete;
  Unmount& operator=(const Unmount&) = delete;

 private:
  fs::path path_;
};

// Makes a file system in a file of 128 MiB and mounts it.
bool mount_image(const fs::path& image, const fs::path& mounted, std::vector<std::string> make) {
  fs::create_directory(mounted);
  std::ofstream(image).close();
  fs::resize_file(image, 128 << 20);
  make.push_back(image);
  return run_command(make).status == 0 && run_command({"mount", "-o", "loop", image, mounted}).status == 0;
}

class Media : public testing::Test {
 protected:
  const ScratchDirectory scratch_;
};

// Takes all space but `leave_bytes`; removing the file gives it back.
void fill_disk(const fs::path& file, std::uintmax_t leave_bytes) {
  std::ofstream out(file, std::ios::binary);
  const std::vector<char> block(64 << 10, 'x');
  while (fs::space(file.parent_path()).available > leave_bytes + block.size()) {
    if (!out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) break;
  }
  const std::vector<char> little(4096, 'x');
  while (fs::space(file.parent_path()).available > leave_bytes) {
    if (!out.write(little.data(), static_cast<std::streamsize>(little.size())).flush()) break;
  }
}

MemoryNode big_memory(std::uint64_t key) {
  MemoryNode node;
  node.id = memory_id(key);
  node.content.assign(200'000, 'b');
  return node;
}

TEST_F(Media, FullDiskKeepsEverythingAcknowledged) {
  const SmallDisk disk(scratch_ / "disk", "size=24m");
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
  const auto store = disk.path() / "store";
  auto engine = StorageEngine::open(store);
  ASSERT_TRUE(ok(engine));
  ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
  ActorProcess other = serving_actor(store);
  // Small and large ones until nothing goes any more; what was acknowledged is counted.
  std::vector<std::uint64_t> acknowledged{};
  std::uint64_t refused = 0;
  for (std::uint64_t key = 1'000; refused < 5 && key < 2'000; ++key) {
    const auto stored = engine->store_memory(big_memory(key));
    if (stored) {
      acknowledged.push_back(key);
      continue;
    }
    ++refused;
    ASSERT_TRUE(is_error(stored, ErrorCode::no_space));
    EXPECT_NE(stored.error().message.find(store.string()), std::string::npos) << text_of(stored.error());
  }
  EXPECT_EQ(refused, 5U);
  EXPECT_GT(acknowledged.size(), 10U);
  const auto expect_all_there = [&](const StorageEngine& opened) {
    for (const std::uint64_t key : acknowledged) {
      const auto node = opened.load_memory(memory_id(key));
      ASSERT_TRUE(ok(node)) << "I11: memory " << key;
      EXPECT_EQ(*node, big_memory(key));
    }
    EXPECT_EQ(version_in(opened, 1), 1U);
    const auto report = opened.verify();
    ASSERT_TRUE(ok(report));
    for (const Problem& problem : report->problems) ADD_FAILURE() << problem.message;
    EXPECT_EQ(opened.stats()->memory_count, acknowledged.size() + 1);
  };
  expect_all_there(*engine);
  EXPECT_EQ(other.ask("load 1"), "version 1");
  // The last bytes, too: nothing at all can be allocated. A checkpoint needs no space, and neither does an open.
  fill_disk(disk.path() / "ballast", 0);
  EXPECT_TRUE(is_error(engine->store_memory(big_memory(3'000)), ErrorCode::no_space));
  EXPECT_TRUE(ok(engine->checkpoint()));
  {
    const auto fresh = StorageEngine::open(store);
    ASSERT_TRUE(ok(fresh));
    expect_all_there(*fresh);
  }
  // Deleting makes room inside the store even though the disk stays full.
  ASSERT_TRUE(ok(engine->delete_memory(memory_id(acknowledged.back()))));
  acknowledged.pop_back();
  ASSERT_TRUE(ok(engine->store_memory(big_memory(4'000))));
  acknowledged.push_back(4'000);
  // Space again: both processes go on, nothing is poisoned.
  fs::remove(disk.path() / "ballast");
  ASSERT_TRUE(ok(engine->delete_memory(memory_id(acknowledged.front()))));
  acknowledged.erase(acknowledged.begin());
  EXPECT_TRUE(other.ask("update 1 2").starts_with("ok"));
  EXPECT_EQ(version_in(*engine, 1), 2U);
  ASSERT_TRUE(ok(engine->update_memory(versioned_memory(1, 1))));
  expect_all_there(*engine);
}

TEST_F(Media, FullDiskCannotHoldANewStoreAndIsToldSo) {
  const SmallDisk disk(scratch_ / "disk", "size=600k");
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
  EXPECT_TRUE(is_error(StorageEngine::open(disk.path() / "store"), ErrorCode::no_space));
  // Nothing that was left behind stands in the way once there is space.
  ASSERT_EQ(::mount(nullptr, disk.path().c_str(), nullptr, MS_REMOUNT, "size=32m"), 0);
  auto engine = StorageEngine::open(disk.path() / "store");
  ASSERT_TRUE(ok(engine));
  EXPECT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
}

// What a device has done since it was there (Documentation/block/stat.rst of the kernel).
struct DeviceWork {
  std::uint64_t writes = 0;  ///< a flush counts as one, too
  std::uint64_t sectors = 0;
  std::uint64_t flushes = 0;
};
DeviceWork work_of(const std::string& device) {
  std::ifstream file("/sys/block/" + device + "/stat");
  std::array<std::uint64_t, 17> numbers{};
  for (std::uint64_t& number : numbers) file >> number;
  return {.writes = numbers[4], .sectors = numbers[6], .flushes = numbers[15]};
}

// A durable store is one write of the log and one flush. A call on the commit path that asks for a time stamp of
// wal.log (stat(2), also for the size) makes Linux 6.13 write the inode with each commit, on an ext4 without a journal.
TEST_F(Media, AStoreIsOneWriteOfTheDeviceAndOneFlush) {
  const SmallDisk memory(scratch_ / "memory", "size=160m");
  if (!memory.mounted()) GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
  const auto image = memory.path() / "image";
  const auto mounted = scratch_ / "disk";
  if (!mount_image(image, mounted, {"mkfs.ext4", "-q", "-O", "^has_journal"})) {
    GTEST_SKIP() << "cannot mount an ext4 here";
  }
  const Unmount at_the_end(mounted);
  const std::string source = run_command({"findmnt", "-n", "-o", "SOURCE", mounted}).out;
  const std::string device = source.substr(source.rfind('/') + 1, source.find('\n') - source.rfind('/') - 1);
  ASSERT_TRUE(device.starts_with("loop")) << source;
  constexpr std::uint64_t kSectorsOfABlock = 8;
  constexpr std::uint64_t kStores = 100;
  constexpr std::uint64_t kFew = 25;  // the kernel writes pages back on its own
  auto engine = StorageEngine::open(mounted / "store");
  ASSERT_TRUE(ok(engine));
  for (std::uint64_t key = 1; key <= 20; ++key) must(engine->store_memory(versioned_memory(key, 1)));
  DeviceWork before;
  DeviceWork after;
  for (std::uint64_t attempt = 0; attempt < 3; ++attempt) {  // the kernel's own write-back may come between
    run_command({"sync", "-f", mounted});
    before = work_of(device);
    for (std::uint64_t i = 0; i < kStores; ++i) must(engine->store_memory(versioned_memory(100 + i, 1)));
    after = work_of(device);
    if (after.sectors - before.sectors <= (kStores + kFew) * kSectorsOfABlock) break;
  }
  EXPECT_GE(after.sectors - before.sectors, kStores * kSectorsOfABlock);
  EXPECT_LE(after.sectors - before.sectors, (kStores + kFew) * kSectorsOfABlock);
  EXPECT_LE(after.writes - before.writes, 2 * (kStores + kFew));
  EXPECT_LE(after.flushes - before.flushes, kStores + kFew);
}

// btrfs makes a new copy of what is overwritten, and the kernel makes a page of a mapping read-only when it writes it
// back: on a full one the next store to the shared state was SIGBUS. The files are made without copy-on-write, and a
// store is asked for first (ADR 10).
TEST_F(Media, FullCopyOnWriteDiskIsNoSignal) {
  const SmallDisk memory(scratch_ / "memory", "size=160m");
  if (!memory.mounted()) GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
  const auto image = memory.path() / "image";
  const auto mounted = scratch_ / "disk";
  if (!mount_image(image, mounted, {"mkfs.btrfs", "-q"})) {
    GTEST_SKIP() << "cannot mount a btrfs here";
  }
  const Unmount at_the_end(mounted);
  const auto write_back = [&] { return run_command({"sync", "-f", mounted}).status; };
  {
    auto engine = StorageEngine::open(mounted / "store");
    ASSERT_TRUE(ok(engine));
    for (std::uint64_t key = 1; key <= 20; ++key) {
      ASSERT_TRUE(ok(engine->store_memory(versioned_memory(key, 1))));
    }
    run_command(
        {"dd", "if=/dev/zero", "of=" + (mounted / "ballast").string(), "bs=64k"});  // until nothing goes any more
    ASSERT_EQ(write_back(), 0);
    std::uint64_t memories = 20;
    for (bool full = false; !full;) {
      ASSERT_LT(memories, 2'000U);
      const auto stored = engine->store_memory(versioned_memory(memories + 1, 1));
      full = !stored;
      ASSERT_TRUE(full ? is_error(stored, ErrorCode::no_space) : ok(stored));
      memories += full ? 0U : 1U;
    }
    for (std::uint64_t key = 1; key <= 10; ++key, --memories) {
      ASSERT_EQ(write_back(), 0);
      ASSERT_TRUE(ok(engine->delete_memory(memory_id(key)))) << "deletions go on";
    }
    ASSERT_EQ(write_back(), 0);
    EXPECT_TRUE(ok(engine->checkpoint()));
    expect_healthy(*engine);
    fs::remove(mounted / "ballast");
    ASSERT_EQ(write_back(), 0);
    EXPECT_TRUE(ok(engine->store_memory(big_memory(3'000))));
    EXPECT_EQ(engine->stats()->memory_count, memories + 1);
  }
}

// The backup fails, says so, and leaves nothing that could pass for a store.
TEST_F(Media, BackupOntoAFullDisk) {
  const SmallDisk disk(scratch_ / "disk", "size=1m");
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
  auto engine = StorageEngine::open(scratch_ / "store");
  ASSERT_TRUE(ok(engine));
  for (std::uint64_t key = 1; key <= 10; ++key) ASSERT_TRUE(ok(engine->store_memory(big_memory(key))));
  EXPECT_TRUE(is_error(engine->backup(disk.path() / "copy"), ErrorCode::no_space));
  EXPECT_FALSE(StorageEngine::open(disk.path() / "copy", {.read_only = true}));
  EXPECT_TRUE(ok(engine->store_memory(big_memory(11))));
}

// SIGXFSZ ended the program that embeds the library. The child has the signal's default action.
TEST_F(Media, AFileSizeLimitIsNoSpaceAndNoSignal) {
  const auto store = scratch_ / "store";
  auto engine = StorageEngine::open(store);
  ASSERT_TRUE(ok(engine));
  ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
  const auto in_child = [&](rlim_t limit, const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      struct rlimit small{};
      ::getrlimit(RLIMIT_FSIZE, &small);
      small.rlim_cur = limit;
      ::setrlimit(RLIMIT_FSIZE, &small);
      ::_exit(body());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  const auto is_no_space = [](const auto& result) {
    if (!result) static_cast<void>(std::fprintf(stderr, "%s\n", result.error().message.c_str()));
    return !result && result.error().code == ErrorCode::no_space &&
           result.error().message.find("ulimit -f") != std::string::npos;
  };
  // It grows until the limit, and goes on below it.
  EXPECT_EQ(in_child(4 << 20,
                     [&] {
                       auto own = StorageEngine::open(store);
                       if (!own) return 1;
                       std::uint64_t key = 100;
                       Result<PageId> stored;
                       do stored = own->store_memory(big_memory(key++));
                       while (stored && key < 200);
                       if (!is_no_space(stored)) return 2;
                       if (!own->load_memory(memory_id(1))) return 3;
                       if (!own->delete_memory(memory_id(100))) return 4;
                       return own->store_memory(big_memory(100)) ? 0 : 5;
                     }),
            0);
  for (std::uint64_t key = 200; key < 240; ++key) ASSERT_TRUE(ok(engine->store_memory(big_memory(key))));
  // The files are beyond the limit already. Nothing is logged that this process could not apply.
  EXPECT_EQ(in_child(1 << 20,
                     [&] {
                       auto own = StorageEngine::open(store);
                       if (!own) return 1;
                       if (!own->load_memory(memory_id(239))) return 2;
                       if (!is_no_space(own->store_memory(versioned_memory(2, 1)))) return 3;
                       if (!is_no_space(own->backup(scratch_ / "copy"))) return 4;
                       return fs::exists(scratch_ / "copy") ? 5 : 0;
                     }),
            0);
  EXPECT_TRUE(ok(engine->store_memory(versioned_memory(3, 1)))) << "no other engine was poisoned";
  for (std::uint64_t key = 200; key < 240; ++key) EXPECT_TRUE(ok(engine->load_memory(memory_id(key))));
}

TEST_F(Media, ReadOnlyMedia) {
  const SmallDisk disk(scratch_ / "disk", "size=32m");
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
  const auto store = disk.path() / "store";
  {
    auto engine = StorageEngine::open(store);
    ASSERT_TRUE(ok(engine));
    for (std::uint64_t key = 1; key <= 30; ++key) {
      ASSERT_TRUE(ok(engine->store_memory(versioned_memory(key, 1))));
    }
  }
  ASSERT_TRUE(disk.make_read_only());
  const auto refused = StorageEngine::open(store);
  EXPECT_TRUE(is_error(refused, ErrorCode::read_only));
  EXPECT_TRUE(is_error(StorageEngine::open(disk.path() / "new"), ErrorCode::read_only));
  {
    auto engine = StorageEngine::open(store, {.read_only = true});
    ASSERT_TRUE(ok(engine));
    for (std::uint64_t key = 1; key <= 30; ++key) EXPECT_EQ(version_in(*engine, key), 1U);
    EXPECT_TRUE(is_error(engine->store_memory(versioned_memory(1, 2)), ErrorCode::read_only));
    EXPECT_TRUE(is_error(engine->checkpoint(), ErrorCode::read_only));
    EXPECT_EQ(engine->scan_all_memories()->size(), 30U);
    EXPECT_TRUE(ok(engine->verify()));
    EXPECT_TRUE(ok(engine->backup(scratch_ / "copy")));
    EXPECT_TRUE(ok(engine->close()));
  }
  auto copy = StorageEngine::open(scratch_ / "copy");
  ASSERT_TRUE(ok(copy));
  expect_healthy(*copy);
  EXPECT_EQ(copy->stats()->memory_count, 30U);
  ASSERT_TRUE(disk.make_writable());
  auto writable = StorageEngine::open(store);
  ASSERT_TRUE(ok(writable));
  EXPECT_TRUE(ok(writable->store_memory(versioned_memory(1, 2))));
}

// read_only beside a live writer: it sees every commit and writes nothing.
TEST_F(Media, ReadOnlyEngineBesideAWriter) {
  const auto store = scratch_ / "store";
  ActorProcess writer = serving_actor(store);
  ASSERT_TRUE(writer.ask("store 1 1").starts_with("ok"));
  auto engine = StorageEngine::open(store, {.read_only = true});
  ASSERT_TRUE(ok(engine));
  for (std::uint32_t version = 2; version < 30; ++version) {
    ASSERT_TRUE(writer.ask("update 1 " + std::to_string(version)).starts_with("ok"));
    ASSERT_TRUE(writer.ask("store " + std::to_string(100 + version) + " 1").starts_with("ok"));
    ASSERT_EQ(version_in(*engine, 1), version) << "I4";
    ASSERT_EQ(version_in(*engine, 100 + version), 1U) << "I4";
    ASSERT_EQ(writer.ask("lsn"), "lsn " + std::to_string(engine->committed_lsn().value));
    if (version % 7 == 0) {
      ASSERT_EQ(writer.ask("checkpoint"), "ok");
    }
  }
  EXPECT_EQ(engine->scan_all_memories()->size(), 29U);
}

// As another user, in another process: the super user may do everything.
class Permissions : public testing::Test {
 protected:
  void SetUp() override {
    if (::getuid() != 0) GTEST_SKIP() << "only the super user can become another one";
    ASSERT_EQ(::chmod(scratch_.path().c_str(), 0755), 0);
    ASSERT_TRUE(ok(StorageEngine::open(store_)->store_memory(versioned_memory(1, 1))));
  }

  std::string open_as_nobody(const fs::path& path, const std::string& options = "") {
    // The actor's program itself may lie where nobody may go.
    const auto program = scratch_ / "actor";
    if (!fs::exists(program)) fs::copy_file(MENTEDB_ACTOR, program);
    ::chmod(program.c_str(), 0755);
    ActorProcess actor = ActorProcess::spawn({program.string(), path.string(), "serve"},
                                             {.wrapper = {}, .output = std::nullopt, .uid = 65'534});
    return actor.ask("open " + options);
  }

  const ScratchDirectory scratch_;
  const fs::path store_ = scratch_ / "store";
};

TEST_F(Permissions, AStoreIsItsOwnersAlone) {
  struct stat status{};
  ASSERT_EQ(::stat(store_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
  const std::string answer = open_as_nobody(store_);
  EXPECT_TRUE(answer.starts_with("error permission_denied")) << answer;
  EXPECT_NE(answer.find(store_.string()), std::string::npos) << answer;
}

TEST_F(Permissions, FilesThatCannotBeWritten) {
  ASSERT_EQ(::chmod(store_.c_str(), 0755), 0);
  for (const char* const name : {"wal.log", "pages.db"}) {
    for (const auto& file : fs::directory_iterator(store_)) ASSERT_EQ(::chmod(file.path().c_str(), 0644), 0);
    const std::string answer = open_as_nobody(store_);
    EXPECT_TRUE(answer.starts_with("error permission_denied")) << name << ": " << answer;
  }
  EXPECT_EQ(open_as_nobody(store_, "read_only 1"), "ok") << "reading is allowed";
  EXPECT_TRUE(ok(StorageEngine::open(store_)));
}

TEST_F(Permissions, NoNewStoreWhereOneMayNotWrite) {
  const std::string answer = open_as_nobody(scratch_ / "new");
  EXPECT_TRUE(answer.starts_with("error permission_denied")) << answer;
  EXPECT_FALSE(fs::exists(scratch_ / "new"));
}

TEST_F(Permissions, ADirectoryThatEverybodyMayWriteIsRefused) {
  ASSERT_EQ(::chmod(store_.c_str(), 0777), 0);
  const auto opened = StorageEngine::open(store_);
  ASSERT_TRUE(is_error(opened, ErrorCode::permission_denied));
  EXPECT_NE(opened.error().message.find("chmod"), std::string::npos);
}

}  // namespace
}  // namespace mentedb::test

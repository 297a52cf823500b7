// The seam on the real disk.
#include "vfs/posix_vfs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.hpp"
#include "support/results.hpp"
#include "support/temp_directory.hpp"

namespace mentedb::vfs {
namespace {

using test::is_error;
using test::must;
using test::ok;
using test::TempDirectory;

class PosixVfs : public ::testing::Test {
 protected:
  std::unique_ptr<Directory> directory() { return must(posix_vfs().open_directory(temp.path(), false)); }
  std::unique_ptr<File> file(std::string_view name = "f", bool direct = false) {
    return must(directory()->open(name, OpenMode::create, direct));
  }
  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(stat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  }
  TempDirectory temp;
};

std::vector<std::byte> filled(std::size_t size, int value) {
  return std::vector<std::byte>(size, static_cast<std::byte>(value));
}

TEST_F(PosixVfs, NeverFollowsASymbolicLink) {
  // Whoever can write the directory could make the engine overwrite any file of its user.
  std::ofstream(temp / "target") << "precious";
  std::filesystem::create_symlink(temp / "target", temp / "wal.log");
  std::filesystem::create_symlink(temp / "nowhere", temp / "dangling");
  for (const OpenMode mode : {OpenMode::read_only, OpenMode::read_write, OpenMode::create}) {
    for (const bool direct : {false, true}) {
      EXPECT_TRUE(is_error(directory()->open("wal.log", mode, direct), ErrorCode::invalid_argument, "symbolic link"));
      EXPECT_TRUE(is_error(directory()->open("dangling", mode, direct), ErrorCode::invalid_argument, "symbolic link"));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(temp / "nowhere"));
}

TEST_F(PosixVfs, OpensRegularFilesOnlyAndNeverHangsOnAFifo) {
  ASSERT_EQ(mkfifo((temp / "fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(temp / "sub");
  for (const OpenMode mode : {OpenMode::read_only, OpenMode::read_write, OpenMode::create}) {
    const auto fifo = directory()->open("fifo", mode, false);
    EXPECT_TRUE(is_error(fifo, ErrorCode::invalid_argument, "fifo"));
    EXPECT_TRUE(is_error(directory()->open("sub", mode, false), ErrorCode::invalid_argument, "sub"));
  }
  EXPECT_TRUE(is_error(directory()->open("none", OpenMode::read_write, true), ErrorCode::not_found, "none"));
}

TEST_F(PosixVfs, FilesAndDirectoriesArePrivateWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{0777}, mode_t{022}}) {
    const mode_t before = umask(mask);
    const std::string name = "d" + std::to_string(mask);
    const auto made = posix_vfs().open_directory(temp / name / "inner", true);
    const auto created = made ? (*made)->open("f", OpenMode::create, true) : std::unexpected(made.error());
    umask(before);
    ASSERT_TRUE(ok(created));
    EXPECT_EQ(mode_of(temp / name), 0700U);
    EXPECT_EQ(mode_of(temp / name / "inner"), 0700U);
    EXPECT_EQ(mode_of(temp / name / "inner" / "f"), 0600U);
  }
}

TEST_F(PosixVfs, RefusesADirectoryThatEverybodyCanWrite) {
  ASSERT_EQ(chmod(temp.path().c_str(), 0777), 0);
  const auto refused = posix_vfs().open_directory(temp.path(), true);
  EXPECT_TRUE(is_error(refused, ErrorCode::permission_denied, "chmod o-w"));
  ASSERT_EQ(chmod(temp.path().c_str(), 0775), 0);
  EXPECT_TRUE(ok(posix_vfs().open_directory(temp.path(), true)));
}

TEST_F(PosixVfs, RefusesAFileThatEverybodyCanWrite) {
  static_cast<void>(file("f"));
  ASSERT_EQ(chmod((temp / "f").c_str(), 0622), 0);
  for (const OpenMode mode : {OpenMode::read_only, OpenMode::read_write, OpenMode::create})
    EXPECT_TRUE(is_error(directory()->open("f", mode, false), ErrorCode::permission_denied, "chmod o-w"));
  ASSERT_EQ(chmod((temp / "f").c_str(), 0620), 0);
  EXPECT_TRUE(ok(directory()->open("f", OpenMode::read_write, false)));
}

TEST_F(PosixVfs, TellsWhoElseMayWrite) {
  static_cast<void>(file("f"));
  const std::vector<std::string> names{"f", "none"};
  EXPECT_TRUE(directory()->access_warnings(names).empty());
  ASSERT_EQ(chmod(temp.path().c_str(), 0770), 0);
  ASSERT_EQ(chmod((temp / "f").c_str(), 0660), 0);
  std::filesystem::create_hard_link(temp / "f", temp / "g");
  const auto warnings = directory()->access_warnings(names);
  ASSERT_EQ(warnings.size(), 3U) << ::testing::PrintToString(warnings);
  EXPECT_NE(warnings[0].find("chmod g-w '" + temp.path().string() + "'"), std::string::npos) << warnings[0];
  EXPECT_NE(warnings[1].find("chmod g-w '" + (temp / "f").string() + "'"), std::string::npos) << warnings[1];
  EXPECT_NE(warnings[2].find("2 names"), std::string::npos) << warnings[2];
}

// R11 compares what is open with what the path leads to: a link there, even to the same file, is not the file.
TEST_F(PosixVfs, ALinkInAFilesPlaceIsAnotherFile) {
  const auto open = file("f");
  EXPECT_EQ(must(directory()->id_of("f")), must(open->id()));
  std::filesystem::rename(temp / "f", temp / "elsewhere");
  std::filesystem::create_symlink(temp / "elsewhere", temp / "f");
  EXPECT_NE(must(directory()->id_of("f")), must(open->id()));
}

TEST_F(PosixVfs, DirectoriesThatAreNone) {
  std::ofstream(temp / "plain") << "x";
  EXPECT_TRUE(is_error(posix_vfs().open_directory(temp / "plain", true), ErrorCode::invalid_argument, "plain"));
  EXPECT_TRUE(
      is_error(posix_vfs().open_directory(temp / "plain" / "below", true), ErrorCode::invalid_argument, "plain"));
  EXPECT_TRUE(is_error(posix_vfs().open_directory(temp / "none", false), ErrorCode::not_found, "none"));
  EXPECT_FALSE(std::filesystem::exists(temp / "none"));
  EXPECT_TRUE(is_error(posix_vfs().open_directory(temp / std::string(300, 'x'), true), ErrorCode::invalid_argument));
  EXPECT_TRUE(ok(posix_vfs().open_directory((temp / "made").string() + "/", true)));
  EXPECT_TRUE(is_error(posix_vfs().create_directory(temp / "made"), ErrorCode::already_exists, "made"));
  EXPECT_TRUE(is_error(posix_vfs().create_directory(temp / "plain"), ErrorCode::already_exists, "plain"));
  EXPECT_TRUE(ok(posix_vfs().create_directory(temp / "a" / "b")));
}

TEST_F(PosixVfs, PermissionsThatAreMissing) {
  std::filesystem::create_directory(temp / "closed");
  ASSERT_EQ(chmod((temp / "closed").c_str(), 0), 0);
  // Root may do everything, so root's thread asks as another user.
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(chmod(temp.path().c_str(), 0755), 0);
    setfsuid(65534);
  }
  EXPECT_TRUE(is_error(posix_vfs().open_directory(temp / "closed", false), ErrorCode::permission_denied, "closed"));
  if (root) setfsuid(0);
}

TEST_F(PosixVfs, DescriptorsStayAboveTheStandardStreams) {
  // A daemon that closed its standard streams must not print into a store.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(0);
    close(1);
    close(2);
    const auto dir = posix_vfs().open_directory(temp.path(), false);
    const auto plain = dir ? (*dir)->open("a", OpenMode::create, false) : std::unexpected(dir.error());
    const auto direct = dir ? (*dir)->open("b", OpenMode::create, true) : std::unexpected(dir.error());
    bool standard_free = plain && direct;
    for (int descriptor = 0; descriptor <= 2; ++descriptor) standard_free &= fcntl(descriptor, F_GETFD) == -1;
    bool close_on_exec = true;
    for (int descriptor = 3; descriptor < 64; ++descriptor) {
      struct stat status{};
      if (fstat(descriptor, &status) != 0) continue;
      struct stat ours{};
      if (stat((temp / "a").c_str(), &ours) != 0 || status.st_ino != ours.st_ino) continue;
      close_on_exec &= (fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0;
    }
    _exit(standard_free && close_on_exec ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(PosixVfs, ReadsStopAtTheEndOfTheFile) {
  const auto f = file();
  ASSERT_TRUE(ok(f->write_at(10, filled(100, 7))));
  EXPECT_EQ(must(f->size_bytes()), 110U);
  std::vector<std::byte> out(200, std::byte{9});
  EXPECT_EQ(must(f->read_at(0, out)), 110U);
  EXPECT_EQ(out[0], std::byte{0});
  EXPECT_EQ(out[109], std::byte{7});
  EXPECT_EQ(out[110], std::byte{9});
  EXPECT_EQ(must(f->read_at(110, out)), 0U);
  EXPECT_EQ(must(f->read_at(1 << 20, out)), 0U);
  EXPECT_EQ(must(f->read_at(100, out)), 10U);
}

TEST_F(PosixVfs, DirectFilesReadTheirShortEnd) {
  const auto f = file("d", true);
  base::AlignedBuffer buffer(64 * 1024);
  std::ranges::fill(buffer.first(8192), std::byte{3});
  ASSERT_TRUE(ok(f->write_at(4096, buffer.first(8192))));
  EXPECT_EQ(must(f->read_at(0, buffer.first(65'536))), 12'288U);
  EXPECT_EQ(buffer.data()[4095], std::byte{0});
  EXPECT_EQ(buffer.data()[4096], std::byte{3});
}

TEST_F(PosixVfs, WritesThatPassTheFileSizeLimitAreNoSpace) {
  const auto f = file();
  struct rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  // SIGXFSZ has its default action, which ends the process: an embedded library killed its host that way.
  const struct rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto written = f->write_at(0, filled(8192, 1));
  const auto allocated = f->allocate(0, 8192);
  const auto within = f->write_at(0, filled(4096, 1));
  const auto across = f->write_at(4000, filled(100, 1));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(is_error(written, ErrorCode::no_space, "ulimit -f"));
  EXPECT_TRUE(is_error(allocated, ErrorCode::no_space, "f"));
  EXPECT_TRUE(ok(within));
  EXPECT_TRUE(is_error(across, ErrorCode::no_space, "f"));
  EXPECT_EQ(must(f->size_bytes()), 4096U);
}

TEST_F(PosixVfs, AllocateTakesSpaceAndKeepsSizeAndContent) {
  const auto f = file();
  ASSERT_TRUE(ok(f->write_at(0, filled(100, 7))));
  ASSERT_TRUE(ok(f->allocate(0, 10'000)));
  EXPECT_EQ(must(f->size_bytes()), 100U);
  ASSERT_TRUE(ok(f->write_at(9'999, filled(1, 0))));
  std::vector<std::byte> out(10'000);
  EXPECT_EQ(must(f->read_at(0, out)), 10'000U);
  EXPECT_EQ(out[99], std::byte{7});
  EXPECT_TRUE(std::ranges::all_of(out.begin() + 100, out.end(), [](std::byte b) { return b == std::byte{0}; }));
  struct stat status{};
  ASSERT_EQ(stat((temp / "f").c_str(), &status), 0);
  EXPECT_GE(status.st_blocks * 512, 10'000);
  ASSERT_TRUE(ok(f->allocate(0, 5'000)));
  EXPECT_EQ(must(f->size_bytes()), 10'000U);  // never shorter
}

TEST_F(PosixVfs, GivesWholeBlocksBackAndKeepsTheSize) {
  const auto f = file();
  ASSERT_TRUE(ok(f->write_at(0, filled(40'000, 7))));
  ASSERT_TRUE(ok(f->sync()));
  const auto mapped = must(f->map(0, 40'000, false));
  ASSERT_TRUE(ok(mapped->populate(0, 40'000)));
  const std::uint64_t before = must(f->allocated_bytes());
  struct statfs system{};
  ASSERT_EQ(statfs(temp.path().c_str(), &system), 0);
  const auto is_one_of = [&system](auto... magics) { return ((system.f_type == magics) || ...); };
  if (!must(f->give_back(1, 20'000))) {
    EXPECT_FALSE(is_one_of(EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC)) << "these make holes";
    EXPECT_EQ(must(f->allocated_bytes()), before) << "false says that nothing changed";
    EXPECT_FALSE(must(f->give_back(0, 0)));
    return;
  }
  EXPECT_EQ(must(f->size_bytes()), 40'000U);
  EXPECT_LE(must(f->allocated_bytes()), before - 3 * 4'096);
  std::vector<std::byte> out(40'000);
  mapped->copy(0, out);
  for (const std::size_t at : {0U, 4'095U, 16'384U, 20'000U, 39'999U}) EXPECT_EQ(out[at], std::byte{7}) << at;
  for (const std::size_t at : {4'096U, 8'192U, 16'383U}) EXPECT_EQ(out[at], std::byte{0}) << at;
  EXPECT_TRUE(must(f->give_back(5'000, 100))) << "no whole block";
  EXPECT_TRUE(must(f->give_back(0, 0)));
}

// A mapping of tmpfs takes memory for each hole that it reads.
TEST(PosixVfsOnTmpfs, KeepsItsSpace) {
  const TempDirectory temp("/dev/shm");
  const auto directory = must(posix_vfs().open_directory(temp.path(), false));
  const auto f = must(directory->open("f", OpenMode::create, false));
  ASSERT_TRUE(ok(f->write_at(0, filled(40'000, 7))));
  EXPECT_FALSE(must(f->give_back(0, 0)));
  EXPECT_FALSE(must(f->give_back(0, 40'000)));
  EXPECT_GE(must(f->allocated_bytes()), 40'000U);
}

TEST_F(PosixVfs, LocksExcludeOtherDescriptorsOfTheSameProcess) {
  const auto first = file();
  const auto second = file();
  EXPECT_TRUE(must(first->try_lock()));
  EXPECT_FALSE(must(second->try_lock()));
  EXPECT_NE(first->lock_holder().find("pid " + std::to_string(getpid())), std::string::npos) << first->lock_holder();
  first->unlock();
  EXPECT_TRUE(must(second->try_lock()));
  EXPECT_FALSE(must(first->try_lock()));
  second->unlock();
  EXPECT_TRUE(ok(first->lock()));
  EXPECT_FALSE(must(second->try_lock()));
}

TEST_F(PosixVfs, ClosingAFileReleasesItsLock) {
  auto first = file();
  const auto second = file();
  EXPECT_TRUE(must(first->try_lock()));
  first.reset();
  EXPECT_TRUE(must(second->try_lock()));
}

TEST_F(PosixVfs, AForkedChildDoesNotKeepItsParentsLockAlive) {
  // flock belongs to the open file description: without the child handler the child's copy would hold it.
  auto held = file();
  ASSERT_TRUE(must(held->try_lock()));
  int lives[2];
  int leave[2];
  ASSERT_EQ(pipe(lives), 0);
  ASSERT_EQ(pipe(leave), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte = 0;
    static_cast<void>(!write(lives[1], &byte, 1));
    static_cast<void>(!read(leave[0], &byte, 1));  // stays until the parent has looked
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(lives[0], &byte, 1), 1);
  held.reset();
  EXPECT_TRUE(must(file()->try_lock()));
  ASSERT_EQ(write(leave[1], &byte, 1), 1);
  for (const int end : {lives[0], lives[1], leave[0], leave[1]}) close(end);
  int status = 0;
  waitpid(child, &status, 0);
}

TEST_F(PosixVfs, AForkedChildDoesNotTakeItsParentsLockAway) {
  const auto held = file();
  ASSERT_TRUE(must(held->try_lock()));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    held->~File();  // what a child's destructors do
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(must(file()->try_lock()));
}

TEST_F(PosixVfs, IdsTellFilesApartAndFollowThePath) {
  const auto f = file();
  EXPECT_EQ(must(f->id()), must(directory()->id_of("f")));
  std::filesystem::rename(temp / "f", temp / "old");
  EXPECT_TRUE(is_error(directory()->id_of("f"), ErrorCode::not_found, "f"));
  const auto fresh = file();
  EXPECT_FALSE(must(f->id()) == must(directory()->id_of("f")));
  EXPECT_TRUE(must(f->id()) == must(directory()->id_of("old")));
  EXPECT_TRUE(must(fresh->id()) == must(directory()->id_of("f")));
}

TEST_F(PosixVfs, ListsAndRemoves) {
  static_cast<void>(file("one"));
  static_cast<void>(file("two"));
  auto names = must(directory()->list());
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(ok(directory()->remove("one")));
  EXPECT_EQ(must(directory()->list()), std::vector<std::string>{"two"});
  EXPECT_TRUE(is_error(directory()->remove("one"), ErrorCode::not_found, "one"));
  EXPECT_TRUE(ok(directory()->sync()));
}

TEST_F(PosixVfs, RandomBytesDiffer) {
  std::vector<std::byte> a(1000);
  std::vector<std::byte> b(1000);
  posix_vfs().random_bytes(a);
  posix_vfs().random_bytes(b);
  EXPECT_NE(a, b);
  // All of it, not only the first piece.
  EXPECT_FALSE(std::all_of(a.end() - 100, a.end(), [](std::byte x) { return x == std::byte{0}; }));
}

TEST_F(PosixVfs, AFileIsSharedLikeAnother) {
  const auto like = file();
  const auto path = std::filesystem::path(like->path());
  std::filesystem::permissions(path, std::filesystem::perms(0640));
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path.c_str(), 64'001, 64'000), 0);
  }
  const auto directory = must(posix_vfs().open_directory(path.parent_path(), false));
  const auto fresh = must(directory->open("fresh", OpenMode::create, false));
  fresh->share_like(*like);
  struct stat expected{};
  struct stat found{};
  ASSERT_EQ(stat(path.c_str(), &expected), 0);
  ASSERT_EQ(stat((path.parent_path() / "fresh").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777U, 0640U);
  EXPECT_EQ(found.st_uid, expected.st_uid);
  EXPECT_EQ(found.st_gid, expected.st_gid);
}

TEST_F(PosixVfs, TheClockRunsForward) {
  const auto before = posix_vfs().now();
  posix_vfs().sleep(std::chrono::milliseconds(2));
  EXPECT_GE(posix_vfs().now() - before, std::chrono::milliseconds(2));
  EXPECT_EQ(posix_vfs().boot_id(), posix_vfs().boot_id());
}

// ---------------------------------------------------------------------------------------------- mappings

TEST_F(PosixVfs, AMappingSeesWritesAndStoresAreSeenByReads) {
  constexpr std::uint64_t kSecond = kMapAlignment;
  const auto f = file();
  ASSERT_TRUE(ok(f->write_at(0, filled(kSecond + 4096, 1))));
  const auto mapping = must(f->map(kSecond, 4096, true));
  ASSERT_TRUE(ok(mapping->populate(0, 4096)));
  EXPECT_EQ(mapping->load(8), 0x0101'0101'0101'0101U);
  const std::uint64_t value = 0x1122'3344'5566'7788;
  ASSERT_TRUE(ok(f->write_at(kSecond + 16, std::as_bytes(std::span(&value, 1)))));
  EXPECT_EQ(mapping->load(16), value);
  mapping->store(24, value);
  std::array<std::byte, 8> out{};
  ASSERT_EQ(must(f->read_at(kSecond + 24, out)), 8U);
  EXPECT_EQ(base::read_struct<std::uint64_t>(out), value);
  std::array<std::byte, 32> copy{};
  mapping->copy(4096 - 32, copy);
  EXPECT_EQ(copy[0], std::byte{1});
  EXPECT_GT(mapping->resident_bytes(4096), 0U);
}

TEST_F(PosixVfs, PopulateBeyondTheEndOfTheFileIsAnErrorAndNoSignal) {
  const auto f = file();
  ASSERT_TRUE(ok(f->write_at(0, filled(4096, 1))));
  const auto mapping = must(f->map(0, 1 << 20, false));
  EXPECT_TRUE(ok(mapping->populate(0, 4096)));
  EXPECT_TRUE(is_error(mapping->populate(0, 8192), ErrorCode::io_error, "f"));
  EXPECT_TRUE(is_error(mapping->populate(65'536, 10), ErrorCode::io_error, "f"));
  // Growth behind the mapping's back makes it good.
  ASSERT_TRUE(ok(f->write_at(4096, filled(4096, 2))));
  EXPECT_TRUE(ok(mapping->populate(0, 8192)));
  EXPECT_EQ(mapping->load(4096), 0x0202'0202'0202'0202U);
}

TEST_F(PosixVfs, WaitEndsByValueWakeAndTimeout) {
  const auto f = file();
  ASSERT_TRUE(ok(f->write_at(0, filled(4096, 0))));
  const auto mapping = must(f->map(0, 4096, true));
  using std::chrono::milliseconds;
  auto start = posix_vfs().now();
  mapping->wait(0, 1, milliseconds(5'000));  // the word is 0 already
  EXPECT_LT(posix_vfs().now() - start, milliseconds(1'000));
  start = posix_vfs().now();
  mapping->wait(0, 0, milliseconds(20));
  EXPECT_GE(posix_vfs().now() - start, milliseconds(19));
  mapping->wake(0);
}

}  // namespace
}  // namespace mentedb::vfs

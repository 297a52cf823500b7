#include "full_disk_life.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../disks/child.hpp"
#include "board.hpp"
#include "full_disk_tenant.hpp"
#include "peers.hpp"

namespace mentedb::prove {
namespace {

// The tools are looked for where they are in PATH or not.
std::optional<std::string> why_no_ext4() {
  if (access("/dev/loop-control", R_OK | W_OK) != 0) return "there is no /dev/loop-control";
  for (const char* const tool : {"/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4"}) {
    if (access(tool, X_OK) == 0) return std::nullopt;
  }
  return "there is no mkfs.ext4";
}

}  // namespace

std::optional<std::string> why_no_full_disk() {
  if (geteuid() != 0) return "mounting needs root";
  const pid_t child = fork();
  if (child == 0) {
    const bool may_mount =
        unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    _exit(may_mount ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  if (status != 0) return "a mount namespace cannot be made";
  return std::nullopt;
}

DiskResult live_on_full_disk(const Workplace& workplace, const DiskCase& one) {
  constexpr std::chrono::hours kHangs{1};
  DiskResult result;
  const std::string mounted = workplace.directory("mounted");
  std::optional<LoopDevice> loop;
  if (one.kind == Kind::tmpfs) {
    if (::mount("tmpfs", mounted.c_str(), "tmpfs", 0, "size=24m") != 0) die("cannot mount a tmpfs");
  } else {
    if (const auto reason = why_no_ext4()) {
      fmt::print("  no full {}: {}\n", name_of(one.kind), *reason);
      return result;
    }
    make_file_system(one.kind, workplace.path("image"));
    loop.emplace(workplace.path("image"));
    if (const std::string error = mount_device(one.kind, loop->path(), mounted); !error.empty())
      die("cannot mount a new " + std::string(name_of(one.kind)) + ": " + error);
  }
  const SharedBoard board;
  TenantCounts* const counts = &board->tenant;
  const auto tell = [&](const std::string& problem) {
    if (problem.empty()) return;
    ++result.violations;
    fmt::print("VIOLATION full {}: {} | replay: tools/prove life --replay 'disk {} {} {}'\n", name_of(one.kind),
               problem, name_of(one.kind), one.seed, one.seconds > 0 ? counts->rounds + 1 : one.rounds);
    std::fflush(stdout);
  };
  tell(run_in_child([&] { return create_store(mounted); }));
  if (result.violations == 0) {
    Child reader([&] { return read_all_the_time(store_in(mounted), *board, one.seed); });
    Child tenant([&] { return live_as_tenant(mounted, one, *board); });
    tell(tenant.wait(kHangs));
    board->over = true;
    tell(reader.wait());
  }
  if (const std::string error = unmount(mounted); !error.empty()) die("cannot unmount: " + error);
  if (loop) unlink(workplace.path("image").c_str());
  result.rounds = counts->rounds;
  result.operations = board->operations;
  fmt::print(
      "  full {}: {} rounds, {} operations ({} deletions), {} times no_space, of these {} by checkpoints, {} by opens, "
      "{} by recoveries; {} stores into what was freed, {} outside files, {} opens, {} reads beside\n",
      name_of(one.kind), result.rounds, result.operations, counts->deletions.load(), counts->refused.load(),
      counts->refused_checkpoints.load(), counts->refused_opens.load(), counts->refused_recoveries.load(),
      counts->stores_into_freed.load(), counts->outside_files.load(), counts->opens.load(), board->reads.load());
  std::fflush(stdout);
  return result;
}

}  // namespace mentedb::prove

// The real command: strace(1) makes the K-th call of a system call fail, or all from the K-th on.
//
// Checked: exit status 0 or 1, never a signal or a hang; a message that names a file and what to do; afterwards an
// engine opens the store, everything acknowledged is in it, and verify finds nothing. Which calls there are is read off
// a trace without a fault: everything from the first that names the store on.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include <mentedb/json.hpp>

#include "campaign.hpp"
#include "real_calls.hpp"
#include "support/run_command.hpp"

namespace mentedb::faults {
namespace {

namespace fs = std::filesystem;
using test::make_memory;
using test::memory_id;

struct Command {
  std::string name;
  std::string image;
  bool settled = true;             ///< an engine has had the copied store open before, so its id index fits
  std::vector<std::string> words;  ///< STORE, COPY and LINES stand for paths
  std::function<void(Model&)> intend = [](Model&) {};
  bool piecemeal = false;  ///< may be done in part
};

std::string json_of(std::uint64_t number, std::uint64_t version) { return to_json(make_memory(number, version, 200)); }

const std::vector<Command>& commands() {
  const auto adds = [](std::uint64_t number, std::uint64_t version) {
    return [=](Model& m) { m.memories[memory_id(number)] = make_memory(number, version, 200); };
  };
  const auto id = [](std::uint64_t number) { return memory_id(number).to_string(); };
  static const std::vector<Command> all{
      {"create", "empty", false, {"store", "--node", json_of(4, 1)}, adds(4, 1)},
      {"store", "small", true, {"store", "--node", json_of(4, 1)}, adds(4, 1)},
      {"store-moved", "small", false, {"store", "--node", json_of(4, 1)}, adds(4, 1)},
      {"replace", "small", true, {"store", "--node", json_of(1, 2)}, adds(1, 2)},
      {"delete", "small", true, {"delete", id(2)}, [](Model& m) { m.memories.erase(memory_id(2)); }},
      {"import",
       "full-log",
       true,
       {"import", "LINES"},
       [](Model& m) {
         for (std::uint64_t i = 500; i < 520; ++i) m.memories[memory_id(i)] = make_memory(i, 1, 200);
       },
       true},
      {"get", "small", true, {"get", id(1)}},
      {"list", "small", true, {"list", "--json"}},
      {"stats", "small", true, {"stats"}},
      {"checkpoint", "full-log", true, {"checkpoint"}},
      {"erase-deleted", "full-log", true, {"erase-deleted"}},
      {"recover", "crashed", false, {"recover"}},
      {"get-crashed", "crashed", false, {"get", id(1)}},
      {"backup", "small", true, {"backup", "COPY"}},
      {"restore", "small", true, {"--dir", "COPY", "restore", "STORE"}},
      {"salvage", "small", true, {"salvage", "COPY"}},
      {"verify", "small", true, {"verify"}},
  };
  return all;
}

// What each call can report, after its manual page. EINTR is tried once only: nothing interrupts for ever.
const std::map<std::string, std::vector<std::string>>& errors_of_calls() {
  static const std::vector<std::string> memory{"ENOMEM"};
  static const std::map<std::string, std::vector<std::string>> all{
      {"openat",
       {"EACCES", "EPERM", "EIO", "ENOSPC", "EDQUOT", "ENOMEM", "EMFILE", "ENFILE", "ELOOP", "ENOENT", "ENOTDIR",
        "EROFS", "ENODEV", "ENXIO", "ETXTBSY", "EINTR", "EINVAL"}},
      {"pread64", {"EIO", "EINVAL", "ENOMEM", "EINTR", "ESTALE"}},
      {"pwrite64", {"EIO", "ENOSPC", "EDQUOT", "EFBIG", "EINVAL", "EPERM", "EINTR", "EROFS"}},
      {"read", {"EIO", "EINTR"}},
      {"write", {"EIO", "ENOSPC", "EINTR"}},
      {"fdatasync", {"EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"}},
      {"fsync", {"EIO", "ENOSPC", "EDQUOT", "EROFS", "EINVAL", "EINTR"}},
      {"ftruncate", {"EIO", "EFBIG", "EPERM", "EINTR"}},
      {"fallocate", {"EOPNOTSUPP", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "EPERM", "EINTR", "ENOSYS", "ETXTBSY"}},
      {"flock", {"ENOLCK", "EINTR", "EINVAL", "EAGAIN"}},
      {"mmap", {"ENOMEM", "EACCES", "EAGAIN", "ENFILE", "ENODEV", "EPERM"}},
      {"munmap", memory},
      {"mprotect", memory},
      {"brk", memory},
      {"madvise", {"ENOMEM", "EINVAL", "EFAULT", "EAGAIN", "EHWPOISON", "EINTR", "EIO"}},
      {"mincore", {"ENOMEM", "EAGAIN"}},
      {"newfstatat", {"EACCES", "EIO", "ELOOP", "ENOENT", "ENOMEM", "ENOTDIR", "EOVERFLOW", "ESTALE"}},
      {"statx", {"EACCES", "EIO", "ELOOP", "ENOENT", "ENOMEM", "ENOTDIR", "EOVERFLOW", "ESTALE"}},
      {"fstat", {"EIO", "ENOMEM", "EOVERFLOW"}},
      {"statfs", {"EIO", "EINTR", "ENOSYS", "ENOMEM"}},
      {"fstatfs", {"EIO", "EINTR", "ENOSYS", "ENOMEM"}},
      {"mkdir", {"EACCES", "EDQUOT", "EEXIST", "EMLINK", "ENOENT", "ENOMEM", "ENOSPC", "ENOTDIR", "EPERM", "EROFS"}},
      {"rmdir", {"EACCES", "EBUSY", "ENOTEMPTY", "EROFS"}},
      {"chmod", {"EACCES", "EIO", "EPERM", "EROFS", "ENOMEM"}},
      {"fchmod", {"EIO", "EPERM", "EROFS"}},
      {"unlinkat", {"EACCES", "EBUSY", "EIO", "ENOENT", "EPERM", "EROFS"}},
      {"getdents64", {"EIO", "ENOENT", "ENOTDIR"}},
      {"sync_file_range", {"EIO", "ENOMEM", "ENOSPC"}},
      {"futex", {"EINTR", "ETIMEDOUT", "ENOSYS"}},
      {"getrandom", {"EINTR", "EAGAIN", "ENOSYS"}},
      {"close", {"EIO", "EINTR", "ENOSPC", "EDQUOT"}},
      {"fcntl", {"EMFILE", "EINVAL"}},
      {"lseek", {"EINVAL", "EOVERFLOW"}},
      {"poll", {"EINTR", "ENOMEM"}},
      {"pread", {"EIO"}},
  };
  return all;
}

class Lab {
 public:
  explicit Lab(std::string program) : program_(std::move(program)) {
    std::ofstream lines(images_.root() / "lines");
    for (std::uint64_t i = 500; i < 520; ++i) lines << json_of(i, 1) << "\n";
  }

  Subject begin(const Command& command) {
    Subject subject =
        images_.begin({.name = "", .function = "", .image = command.image, .opens = !command.settled, .run = {}});
    subject.engine.reset();
    command.intend(subject.intended);
    return subject;
  }
  test::CommandResult run(const Command& command, const Subject& subject, const std::vector<std::string>& strace) {
    std::vector<std::string> words{"strace", "-f"};
    words.insert(words.end(), strace.begin(), strace.end());
    words.insert(words.end(), {program_, "--lock-timeout", "1"});
    if (command.words.front() != "--dir") words.insert(words.end(), {"--dir", subject.store.string()});
    for (const std::string& word : command.words) {
      words.push_back(word == "STORE"   ? subject.store.string()
                      : word == "COPY"  ? subject.copy.string()
                      : word == "LINES" ? (images_.root() / "lines").string()
                                        : word);
    }
    test::CommandOptions options;
    options.timeout = std::chrono::seconds(45);  // restore waits for a lock the usual 30 s
    options.environment.emplace("LC_ALL", "C");
    return test::run_command(words, options);
  }
  [[nodiscard]] fs::path trace() const { return images_.root() / "trace"; }

 private:
  std::string program_;
  Images images_;
};

/// Calls of one name: those from the first that has to do with the store.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

std::map<std::string, Range> calls_in(const fs::path& trace, const std::string& store) {
  std::map<std::string, std::uint64_t> counts;
  std::map<std::string, Range> ranges;
  bool begun = false;
  std::ifstream lines(trace);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find_first_not_of("0123456789 ");
    const std::size_t end = line.find('(');
    if (begin == std::string::npos || end == std::string::npos || begin >= end) continue;
    const std::string name = line.substr(begin, end - begin);
    if (!errors_of_calls().contains(name) && name != "execve") continue;
    const std::uint64_t count = ++counts[name];
    begun = begun || (name != "execve" && line.find(store) != std::string::npos);
    if (!begun) continue;
    Range& range = ranges[name];
    if (range.first == 0) range.first = count;
    range.last = count;
  }
  return ranges;
}

std::string check_state(const Command& command, const Subject& subject, bool acknowledged) {
  std::vector<Model> allowed{subject.intended};
  if (!acknowledged && !command.piecemeal && subject.intended != subject.model) allowed.push_back(subject.model);
  if (acknowledged || !command.piecemeal) {
    if (command.image == "empty" && !acknowledged) {
      // Nothing was there: a store may be there now, whole, or not.
      if (!fs::exists(subject.store / "wal.log")) return {};
    }
    return check_real_store(subject, allowed);
  }
  // Some of the new ones, and all of the old.
  auto engine = StorageEngine::open(subject.store, subject.options);
  if (!engine) return "cannot be opened: " + engine.error().message;
  std::string problem;
  const Model found = test::read_all(*engine, {}, problem);
  if (!problem.empty()) return problem;
  for (const auto& [id, node] : subject.model.memories) {
    const auto at = found.memories.find(id);
    if (at == found.memories.end() || at->second != node) return "an acknowledged memory is lost";
  }
  for (const auto& [id, node] : found.memories) {
    const auto at = subject.intended.memories.find(id);
    if (at == subject.intended.memories.end() || at->second != node) return "a memory is there that nobody stored";
  }
  const auto report = engine->verify();
  if (!report || !report->problems.empty()) return "verify finds problems";
  return {};
}

/// The message of a failed command: which file, and what to do.
std::string check_message(const test::CommandResult& result, const Case& one) {
  if (result.err.empty() && result.out.empty()) return "exit status 1 without a word";
  if (result.err.empty()) return {};                              // verify and list tell on standard output
  if (result.err.find("/lines") != std::string::npos) return {};  // the caller's own file
  if (one.at(4) == "ENOMEM" && result.err.find("out of memory") != std::string::npos) return {};
  const bool names = result.err.find('/') != std::string::npos || result.err.find("page ") != std::string::npos ||
                     result.err.find("standard output") != std::string::npos;
  const bool remedy = result.err.find(';') != std::string::npos || result.err.find("run:") != std::string::npos ||
                      result.err.find("standard output") != std::string::npos;
  if (!names) return "the message names no file: " + result.err;
  if (!remedy) return "the message has no remedy: " + result.err;
  return {};
}

std::vector<std::string> attempt(Lab& lab, const Case& one) {
  const auto command = std::ranges::find(commands(), one.at(1), &Command::name);
  if (command == commands().end()) return {"there is no such command"};
  const Subject subject = lab.begin(*command);
  const std::string when = one.at(3) + (one.at(5) == "on" ? "+" : "");
  // brk(2) reports no errno: it leaves the break where it is.
  const std::string fault = one.at(2) == "brk" ? "retval=0" : "error=" + one.at(4);
  const auto result = lab.run(*command, subject,
                              {"-o", "/dev/null", "-e", "trace=" + one.at(2), "-e",
                               fmt::format("inject={}:{}:when={}", one.at(2), fault, when)});
  std::vector<std::string> wrong;
  const auto violation = [&](const std::string& what) {
    std::string line = fmt::format("{} with {} number {}: {} {}: {}", one[1], one[2], one[3], one[4], one[5], what);
    std::ranges::replace(line, '\n', ' ');
    wrong.push_back(std::move(line));
  };
  if (result.timed_out) {
    violation("hangs");
    return wrong;
  }
  if (result.signal != 0) violation(fmt::format("ended by signal {} {}", result.signal, result.err));
  if (result.signal == 0 && result.status != 0 && result.status != 1)
    violation(fmt::format("exit status {} {}", result.status, result.err));
  if (result.status == 1) {
    if (const std::string problem = check_message(result, one); !problem.empty()) violation(problem);
  }
  if (const std::string problem = check_state(*command, subject, result.status == 0); !problem.empty())
    violation(fmt::format("{} (exit status {}, {})", problem, result.status, result.err));
  if (fs::exists(subject.copy)) {
    Options options;
    options.read_only = true;
    auto copy = StorageEngine::open(subject.copy, options);
    if (result.status == 0) {
      std::string problem;
      const Model found = copy ? test::read_all(*copy, {}, problem) : Model{};
      if (!copy || !problem.empty() || found.memories != subject.model.memories) violation("the copy is not whole");
    } else if (copy) {
      std::string problem;
      const bool whole = test::read_all(*copy, {}, problem).memories == subject.model.memories;
      const bool told = result.err.find("is not whole") != std::string::npos || result.out.find("lost") == 0;
      if (!whole && !told) violation("half a copy can be opened");
    }
  }
  return wrong;
}

}  // namespace

int run_command(Campaign& campaign, const Case* replay, const std::string& program) {
  if (std::system("strace -o /dev/null -e inject=close:error=EIO:when=1 true > /dev/null 2>&1") != 0) {
    std::printf("faults command: strace is missing or may not trace here\n");
    return 77;
  }
  Lab lab(program);
  std::vector<Case> cases;
  for (const Command& command : commands()) {
    if (replay != nullptr) break;
    const Subject subject = lab.begin(command);
    const auto result = lab.run(command, subject, {"-y", "-s", "0", "-o", lab.trace().string()});
    if (result.status != 0) {
      std::fprintf(stderr, "%s without a fault: %s\n", command.name.c_str(), result.err.c_str());
      return 2;
    }
    if (const std::string problem = check_state(command, subject, true); !problem.empty()) {
      std::fprintf(stderr, "%s without a fault: %s\n", command.name.c_str(), problem.c_str());
      return 2;
    }
    for (const auto& [name, range] : calls_in(lab.trace(), subject.store.parent_path().string())) {
      for (std::uint64_t n = range.first; n <= range.last; ++n) {
        for (const std::string& error : errors_of_calls().at(name)) {
          cases.push_back({"command", command.name, name, std::to_string(n), error, "once"});
          // Without a standard error there is no message to look at.
          if (error != "EINTR" && name != "write")
            cases.push_back({"command", command.name, name, std::to_string(n), error, "on"});
        }
      }
    }
  }
  if (replay != nullptr) cases = {*replay};
  campaign.run(std::move(cases), [&](const Case& one) { return attempt(lab, one); });
  return campaign.finish();
}

}  // namespace mentedb::faults
